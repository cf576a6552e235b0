"""Evaluation: a run measured on one split, in one pass, beside boxes that look at nothing."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from wsol import draw
from wsol.boxes import check_threshold, find_boxes, normalise, scale_boxes
from wsol.data import Dataset, open_data, readable
from wsol.data.dataset import Split, Truth
from wsol.data.transforms import EvaluationImages, evaluation_view, ten_crop
from wsol.errors import WsolError
from wsol.metrics import (
    IOUS,
    PROTOCOL,
    SIZE,
    BoxAccuracy,
    BoxCurves,
    Classification,
    PixelPrecision,
    centre_box,
    ranks,
    whole_image,
)
from wsol.progress import bar
from wsol.run import Run, load, write_json

CLASSIFICATION = ("Top1Cls", "Top5Cls")
BOXES = ("MaxBoxAcc", "MaxBoxAcc30", "MaxBoxAcc50", "MaxBoxAcc70", "MaxBoxAccV2", "GTKnownLoc", "Top1Loc", "Top5Loc")
BOXES += ("MaxTop1Loc", "MaxTop5Loc")
MASKS = ("PxAP", "PIoU")
BASELINES = {"CentreBox": centre_box, "WholeImage": whole_image}
SHOWN = 12


def evaluate(
    run: str | Path | Run,
    data: str | Path | Dataset,
    output: str | Path | None = None,
    split: Split = "test",
    threshold: float | None = None,
    checkpoint: Literal["best", "last"] = "best",
    ten_crop: bool = False,
    batch_size: int = 32,
    workers: int = 2,
    on_bad_image: Literal["raise", "skip"] = "raise",
) -> dict[str, Any]:
    """Measures a run by the field's metrics, protocol `clova`.

    run: a run folder or an opened run. data: a path, "creatures", or a data set. output: JSON file for the figures,
    with curves and the best and worst photos as pictures beside it. split: which photos (of a path). threshold: share
    of the heatmap's peak at which boxes are cut; None takes the recipe's, else the best on the `val` split where it
    has boxes, else 0.2. checkpoint: "best" or "last" (of a folder). ten_crop: classify by the mean over ten crops.

    Returns the figures by metric name, in percent, None where undefined, with those of `CentreBox` and `WholeImage`,
    and `Curves`, the share of photos found over the threshold.
    Raises WsolError where data and run do not fit.
    """
    run = run if isinstance(run, Run) else load(run, checkpoint)
    photos = _open(run, data, split, on_bad_image)
    if threshold is not None:
        check_threshold(threshold)
    elif run.threshold_source == "default" and split != "val" and (val := _validation(run, data, on_bad_image)):
        choose_threshold(run, val, batch_size, workers)
    source = "given" if threshold is not None else run.threshold_source
    tally = Tally(run.threshold if threshold is None else threshold)
    for index, rank, heatmap in _pass(run, photos, batch_size, workers, ten_crop):
        size = photos.image(index).size if photos.has_boxes else (SIZE, SIZE)
        tally.add(index, rank, heatmap, photos.truth(index), size)
    figures = {
        "method": type(run.method).__name__,
        "run": str(run.folder),
        "data": photos.name,
        "split": split,
        "protocol": PROTOCOL,
        "images": len(photos),
        "threshold": tally.threshold,
        "threshold_source": source,
        "ten_crop": ten_crop,
        **run.checkpoint,
        **tally.figures(len(photos.classes)),
    }
    if output is not None:
        write_json(Path(output), figures)
        _pictures(run, photos, tally, figures, Path(output))
    return figures


@dataclass
class Tally:
    """Everything that one pass counts, for the run and for the trivial boxes."""

    threshold: float
    on_part: list[float] = field(default_factory=list)
    classification: Classification = field(default_factory=Classification)
    pixels: dict[str, PixelPrecision] = field(default_factory=dict)
    boxes: dict[str, BoxAccuracy] = field(default_factory=dict)
    best: list[tuple[float, int]] = field(default_factory=list)
    worst: list[tuple[float, int]] = field(default_factory=list)

    def add(
        self,
        index: int,
        rank: int,
        heatmap: Float[np.ndarray, "h w"],
        truth: Truth,
        size: tuple[int, int],
    ) -> None:
        """Counts one photo of (W, H); its quality decides whether it is shown among the best or the worst."""
        self.classification.update(torch.tensor([rank]))
        quality = None
        if truth.mask is not None:
            score = self._pixels("").score(heatmap, truth.mask, truth.ignore)
            self._pixels("").update(score)
            quality = score.precision
            for name, baseline in BASELINES.items():
                metric = self._pixels(name)
                metric.update(metric.score(_filled(baseline((SIZE, SIZE))), truth.mask, truth.ignore))
        if len(truth.boxes):
            found = self._boxes("").score(heatmap, truth.boxes, size)
            self._boxes("").update(found, rank)
            quality = found.iou
            for name, baseline in BASELINES.items():
                metric = self._boxes(name)
                metric.update(metric.score_box(baseline(size), truth.boxes, size), rank)
        if truth.part is not None:
            self.on_part.append(_share_on(heatmap, truth.part))
        if quality is not None:
            for heap, sign in ((self.best, 1), (self.worst, -1)):
                (heapq.heappushpop if len(heap) >= SHOWN else heapq.heappush)(heap, (sign * quality, index))

    def figures(self, classes: int) -> dict[str, Any]:
        """Metric name -> percentage or None, with the baselines' under their names."""
        scores: dict[str, Any] = self.classification.compute()
        if classes <= 5:
            scores["Top5Cls"] = None
        scores |= self._localization("", classes)
        if self.on_part:
            scores["PeakOnPart"] = 100 * float(np.mean(self.on_part))
        scores |= {name: self._localization(name, classes) for name in BASELINES}
        return scores | {"Curves": _curves(self.boxes[""].curves()) if "" in self.boxes else None}

    def _localization(self, who: str, classes: int) -> dict[str, float | None]:
        found: dict[str, float | None] = dict.fromkeys((*BOXES, "BestThreshold", *MASKS))
        if who in self.boxes:
            found |= self.boxes[who].compute()
        if who in self.pixels:
            found |= self.pixels[who].compute()
        if classes <= 5:
            found |= {"Top5Loc": None, "MaxTop5Loc": None}
        if who:
            del found["BestThreshold"]
        return found

    def _boxes(self, who: str) -> BoxAccuracy:
        return self.boxes.setdefault(who, BoxAccuracy(threshold=self.threshold))

    def _pixels(self, who: str) -> PixelPrecision:
        return self.pixels.setdefault(who, PixelPrecision())


