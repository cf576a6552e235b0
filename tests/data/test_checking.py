"""`wsol data check`: what is found in sound sets, and each kind of damage named with its file."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from test_voc import voc

from wsol.data import Report, check


def photo(path: Path, shade: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 2 * shade, 90)).save(path, "PNG")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve photos of two classes for training, two each to choose and to test with, each different."""
    for number, (part, count) in enumerate((("train", 6), ("val", 1), ("test", 1))):
        for label in range(2):
            for index in range(count):
                photo(tmp_path / part / "ab"[label] / f"{index}.png", 60 * number + 10 * index + label)
    return tmp_path


def counts(report: Report) -> dict[str, tuple[int, ...]]:
    return {split: (part.photos, part.classes, part.boxes, part.masks) for split, part in report.splits.items()}


def test_a_sound_folder(root: Path) -> None:
    report = check(root)
    assert counts(report) == {"train": (12, 2, 0, 0), "val": (2, 2, 0, 0), "test": (2, 2, 0, 0)}
    assert "plain folder" in report.layout and report.problems == []
    assert report.notes == ["train: classes with fewer than 10 photos: a 6, b 6"]
    assert list(check(root, ["val"]).splits) == ["val"]


def test_damaged_photos_are_named(root: Path) -> None:
    for name, content in (("0", b""), ("1", b"text"), ("2", (root / "train/a/2.png").read_bytes()[:60])):
        (root / "train" / "a" / f"{name}.png").write_bytes(content)
    problems = check(root).problems
    assert len(problems) == 3
    for problem, name, said in zip(problems, "012", ("empty", "no image", "cannot be read"), strict=True):
        assert str(root / "train" / "a" / f"{name}.png") in problem and said in problem and "replace" in problem


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("train/a/0.png", "test/a/0.png", "of train; remove one"),
        ("train/a/0.png", "train/b/1.png", "another class"),
        ("val/a/0.png", "test/a/0.png", None),
        ("train/a/0.png", "train/a/1.png", None),
    ],
)
def test_a_photo_stored_twice_does_harm_across_training_and_classes(
    root: Path, first: str, second: str, said: str | None
) -> None:
    (root / second).write_bytes((root / first).read_bytes())
    problems = check(root).problems
    assert len(problems) == (said is not None)
    if said:
        assert str(root / first) in problems[0] and str(root / second) in problems[0] and said in problems[0]


def test_splits_by_rule_share_photos_without_harm(tmp_path: Path) -> None:
    for label in "ab":
        for index in range(10):
            photo(tmp_path / label / f"{index}.png", 10 * index + (label == "b"))
    (tmp_path / "a" / "9.png").write_bytes(b"")  # val and test alike
    report = check(tmp_path)
    assert counts(report) == {"train": (18, 2, 0, 0), "val": (2, 2, 0, 0), "test": (2, 2, 0, 0)}
    assert len(report.problems) == 1


def lists(root: Path, boxes: str = "", masks: str = "") -> Path:
    for index, name in enumerate(("a", "b")):
        photo(root / f"{name}.png", index)
    folder = root / "metadata" / "test"
    folder.mkdir(parents=True)
    files = {"image_ids": "a.png b.png", "class_labels": "a.png,0 b.png,1", "image_sizes": "a.png,40,30 b.png,40,30"}
    for name, text in (files | {"localization": boxes or masks}).items():
        (folder / f"{name}.txt").write_text(text.replace(" ", "\n") + "\n")
    return root


@pytest.mark.parametrize(
    ("box", "wrong"),
    [("0,0,40,30", False), ("-1,0,41,30", False), ("20,15,60,29", True), ("5,5,4,9", True), ("50,50,60,60", True)],
)
def test_boxes_outside(tmp_path: Path, box: str, wrong: bool) -> None:
    report = check(lists(tmp_path, f"a.png,{box} b.png,1,2,3,4"))
    assert [f"{tmp_path / 'a.png'}: box {box.replace(',', ' ')} " in each for each in report.problems] == [True] * wrong
    assert counts(report) == {"test": (2, 2, 2 - wrong, 0)} and report.notes == []


