"""Caltech-256 in miniature: class folders by number, without clutter."""

from pathlib import Path

import pytest
from PIL import Image

from wsol.data import Caltech256, Split, open_data
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
KINDS = ("001.ak47", "002.american-flag", "257.clutter")


def test_photos_classes_and_splits(tmp_path: Path) -> None:
    root = tmp_path / "caltech256" / "256_ObjectCategories"
    for kind in KINDS:
        (root / kind).mkdir(parents=True)
        for place in range(1, 21):
            Image.new("RGB", (4, 3)).save(root / kind / f"{kind[:3]}_{place:04d}.jpg")
        (root / kind / "RENAME2").write_text("the real archive has such")
    splits = {split: open_data(tmp_path, split) for split in SPLITS}
    assert all(isinstance(photos, Caltech256) for photos in splits.values())
    assert all(photos.classes == ["ak47", "american-flag"] for photos in splits.values())
    places = {"test": (4, 8, 12, 16, 20), "val": (1, 6, 11)}
    places["train"] = tuple(place for place in range(1, 21) if place not in places["test"] + places["val"])
    for split, photos in splits.items():
        expected = [
            (f"{kind}/{kind[:3]}_{place:04d}.jpg", label)
            for label, kind in enumerate(KINDS[:2])
            for place in places[split]
        ]
        assert [(each.id, each.label) for each in photos.samples] == expected
        assert all(each.path.is_file() for each in photos.samples)
        assert not photos.has_boxes and len(photos.truth(0).boxes) == 0


def test_an_empty_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "256_ObjectCategories").mkdir()
    with pytest.raises(WsolError, match="256_ObjectCategories: no class folders"):
        open_data(tmp_path, "train")
