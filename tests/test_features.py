"""Training on cached features: the losses of the photos themselves, from files that are whole and known by content."""

import csv
import errno
import json
import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsol
from wsol.backbones import Backbone
from wsol.data import Creatures, Folder
from wsol.data.crops import TrainingImages, WholeImages, evaluation_view
from wsol.errors import WsolError
from wsol.runs.folder import Run
from wsol.training.features import FOLDER

SMALL: dict[str, Any] = {
    "backbone": "test_resnet",
    "weights": "none",
    "freeze": "layer2",
    "cache_features": True,
    "image_size": 32,
    "batch_size": 8,
    "workers": 0,
    "epochs": 2,
    "learning_rate": 1e-4,
    "precision": "fp32",
    "sheet_every": 0,
}


def photos(images: int = 16, seed: int = 0) -> Creatures:
    return Creatures("train", images=images, size=36, seed=seed)


def splits(images: int = 16) -> tuple[Creatures, Creatures]:
    return photos(images), photos(images // 2)


def rows(run: Run) -> list[dict[str, float]]:
    with open(run.folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.npy"))


@pytest.mark.parametrize("method", ["eil", "bas", "trilite", "adl+cam", "fewshot"])
def test_cached_and_uncached_training_have_equal_losses(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SMALL | ({"drop_at": ("layer2", "layer3")} if method == "adl+cam" else {})
    cached = rows(wsol.train(method, splits(), tmp_path / "cached", **given))
    monkeypatch.setattr("wsol.training.train.TrainingImages", WholeImages)  # the same views
    uncached = rows(wsol.train(method, splits(), tmp_path / "uncached", **given | {"cache_features": False}))
    assert len(cached) == len(uncached)
    for one, other in zip(cached, uncached, strict=True):
        assert one == pytest.approx(other, rel=3e-3)


def test_the_files_hold_each_photo_as_it_is_and_mirrored(tmp_path: Path) -> None:
    run = wsol.train("cam", splits(), tmp_path / "run", **SMALL)
    backbone = wsol.load(run).method.backbone
    views = torch.stack([evaluation_view(photos().image(index), 32) for index in range(16)])
    expected = torch.stack([backbone.frozen_features(shown) for shown in (views, views.flip(-1))], 1).numpy()
    learnt, checked = sorted((np.load(path) for path in files(tmp_path)), key=len, reverse=True)
    assert learnt.dtype == checked.dtype == np.float16
    np.testing.assert_allclose(learnt, expected, atol=2e-3)
    np.testing.assert_allclose(checked, expected[:8, :1], atol=2e-3)


def test_prediction_that_needs_more_says_so_before_all_photos_are_run(tmp_path: Path) -> None:
    given = SMALL | {"backbone": "test_vit", "freeze": "all"}
    with pytest.raises(WsolError, match="hold no attention of the class token; leave cache_features out"):
        wsol.train("tscam", splits(), tmp_path / "run", **given)
    assert files(tmp_path) == []


def test_pseudo_boxes_follow_the_mirror_image() -> None:
    boxes = torch.tensor([[0.25, 0.5, 0.5, 1.0]]).expand(16, -1)
    views = WholeImages(photos(), 32, 0, boxes)
    for place in range(32):
        view, label, box = views[place]
        whole = evaluation_view(photos().image(place % 16), 32)
        mirrored = views.mirrored(place)
        assert torch.equal(view, whole.flip(-1) if mirrored else whole) and label == photos().samples[place % 16].label
        assert box.tolist() == ([16, 16, 24, 32] if mirrored else [8, 16, 16, 32])
    assert 8 <= sum(map(views.mirrored, range(32))) <= 24
    assert isinstance(views, TrainingImages)


def test_several_boxes_of_a_photo_follow_the_mirror_image_too() -> None:
    boxes = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.0, 0.0, 0.125, 0.25]]).expand(16, -1, -1)
    views = WholeImages(photos(), 32, 0, boxes)
    for place in range(32):
        mirrored = [[16, 16, 24, 32], [28, 0, 32, 8]]
        assert views[place][2].tolist() == (mirrored if views.mirrored(place) else [[8, 16, 16, 32], [0, 0, 4, 8]])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos each later run of the frozen stages has."""
    counts: list[int] = []
    run = Backbone.frozen_features

    def counting(self: Backbone, images: torch.Tensor) -> torch.Tensor:
        counts.append(len(images))
        return run(self, images)

    monkeypatch.setattr(Backbone, "frozen_features", counting)
    return counts


def test_the_files_serve_the_next_training_of_the_same_photos_and_stages_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wsol.train("cam", splits(), tmp_path / "a", **SMALL)
    counts = counted(monkeypatch)
    wsol.train("bas", splits(), tmp_path / "b", **SMALL | {"learning_rate": 0.1})
    assert counts == [1] and len(files(tmp_path)) == 2  # the photo of the rehearsal
    for name, other in {"freeze": "layer1", "image_size": 40, "seed": 1}.items():
        counts.clear()
        wsol.train("cam", splits(), tmp_path / name, **SMALL | {name: other, "epochs": 1})
        assert counts == [1, 16, 16, 8], name
    counts.clear()
    wsol.train("cam", (photos(seed=1), photos(8)), tmp_path / "photos", **SMALL)
    assert counts == [1, 16, 16]
    assert [path.suffix for path in (tmp_path / FOLDER).iterdir()].count(".part") == 0


def test_photos_in_files_are_known_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(4):
        path = tmp_path / "photos" / f"class_{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photos().image(index).save(path)
    folder = Folder(tmp_path / "photos", "train")
    wsol.train("cam", (folder, folder), tmp_path / "a", **SMALL | {"batch_size": 2})
    counts = counted(monkeypatch)
    photos().image(9).save(folder.samples[0].path)
    wsol.train("cam", (folder, folder), tmp_path / "b", **SMALL | {"batch_size": 2})
    assert counts == [1, 2, 2, 2]


def test_a_training_that_is_resumed_reads_the_same_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = SMALL | {"schedule": "constant"}
    whole = wsol.train("cam", splits(), tmp_path / "whole", **given | {"epochs": 3})
    wsol.train("cam", splits(), tmp_path / "cut", **given)
    counts = counted(monkeypatch)
    cut = wsol.train("cam", splits(), tmp_path / "cut", resume=True, **given | {"epochs": 3})
    assert counts == [1] and rows(cut)[-1] == rows(whole)[-1]
    with pytest.raises(WsolError, match="begun with freeze layer2, not layer1"):
        wsol.train("cam", splits(), tmp_path / "cut", resume=True, **given | {"freeze": "layer1"})


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr("wsol.training.kept.shutil.disk_usage", lambda _: usage(10, 10, 100))
        with pytest.raises(WsolError, match=r"16 photos .*MB in .*, where 0 MB are free; free some space, or leave"):
            wsol.train("cam", splits(), tmp_path / "full", **SMALL)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wsol.training.features._run", full)
    with pytest.raises(WsolError, match=r"npy: could not be written \(No space left on device\); free some space"):
        wsol.train("cam", splits(), tmp_path / "full", **SMALL)
    assert not files(tmp_path) and not list((tmp_path / FOLDER).glob("*.part"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    wsol.train("cam", splits(), tmp_path / "a", **SMALL)
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WsolError, match=r"cached_features.*npy: damaged; remove it, and it is made again"):
        wsol.train("cam", splits(), tmp_path / "b", **SMALL)


def test_features_too_large_for_16_bits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Backbone.frozen_features
    monkeypatch.setattr(Backbone, "frozen_features", lambda self, images: 1e7 * run(self, images))
    with pytest.raises(WsolError, match="beyond 65504 cannot be kept in 16 bits; leave cache_features out"):
        wsol.train("cam", splits(), tmp_path / "a", **SMALL)
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("has", {}, "the loss changes the photos"),
        ("sltnet", {}, "the loss changes the photos"),
        ("eil", {"boundary": "layer1"}, "needs the features at layer1, but those at layer2 alone are cached"),
        ("ega", {}, "none may be frozen"),
        ("cam", {"freeze": "pool3"}, "no boundary 'pool3'"),
        ("cam", {"freeze": "none"}, "say by freeze which are frozen"),
    ],
)
def test_what_cannot_be_is_refused_before_any_photo_is_run(
    method: str, given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(WsolError, match=said):
        wsol.train(method, splits(), tmp_path / "run", **SMALL | given)
    assert not files(tmp_path)


def test_a_run_says_what_is_frozen_and_opens_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = wsol.train("cam", splits(), tmp_path / "run", **SMALL | {"epochs": 1})
    said = capsys.readouterr().err
    method = wsol.load(run).method
    learning = sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in method.parameters())
    assert f"test_resnet is frozen up to layer2: {learning:,} of {total:,} parameters learn" in said
    assert "16 photos through test_resnet up to layer2: 0 MB in" in said and 0 < learning < total
    assert json.loads((run.folder / "run.json").read_text())["settings"]["freeze"] == "layer2"
    assert method.backbone.frozen == "layer2"