def table(figures: dict[str, Any]) -> Table:
    """The figures as a table: a row a metric that is defined, a column for the run and each trivial box."""
    title = (
        f"{figures['data']} {figures['split']}, {figures['images']} photos, protocol {figures['protocol']}, "
        f"threshold {figures['threshold']:.3g} ({figures['threshold_source']})"
    )
    columns = {figures["method"]: figures, **{name: figures[name] for name in BASELINES}}
    shown = Table("percent", *columns, title=title)
    for name in (*CLASSIFICATION, *BOXES, *MASKS, "PeakOnPart"):
        if figures.get(name) is not None:
            values = [column.get(name) for column in columns.values()]
            shown.add_row(name, *("" if value is None else f"{value:.1f}" for value in values))
    return shown


def _open(run: Run, data: str | Path | Dataset, split: Split, on_bad_image: Literal["raise", "skip"]) -> Dataset:
    size = run.settings.image_size * 8 // 7
    photos = open_data(data, split, size=size, val_per_class=run.settings.val_per_class)
    if len(photos.classes) != len(run.classes):
        raise WsolError(
            f"{data}: has {len(photos.classes)} classes, the run {run.folder} knows {len(run.classes)}; "
            "evaluate the data set that it was trained on"
        )
    return readable(photos, on_bad_image)


def choose_threshold(run: Run, photos: Dataset, batch_size: int = 32, workers: int = 2) -> None:
    """Stores in the run the threshold of the best MaxBoxAcc on photos with boxes, those for validation."""
    metric = BoxAccuracy()
    for index, rank, heatmap in _pass(run, photos, batch_size, workers, False, "choosing the threshold"):
        boxes = photos.truth(index).boxes
        if len(boxes):
            metric.update(metric.score(heatmap, boxes, photos.image(index).size), rank)
    run.choose_threshold(metric.compute()["BestThreshold"], photos.name, len(photos))


