"""The examples run as they stand."""

import runpy
import sys
from pathlib import Path

import pytest

import wsol
from wsol import registry
from wsol.data import Creatures
from wsol.runs.folder import Run

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0}


def test_the_plain_loop_prints_losses_and_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "plain_loop.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["loss"] * 4
    assert len(lines) == 8
    for line in lines[4:]:
        ((x0, y0, x1, y1),) = eval(line)
        assert 0 <= x0 < x1 <= 112
        assert 0 <= y0 < y1 <= 112


def test_a_method_of_ones_own_trains_and_is_loaded_again(tmp_path: Path) -> None:
    try:
        runpy.run_path(str(EXAMPLES / "own_method.py"))
        photos = Creatures("train", images=16, size=36)
        wsol.train("forgetful", (photos, photos), tmp_path, share=0.25, head_depth=1, head_width=8, epochs=1, **SMALL)
        options = Run.read(tmp_path).resolved.options
        assert (options["share"], options["head_width"], options["head_form"]) == (0.25, 8, "conv")
        assert "loss/partial" in (tmp_path / "metrics.csv").read_text().splitlines()[0]
    finally:
        registry._registered.pop(("methods", "forgetful"), None)


def test_own_images_are_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = Creatures("train", images=24, size=36)
    for index, sample in enumerate(photos.samples):
        path = tmp_path / "photos" / photos.classes[sample.label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photos.image(index).save(path)
    train = wsol.train
    monkeypatch.setattr(wsol, "train", lambda *args, **given: train(*args, **{**given, **SMALL, "epochs": 0}))
    monkeypatch.setattr(sys, "argv", ["own_images.py", str(tmp_path / "photos"), str(tmp_path / "photos")])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "own_images.py"), run_name="__main__")
    assert len(list((tmp_path / "crops").rglob("*.png"))) == 24
