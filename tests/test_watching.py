"""MaxBoxAcc by epoch: the evaluation's own figure, and a training that it does not touch."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import wsol
from wsol.data import Creatures
from wsol.data.dataset import Truth
from wsol.errors import WsolError

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0}
SMALL |= {"epochs": 2, "precision": "fp32", "sheet_every": 0, "map_stride": 8}


class Partly(Creatures):
    """Every third photo has no box."""

    def truth(self, index: int) -> Truth:
        whole = super().truth(index)
        return Truth(whole.boxes[:0]) if index % 3 == 0 else whole


def photos(kind: type[Creatures] = Creatures, split: Any = "val") -> Creatures:
    return kind(split, images=20, size=48)


def column(folder: Path, name: str) -> list[float]:
    with open(folder / "metrics.csv", newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("kind", [Creatures, Partly])
def test_the_last_epochs_figure_is_the_evaluations(tmp_path: Path, kind: type[Creatures]) -> None:
    run = wsol.train("cam", (photos(split="train"), photos(kind)), tmp_path, watch_boxes=True, **SMALL)
    figures = wsol.evaluate(run, photos(kind), workers=0, threshold=0.5, checkpoint="last")
    said = column(tmp_path, "MaxBoxAcc")
    assert len(said) == 2 and said[-1] == pytest.approx(figures["MaxBoxAcc"])
    assert 0 < said[-1] < 100


def test_boxes_that_are_regressed_are_measured_as_they_are(tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.jsonl"
    shown = photos(split="train")
    about = {"width": 48, "height": 48, "findings": [{"boxes": [[8, 8, 40, 40]]}]}
    lines = [json.dumps({"path": sample.id} | about) for sample in shown.samples]
    boxes.write_text("\n".join(lines))
    given = SMALL | {"pseudo_boxes": str(boxes), "watch_boxes": True}
    run = wsol.train("regressor", (shown, photos()), tmp_path / "run", **given)
    figures = wsol.evaluate(run, photos(), workers=0, threshold=0.5, checkpoint="last")
    assert column(tmp_path / "run", "MaxBoxAcc")[-1] == pytest.approx(figures["MaxBoxAcc"])


def test_who_watches_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (photos(split="train"), photos())
    runs = [wsol.train("has", given, tmp_path / str(watch), watch_boxes=watch, **SMALL) for watch in (False, True)]
    assert len(re.findall(r"Top1Cls [0-9.]+ %, MaxBoxAcc [0-9.]+ %", capsys.readouterr().err)) == 2
    one, other = (wsol.load(run).method.state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)
    pages = [(run.folder / "report.html").read_text() for run in runs]
    assert ["validation MaxBoxAcc, %" in page for page in pages] == [False, True]
    wsol.train("has", given, runs[0].folder, resume=True, watch_boxes=True, **SMALL | {"epochs": 3})  # from now on
    with open(runs[0].folder / "metrics.csv", newline="") as file:
        assert [bool(row["MaxBoxAcc"]) for row in csv.DictReader(file)] == [False, False, True]


def test_photos_without_boxes_are_not_watched(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(8):
            photos().image(index).save(tmp_path / "photos" / label / f"{index}.png")
    with pytest.raises(WsolError, match="no validation photo has a box; leave out --watch-boxes"):
        wsol.train("cam", tmp_path / "photos", tmp_path / "run", watch_boxes=True, **SMALL)
