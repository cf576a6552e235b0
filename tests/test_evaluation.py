"""Evaluation: one pass over the photos gives what a slow count of the same maps gives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracles import metrics as oracle
from PIL import Image

import wsol
from wsol.data import Chosen, Creatures, Csv, Dataset, Folder
from wsol.data.crops import evaluation_view, ten_crop
from wsol.errors import WsolError
from wsol.evaluation.evaluate import evaluate
from wsol.evaluation.threshold import choose_threshold
from wsol.localizer import Localizer
from wsol.runs.folder import Run

OPTIONS = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shown = Creatures("train", images=24, size=36)
    return wsol.train("cam", (shown, shown), tmp_path / "run", epochs=0, **OPTIONS)


def named(run: Run, classes: list[str] | None = None) -> Localizer:
    """The run's network with other names of its classes, sorted ones by default."""
    return replace(run.open(), classes=tuple(classes or sorted(run.classes)))


def photos(images: int = 9) -> Creatures:
    return Creatures("test", images=images, size=80)


def seen(run: Run, data: Dataset) -> tuple[list[list[float]], list[np.ndarray]]:
    """Logits and the true class's heatmap of each photo, one at a time."""
    logits, heatmaps, method = [], [], run.open().method
    with torch.no_grad():
        for index, sample in enumerate(data.samples):
            prediction = method.predict(evaluation_view(data.image(index), 32)[None])
            logits.append(prediction.logits[0].tolist())
            heatmaps.append(method.heatmaps(prediction, torch.tensor([[sample.label]]))[0, 0].numpy())
    return logits, heatmaps


def test_figures_equal_a_slow_count(run: Run) -> None:
    data = photos(3)
    figures = evaluate(run, data, threshold=0.35, batch_size=4, workers=0)
    logits, heatmaps = seen(run, data)
    ranks = [oracle.rank(row, sample.label) for row, sample in zip(logits, data.samples, strict=True)]
    truths = [data.truth(index) for index in range(len(data))]
    shown = [
        oracle.Photo(heatmap, truth.boxes, (80, 80), rank)
        for heatmap, truth, rank in zip(heatmaps, truths, ranks, strict=True)
    ]
    taus = np.arange(0, 1, 0.001).tolist()
    expected = oracle.box_accuracy(shown, taus, 0.35)
    expected |= {f"Top{k}Cls": 100 * sum(rank < k for rank in ranks) / len(ranks) for k in (1, 5)}
    masks = [np.asarray(truth.mask) for truth in truths]
    expected["PxAP"], expected["PIoU"] = oracle.pixel_precision(heatmaps, masks, [None] * len(masks), taus)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-3), name
    peaks = [oracle.scale_to_one(heatmap) > 0.8 for heatmap in heatmaps]
    parts = [np.asarray(Image.fromarray(np.asarray(truth.part)).resize((224, 224), 0)) for truth in truths]
    share = 100 * np.mean([(peak & part).sum() / peak.sum() for peak, part in zip(peaks, parts, strict=True)])
    assert figures["PeakOnPart"] == pytest.approx(share, abs=5)


def test_the_trivial_boxes_stand_beside(run: Run) -> None:
    figures = evaluate(run, photos(), threshold=0.5, workers=0)
    for name in ("CentreBox", "WholeImage"):
        values = figures[name]
        assert values["MaxBoxAcc"] == values["GTKnownLoc"] == values["MaxBoxAcc50"]
        assert "Top1Cls" not in values and "BestThreshold" not in values
    squares = []
    for index in range(9):
        x0, y0, x1, y1 = (int(value * 224 / 80) for value in photos().truth(index).boxes[0])
        squares.append((x1 - x0 + 1) * (y1 - y0 + 1) / (225 * 225 + 0.0) >= 0.5)
    assert figures["WholeImage"]["MaxBoxAcc"] == pytest.approx(100 * np.mean(squares))


