"""Oxford-IIIT Pet in miniature: lists, trimaps, and the box around what they show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data import Pet, Split, open_data
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def pets(root: Path) -> Path:
    """Photos 1 to 6 of two breeds are for training, 7 for testing."""
    (root / "images").mkdir(parents=True)
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "annotations" / "xmls").mkdir()
    for name, numbers in (("trainval", range(1, 7)), ("test", (7,))):
        lines = [f"{breed}_{n} {c} 1 1" for c, breed in ((2, "great_pyrenees"), (1, "Abyssinian")) for n in numbers]
        (root / "annotations" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_photos_classes_and_splits(tmp_path: Path) -> None:
    pets(tmp_path / "oxford-iiit-pet")
    splits = {split: open_data(tmp_path, split, val_per_class=2) for split in SPLITS}
    numbers = {"train": range(1, 5), "val": (5, 6), "test": (7,)}
    for split, photos in splits.items():
        assert isinstance(photos, Pet) and photos.classes == ["Abyssinian", "great pyrenees"] and photos.has_boxes
        assert [(each.id, each.label) for each in photos.samples] == [
            (f"{breed}_{number}", label)
            for label, breed in ((1, "great_pyrenees"), (0, "Abyssinian"))
            for number in numbers[split]
        ]
        assert all(each.path == tmp_path / "oxford-iiit-pet" / "images" / f"{each.id}.jpg" for each in photos.samples)


def test_trimaps_give_mask_border_and_box(tmp_path: Path) -> None:
    photos = Pet(pets(tmp_path), "test")
    values = np.full((10, 12), 2, np.uint8)
    values[3:7, 4:9] = 3
    values[4:6, 5:8] = 1
    path = tmp_path / "annotations" / "trimaps" / "great_pyrenees_7.png"
    Image.fromarray(values).save(path)
    truth = photos.truth(0)
    assert truth.boxes.tolist() == [[4, 3, 9, 7]]
    np.testing.assert_array_equal(np.asarray(truth.mask), values == 1)
    np.testing.assert_array_equal(np.asarray(truth.ignore), values == 3)
    Image.fromarray(np.full((10, 12), 2, np.uint8)).save(path)
    with pytest.raises(WsolError, match=r"great_pyrenees_7\.png: shows no pet"):
        photos.truth(0)
    path.unlink()
    with pytest.raises(WsolError, match=r"great_pyrenees_7\.png: this mask cannot be read"):
        photos.truth(0)


def test_wrong_and_missing_lists_are_named(tmp_path: Path) -> None:
    root = pets(tmp_path)
    (root / "annotations" / "trimaps").rmdir()
    assert not Pet(root, "train").has_boxes and Pet(root, "train").truth(0).mask is None
    (root / "annotations" / "test.txt").unlink()
    assert len(Pet(root, "train", 5)) == 2
    with pytest.raises(WsolError, match="no photo is listed for the split test"):
        Pet(root, "test")
    (root / "annotations" / "trainval.txt").write_text("# a remark\nAbyssinian_1 one\n")
    with pytest.raises(WsolError, match=r"trainval\.txt: not readable as `name class"):
        Pet(root, "train")


@pytest.mark.parametrize(
    "lines",
    [
        "Abyssinian_7 1 1 1\nAbyssinian_7 1 1 1",
        "Abyssinian_7 -1 1 1",
        "Abyssinian_7 2 1 1",
        "Bengal_7 1 1 1",
        "a_1 99999999999 1 1",
    ],
)
def test_lists_that_contradict_are_named(tmp_path: Path, lines: str) -> None:
    (pets(tmp_path) / "annotations" / "test.txt").write_text(lines + "\n")
    with pytest.raises(WsolError, match=r"annotations(/test\.txt)?: (lists .* twice|label .* out of range)"):
        Pet(tmp_path, "test")