def test_boxes_that_reach_out_are_noted(tmp_path: Path) -> None:
    report = check(lists(tmp_path, "a.png,10,10,43,30 b.png,1,2,3,4"))
    assert report.problems == []
    assert report.notes == [f"test: boxes reach out of {tmp_path / 'a.png'}: counted as they are"]


def test_masks_missing_and_of_another_shape(tmp_path: Path) -> None:
    root = lists(tmp_path, masks="a.png,one.png, b.png,two.png,")
    photo(root / "one.png", size=(20, 15))  # scaled, which the lists may have
    assert [str(root / "two.png") in each for each in check(root).problems] == [True]
    photo(root / "two.png", size=(30, 40))
    problems = check(root).problems
    assert [str(root / "b.png") in each and "mask is 30 x 40" in each for each in problems] == [True]
    photo(root / "two.png", size=(40, 30))
    report = check(root)
    assert report.problems == [] and counts(report) == {"test": (2, 2, 0, 2)}


def test_sizes_that_are_listed_wrongly(tmp_path: Path) -> None:
    root = lists(tmp_path, "a.png,1,2,3,4")
    photo(root / "b.png", 1, (41, 30))
    problems = check(root).problems
    listed = root / "metadata" / "test" / "image_sizes.txt"
    said = f"{root / 'b.png'}: is 41 x 30, but {listed} says 40 x 30"
    assert [said in each for each in problems] == [True]


def test_each_class_of_a_photo_is_looked_at(tmp_path: Path) -> None:
    objects = [("cat", (1, 1, 9, 9)), ("person", (2, 2, 30, 20)), ("person", (25, 3, 90, 90))]
    root = voc(tmp_path, v1=objects, v2=objects[:1])
    Image.fromarray(np.zeros((19, 30), np.uint8), "L").save(root / "SegmentationClass" / "v2.png")
    report = check(root, ["test"])
    assert counts(report) == {"test": (2, 2, 2, 1)}
    assert len(report.problems) == 2
    assert "v1.jpg: box 24 2 90 90" in report.problems[0] and "v2.jpg: its mask is 30 x 19" in report.problems[1]


def test_splits_that_are_not_there_matter_where_they_are_asked_for(tmp_path: Path) -> None:
    root = lists(tmp_path, "a.png,1,2,3,4")
    assert check(root).problems == []
    assert ["train" in each for each in check(root, ["train"]).problems] == [True]
    (root / "metadata" / "val").mkdir()  # begun, but without its lists
    assert ["val/image_ids.txt: cannot be read" in each for each in check(root).problems] == [True]
    assert ["there is no such data" in each for each in check(tmp_path / "nothing").problems] == [True]


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wsol.cli.app import main

    sheet = tmp_path.with_suffix(".png")
    main(["data", "check", str(root), "--output", str(sheet)])
    assert "12" in capsys.readouterr().out and min(Image.open(sheet).size) > 100
    (root / "val" / "b" / "0.png").write_bytes(b"")
    main(["data", "check", str(root), "--split", "train", "test"])
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(root)])
    said = capsys.readouterr()
    assert ended.value.code == 1 and "val/b/0.png: is an empty file" in said.out and "1 to be fixed" in said.err


def shades() -> Iterator[int]:
    return iter(range(1, 100000))


def many(root: Path, shade: Iterator[int], *folders: str, count: int = 3) -> None:
    for folder in folders:
        for index in range(count):
            number = next(shade)
            path = root / folder / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number % 256, number // 256, 90)).save(path)


TRAIN = "Nothing to fix. Train on it: wsol train bas {root} --recipe own_photos --output runs/bas"
MEASURE = "Nothing to fix. Measure a run on it: wsol evaluate RUN {root} (to train on it: "


