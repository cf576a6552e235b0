"""CSV files: every way to write one gives the same photos, and every mistake is named with its line."""

import csv
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import Csv, Split, check, open_data
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
PROGRAMS_WORDS = {"nan", "NaN", "NAN", "<NA>", "NaT", "None", "null", "NULL", "#N/A"}
PLACES = st.integers(0, 39).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, 40)))
BOXES = st.tuples(PLACES, PLACES).map(lambda pair: [pair[0][0], pair[1][0], pair[0][1], pair[1][1]])
LABELS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=6).filter(
    lambda label: label == label.strip() and label not in PROGRAMS_WORDS and not re.match(r"[+-]?\d", label)
)
ROWS = st.lists(st.tuples(LABELS, st.lists(BOXES, max_size=3), st.sampled_from(SPLITS)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve photos of 40 x 40, with commas and quotes in their names."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(12):
        Image.new("RGB", (40, 40)).save(root / name(number))
    return root


def name(number: int) -> str:
    return f'a, "{number:02d}".png'


def table(root: Path, rows: list[list], encoding: str = "utf-8", end: str = "\n") -> Path:
    with open(root / "photos.csv", "w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator=end).writerows(rows)
    return root / "photos.csv"


@settings(max_examples=30, deadline=None)
@given(ROWS, st.sampled_from(["utf-8", "utf-8-sig"]), st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_comes_back(photos: Path, rows: list, encoding: str, end: str) -> None:
    header = ["path", "label", "x0", "y0", "x1", "y1", "split"]
    lines = [
        [name(number), label, *box, split]
        for number, (label, boxes, split) in enumerate(rows)
        for box in boxes or [[""] * 4]
    ]
    path = table(photos, [header, *lines], encoding, end)
    found = []
    for split in SPLITS:
        if not any(row[2] == split for row in rows):
            with pytest.raises(WsolError, match=f"no photo belongs to the split {split}"):
                Csv(path, split)
            continue
        read = Csv(path, split)
        assert read.has_boxes == any(boxes for _, boxes, _ in rows)
        assert read.classes == sorted({label for label, _, _ in rows})
        found += [
            (sample.id, read.classes[sample.label], read.truth(index).boxes.tolist(), split)
            for index, sample in enumerate(read.samples)
        ]
    assert sorted(found) == [(name(number), *row) for number, row in enumerate(rows)]


def test_fractions_of_pixels_are_kept(photos: Path) -> None:
    path = table(photos, [["path", "label", "x0", "y0", "x1", "y1"], [name(0), "a", 0.1, " 2.25 ", 1e1, 40.0]])
    assert Csv(path, "train").truth(0).boxes.tolist() == [[0.1, 2.25, 10, 40]]


def test_columns_come_in_any_order_and_others_are_left_alone(photos: Path) -> None:
    path = table(photos, [["split", "note", " label", "path "], ["val", "red, old", "b", name(3)], [], ["val"]])
    with pytest.raises(WsolError, match=r"photos\.csv, line 4: path and label"):
        Csv(path, "val")
    path = table(photos, [["split", "note", " label", "path "], ["val", "red, old", "b", name(3)], []])
    assert [(sample.id, sample.path) for sample in Csv(path, "val").samples] == [(name(3), photos / name(3))]


def test_every_tenth_photo_of_a_class_is_held_back(photos: Path) -> None:
    path = table(photos, [["path", "label"], *([name(number), "ab"[number > 9]] for number in range(12))])
    held = [name(9), name(11)]
    assert [sample.id for sample in Csv(path, "val").samples] == held
    assert [sample.id for sample in Csv(path, "test").samples] == held
    assert [sample.id for sample in Csv(path, "train").samples] == [name(n) for n in range(11) if n != 9]


@pytest.mark.parametrize(
    ("labels", "classes", "found"),
    [
        (["2", "0", "2"], ["0", "2"], ["0", "2", "2"]),
        (["20417", "20418"], ["20417", "20418"], ["20417", "20418"]),
        (["007", "008", "7000"], ["007", "008", "7000"], ["007", "008", "7000"]),
        (["1.0", "2.0", "10.0"], ["1", "2", "10"], ["1", "2", "10"]),
        (["2,00", "1"], ["1", "2"], ["1", "2"]),
        (["1.5", "2.0"], ["1.5", "2.0"], ["1.5", "2.0"]),
        (["1999", "-5", "2024"], ["-5", "1999", "2024"], ["-5", "1999", "2024"]),
        (["10", "2", "1", "0"], ["0", "1", "2", "10"], ["0", "1", "2", "10"]),
        (["2", "10", "x"], ["10", "2", "x"], ["10", "2", "x"]),
        (["2.0", "x"], ["2.0", "x"], ["2.0", "x"]),
    ],
)
def test_labels_are_names_in_the_order_of_their_numbers(
    photos: Path, labels: list[str], classes: list, found: list
) -> None:
    rows = [[name(number), label, "train"] for number, label in enumerate(labels)]
    read = Csv(table(photos, [["path", "label", "split"], *rows]), "train")
    assert read.classes == classes
    assert [read.classes[sample.label] for sample in read.samples] == found


@pytest.mark.parametrize("count", [3, 12])
def test_numbers_from_0_without_gaps_are_their_own_indices(photos: Path, count: int) -> None:
    rows = [[name(number), (5 * number + 2) % count, "train"] for number in range(count)]
    read = Csv(table(photos, [["path", "label", "split"], *rows]), "train")
    assert {sample.id: sample.label for sample in read.samples} == {path: label for path, label, _ in rows}
    assert read.classes == [str(number) for number in range(count)]


def test_classes_are_those_of_all_splits(photos: Path) -> None:
    rows = [[name(0), "a", "train"], [name(1), "b", "val"], [name(2), "c", "test"]]
    for label, split in enumerate(SPLITS):
        read = Csv(table(photos, [["path", "label", "split"], *rows]), split)
        assert (read.classes, [sample.label for sample in read.samples]) == (["a", "b", "c"], [label])


BOXED = "path,label,x0,y0,x1,y1\n"
ONE, TWO = '"a, ""00"".png"', '"a, ""01"".png"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r": its first line must name the columns: path,label"),
        ("path,colour\n", r": its first line must name the columns: path,label.*; it reads 'path,colour'$"),
        (f"path,label,x0,y0\n{ONE},a,1,2\n", r": boxes need all four columns"),
        ("path,label\n", r": no photo belongs to the split train"),
        (f"path,label\n{ONE},a\n{TWO},\n", r", line 3: path and label must both be filled"),
        (f"path,label\n{ONE},a\n\n,b\n", r", line 4: path and label must both be filled"),
        (f"path,label\n{ONE},a\n{TWO},b\n{ONE},b\n", r', line 4: a, "00".png has two labels, a and b'),
        (f"path,label,split\n{ONE},a,trainval\n", r", line 2: split 'trainval' must be train, val or test"),
        (f"path,label,split\n{ONE},a,\n", r", line 2: split '' must be train, val or test"),
        (f"path,label,split\n{ONE},a,train\n{ONE},a,val\n", r", line 3: split 'val' must be .* the same in all lines"),
        (f"path,label\n{ONE},a\nnone.png,a\nx.png,a", r", line 3: none.png is listed but there is no such file in"),
        (f"path,label\n{ONE},tabby, grey\n", r", line 2: more values than columns; put text with commas into quotes"),
        ('path,label\n"0.png,a\n' + "1.png,a\n" * 20000, r", line 1\d*: field larger .*; is a quote left open"),
    ],
)
def test_mistakes_are_named_with_file_and_line(photos: Path, text: str, said: str) -> None:
    (photos / "photos.csv").write_text(text, encoding="utf-8")
    with pytest.raises(WsolError, match=rf"photos\.csv{said}") as error:
        Csv(photos / "photos.csv", "train")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("0,0,41,40", "box 0 0 41 40 .* does not lie in its image of 40 x 40"),
        ("-1,0,4,4", "box -1 0 4 4"),
        ("4,0,4,9", "box 4 0 4 9"),
        ("nan,0,4,4", "must be four numbers, not nan, 0, 4, 4"),
        ("0,0,inf,4", "must be four numbers, not 0, 0, inf, 4"),
        ("1,2,,4", "x0, y0, x1, y1 must be four numbers, not 1, 2, , 4"),
        ("1,2,3px,4", "must be four numbers, not 1, 2, 3px, 4"),
    ],
)
def test_wrong_boxes_are_named_when_the_truth_is_asked_for(photos: Path, box: str, said: str) -> None:
    (photos / "photos.csv").write_text(f"{BOXED}{ONE},a,0,0,40,40\n{ONE},a,{box}\n", encoding="utf-8")
    read = Csv(photos / "photos.csv", "train")
    with pytest.raises(WsolError, match=rf"photos\.csv, line 3: .*{said}"):
        read.truth(0)