def stored(folder: Path, boxes: dict[str, bool], box: str = "1,2,20,25", images: int = 12) -> Path:
    """A CSV of a photo a class in every split named, with boxes or without."""
    shown, file = photos(images), folder / "set.csv"
    folder.mkdir(exist_ok=True)
    with open(file, "w", encoding="utf-8") as lines:
        lines.write("path,label,x0,y0,x1,y1,split\n")
        for split, known in boxes.items():
            for index, name in enumerate(sorted(shown.classes) * (images // 12)):
                shown.image(index).save(folder / f"{split}{index}.png")
                lines.write(f"{split}{index}.png,{name},{box if known else ',,,'},{split}\n")
    return file


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Run, Path]:
    """A run on a CSV with boxes in every split, and that CSV."""
    file = stored(tmp_path / "listed", {"train": True, "val": True, "test": True})
    return wsol.train("cam", file, tmp_path / "of_listed", epochs=0, **OPTIONS), file


def test_the_threshold_says_who_chose_it(listed: tuple[Run, Path]) -> None:
    run, file = listed
    assert evaluate(run, Csv(file, "test"), workers=0)["threshold_source"] == "auto"
    assert run.open().threshold == "auto"
    chosen = evaluate(run, file, workers=0)
    opened = run.open()
    assert (chosen["threshold"], chosen["threshold_source"]) == (opened.threshold, "validation")
    assert opened.threshold_source == "validation"
    assert choose_threshold(opened, Csv(file, "val"), workers=0) == chosen["threshold"]
    best = evaluate(run, file, split="val", threshold=0.1, workers=0)
    assert (best["threshold_source"], chosen["threshold"]) == ("given", best["BestThreshold"])
    again = evaluate(run, file, split="val", threshold=chosen["threshold"], workers=0)
    assert again["GTKnownLoc"] == best["MaxBoxAcc"]
    assert evaluate(run, Csv(file, "test"), workers=0)["threshold_source"] == "auto"  # whatever is stored


def test_of_several_processes_the_first_alone_stores_the_threshold(
    listed: tuple[Run, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, file = listed
    kept = run.folder / "threshold.json"
    monkeypatch.setattr("wsol.system.processes.place", lambda: (1, 2))
    monkeypatch.setattr("wsol.system.processes.gather", lambda some: some)  # there is no other process
    chosen = evaluate(run, file, workers=0)
    assert chosen["threshold_source"] == "validation" and 0 <= chosen["threshold"] <= 1 and not kept.exists()
    monkeypatch.undo()
    assert evaluate(run, file, workers=0)["threshold"] == run.open().threshold and kept.exists()


def test_the_order_of_evaluations_changes_no_figure(listed: tuple[Run, Path], tmp_path: Path) -> None:
    run, own = listed
    other = stored(tmp_path / "other", {"val": True, "test": True}, box="30,30,75,75", images=24)
    kept = run.folder / "threshold.json"
    first_other = evaluate(run, other, workers=0)
    assert not kept.exists()  # the validation photos of another data set
    then_own = evaluate(run, own, workers=0)
    written = kept.read_bytes()
    assert json.loads(written)["threshold"] == then_own["threshold"] != first_other["threshold"]
    kept.unlink()
    first_own = evaluate(run, own, workers=0)
    assert kept.read_bytes() == written
    then_other = evaluate(run, other, workers=0)
    assert kept.read_bytes() == written
    assert first_own["threshold_source"] == first_other["threshold_source"] == "validation"
    assert (first_own, first_other) == (then_own, then_other)


def test_data_without_boxes_have_no_box_figures(run: Run, tmp_path: Path) -> None:
    shown = photos(24)
    for index, sample in enumerate(shown.samples):
        path = tmp_path / "folder" / shown.classes[sample.label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.image(index).save(path)
    figures = evaluate(named(run), Folder(tmp_path / "folder", "train"), tmp_path / "f.json", workers=0)
    assert figures["Top1Cls"] is not None
    assert all(figures[name] is None for name in ("MaxBoxAcc", "GTKnownLoc", "Top1Loc", "PxAP", "Curves"))


@pytest.mark.parametrize("known", ["test", "val"])
def test_a_threshold_is_chosen_where_validation_photos_have_boxes(run: Run, tmp_path: Path, known: str) -> None:
    figures = evaluate(named(run), stored(tmp_path, {"val": known == "val", "test": True}), workers=0)
    assert figures["threshold_source"] == ("validation" if known == "val" else "auto")


def test_a_fault_in_the_validation_photos_is_no_reason_to_do_without(run: Run, tmp_path: Path) -> None:
    file = stored(tmp_path, {"val": True, "test": True})
    (tmp_path / "val0.png").write_bytes(b"cut off")
    with pytest.raises(WsolError, match=r"val0\.png"):
        evaluate(named(run), file, workers=0)
    with pytest.warns(UserWarning, match=r"val0\.png"):
        assert evaluate(named(run), file, workers=0, on_bad_image="skip")["threshold_source"] == "validation"


def test_validation_photos_without_boxes_are_not_opened(run: Run, tmp_path: Path) -> None:
    classes = sorted(run.classes)
    for split in ("train", "val", "test"):
        for index, name in enumerate(classes):
            path = tmp_path / "folder" / split / name / "photo.png"
            path.parent.mkdir(parents=True)
            photos(12).image(index).save(path)
    path = tmp_path / "folder" / "val" / classes[0] / "photo.png"
    path.write_bytes(b"cut off")
    assert evaluate(named(run), tmp_path / "folder", workers=0)["threshold_source"] == "auto"


def test_other_classes_are_no_others_by_number(run: Run, tmp_path: Path) -> None:
    other = named(run, [*sorted(run.classes)[:-1], "zebra"])
    with pytest.raises(
        WsolError, match=r"set\.csv: 1 of its 12 classes is unknown to the run .*: Tufted mask; known are"
    ):
        evaluate(other, stored(tmp_path, {"test": True}), workers=0)


def test_numbered_classes_need_not_reach_the_last(run: Run, tmp_path: Path) -> None:
    shown, folder = photos(), tmp_path / "metadata" / "test"
    folder.mkdir(parents=True)
    (folder / "image_ids.txt").write_text("0.png\n1.png\n")
    (folder / "class_labels.txt").write_text("0.png,0\n1.png,1\n")
    for index in range(2):
        shown.image(index).save(tmp_path / f"{index}.png")
    assert evaluate(run, tmp_path, workers=0)["images"] == 2


def test_classes_are_matched_by_name_in_whatever_order_and_number_they_come(run: Run, tmp_path: Path) -> None:
    names = sorted(map(str, range(12)))  # 0, 1, 10, 11, 2 ...: a folder's order
    file = stored(tmp_path, {"test": True}, images=24)
    lines = file.read_text().splitlines()
    place = {name: index for index, name in enumerate(sorted(run.classes))}
    numbers = [",".join([path, names[place[label]], *rest]) for path, label, *rest in (r.split(",") for r in lines[1:])]
    file.with_name("numbers.csv").write_text("\n".join([lines[0], *numbers]))
    some = [line for line in numbers if line.split(",")[1] in ("3", "10", "11")]
    file.with_name("some.csv").write_text("\n".join([lines[0], *some]))

    named_run, numbered_run = named(run), named(run, names)
    by_name = evaluate(named_run, file, threshold=0.3, workers=0)
    by_number = evaluate(numbered_run, file.with_name("numbers.csv"), threshold=0.3, workers=0)
    for figure in ("Top1Cls", "Top5Cls", "MaxBoxAcc", "Top1Loc"):
        assert by_number[figure] == by_name[figure], figure
    of_three = evaluate(numbered_run, file.with_name("some.csv"), threshold=0.3, workers=0)
    three = Chosen(Csv(file, "test"), [i for i in range(24) if numbers[i].split(",")[1] in ("3", "10", "11")])
    assert (of_three["images"], of_three["Top1Cls"]) == (6, evaluate(named_run, three, workers=0)["Top1Cls"])


def test_few_classes_have_no_top5(tmp_path: Path) -> None:
    few = Creatures("train", images=8, size=36, classes=4)
    run = wsol.train("cam", (few, few), tmp_path / "run", epochs=0, **OPTIONS)
    figures = evaluate(run, few, workers=0)
    assert [figures[name] for name in ("Top5Cls", "Top5Loc", "MaxTop5Loc")] == [None] * 3
    with pytest.raises(WsolError, match="12 classes"):
        evaluate(run, photos())


def test_ten_crops_are_averaged(run: Run) -> None:
    data = photos(12)
    with torch.no_grad():
        method = run.open().method
        scores = [method.predict(ten_crop(data.image(i), 32)).logits.softmax(1).mean(0).tolist() for i in range(12)]
    right = [oracle.rank(row, sample.label) == 0 for row, sample in zip(scores, data.samples, strict=True)]
    assert evaluate(run, data, ten_crop=True, workers=0)["Top1Cls"] == pytest.approx(100 * np.mean(right))


def test_figures_and_pictures_are_written(run: Run, tmp_path: Path) -> None:
    output: dict[str, Any] = evaluate(run, photos(), tmp_path / "out" / "figures.json", workers=0)
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == output
    for name in ("curves", "best", "worst"):
        assert min(Image.open(tmp_path / "out" / f"figures.{name}.png").size) > 100
    assert max(output["Curves"]["IoU50"]) <= output["MaxBoxAcc"] + 0.01
    assert len(output["Curves"]["threshold"]) == 100


def test_photos_of_another_split_are_chosen_by_index() -> None:
    every = photos()
    some = Chosen(every, [7, 2])
    assert [sample.id for sample in some.samples] == [every.samples[index].id for index in (7, 2)]
    assert np.array_equal(np.asarray(some.image(1)), np.asarray(every.image(2)))
    assert np.array_equal(some.truth(0).boxes, every.truth(7).boxes) and some.has_boxes
