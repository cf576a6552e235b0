"""Choosing without boxes: checkpoint and threshold by boxes that another network drew on the validation photos."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsol
from wsol.data import Creatures, Csv, open_data
from wsol.data.dataset import Dataset, Truth
from wsol.errors import WsolError
from wsol.runs.folder import Run

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 6, "workers": 0}
SMALL |= {"precision": "fp32", "sheet_every": 0, "map_stride": 8, "learning_rate": 0.003}
TRUE = Csv.truth  # whatever a test puts in its place


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of creatures with boxes, three kinds: 12 photos to train on, 12 for validation, 12 for testing."""
    root = tmp_path_factory.mktemp("photos")
    lines = ["path,label,x0,y0,x1,y1,split"]
    for split in ("train", "val", "test"):
        photos = Creatures(split, images=12, size=48, classes=3)
        for index, sample in enumerate(photos.samples):
            name = f"{split}-{index:02d}.png"
            photos.image(index).save(root / name)
            box = ",".join(str(number) for number in photos.truth(index).boxes[0])
            lines.append(f"{name},{photos.classes[sample.label]},{box},{split}")
    (root / "photos.csv").write_text("\n".join(lines))
    return root / "photos.csv"


@pytest.fixture
def validation(data: Path) -> Dataset:
    return open_data(data, "val")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wsol.train("cam", data, tmp_path_factory.mktemp("runs") / "cam", epochs=1, **SMALL)


def results(path: Path, photos: Dataset, box: Any) -> Path:
    """What `wsol locate --format json` would write, with box(index) for each photo."""
    lines = []
    for index, sample in enumerate(photos.samples):
        width, height = photos.size(index)
        boxes = [np.asarray(box(index)).tolist()]
        lines.append({"path": sample.id, "width": width, "height": height, "findings": [{"boxes": boxes}]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def not_of_validation(self: Csv, index: int) -> Truth:
    assert not self.samples[index].id.startswith("val"), "a true box was opened"
    return TRUE(self, index)


def test_true_boxes_in_a_file_choose_the_threshold_of_true_boxes(
    tmp_path: Path, run: Run, data: Path, validation: Dataset
) -> None:
    true = results(tmp_path / "true.jsonl", validation, lambda index: validation.truth(index).boxes[0])
    usual = wsol.evaluate(run, data, workers=0)
    chosen = wsol.evaluate(run, data, workers=0, pseudo_truth=true, protocol="livia")
    assert (usual["threshold_source"], chosen["threshold_source"]) == ("validation", "pseudo boxes")
    assert 0 < chosen["threshold"] < 1
    for name in ("threshold", "GTKnownLoc", "MaxBoxAcc", "Top1Loc"):
        assert chosen[name] == usual[name], name
    assert (chosen["protocol"], chosen["pseudo_truth"]) == ("livia", str(true))
    assert wsol.load(run).threshold_source == "pseudo boxes"


def test_other_boxes_choose_another_threshold_and_no_true_one_is_opened(
    tmp_path: Path, run: Run, data: Path, validation: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = results(tmp_path / "whole.jsonl", validation, lambda index: [0, 0, *validation.size(index)])
    usual = wsol.evaluate(run, data, workers=0)
    monkeypatch.setattr(Csv, "truth", not_of_validation)
    chosen = wsol.evaluate(run, data, workers=0, pseudo_truth=whole)
    assert chosen["threshold"] < usual["threshold"] and chosen["GTKnownLoc"] < usual["GTKnownLoc"]
    assert chosen["MaxBoxAcc"] == usual["MaxBoxAcc"]  # the best threshold of the true boxes, beside


def test_the_epoch_is_chosen_by_pseudo_boxes(
    tmp_path: Path, data: Path, validation: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = results(tmp_path / "true.jsonl", validation, lambda index: validation.truth(index).boxes[0])
    by_class = wsol.train("cam", data, tmp_path / "class", epochs=3, **SMALL)
    monkeypatch.setattr(Csv, "truth", not_of_validation)
    run = wsol.train("cam", data, tmp_path / "boxes", epochs=3, pseudo_truth=str(true), **SMALL)
    with open(run.folder / "metrics.csv", newline="") as file:
        agreed = [float(row["PseudoBoxAcc"]) for row in csv.DictReader(file)]
    best = json.loads((run.folder / "best.json").read_text())
    assert best["epoch"] == max(range(3), key=lambda epoch: (agreed[epoch], epoch)) + 1
    assert best["PseudoBoxAcc"] == pytest.approx(max(agreed)) and len(set(agreed)) > 1
    last = [wsol.load(each, checkpoint="last").method.state_dict() for each in (by_class, run)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])  # it chooses, and changes nothing


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"protocol": "livia"}, "protocol livia chooses the threshold by pseudo boxes .* give --pseudo-truth"),
        ({"pseudo_truth": "no.jsonl", "threshold": 0.3}, "--threshold gives the threshold already; leave --pseudo"),
        ({"pseudo_truth": "no.jsonl", "protocol": "cvpr16"}, "protocol cvpr16 gives the threshold already"),
        ({"pseudo_truth": "no.jsonl"}, "no.jsonl: .*give the results.jsonl of wsol locate"),
    ],
)
def test_what_cannot_choose_says_so(run: Run, data: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(WsolError, match=said):
        wsol.evaluate(run, data, workers=0, **given)


def test_a_photo_without_a_box_is_named(tmp_path: Path, run: Run, data: Path, validation: Dataset) -> None:
    path = results(tmp_path / "true.jsonl", validation, lambda index: validation.truth(index).boxes[0])
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    with pytest.raises(WsolError, match=f"1 of {len(validation)} photos have no box: {validation.samples[0].id}"):
        wsol.evaluate(run, data, workers=0, pseudo_truth=path)


def test_stored_maps_have_no_validation_photos(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match=r"protocol livia chooses by pseudo boxes .* measure the run itself"):
        wsol.evaluate_maps(tmp_path, tmp_path, protocol="livia")
