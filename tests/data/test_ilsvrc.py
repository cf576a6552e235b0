"""ILSVRC: the challenge's own layout and the plain one, classes by sorted WNIDs, boxes from XML."""

from pathlib import Path

import pytest
from PIL import Image

from wsol.data import ILSVRC, Folder, Split, open_data
from wsol.errors import WsolError

TENCH, SHARK = "n01440764", "n01484850"
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(path, "JPEG")


def boxes(path: Path, *objects: tuple) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    )
    path.write_text(f"<annotation>{text}</annotation>")


def challenge(root: Path) -> Path:
    """Four training photos a class, the first of which has a box; three validation photos side by side."""
    images, annotations = root / "ILSVRC" / "Data" / "CLS-LOC", root / "ILSVRC" / "Annotations" / "CLS-LOC"
    for wnid in (SHARK, TENCH):
        for number in range(4):
            photo(images / "train" / wnid / f"{wnid}_{number}.JPEG")
        boxes(annotations / "train" / wnid / f"{wnid}_3.xml", (wnid, 1, 1, 40, 30))
    for number, wnid in ((1, SHARK), (2, TENCH), (3, SHARK)):
        photo(images / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
        some = [(wnid, number, 2, 20, 25), (wnid, 11, 12, 13.5, 14)]
        boxes(annotations / "val" / f"ILSVRC2012_val_{number:08d}.xml", *some)
    photo(images / "test" / "ILSVRC2012_test_00000001.JPEG")
    return root


def test_the_challenge_s_own_layout(tmp_path: Path) -> None:
    root = challenge(tmp_path)
    splits = {split: open_data(root, split, val_per_class=1) for split in SPLITS}
    assert all(isinstance(photos, ILSVRC) and photos.has_boxes for photos in splits.values())
    assert all(photos.classes == [TENCH, SHARK] for photos in splits.values())
    found = {split: [(sample.id, sample.label) for sample in photos.samples] for split, photos in splits.items()}
    assert found["train"] == [
        (f"train/{w}/{w}_{n}.JPEG", label) for label, w in enumerate((TENCH, SHARK)) for n in range(3)
    ]
    assert found["val"] == [(f"train/{w}/{w}_3.JPEG", label) for label, w in enumerate((TENCH, SHARK))]
    assert found["test"] == [(f"val/ILSVRC2012_val_{n:08d}.JPEG", label) for n, label in ((1, 1), (2, 0), (3, 1))]
    assert splits["test"].truth(1).boxes.tolist() == [[1, 1, 20, 25], [10, 11, 13.5, 14]]
    assert splits["val"].truth(0).boxes.tolist() == [[0, 0, 40, 30]]
    assert len(splits["train"].truth(0).boxes) == 0  # many have none
    assert all(sample.path.is_file() for photos in splits.values() for sample in photos.samples)


def test_the_plain_layout_keeps_the_official_validation_photos_for_testing(tmp_path: Path) -> None:
    for wnid in (TENCH, SHARK):
        for part, count in (("train", 3), ("val", 2)):
            for number in range(count):
                photo(tmp_path / part / wnid / f"{number}.jpg")
    found = {split: [each.id for each in open_data(tmp_path, split, val_per_class=1).samples] for split in SPLITS}
    assert found["train"] == [f"train/{wnid}/{number}.jpg" for wnid in (TENCH, SHARK) for number in range(2)]
    assert found["val"] == [f"train/{wnid}/2.jpg" for wnid in (TENCH, SHARK)]
    assert found["test"] == [f"val/{wnid}/{number}.jpg" for wnid in (TENCH, SHARK) for number in range(2)]
    assert not open_data(tmp_path, "test").has_boxes
    (tmp_path / "test" / TENCH).mkdir(parents=True)
    assert isinstance(open_data(tmp_path, "train"), Folder)


def test_sorted_validation_photos_have_their_boxes_and_need_no_training_photos(tmp_path: Path) -> None:
    root = challenge(tmp_path) / "ILSVRC"
    val = root / "Data" / "CLS-LOC" / "val"
    for number, wnid in ((1, SHARK), (2, TENCH), (3, SHARK)):
        (val / wnid).mkdir(exist_ok=True)
        (val / f"ILSVRC2012_val_{number:08d}.JPEG").rename(val / wnid / f"ILSVRC2012_val_{number:08d}.JPEG")
    (root / "Data" / "CLS-LOC" / "train").rename(root / "elsewhere")
    photos = open_data(root, "test")
    assert [(each.path.stem[-1], each.label) for each in photos.samples] == [("2", 0), ("1", 1), ("3", 1)]
    assert photos.truth(0).boxes.tolist() == [[1, 1, 20, 25], [10, 11, 13.5, 14]]
    with pytest.raises(WsolError, match=r"CLS-LOC/train: this folder of photos is missing"):
        open_data(root, "train")


def test_validation_photos_without_a_class_are_named(tmp_path: Path) -> None:
    root = challenge(tmp_path) / "ILSVRC"
    xml = root / "Annotations" / "CLS-LOC" / "val" / "ILSVRC2012_val_00000002.xml"
    boxes(xml, ("n00000001", 1, 1, 2, 2))
    with pytest.raises(WsolError, match=r"val_00000002\.JPEG: its class n00000001 has no folder"):
        open_data(root, "test")
    xml.unlink()
    with pytest.raises(WsolError, match=r"val_00000002\.xml: cannot be read as XML"):
        open_data(root, "test")
    assert len(open_data(root, "train")) == 0  # five of four are held back
