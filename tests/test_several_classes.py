"""Photos that hold several classes, from their labels to the figures, against a slow count of the same maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import metrics as oracle
from PIL import Image

import wsol
from wsol.data import Cases, Dataset, Metadata, Sample, Truth, write_metadata
from wsol.data.crops import EvaluationImages, TrainingImages, evaluation_view
from wsol.evaluation.evaluate import evaluate, evaluate_maps
from wsol.evaluation.report import table
from wsol.evaluation.score_maps import map_path

OPTIONS = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0}
PRESENT = ((0, 2), (1,), (0, 1, 3), (2,), (4, 5))


class Corners(Dataset):
    """Grey photos with a square of its own colour and place for each class present; some pixels are undecided."""

    name = "corners"
    has_boxes = True

    def __init__(self, folder: Path) -> None:
        self.classes = [f"class {label}" for label in range(6)]
        self.samples = []
        for index, present in enumerate(PRESENT):
            pixels = np.full((40, 60, 3), 90 + index, np.uint8)
            for label in present:
                x0, y0, x1, y1 = self.box(label)
                pixels[y0:y1, x0:x1, label % 3] = 40 * label
            path = folder / f"{index}.png"
            Image.fromarray(pixels).save(path)
            self.samples.append(Sample(f"photo {index}", present[0], path, present))

    def box(self, label: int) -> tuple[int, int, int, int]:
        x, y = 20 * (label % 3), 20 * (label // 3)
        return x + 1, y + 2, x + 18, y + 15

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def truth_of(self, index: int, label: int) -> Truth:
        x0, y0, x1, y1 = self.box(label)
        mask, ignore = np.zeros((2, 40, 60), bool)
        mask[y0:y1, x0:x1] = True
        ignore[:, x0:x1] = index % 2 == 0
        return Truth(np.array([[x0, y0, x1, y1]], np.float64), mask, ignore)


@pytest.fixture
def photos(tmp_path: Path) -> Corners:
    return Corners(tmp_path)


def test_networks_are_told_all_classes_that_are_present(photos: Corners) -> None:
    for index, present in enumerate(PRESENT):
        expected = [label in present for label in range(6)]
        for views in (TrainingImages(photos, 32), EvaluationImages(photos, 32)):
            target = views[index][1]
            assert isinstance(target, torch.Tensor) and target.dtype == torch.bool and target.tolist() == expected


def test_validation_counts_photos_whose_best_class_is_present(photos: Corners, tmp_path: Path) -> None:
    run = wsol.train("cam", (photos, photos), tmp_path / "run", epochs=1, **OPTIONS)
    with torch.no_grad():
        method = run.open().method
        best = [method.predict(view[None]).logits.argmax().item() for view, *_ in EvaluationImages(photos, 32)]
    right = [label in present for label, present in zip(best, PRESENT, strict=True)]
    assert run.figures("best")["Top1Cls"] == pytest.approx(100 * np.mean(right))
    assert not (tmp_path / "run" / "threshold.json").exists()


def test_every_class_in_a_photo_is_a_case(photos: Corners, tmp_path: Path) -> None:
    run = wsol.train("cam", (photos, photos), tmp_path / "run", epochs=0, **OPTIONS)
    figures = evaluate(
        run, photos, tmp_path / "f.json", threshold=0.35, batch_size=4, workers=0, write_maps=tmp_path / "maps"
    )
    logits, shown, masks, ignores, labels, ranks = [], [], [], [], [], []
    method = run.open().method
    for index, present in enumerate(PRESENT):
        with torch.no_grad():
            prediction = method.predict(evaluation_view(photos.image(index), 32)[None])
            heatmaps = method.heatmaps(prediction, torch.tensor([present]))[0].numpy()
        logits.append(prediction.logits[0].tolist())
        rank = min(oracle.rank(logits[-1], label) for label in present)
        for label, heatmap in zip(present, heatmaps, strict=True):
            truth = photos.truth_of(index, label)
            shown.append(oracle.Photo(heatmap, truth.boxes, (60, 40), rank))
            masks.append(np.asarray(truth.mask))
            ignores.append(np.asarray(truth.ignore))
            labels.append(label)
            ranks.append(rank)
    taus = np.arange(0, 1, 0.001).tolist()
    fixed = oracle.box_accuracy(shown, [0.35], 0.35)
    expected = {name: fixed[name] for name in ("GTKnownLoc", "Top1Loc", "Top5Loc")}
    expected |= {f"Top{k}Cls": 100 * np.mean([rank < k for rank in ranks]) for k in (1, 5)}
    expected["mAP"] = oracle.mean_precision(logits, [[label in present for label in range(6)] for present in PRESENT])
    small = [[np.asarray(Image.fromarray(each).resize((224, 224), 0)) for each in some] for some in (masks, ignores)]
    maps = [oracle.scale_to_one(photo.heatmap) for photo in shown]
    expected["MeanIoU"] = oracle.mean_iou(maps, *small, labels, taus)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=0.3 if name == "MeanIoU" else 1e-3), name
    assert (figures["images"], figures["cases"]) == (5, len(labels)) == (5, 9)
    assert "5 photos (9 cases)" in str(table(figures).title)
    assert [row["images"] for row in figures["PerClass"].values()] == [labels.count(label) for label in range(6)]


def test_maps_of_all_cases_are_written_and_measured_alike(photos: Corners, tmp_path: Path) -> None:
    run = wsol.train("cam", (photos, photos), tmp_path / "run", epochs=0, **OPTIONS)
    figures = evaluate(run, photos, threshold=0.35, workers=0, write_maps=tmp_path / "maps")
    ids = [sample.id for sample in Cases(photos).samples]
    assert ids[:3] == ["photo 0#class 0", "photo 0#class 2", "photo 1#class 1"] and len(set(ids)) == len(ids)
    assert all(map_path(tmp_path / "maps", id).is_file() for id in ids)
    write_metadata(photos, tmp_path / "lists" / "test")
    assert [sample.id for sample in Metadata(tmp_path / "lists", "test").samples] == ids
    again = evaluate_maps(tmp_path / "maps", tmp_path / "lists" / "test", threshold=0.35)
    for name in ("MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc"):
        assert again[name] == figures[name]


def test_cases_of_a_photo_are_drawn_together(photos: Corners) -> None:
    cases = Cases(photos)
    assert [cases.photo(index) for index in range(len(cases))] == [n for n, some in enumerate(PRESENT) for _ in some]
    assert [cases.truth(index).boxes.tolist() for index in (0, 1)] == [[[1, 2, 18, 15]], [[41, 2, 58, 15]]]


def test_located_classes_have_scores_of_their_own(photos: Corners, tmp_path: Path) -> None:
    wsol.train("cam", (photos, photos), tmp_path / "run", epochs=0, **OPTIONS)
    run = wsol.load(tmp_path / "run")
    (result,) = wsol.locate(run, photos.image(0), classes=6)
    with torch.no_grad():
        logits = run.method.predict(evaluation_view(photos.image(0), 32)[None]).logits[0].tolist()
    assert {each.label: each.score for each in result.findings} == pytest.approx(
        {label: 1 / (1 + np.exp(-logit)) for label, logit in enumerate(logits)}
    )
