"""Photos of nothing that is known: a class of photos without an object, and results that are flagged as unsure."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import wsol
from wsol.data import Creatures
from wsol.data.crops import evaluation_view
from wsol.errors import WsolError
from wsol.export import find_formats, read_heatmaps, write_results
from wsol.localizer import Localizer, energy
from wsol.locating.result import Result
from wsol.runs.folder import Run
from wsol.show.draw import FOUND

QUICK = {"backbone": "mobilenetv1", "weights": "none", "image_size": 64, "epochs": 1, "batch_size": 16, "workers": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    sets = Creatures("train", images=32, size=64, classes=3), Creatures("val", images=24, size=64, classes=3)
    return wsol.train("cam", sets, tmp_path_factory.mktemp("run") / "cam", background="Spiked mask", **QUICK)


@pytest.fixture
def localizer(run: Run) -> Localizer:
    return wsol.load(run)


@pytest.fixture
def photo() -> Image.Image:
    return Creatures("test", images=1, size=64, classes=3).image(0)


def only(localizer: Localizer, photo: Image.Image) -> Result:
    (result,) = wsol.locate(localizer, photo)
    return result


@pytest.fixture
def empty(localizer: Localizer, photo: Image.Image) -> Result:
    """What is said of a photo whose best class is the background."""
    return only(replace(localizer, background=only(localizer, photo).name), photo)


@pytest.mark.parametrize("several", [False, True])
def test_energy_equals_its_twin(several: bool) -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 10
    for row, value in zip(logits.tolist(), energy(logits, several).tolist(), strict=True):
        slow = sum(math.log(1 + math.exp(logit)) for logit in row) if several else math.log(sum(map(math.exp, row)))
        assert value == pytest.approx(slow, rel=1e-5)


def test_training_keeps_the_energy_that_a_twentieth_of_the_validation_photos_stay_below(run: Run) -> None:
    photos, localizer = Creatures("val", images=24, size=64, classes=3), wsol.load(run)
    views = torch.stack([evaluation_view(photos.image(index), 64) for index in range(24)])
    energies = sorted(math.log(sum(map(math.exp, row))) for row in localizer.judge(views).tolist())
    place = 0.05 * 23
    expected = energies[1] + (place - 1) * (energies[2] - energies[1])
    assert localizer.least_energy == pytest.approx(expected, abs=0.02)  # training may judge in bf16
    assert localizer.look(views).unsure.tolist() == [
        math.log(sum(map(math.exp, row))) < localizer.least_energy for row in localizer.judge(views).tolist()
    ]


def test_another_network_s_scores_bring_its_own_level(localizer: Localizer) -> None:
    strict = replace(localizer, least_energy=1e9)
    assert localizer.with_(classes=strict).least_energy == 1e9
    assert strict.with_(boxes=None).least_energy == 1e9


def test_a_network_that_nobody_measured_flags_nothing(localizer: Localizer, photo: Image.Image) -> None:
    assert not only(replace(localizer, least_energy=None), photo).unsure


def test_an_unsure_result_is_drawn_without_box_and_says_so(localizer: Localizer, photo: Image.Image) -> None:
    sure, unsure = (only(replace(localizer, least_energy=level), photo) for level in (-1e9, 1e9))
    assert (sure.unsure, unsure.unsure) == (False, True)
    assert unsure.boxes.tolist() == sure.boxes.tolist()
    assert repr(unsure).startswith("Result('image_00000', unsure, ")
    assert (sure.said, unsure.said) == (f"{sure.name} {sure.score:.0%}", f"unsure: {sure.name} {sure.score:.0%}")
    drawn = [(np.asarray(result.plot(caption=False)) == FOUND).all(-1).any() for result in (sure, unsure)]
    assert drawn == [True, False]


def test_files_carry_the_flag(localizer: Localizer, photo: Image.Image, tmp_path: Path) -> None:
    results = [only(replace(localizer, least_energy=level), photo) for level in (-1e9, 1e9)]
    results = [replace(result, path=f"{name}.jpg") for result, name in zip(results, ("sure", "unsure"), strict=True)]
    write_results(results, tmp_path, list(localizer.classes), find_formats("csv,json,coco,voc,yolo,heatmap").values())
    with open(tmp_path / "boxes.csv", newline="") as file:
        assert [row["unsure"] for row in csv.DictReader(file)] == ["False", "True"]
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["unsure"] for line in lines] == [False, True]
    assert [each["unsure"] for each in json.loads((tmp_path / "coco.json").read_text())["annotations"]] == [False, True]
    xml = [(tmp_path / "voc" / "Annotations" / f"{name}.xml").read_text() for name in ("sure", "unsure")]
    assert ["<difficult>1</difficult>" in text for text in xml] == [False, True]
    assert (tmp_path / "yolo" / "unsure.txt").read_text() == "labels/val/unsure.txt\n"
    assert [result.unsure for result in read_heatmaps(tmp_path)[1]] == [False, True]


def test_a_background_class_is_named_when_training_begins(tmp_path: Path) -> None:
    sets = Creatures("train", images=8, size=64, classes=3), Creatures("val", images=4, size=64, classes=3)
    with pytest.raises(
        WsolError, match=r"background: creatures has no class 'Spiked masks'; did you mean Spiked mask\?"
    ):
        wsol.train("cam", sets, tmp_path / "run", background="Spiked masks", **QUICK)


def test_a_run_knows_its_background(run: Run, localizer: Localizer) -> None:
    assert localizer.background == "Spiked mask" == Run.read(run.folder).resolved.settings.background


def test_the_background_has_no_box_and_no_mask(empty: Result) -> None:
    assert empty.boxes.shape == (0, 4) and not empty.mask.any() and not empty.unsure
    assert empty.at(0.2).boxes.shape == (0, 4)
    assert empty.findings[0].background and not empty.findings[0].whole_image
    with pytest.raises(WsolError, match="has 0 boxes here, there is no box 0"):
        empty.crop()
    assert not (np.asarray(empty.plot(caption=False)) == FOUND).all(-1).any()


def test_files_hold_a_photo_without_an_object(empty: Result, localizer: Localizer, tmp_path: Path) -> None:
    formats = find_formats("csv,json,coco,voc,yolo,overlay,heatmap").values()
    write_results([empty], tmp_path, list(localizer.classes), formats)
    with open(tmp_path / "boxes.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["confidence"], row["x0"], row["y1"]) == (empty.name, "", "", "")
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert (len(coco["images"]), coco["annotations"]) == (1, [])
    assert "<object>" not in (tmp_path / "voc" / "Annotations" / "image_00000.xml").read_text()
    assert (tmp_path / "yolo" / "labels" / "train" / "image_00000.txt").read_text() == ""
    assert (tmp_path / "overlays" / "image_00000.jpg").is_file()
    (again,) = read_heatmaps(tmp_path, 0.3)[1]
    assert again.boxes.shape == (0, 4) and again.findings[0].background
