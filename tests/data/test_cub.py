"""CUB-200-2011 in its native layout: splits, classes and boxes, in miniature and in the real files."""

from pathlib import Path

import pytest
from PIL import Image

from wsol.data import CUB, Split
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
TEST, LABELS = (3, 8, 12), {number: 1 + number % 2 for number in range(1, 13)}


def birds(root: Path, end: str = "\n", **other: str) -> Path:
    """Twelve photos of two classes in turn, of which 3, 8 and 12 are for testing; `other` replaces whole files."""
    paths = {number: f"00{label}.Some_Bird_{label}/Bird {number}.jpg" for number, label in LABELS.items()}
    tables = {
        "images": "".join(f"{n} {path}{end}" for n, path in paths.items()),
        "image_class_labels": "".join(f"{n} {label}{end}" for n, label in LABELS.items()),
        "train_test_split": "".join(f"{n} {int(n not in TEST)}{end}" for n in LABELS),
        "bounding_boxes": "".join(f"{n} {n}.5 2.0 10.25 {n}.0{end}" for n in LABELS),
        "classes": f"1 001.Some_Bird_1{end}2 002.Some_Bird_2{end}",
    }
    for name, text in (tables | other).items():
        (root / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    return root


def numbers(root: Path, split: Split, val_per_class: int) -> list[int]:
    return list(map(int, CUB(root, split, val_per_class).numbers))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_photos_labels_and_boxes(tmp_path: Path, end: str) -> None:
    photos = CUB(birds(tmp_path, end), "test")
    assert (photos.classes, photos.has_boxes) == (["Some Bird 1", "Some Bird 2"], True)
    assert [(sample.label, sample.path.name) for sample in photos.samples] == [
        (LABELS[n] - 1, f"Bird {n}.jpg") for n in TEST
    ]
    assert all(sample.path == tmp_path / "images" / sample.id for sample in photos.samples)
    boxes = [photos.truth(index).boxes.tolist() for index in range(3)]
    assert boxes == [[[n + 0.5, 2, n + 10.75, n + 2]] for n in TEST]


@pytest.mark.parametrize(
    ("val_per_class", "val"), [(0, []), (1, [10, 11]), (2, [6, 9, 10, 11]), (9, [n for n in LABELS if n not in TEST])]
)
def test_the_last_training_photos_of_each_class_are_held_back(tmp_path: Path, val_per_class: int, val: list) -> None:
    root = birds(tmp_path)
    assert numbers(root, "val", val_per_class) == val
    assert numbers(root, "train", val_per_class) == [n for n in LABELS if n not in val and n not in TEST]
    assert numbers(root, "test", val_per_class) == list(TEST)


def test_the_order_is_that_of_the_list_of_images(tmp_path: Path) -> None:
    turned = "".join(f"{n} 001.A/{n}.jpg\n" for n in reversed(LABELS))
    assert numbers(birds(tmp_path, images=turned), "val", 1) == [2, 1]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"images": "1\n"}, r"images\.txt: not readable as CUB's `number value` lines"),
        ({"image_class_labels": "1 3\n"}, r"image_class_labels\.txt: photo 1 has no class of classes\.txt"),
        ({"train_test_split": "1 1\n2 yes\n"}, r"train_test_split\.txt: photo 2 has neither 0 nor 1"),
        ({"bounding_boxes": "3 1 2 3\n"}, r"bounding_boxes\.txt: no box of four numbers for photo 3"),
        ({"bounding_boxes": "3 1 2 3 wide\n"}, r"bounding_boxes\.txt: no box of four numbers for photo 3"),
        ({"bounding_boxes": "4 1 2 3 4\n"}, r"bounding_boxes\.txt: no box of four numbers for photo 3"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(WsolError, match=said):
        CUB(birds(tmp_path, **files), "test").truth(0)


@pytest.mark.parametrize("name", ["images", "image_class_labels", "train_test_split", "classes"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    (birds(tmp_path) / f"{name}.txt").unlink()
    with pytest.raises(WsolError, match=rf"{name}\.txt: not readable"):
        CUB(tmp_path, "train")


def test_boxes_are_opened_only_when_they_are_asked_for(tmp_path: Path) -> None:
    (birds(tmp_path) / "bounding_boxes.txt").unlink()
    photos = CUB(tmp_path, "train", 1)
    assert len(photos) == 7 and not photos.has_boxes
    with pytest.raises(WsolError, match=r"bounding_boxes\.txt"):
        photos.truth(0)


def fields(path: Path) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in path.read_text().splitlines())


def test_the_real_files(shared: Path) -> None:
    root = shared / "CUB_200_2011"
    splits = {split: CUB(root, split) for split in SPLITS}
    assert {split: len(photos) for split, photos in splits.items()} == {"train": 1250, "val": 250, "test": 1389}
    paths, labels = fields(root / "images.txt"), fields(root / "image_class_labels.txt")
    official, boxes = fields(root / "train_test_split.txt"), fields(root / "bounding_boxes.txt")
    last = []
    for label in dict.fromkeys(labels.values()):
        last += [number for number in paths if labels[number] == label and official[number] == "1"][-5:]
    assert sorted(splits["val"].numbers) == sorted(last)
    every = [number for photos in splits.values() for number in photos.numbers]
    assert sorted(every) == sorted(paths)
    assert all(official[number] == "0" for number in splits["test"].numbers)
    for photos in splits.values():
        for index, (number, sample) in enumerate(zip(photos.numbers, photos.samples, strict=True)):
            x, y, width, height = map(float, boxes[number].split())
            assert photos.truth(index).boxes.tolist() == [[x, y, x + width, y + height]]
            assert (sample.id, sample.label) == (paths[number], int(labels[number]) - 1)
            assert sample.path.is_file()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("images", "1 001.A/1.jpg\n1 001.A/2.jpg\n"),
        ("images", "1 001.A/1.jpg\n2 001.A/1.jpg\n"),
        ("classes", "1 001.A\n1 002.B\n"),
        ("classes", "1 001.A\n2 002.A\n"),
        ("bounding_boxes", "3 1 2 3 4\n3 1 2 3 4\n"),
    ],
)
def test_what_is_listed_twice_is_named(tmp_path: Path, file: str, text: str) -> None:
    with pytest.raises(WsolError, match=rf"{file}\.txt: lists .* twice; remove one"):
        CUB(birds(tmp_path, **{file: text}), "test").truth(0)


@pytest.mark.parametrize("box", ["nan 2 20 25", "1 2 -20 25", "1 2 0 0", "1 2 1e308 25", "1 2 3", "90 90 20 25"])
def test_a_box_that_cannot_be_is_named(tmp_path: Path, box: str) -> None:
    photos = CUB(birds(tmp_path, bounding_boxes=f"3 {box}\n"), "test")
    photos.samples[0].path.parent.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(photos.samples[0].path)
    with pytest.raises(WsolError, match=r"bounding_boxes\.txt: .* photo 3"):
        photos.truth(0)