@pytest.mark.parametrize(
    ("folders", "drawn", "said", "conclusion"),
    [
        (
            ("a", "b"),
            ["train: 4 photos of 2 classes (all but every tenth of a class)", "val and test alike: 2 photos"],
            "no split folders: every tenth photo of a class is held back",
            TRAIN,
        ),
        (
            ("Train/a", "Train/b", "Valid/a", "Test/b"),
            ["train: 6 photos of 2 classes (the folder Train)", "val: 3 photos of 1 class (the folder Valid)"],
            "train: classes with fewer than 10 photos: a 3, b 3",
            TRAIN,
        ),
        (
            ("train/a", "train/b", "val/a"),
            ["val and test alike: 3 photos of 1 class (the folder val)"],
            "no folder for test: the photos of val stand for it",
            TRAIN,
        ),
        (
            ("up/a", "up/b"),
            ["a: 2", "b: 2"],
            "its only folder with photos is up, which is read in its place",
            TRAIN,
        ),
        (("train", "car"), ["car: 2", "train: 2"], "train is read as a class", TRAIN),
        (("a",), ["train: 2 photos of 1 class"], "", MEASURE + "training needs at least two classes)"),
        (
            ("test/a", "test/b"),
            ["test: 6 photos of 2 classes (the folder test)", "train: no photos", "val: no photos"],
            "",
            MEASURE + "no photos for train and val)",
        ),
        (
            ("train/a", "train/b", "test"),
            ["train: 4 photos", "val: 2 photos of 2 classes (every tenth of a class in train)", "test: no photos"],
            "3 photos lie outside any class folder and are left out: test/0.png, test/1.png, test/2.png",
            TRAIN,
        ),
        (("train/a", "val/a", "valid/a"), [], "both mean val; merge or rename", "{root}: 1 to be fixed, see above"),
        (("train/a", "car"), [], "train holds folders as a split does", "{root}: 1 to be fixed, see above"),
        ((".",), [], "no class folders here", "{root}: 1 to be fixed, see above"),
    ],
)
def test_awkward_folders_are_drawn_as_they_are_understood(
    tmp_path: Path, folders: tuple[str, ...], drawn: list[str], said: str, conclusion: str
) -> None:
    many(tmp_path, shades(), *folders)
    report = check(tmp_path)
    text = shown(report)
    assert all(line in text for line in drawn), text
    assert said in "\n".join([*report.notes, *report.problems])
    assert report.conclusion() == conclusion.format(root=tmp_path)


def shown(report: Report) -> str:
    console = Console(width=200, file=StringIO(), markup=False)
    console.print(report.tree())
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_many_classes_are_capped(tmp_path: Path) -> None:
    shade = shades()
    many(tmp_path, shade, *(f"c{number:02d}" for number in range(20)), count=2)
    many(tmp_path, shade, "c19", count=5)
    text = shown(check(tmp_path, ["train"]))
    assert "c11: 1\n" in text and "c12" not in text and "and 8 more classes, 1 to 4 photos each" in text


def test_a_photo_that_is_stored_twice_without_harm_is_noted(root: Path, tmp_path: Path) -> None:
    (root / "train/a/1.png").write_bytes((root / "train/a/0.png").read_bytes())
    (root / "test/a/0.png").write_bytes((root / "val/a/0.png").read_bytes())
    notes = check(root).notes
    assert f"train: 1 photo stored twice and counted twice: {root}/train/a/1.png (as {root}/train/a/0.png)" in notes
    assert f"test: 1 photo of val too: {root}/test/a/0.png (as {root}/val/a/0.png)" in notes


def test_a_class_of_a_single_photo_is_trained_on_and_measured_alike(tmp_path: Path) -> None:
    many(tmp_path, shades(), "a", "b", count=1)
    said = f"val: 2 photos of train too, as their class holds no other: {tmp_path}/a/0.png, {tmp_path}/b/0.png"
    assert said in check(tmp_path).notes


def test_a_table_without_photos_to_choose_by_cannot_be_used(tmp_path: Path) -> None:
    many(tmp_path, shades(), "a", "b", count=1)
    (tmp_path / "p.csv").write_text("path,label,split\na/0.png,a,train\nb/0.png,b,train\n")
    report = check(tmp_path / "p.csv")
    assert report.problems == [f"{tmp_path}/p.csv: no photo belongs to the split {split}" for split in ("val", "test")]
    (tmp_path / "p.csv").write_text("path,label\na/0.png,a\nb/0.png,b\n")
    assert (
        f"{tmp_path}/p.csv: no split column: every tenth photo of a class is held back"
        in check(tmp_path / "p.csv").notes
    )
