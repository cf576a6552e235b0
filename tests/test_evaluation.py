"""Evaluation: one pass over the photos gives what a slow count of the same maps gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracles import metrics as oracle
from PIL import Image

import wsol
from wsol.data import Chosen, Creatures, Dataset, Folder
from wsol.data.transforms import evaluation_view, ten_crop
from wsol.errors import WsolError
from wsol.evaluation import choose_threshold, evaluate
from wsol.run import Run

OPTIONS = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return wsol.train("cam", Creatures("train", images=24, size=36), tmp_path / "run", epochs=0, **OPTIONS)


def photos(images: int = 9) -> Creatures:
    return Creatures("test", images=images, size=80)


def seen(run: Run, data: Dataset) -> tuple[list[list[float]], list[np.ndarray]]:
    """Logits and the true class's heatmap of each photo, one at a time."""
    logits, heatmaps = [], []
    with torch.no_grad():
        for index, sample in enumerate(data.samples):
            prediction = run.method.eval().predict(evaluation_view(data.image(index), 32)[None])
            logits.append(prediction.logits[0].tolist())
            heatmaps.append(run.method.heatmaps(prediction, torch.tensor([[sample.label]]))[0, 0].numpy())
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


def test_the_threshold_says_who_chose_it(run: Run) -> None:
    data = photos()
    assert evaluate(run, data, workers=0)["threshold_source"] == "auto"
    choose_threshold(run, photos(12), workers=0)
    chosen = evaluate(run, data, workers=0)
    assert (chosen["threshold"], chosen["threshold_source"]) == (run.threshold, "validation")
    best = evaluate(run, photos(12), threshold=0.1, workers=0)
    assert (best["threshold_source"], run.threshold) == ("given", best["BestThreshold"])
    assert evaluate(run, photos(12), workers=0)["GTKnownLoc"] == best["MaxBoxAcc"]


def test_of_several_processes_the_first_alone_stores_the_threshold(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsol.processes.place", lambda: (1, 2))
    stored = run.folder / "threshold.json"
    stored.unlink(missing_ok=True)
    chosen = choose_threshold(run, photos(12), workers=0)
    assert 0 <= chosen <= 1 and not stored.exists()
    monkeypatch.undo()
    assert choose_threshold(run, photos(12), workers=0) == run.threshold and stored.exists()


def test_data_without_boxes_have_no_box_figures(run: Run, tmp_path: Path) -> None:
    shown = photos(24)
    for index, sample in enumerate(shown.samples):
        path = tmp_path / "folder" / shown.classes[sample.label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.image(index).save(path)
    run.classes = sorted(shown.classes)
    figures = evaluate(run, Folder(tmp_path / "folder", "train"), tmp_path / "f.json", workers=0)
    assert figures["Top1Cls"] is not None
    assert all(figures[name] is None for name in ("MaxBoxAcc", "GTKnownLoc", "Top1Loc", "PxAP", "Curves"))


def stored(folder: Path, boxes: dict[str, bool]) -> Path:
    """A CSV of a photo a class in every split named, with boxes or without."""
    shown, file = photos(12), folder / "set.csv"
    with open(file, "w", encoding="utf-8") as lines:
        lines.write("path,label,x0,y0,x1,y1,split\n")
        for split, known in boxes.items():
            for index, name in enumerate(sorted(shown.classes)):
                shown.image(index).save(folder / f"{split}{index}.png")
                lines.write(f"{split}{index}.png,{name},{'1,2,20,25' if known else ',,,'},{split}\n")
    return file


@pytest.mark.parametrize("known", ["test", "val"])
def test_a_threshold_is_chosen_where_validation_photos_have_boxes(run: Run, tmp_path: Path, known: str) -> None:
    run.classes.sort()
    figures = evaluate(run, stored(tmp_path, {"val": known == "val", "test": True}), workers=0)
    assert figures["threshold_source"] == ("validation" if known == "val" else "auto")


def test_a_fault_in_the_validation_photos_is_no_reason_to_do_without(run: Run, tmp_path: Path) -> None:
    run.classes.sort()
    file = stored(tmp_path, {"val": True, "test": True})
    (tmp_path / "val0.png").write_bytes(b"cut off")
    with pytest.raises(WsolError, match=r"val0\.png"):
        evaluate(run, file, workers=0)
    with pytest.warns(UserWarning, match=r"val0\.png"):
        assert evaluate(run, file, workers=0, on_bad_image="skip")["threshold_source"] == "validation"


def test_validation_photos_without_boxes_are_not_opened(run: Run, tmp_path: Path) -> None:
    run.classes.sort()
    for split in ("train", "val", "test"):
        for index, name in enumerate(run.classes):
            path = tmp_path / "folder" / split / name / "photo.png"
            path.parent.mkdir(parents=True)
            photos(12).image(index).save(path)
    path = tmp_path / "folder" / "val" / run.classes[0] / "photo.png"
    path.write_bytes(b"cut off")
    assert evaluate(run, tmp_path / "folder", workers=0)["threshold_source"] == "auto"


def test_other_classes_are_no_others_by_number(run: Run, tmp_path: Path) -> None:
    run.classes = [*sorted(run.classes)[:-1], "zebra"]
    with pytest.raises(WsolError, match=r"set\.csv: has the class .* where the run .* knows zebra"):
        evaluate(run, stored(tmp_path, {"test": True}), workers=0)


def test_numbered_classes_need_not_reach_the_last(run: Run, tmp_path: Path) -> None:
    shown, folder = photos(), tmp_path / "metadata" / "test"
    folder.mkdir(parents=True)
    (folder / "image_ids.txt").write_text("0.png\n1.png\n")
    (folder / "class_labels.txt").write_text("0.png,0\n1.png,1\n")
    for index in range(2):
        shown.image(index).save(tmp_path / f"{index}.png")
    assert evaluate(run, tmp_path, workers=0)["images"] == 2


def test_few_classes_have_no_top5(tmp_path: Path) -> None:
    few = Creatures("train", images=8, size=36, classes=4)
    run = wsol.train("cam", few, tmp_path / "run", epochs=0, **OPTIONS)
    figures = evaluate(run, few, workers=0)
    assert [figures[name] for name in ("Top5Cls", "Top5Loc", "MaxTop5Loc")] == [None] * 3
    with pytest.raises(WsolError, match="12 classes"):
        evaluate(run, photos())


def test_ten_crops_are_averaged(run: Run) -> None:
    data = photos(12)
    with torch.no_grad():
        scores = [run.method.predict(ten_crop(data.image(i), 32)).logits.softmax(1).mean(0).tolist() for i in range(12)]
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