def test_files_that_are_no_text_are_named(photos: Path) -> None:
    (photos / "photos.csv").write_bytes("path,label\nKöln.png,a\n".encode("latin-1"))
    for path in (photos / "photos.csv", photos / "none.csv"):
        with pytest.raises(WsolError, match=rf"{path.name}: not readable as text .*UTF-8"):
            Csv(path, "train")


def boxes_of(photos: Path, text: str, **given: Any) -> list:
    """What a table of photos with `split` train says of its first photo's boxes."""
    (photos / "photos.csv").write_text(text, encoding="utf-8")
    return Csv(photos / "photos.csv", "train", **given).truth(0).boxes.tolist()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder of a.png, b.png and pets/c.png, 40 x 20."""
    (tmp_path / "pets").mkdir()
    for shade, path in enumerate(("a.png", "b.png", "pets/c.png")):
        Image.new("RGB", (40, 20), (shade, 0, 0)).save(tmp_path / path)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "path;label\na.png;x\nb.png;y\n",
        "path\tlabel\na.png\tx\nb.png\ty\n",
        "path | label\na.png | x\nb.png | y\n",
        "sep=;\npath;label\na.png;x\nb.png;y\n",
        "sep=\t\r\npath\tlabel\r\na.png\tx\r\nb.png\ty\r\n",
        "path,label,\na.png,x,\nb.png,y,,,\n,,\n",
        ",path,label\n0,a.png,x\n1,b.png,y\n",
        "Unnamed: 0,path,label\n0,a.png,x\n1,b.png,y\n",
        "Filename,Class\na.png,x\nb.png,y\n",
        "image name;category\n./a.png;x\npets/../b.png; y \n",
        "# made by hand\n\n# path,label\na.png,x\nb.png,y\n",
        "class_id,class_name,file_path\n7,x,a.png\n3,y,b.png\n",
        "id,image,label\n1,a.png,x\n2,b.png,y\n",
        '"path","label"\n"a.png","x"\n"b.png","y"\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_other_programs_say_the_same(plain: Path, text: str, encoding: str) -> None:
    (plain / "photos.csv").write_bytes(text.encode(encoding))
    read = Csv(plain / "photos.csv", "train")
    assert [(sample.id, read.classes[sample.label]) for sample in read.samples] == [("a.png", "x"), ("b.png", "y")]


def test_paths_of_other_machines_are_read_where_they_lie_within_the_folder(plain: Path) -> None:
    path = table(
        plain, [["path", "label"], ["pets\\c.png", "x"], [plain / "a.png", "y"], [f"../{plain.name}/b.png", "y"]]
    )
    assert [(sample.id, sample.path) for sample in Csv(path, "train").samples] == [
        ("pets/c.png", plain / "pets" / "c.png"),
        ("a.png", plain / "a.png"),
    ]
    for written, said in [
        ("C:\\photos\\a.png", "not those of another machine"),
        ("/nowhere/a.png", "not those of another machine"),
        ("https://example.org/a.png", "it is a web address: fetch the photo"),
        ("c.png", r"line 2: c\.png is listed but there is no such file in .*; paths count from there"),
    ]:
        with pytest.raises(WsolError, match=said):
            Csv(table(plain, [["path", "label"], [written, "x"]]), "train")


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".TAB", ".psv"])
def test_tables_have_many_suffixes(plain: Path, suffix: str) -> None:
    file = plain / f"photos{suffix}"
    file.write_text("path\tlabel\na.png\tx\nb.png\ty\n")
    assert isinstance(open_data(file, "train"), Csv)
    if suffix != ".tsv":
        file.write_text("a.png x\nb.png y\n")
        with pytest.raises(WsolError, match="no layout recognises this file"):
            open_data(file, "train")


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("x0,y0,x1,y1", "2,3,12,18"),
        ("X1,Y1,X2,Y2", "2,3,12,18"),
        ("x_min,y_min,x_max,y_max", "2,3,12,18"),
        ("bbox_left,bbox_top,bbox_right,bbox_bottom", "2,3,12,18"),
        ("ymin,xmin,ymax,xmax", "3,2,18,12"),
        ("width,height,xmin,ymin,xmax,ymax", "40,20,2,3,12,18"),
        ("x,y,w,h", "2,3,10,15"),
        ("x,y,width,height", "2,3,10,15"),
        ("bbox_x,bbox_y,bbox_width,bbox_height", "2,3,10,15"),
        ("cx,cy,w,h", "7,10.5,10,15"),
        ("x_center,y_center,width,height", "7,10.5,10,15"),
    ],
)
def test_columns_say_what_a_box_is(plain: Path, header: str, box: str) -> None:
    assert boxes_of(plain, f"filename,class,{header}\na.png,x,{box}\n") == [[2, 3, 12, 18]]


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        ("xywh", "2,3,10,15"),
        ("xyxy-shares", "0.05,0.15,0.3,0.9"),
        ("cxcywh-shares", "0.175,0.525,0.25,0.75"),
        ("xywh-percent", "5,15,25,75"),
        ("xyxy-from-1", "3,4,12,18"),
    ],
)
def test_an_option_says_what_a_box_is(plain: Path, box_format: str, box: str) -> None:
    (box_,) = boxes_of(plain, f"{BOXED}a.png,x,{box}\n", box_format=box_format)
    assert box_ == pytest.approx([2, 3, 12, 18])


def test_decimal_commas_are_read(plain: Path) -> None:
    assert boxes_of(plain, "path;label;x0;y0;x1;y1\na.png;x;2,5;3;12,25;18\n") == [[2.5, 3, 12.25, 18]]
    assert boxes_of(plain, f'{BOXED}a.png,x,"2,5",3,"12,25",18\n') == [[2.5, 3, 12.25, 18]]


def test_a_column_of_four_numbers_is_read_where_its_format_is_said(plain: Path) -> None:
    text = 'image_id,bbox,label\na.png,"[2.0, 3.0, 10.0, 15.0]",x\n'
    assert boxes_of(plain, text, box_format="xywh") == [[2, 3, 12, 18]]
    with pytest.raises(WsolError, match="column bbox does not say what its numbers mean; add --box-format"):
        boxes_of(plain, text)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["0.1,0.2,0.6,0.8"], "all 1 boxes lie in 0..1, as shares .*--box-format xyxy-shares"),
        (["0.1,0.2,0.6,0.8", "0.5,0.5,0.4,0.2"], "all 2 boxes lie in 0..1, as shares .*--box-format xywh-shares"),
        (["20,10,15,8", "30,3,9,2"], "2 of 2 boxes, such as 20 10 15 8 in a photo of 40 x 20, .*--box-format xywh"),
    ],
)
def test_boxes_of_another_format_name_the_option(plain: Path, lines: list[str], said: str) -> None:
    rows = [f"{photo},x,{box}\n" for photo, box in zip(("a.png", "b.png"), lines, strict=False)]
    text = BOXED.replace("\n", ",split\n") + "".join(row.replace("\n", ",train\n") for row in rows)
    with pytest.raises(WsolError, match=rf"photos\.csv: {said}"):
        boxes_of(plain, text)


def test_training_opens_a_table_whatever_its_boxes_are(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("a box or a photo was opened")

    monkeypatch.setattr(Csv, "size", opened)
    monkeypatch.setattr(Csv, "_numbers", opened)
    (plain / "photos.csv").write_text(f"{BOXED}a.png,x,0.1,0.2,0.6,0.8\nb.png,y,1,2,no,\n")
    assert len(Csv(plain / "photos.csv", "train")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label,class\na.png,x,y\n", "the class is given by the columns label, class, which are not a name"),
        ("path,Path,label\na.png,b.png,x\n", "the photo is given by the columns path, Path; keep one"),
        ("file,image,label\na.png,b.png,x\n", "the photo is given by the columns file, image; keep one"),
        ("path,label,label\na.png,x,x\n", "the class is given by the columns label, label; keep one"),
        ("path,label,split,subset\na.png,x,train,val\n", "the split is given by the columns split, subset; keep one"),
        (f"{BOXED.strip()},x0\na.png,x,1,2,3,4,5\n", "the box is given by the columns x0, x0; keep one"),
        (f"{BOXED.strip()},x,y,w,h\na.png,x,1,2,3,4,1,2,2,2\n", "the box is given by the columns x0, y0, x1, y1, x, y"),
        ("path,label,xmin,ymin\na.png,x,1,2\n", "boxes need all four columns .*; found xmin, ymin"),
        ("class_id,class,path\n1,x,a.png\n1,y,b.png\n", "by the columns class_id, class, which are not a name and"),
        ("a.png,x\nb.png,y\n", "it reads 'a.png,x', which is a photo already: put a line of names above it"),
        ("photo;colour\na.png;x\n", "first line must name the columns: path,label.*it reads 'photo;colour'"),
        ("path,label\na.png,NaN\n", "line 2: path and label must both be filled, and NaN is what programs write"),
        ("path,label\na.png,02\nb.png,2\n", "the labels 02 and 2 are one number; write one of them"),
        ("path,label,split\na.png,x,test\nb.png,x,holdout\n", "line 3: the splits test and holdout would both be test"),
        (
            "path,label,split\na.png,x,train\n./a.png,x,test\n",
            r"line 3: split 'test' .*\./a.png is train .*as a.png in",
        ),
        ("path,label,split\na.png,x,train\npets/../a.png,x,test\n", "line 3: split 'test' .* is train in line 2"),
        ("path,label\na.png,x\n./a.png,y\n", r"line 3: \./a.png has two labels, x and y \(as a.png in line 2\)"),
    ],
)
def test_what_could_mean_two_things_is_refused(plain: Path, text: str, said: str) -> None:
    with pytest.raises(WsolError, match=rf"photos\.csv.*{said}") as error:
        boxes_of(plain, text)
    assert len(str(error.value).splitlines()) == 1


def test_capitals_are_another_photo_only_where_they_are_another_file(plain: Path) -> None:
    os.link(plain / "a.png", plain / "A.png")  # what a file system without capitals looks like
    Image.new("RGB", (40, 20)).save(plain / "B.png")
    path = table(plain, [["path", "label", "split"], ["a.png", "x", "train"], ["A.png", "x", "test"]])
    with pytest.raises(WsolError, match=r"line 3: split 'test' .* A.png is train in line 2 \(as a.png in line 2\)"):
        Csv(path, "train")
    path = table(plain, [["path", "label", "split"], ["b.png", "x", "train"], ["B.png", "x", "test"]])
    assert [sample.id for sample in Csv(path, "test").samples] == ["B.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\na.png,x\nb.png,x\n./a.png,x\n", r"listed again in line 4 \(\./a.png, first in line 2\): each"),
        (f"{BOXED}a.png,x,1,2,3,4\na.png,x,1,2,3,4\n", r"listed again in line 3 \(a.png, first in line 2\)"),
        (f"{BOXED}a.png,x,1,2,3,4\na.png,x,,,,\n", r"listed again in line 3 \(a.png, first in line 2\)"),
        ("path,label\na.png,Cat\nb.png,cat\n", "the labels Cat and cat are two classes, though they look alike"),
        ("path,label\na.png,x\n#b.png,x\n", "left out as comments, as they begin with #: line 3"),
    ],
)
def test_what_is_odd_is_said_in_training_and_noted_by_the_check(plain: Path, text: str, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        boxes_of(plain, text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = check(plain / "photos.csv", ["train"]).notes
    assert sum(re.search(said, note) is not None for note in notes) == 1


def test_several_boxes_of_a_photo_are_no_repetition(plain: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(boxes_of(plain, f"{BOXED}a.png,x,1,2,3,4\na.png,x,2,2,3,4\n")) == 2


def test_the_check_says_how_boxes_may_be_written_and_which_columns_are_not_read(plain: Path) -> None:
    (plain / "photos.csv").write_text(f"note,{BOXED}old,a.png,x,1,1,40,9\n,b.png,x,5,5,9,20\n")
    assert any("columns that are not read: note" in note for note in check(plain / "photos.csv").notes)
    (plain / "photos.csv").write_text(f"{BOXED}a.png,x,1,1,40,9\na.png,x,5,5,9,20\n")
    assert any("add --box-format xyxy-from-1" in note for note in check(plain / "photos.csv", ["train"]).notes)
    assert not any("from-1" in note for note in check(plain / "photos.csv", ["train"], box_format="xyxy").notes)


def test_the_check_names_a_wrong_format_once_and_reads_the_right_one(plain: Path) -> None:
    (plain / "photos.csv").write_text(f"{BOXED}a.png,x,0.1,0.2,0.6,0.8\nb.png,y,0.1,0.2,0.6,0.8\n")
    problems = check(plain / "photos.csv").problems
    assert len(problems) == 1 and "--box-format xyxy-shares" in problems[0]
    report = check(plain / "photos.csv", box_format="xyxy-shares")
    assert (report.problems, report.splits["train"].boxes) == ([], 2)
    with pytest.raises(WsolError, match="says itself what the numbers of a box mean"):
        open_data("creatures", "train", box_format="xywh")


def test_listed_sizes_are_those_of_the_photos(plain: Path) -> None:
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    (plain / "photos.csv").write_text(f"{header}a.png,40,20,x,1,1,9,9\nb.png,20,40,x,1,1,9,9\n")
    (problem,) = check(plain / "photos.csv").problems
    assert f"{plain / 'b.png'}: is 40 x 20, but {plain / 'photos.csv'} says 20 x 40" in problem
