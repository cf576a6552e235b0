"""The examples run as they stand."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

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


def test_the_notebook_trains_locates_and_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = wsol.train
    monkeypatch.setattr(wsol, "train", lambda *args, **given: train(*args, **{**given, "epochs": 0}))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "first_look.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-8:]] == [
        "0.1",
        "0.3",
        "0.5",
        "own",
        "gradcam",
        "pc1",
        "{'Top1Cls':",
        "CentreBox",
    ]
    assert 0 < float(lines[-1].split()[1]) < 100


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A COCO file and the folder of its photos; the box of each is 60 x 60 pixels."""
    folder, shown = tmp_path_factory.mktemp("squares"), Creatures("train", images=8, size=120)
    images, annotations = [], []
    for index in range(8):
        shown.image(index).save(folder / f"{index}.png")
        images.append({"id": index + 1, "file_name": f"{index}.png", "width": 120, "height": 120})
        box = {"bbox": [30, 40, 60, 60], "area": 3600, "iscrowd": 0}
        annotations.append({"id": index + 1, "image_id": index + 1, "category_id": 1 + index % 2} | box)
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    file = folder / "coco.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file, folder


@pytest.mark.parametrize(("width", "ap", "ap50"), [(60, 100, 100), (36.1, 30, 100), (29, 0, 0)])
def test_the_detector_is_measured_by_overlap(squares: tuple[Path, Path], width: float, ap: float, ap50: float) -> None:
    detector = runpy.run_path(str(EXAMPLES / "detector.py"))

    class Known(nn.Module):
        """Answers with the true box, cut to a width: its IoU is width / 60."""

        def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            box = torch.tensor([[30, 40, 30 + width, 100]]) * detector["SIDE"] / 120
            return [{"boxes": box, "scores": torch.tensor([0.9])} for _ in images]

    figures = detector["measure"](Known(), *squares)
    assert figures == pytest.approx({"AP": ap, "AP50": ap50})


def test_the_detector_learns_boxes(
    squares: tuple[Path, Path], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = runpy.run_path(str(EXAMPLES / "detector.py"))
    detector["learn"](*squares, shared / "weights/mobilenetv1_100.safetensors", 8)
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[-1]) for line in lines if line.startswith("epoch")]
    assert len(losses) == 8 and losses[-1] < 0.8 * losses[0]
