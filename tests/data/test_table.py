"""CSV files: every way to write one gives the same photos, and every mistake is named with its line."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import Csv, Split
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
def test_labels_are_names_in_the_order_of_their_numbers(photos: Path, labels: list[str], classes: list, found: list) -> None:
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
        ("nan,0,4,4", "box nan 0 4 4"),
        ("0,0,inf,4", "box 0 0 inf 4"),
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
