"""SLT-Net's and PSOL's answers from several runs: one localizes, another backbone regresses its boxes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import wsol
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.locating.result import find
from wsol.methods.contract import Prediction

SMALL = {"weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0, "precision": "fp32"}


def test_in_two_runs_one_localizes_and_another_backbone_regresses(tmp_path) -> None:
    for index in range(12):
        path = tmp_path / "photos" / "train" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Creatures("train", images=12, size=48).image(index).save(path)
    photos, boxes = tmp_path / "photos", tmp_path / "boxes"
    wsol.train("sltnet", photos, tmp_path / "one", backbone="resnet18", epochs=0, head_width=8, best=2, **SMALL)
    main(["locate", str(tmp_path / "one"), str(photos), "--output", str(boxes), "--format", "json"])
    second = {"pseudo_boxes": str(boxes / "results.jsonl"), "backbone": "mobilenetv2", "sheet_every": 1}
    run = wsol.train("regressor", photos, tmp_path / "two", epochs=1, **second, **SMALL)
    (result, *_) = wsol.locate(run, photos)
    assert result.findings[0].regressed and (tmp_path / "two" / "sheets" / "epoch_001.png").exists()


def test_a_regressed_box_is_what_is_measured_and_located(tmp_path, monkeypatch) -> None:
    photos = Creatures("train", images=12, size=48)
    given = {"backbone": "resnet18", "epochs": 0, **SMALL}
    localizer = wsol.train("regressor", (photos, photos), tmp_path / "run", **given).open()
    truth = [photos.truth(index).boxes / 48 for index in range(12)]
    predict = localizer.method.predict

    def knowing(images: torch.Tensor) -> Prediction:
        prediction = predict(images)
        prediction.boxes = torch.tensor(np.concatenate([truth[index % 12] for index in range(len(images))])).float()
        return prediction

    monkeypatch.setattr(localizer.method, "predict", knowing)
    figures = wsol.evaluate(localizer, photos, batch_size=12, workers=0)
    assert figures["MaxBoxAcc70"] == figures["GTKnownLoc"] == 100
    assert figures["Top1Cls"] is figures["Top5Loc"] is figures["Confusion"] is None  # a regressor names no class
    assert figures["Errors"]["Right"] == 100
    assert not wsol.train("has+regressor", (photos, photos), tmp_path / "around", **given).open().names_classes
    (result,) = wsol.locate(localizer, photos.image(0))
    assert result.boxes[0].tolist() == pytest.approx(photos.truth(0).boxes[0].tolist(), abs=1e-3)
    assert result.at(0.9).boxes.tolist() == result.boxes.tolist()
    assert find(0, "x", 1.0, np.eye(7), (48, 48), 0.5).regressed is False and math.isfinite(result.confidence[0])


def test_classes_and_boxes_may_come_from_other_runs(tmp_path) -> None:
    photos = Creatures("train", images=12, size=48)
    names = {"one": "cam", "classifier": "cam", "boxes": "regressor"}
    for seed, (name, method) in enumerate(names.items()):
        wsol.train(method, (photos, photos), tmp_path / name, backbone="resnet18", epochs=0, seed=seed, **SMALL)
    alone, classifier, regressor = (wsol.load(tmp_path / name) for name in names)
    composed = wsol.load(tmp_path / "one", classes_from=tmp_path / "classifier", boxes_from=tmp_path / "boxes")
    images, asked = torch.rand(3, 3, 32, 32), torch.tensor([[1], [0], [2]])
    answer = composed.look(images, asked)
    assert torch.equal(answer.heatmaps, alone.look(images, asked).heatmaps)
    assert torch.equal(answer.scores, classifier.look(images, asked).scores)
    assert answer.boxes is not None and torch.equal(answer.boxes, regressor.look(images, asked).boxes)
    assert torch.equal(composed.look(images, best=2).classes, classifier.look(images, best=2).classes)
    named = regressor.with_(classes=classifier)
    assert wsol.evaluate(named, photos, workers=0)["Top1Cls"] == wsol.evaluate(classifier, photos, workers=0)["Top1Cls"]
    with pytest.raises(WsolError, match="regresses no boxes"):
        alone.with_(boxes=classifier)
    with pytest.raises(WsolError, match="knows other classes"):
        alone.with_(classes=replace(classifier, classes=("a", "b")))