def _validation(run: Run, data: str | Path | Dataset, on_bad_image: Literal["raise", "skip"]) -> Dataset | None:
    """Photos on which a threshold can be chosen, if the data set has such."""
    if isinstance(data, Dataset):
        return None
    try:
        photos = _open(run, data, "val", on_bad_image)
    except WsolError:  # no validation split
        return None
    return photos if len(photos) and photos.has_boxes else None


def _pass(
    run: Run, photos: Dataset, batch_size: int, workers: int, crops: bool, said: str = "evaluating"
) -> Iterator[tuple[int, int, Float[np.ndarray, "h w"]]]:
    """Each photo's index, the rank of its true class, and the heatmap of that class."""
    method = run.method.eval()
    device = next(method.parameters()).device
    batches = DataLoader(EvaluationImages(photos, run.settings.image_size), batch_size=batch_size, num_workers=workers)
    with bar(said) as shown:
        task = shown.add_task("", total=len(photos))
        for images, labels, indices in batches:
            with torch.no_grad():
                prediction = method.predict(images.to(device))
                heatmaps = method.heatmaps(prediction, labels[:, None].to(device))[:, 0].float().cpu().numpy()
                logits = _ten_crop_scores(run, photos, indices) if crops else prediction.logits.float().cpu()
            yield from zip(indices.tolist(), ranks(logits, labels).tolist(), heatmaps, strict=True)
            shown.advance(task, len(labels))


def _ten_crop_scores(run: Run, photos: Dataset, indices: Int[Tensor, " b"]) -> Float[Tensor, "b k"]:
    """Softmax averaged over four corners, centre and their mirror images (methods' classification figures)."""
    device = next(run.method.parameters()).device
    scores = []
    for index in indices.tolist():
        crops = ten_crop(photos.image(index), run.settings.image_size).to(device)
        scores.append(run.method.predict(crops).logits.float().softmax(1).mean(0).cpu())
    return torch.stack(scores)


def _curves(curves: BoxCurves, step: int = 10) -> dict[str, list[float]]:
    """Accuracy over the threshold, at every hundredth, as JSON holds it."""
    shown = {f"IoU{iou}": line[::step].round(2).tolist() for iou, line in zip(IOUS, curves.single, strict=True)}
    return {"threshold": curves.thresholds[::step].round(2).tolist(), **shown}


def _filled(boxes: Float[np.ndarray, "1 4"]) -> Float[np.ndarray, "S S"]:
    x0, y0, x1, y1 = boxes[0].round().astype(int)
    heatmap = np.zeros((SIZE, SIZE))
    heatmap[y0:y1, x0:x1] = 1
    return heatmap


def _share_on(heatmap: Float[np.ndarray, "h w"], part: np.ndarray, threshold: float = 0.8) -> float:
    """Share of the heatmap's peak (its pixels above 0.8 of the maximum) that lies on the discriminative part."""
    peak = normalise(heatmap, part.shape) > threshold
    return float((peak & part).sum() / max(peak.sum(), 1))


@torch.no_grad()
def _pictures(run: Run, photos: Dataset, tally: Tally, figures: dict[str, Any], output: Path) -> None:
    """Curves, and the photos with the best and worst boxes, beside the JSON file."""
    if figures["Curves"]:
        draw.curves({figures["method"]: figures}).save(output.with_suffix(".curves.png"))
    device = next(run.method.parameters()).device
    for name, heap in (("best", tally.best), ("worst", tally.worst)):
        cells = []
        for quality, index in sorted(heap, reverse=True):
            image, sample = photos.image(index), photos.samples[index]
            prediction = run.method.predict(evaluation_view(image, run.settings.image_size)[None].to(device))
            raw = run.method.heatmaps(prediction, torch.tensor([[sample.label]], device=device))[0, 0]
            heatmap = normalise(raw.float().cpu().numpy(), (SIZE, SIZE))
            boxes = find_boxes(heatmap, tally.threshold)
            true_boxes = scale_boxes(photos.truth(index).boxes, image.size, (SIZE, SIZE))
            picture = draw.overlay(image.resize((SIZE, SIZE)), heatmap, boxes, true_boxes)
            cells.append((picture, f"{photos.classes[sample.label]} {abs(quality):.2f}"))
        if cells:
            rows = [cells[i : i + 4] for i in range(0, len(cells), 4)]
            draw.contact_sheet(rows).save(output.with_suffix(f".{name}.png"))
