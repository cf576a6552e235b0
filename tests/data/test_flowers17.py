"""Flowers-17: splits by place in the class, masks with undecided pixels, in miniature and in the real files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data import Flowers17, Split
from wsol.data.layouts.flowers17 import FLOWER, UNDEFINED
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def flowers(root: Path, *rows: str) -> Path:
    (root / "masks").mkdir(parents=True)
    (root / "labels.csv").write_text("\n".join(("image,class,has_mask", *rows)) + "\n", encoding="utf-8")
    return root


def found(root: Path, split: Split) -> list[tuple[str, int]]:
    return [(sample.id, sample.label) for sample in Flowers17(root, split).samples]


def test_splits_follow_the_place_in_the_class(tmp_path: Path) -> None:
    order = [(f"images/{place}{'ab'[label]}.jpg", label) for place in range(20) for label in (0, 1)]
    root = flowers(tmp_path, *(f"{name},{label},0" for name, label in order))
    parts = {"test": (3, 7, 11, 15, 19), "val": (0, 5, 10)}
    parts["train"] = tuple(place for place in range(20) if place not in parts["test"] + parts["val"])
    for split in SPLITS:
        assert found(root, split) == [(f"images/{p}{'ab'[label]}.jpg", label) for p in parts[split] for label in (0, 1)]
    photos = Flowers17(root, "val")
    assert photos.classes == ["flower 0", "flower 1"] and not photos.has_boxes
    assert photos.samples[1].path == tmp_path / "images" / "0b.jpg"


def test_the_palette_says_what_is_flower_and_what_is_undecided(tmp_path: Path) -> None:
    photos = Flowers17(flowers(tmp_path, "images/a.jpg,0,1", *(f"images/{n}.jpg,0,0" for n in range(5))), "val")
    values = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
    mask = Image.fromarray(values, "P")
    mask.putpalette([9, 9, 9] * 6)  # colours say nothing
    mask.save(tmp_path / "masks" / "a.png")
    truth = photos.truth(0)
    assert truth.mask is not None and truth.ignore is not None
    assert truth.mask.tolist() == [[False, True, False], [False, False, False]]
    assert truth.ignore.tolist() == [[True, False, False], [False, False, False]]
    without = photos.truth(1)
    assert without.mask is None and without.ignore is None and len(without.boxes) == 0


@pytest.mark.parametrize("row", ["images/a.jpg,rose,1", "images/a.jpg"])
def test_wrong_labels_are_named(tmp_path: Path, row: str) -> None:
    with pytest.raises(WsolError, match=r"labels\.csv: not readable as image,class,has_mask lines"):
        Flowers17(flowers(tmp_path, row), "val")


def test_missing_files_and_damaged_masks_are_named(tmp_path: Path) -> None:
    photos = Flowers17(flowers(tmp_path, "images/a.jpg,0,1"), "val")
    (tmp_path / "masks" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(WsolError, match=r"masks/a\.png: this mask cannot be read"):
        photos.truth(0)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(WsolError, match=r"labels\.csv"):
        Flowers17(tmp_path, "val")


def test_the_real_files(shared: Path) -> None:
    root = shared / "flowers17"
    splits = {split: Flowers17(root, split) for split in SPLITS}
    ids = [sample.id for photos in splits.values() for sample in photos.samples]
    assert len(ids) == len(set(ids)) == 1360
    for split, each in (("train", 48), ("val", 12), ("test", 20)):
        assert np.bincount([sample.label for sample in splits[split].samples]).tolist() == [each] * 17
    rows = (line.split(",") for line in (root / "labels.csv").read_text().splitlines()[1:])
    has_mask = {name: flag == "1" for name, _, flag in rows}
    for index, sample in enumerate(splits["val"].samples):
        truth = splits["val"].truth(index)
        assert (truth.mask is not None) == has_mask[sample.id]
        if truth.mask is not None and truth.ignore is not None:
            values = np.array(Image.open(root / "masks" / f"{sample.path.stem}.png"))
            assert values.shape == splits["val"].image(index).size[::-1] == truth.mask.shape
            assert truth.mask.any() and not (truth.mask & truth.ignore).any()
            assert (truth.mask.sum(), truth.ignore.sum()) == ((values == FLOWER).sum(), (values == UNDEFINED).sum())


@pytest.mark.parametrize(
    "rows",
    [("a.jpg,0,0", "a.jpg,1,0"), ("a.jpg,-1,0",), ("a.jpg,1_0,0",), ('"' + "x" * 200_000,)],
)
def test_labels_that_cannot_be_are_named(tmp_path: Path, rows: tuple[str, ...]) -> None:
    with pytest.raises(WsolError, match=r"labels\.csv: "):
        Flowers17(flowers(tmp_path, *rows), "val")
