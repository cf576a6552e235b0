"""Training on photos that were decoded once: what the network sees is the same to the bit."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import wsol
from wsol.data import Dataset, Folder
from wsol.data.crops import EvaluationImages, TrainingImages
from wsol.errors import WsolError
from wsol.training.photos import FOLDER, squares

SMALL: dict[str, Any] = {
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "batch_size": 4,
    "workers": 0,
    "epochs": 2,
    "precision": "fp32",
    "sheet_every": 0,
}


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """Photos of many sizes, some on their side."""
    chance = np.random.default_rng(0)
    for index in range(8):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        turned = Image.Exif()
        turned[0x0112] = 1 + index % 8
        pixels = chance.integers(0, 256, (20 + 9 * index, 70 - 5 * index, 3), np.uint8)
        Image.fromarray(pixels).save(path, exif=turned)
    return Folder(tmp_path / "photos", split=None)


def files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.npy"))


def test_training_ends_in_the_same_weights(photos: Dataset, tmp_path: Path) -> None:
    cached, opened = (
        wsol.train("cam", (photos, photos), tmp_path / str(cache), cache_photos=cache, watch_boxes=False, **SMALL)
        for cache in (True, False)
    )
    same, other = (load_file(run.folder / "last.safetensors") for run in (cached, opened))
    assert all(torch.equal(same[name], other[name]) for name in other)
    assert (cached.folder / "metrics.csv").read_text() == (opened.folder / "metrics.csv").read_text()
    assert len(files(tmp_path)) == 2  # for training and for validation


def test_a_run_may_go_on_with_cached_photos(photos: Dataset, tmp_path: Path) -> None:
    given = SMALL | {"schedule": "constant"}
    whole = wsol.train("cam", (photos, photos), tmp_path / "whole", **given)
    wsol.train("cam", (photos, photos), tmp_path / "stopped", **given | {"epochs": 1})
    longer = wsol.train("cam", (photos, photos), tmp_path / "stopped", resume=True, cache_photos=True, **given)
    same, other = (load_file(run.folder / "last.safetensors") for run in (whole, longer))
    assert all(torch.equal(same[name], other[name]) for name in other)


def test_views_and_sizes_are_those_of_the_photos_also_in_another_process(photos: Dataset, tmp_path: Path) -> None:
    kept = pickle.loads(pickle.dumps(squares(photos, tmp_path / "run", 28, 32)))
    for place in range(3 * len(photos)):
        assert torch.equal(TrainingImages(kept, 28)[place][0], TrainingImages(photos, 28)[place][0])
    kept = squares(photos, tmp_path / "run", 28, 28)
    for index in range(len(photos)):
        cached, opened = (EvaluationImages(some, 28)[index] for some in (kept, photos))
        pairs = zip(cached, opened, strict=True)
        assert all(torch.equal(torch.as_tensor(one), torch.as_tensor(two)) for one, two in pairs)


def test_what_other_processes_are_sent_is_no_larger_after_a_photo_was_read(photos: Dataset, tmp_path: Path) -> None:
    kept = squares(photos, tmp_path / "run", 28, 224)
    before = len(pickle.dumps(kept))
    kept.reduced(0, 28)
    assert len(pickle.dumps(kept)) == before < 224 * 224


def test_a_file_is_made_once_and_anew_for_changed_photos(photos: Dataset, tmp_path: Path) -> None:
    def pixels() -> np.ndarray:
        return np.array(squares(photos, tmp_path / "run", 28, 32).reduced(0, 28)[0])

    before = pixels()
    made = files(tmp_path)[0].stat().st_mtime_ns
    assert (pixels() == before).all() and [path.stat().st_mtime_ns for path in files(tmp_path)] == [made]
    Image.new("RGB", (9, 9), "red").save(photos.samples[0].path)
    assert (pixels() == (255, 0, 0)).all()


def test_what_cannot_be_is_said(photos: Dataset, tmp_path: Path) -> None:
    photos.samples[3].path.write_bytes(b"no photo")
    with pytest.raises(WsolError, match=rf"{photos.samples[3].path}: is no image"):
        squares(photos, tmp_path / "run", 28, 32)
    assert not files(tmp_path)
    with pytest.raises(WsolError, match="leave cache_photos out"):
        wsol.train("cam", (photos, photos), tmp_path / "run", cache_photos=True, freeze="all", cache_features=True)
