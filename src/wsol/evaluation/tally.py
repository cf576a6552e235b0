"""All metrics of one pass over the images, for the maps and for boxes that look at nothing."""

import heapq
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from wsol.boxes.rule import Threshold
from wsol.data.dataset import Truth
from wsol.metrics import (
    CLOVA,
    IOUS,
    SIZE,
    BoxAccuracy,
    BoxScore,
    Classification,
    Counts,
    MeanPrecision,
    PeakOnPart,
    PixelPrecision,
    PixelScore,
    Protocol,
    centre_box,
    whole_image,
)
from wsol.system import processes

CLASSIFICATION = ("Top1Cls", "Top5Cls", "mAP")
BOXES = ("MaxBoxAcc", "MaxBoxAcc30", "MaxBoxAcc50", "MaxBoxAcc70", "MaxBoxAccV2", "GTKnownLoc", "Top1Loc", "Top5Loc")
BOXES += ("MaxTop1Loc", "MaxTop5Loc", "MeanBoxIoU")
NAMES = (*CLASSIFICATION, "Top1Loc", "Top5Loc", "MaxTop1Loc", "MaxTop5Loc")  # ask what is in a photo
MASKS = ("PxAP", "PIoU", "MeanIoU")
PER_CLASS = ("Top1Cls", "GTKnownLoc", "Top1Loc", "MeanBoxIoU", "PxAP")
BASELINES: dict[str, Callable[..., Float[np.ndarray, "1 4"]]] = {"CentreBox": centre_box, "WholeImage": whole_image}
SHOWN = 12
REPLICATES = 1000


Shown = tuple[float, int, Float[np.ndarray, "S S"], Float[np.ndarray, "1 4"]]  # quality, index, heatmap, box


class Scored(NamedTuple):
    """What one image scores, the baselines' scores by their names; None where there is no truth of that kind.

    heatmap, box: what was scored, on the grid.
    """

    heatmap: Float[np.ndarray, "S S"]
    box: Float[np.ndarray, "1 4"]
    boxes: dict[str, BoxScore]
    pixels: dict[str, PixelScore]
    on_part: float | None

    @property
    def quality(self) -> float | None:
        """By what the best images are told from the worst."""
        if "" in self.boxes:
            return self.boxes[""].iou
        return self.pixels[""].precision if "" in self.pixels else None


class Tally:
    """Every metric that one pass counts.

    Score an image, which may be done in any thread, then count it in one:
    `tally.update(tally.score(heatmap, truth, size), index, label, rank)`.

    classes: how many. threshold: the fixed one, or "auto". protocol: the conventions. classified: whether ranks are
    known; else Cls, Top-k Loc and WrongClass are None. replicates: of the bootstrap behind `Interval95`. occurring: the
    classes that images may have, see `Counts`.
    """

    def __init__(
        self,
        classes: int,
        threshold: Threshold,
        protocol: Protocol = CLOVA,
        classified: bool = True,
        replicates: int = REPLICATES,
        occurring: Collection[int] | None = None,
    ) -> None:
        self.classes, self.protocol, self.classified = classes, protocol, classified
        self.threshold: Threshold = threshold
        self.classification = Classification(classes, replicates, protocol.over_classes, occurring)
        self.precision = MeanPrecision(classes)
        self.on_part = PeakOnPart(protocol, classes, replicates, occurring)
        drawn = {"": replicates} | dict.fromkeys(BASELINES, 0)
        # nothing is said of baselines by class: without averages over classes one row is enough
        rows = {"": classes} | dict.fromkeys(BASELINES, classes if protocol.over_classes else 1)
        self.boxes = {who: BoxAccuracy(0.001, threshold, protocol, rows[who], n, occurring) for who, n in drawn.items()}
        self.pixels = {who: PixelPrecision(0.001, protocol, classes, n, occurring) for who, n in drawn.items()}
        self.counted: list[int] = []
        self.named: Counter[tuple[int, int]] = Counter()  # (true class, the network's best): how many images
        self.best: list[Shown] = []
        self.worst: list[Shown] = []

    def score(
        self,
        heatmap: Float[np.ndarray, "S S"],
        truth: Truth,
        size: tuple[int, int],
        box: Float[np.ndarray, "1 4"] | None = None,
    ) -> Scored:
        """Scores one image of (W, H).

        heatmap: of its true class, normalised by the protocol. box: on the grid, where the method regressed one; it
        stands for the heatmap's boxes at every threshold.
        """
        boxes, pixels = {}, {}
        if len(truth.boxes):
            own = self.boxes[""]
            boxes[""] = (
                own.score(heatmap, truth.boxes, size) if box is None else own.score_drawn(box, truth.boxes, size)
            )
            for name, baseline in BASELINES.items():
                boxes[name] = self.boxes[name].score_box(baseline(size), truth.boxes, size)
        if truth.mask is not None:
            pixels[""] = self.pixels[""].score(heatmap, truth.mask, truth.ignore)
            for name, baseline in BASELINES.items():
                pixels[name] = self.pixels[name].score(_filled(baseline((SIZE, SIZE))), truth.mask, truth.ignore)
        on_part = None if truth.part is None else self.on_part.score(heatmap, truth.part)
        box = self.protocol.box(heatmap, self.threshold) if box is None else box
        return Scored(heatmap, box, boxes, pixels, on_part)

    def update(
        self,
        scored: Scored,
        index: int,
        label: int,
        rank: int = 0,
        photo: int | None = None,
        best: int | None = None,
    ) -> None:
        """Counts one image; its quality decides whether its heatmap is kept among the best or the worst.

        photo: by what the bootstrap draws, where several cases share a photo; else the index.
        best: the class that the network puts first, for the confusion of classes; None where a photo holds several.
        """
        drawn = index if photo is None else photo
        self.counted.append(index)
        if best is not None:
            self.named[label, best] += 1
        self.classification.update(rank, label, drawn)
        for name, box in scored.boxes.items():
            self.boxes[name].update(box, rank, label, drawn)
        for name, pixels in scored.pixels.items():
            self.pixels[name].update(pixels, label, drawn)
        if scored.on_part is not None:
            self.on_part.update(scored.on_part, label, drawn)
        if scored.quality is not None:
            for heap, sign in ((self.best, 1), (self.worst, -1)):
                (heapq.heappushpop if len(heap) >= SHOWN else heapq.heappush)(
                    heap, (sign * scored.quality, index, scored.heatmap, scored.box)
                )

    def figures(self, names: list[str]) -> dict[str, Any]:
        """Metric name -> percentage or None; `CentreBox` and `WholeImage` with theirs; and more ways to look at them.

        names: of the classes. `Interval95`: metric -> from where to where, by bootstrap over the images. `Errors`:
        kinds of errors at the fixed threshold. `PerClass`: class -> figures. `Curves`: share of images found over the
        threshold, at every hundredth. `IoUs`: share of images whose box has an IoU from i/20 up to (i + 1)/20.
        `Confusion`: class -> class that the network says -> images; None where photos hold several, and of stored maps.
        """
        with ExitStack() as together:  # of several processes: once, not for each figure
            for metric in (self.classification, self.on_part, *self.boxes.values(), *self.pixels.values()):
                together.enter_context(metric.sync_context())
            return self._figures(names)

    def _figures(self, names: list[str]) -> dict[str, Any]:
        metrics = self.classification, self.boxes[""], self.pixels[""], self.on_part
        counted = [metric for metric in metrics if _any(metric)]
        scores: dict[str, Any] = dict.fromkeys((*CLASSIFICATION, *BOXES, "BestThreshold", *MASKS))
        intervals: dict[str, list[float]] = {}
        per_class: dict[str, dict[str, Any]] = {name: {} for name in names}
        for metric in counted:
            scores |= metric.compute()
            intervals |= metric.intervals()
            for name, row in zip(names, metric.per_class(), strict=True):
                per_class[name] = row | per_class[name]
        scores |= self._mean_iou("") | (self.precision.compute() if _any(self.precision) else {})
        scores |= {name: self._baseline(name) for name in BASELINES}
        boxed = _any(self.boxes[""])
        scores["Interval95"] = intervals
        scores["Errors"] = {"Right": scores["Top1Loc"]} | self.boxes[""].errors() if boxed else None
        scores["PerClass"] = {
            name: {key: row.get(key) for key in ("images", *PER_CLASS)} for name, row in per_class.items()
        }
        scores["Curves"] = _curves(self.boxes[""]) if boxed else None
        scores["IoUs"] = [round(share, 2) for share in self.boxes[""].histogram()] if boxed else None
        scores["Confusion"] = self._confusion(names)
        return self._without_unknown(scores)

    def _confusion(self, names: list[str]) -> dict[str, dict[str, int]] | None:
        images: Counter[tuple[int, int]] = Counter()
        for pair, count in processes.gather(list(self.named.items())):
            images[pair] += count
        confusion: dict[str, dict[str, int]] = {}
        for (label, best), count in sorted(images.items()):
            confusion.setdefault(names[label], {})[names[best]] = count
        return confusion or None

    def _baseline(self, name: str) -> dict[str, float | None]:
        found: dict[str, float | None] = dict.fromkeys((*BOXES, *MASKS))
        for metric in (self.boxes[name], self.pixels[name]):
            if _any(metric):
                found |= metric.compute()
        found.pop("BestThreshold", None)
        return found | self._mean_iou(name)

    def _mean_iou(self, name: str) -> dict[str, float | None]:
        return {"MeanIoU": self.pixels[name].mean_iou()}

    def _without_unknown(self, scores: dict[str, Any]) -> dict[str, Any]:
        """The figures with None for those that hang on ranks nobody knows, or that few classes make meaningless."""
        unknown = {name for name in scores if "Top5" in name and self.classes <= 5}
        if not self.classified:
            unknown |= {name for name in scores if "Top" in name}
            if scores["Errors"]:
                scores["Errors"] |= {"WrongClass": None}
        for part in (scores, *(scores[name] for name in BASELINES), *scores["PerClass"].values()):
            part |= dict.fromkeys(unknown & set(part))
        scores["Interval95"] = {name: ends for name, ends in scores["Interval95"].items() if name not in unknown}
        return scores


def _any(metric: Counts | MeanPrecision) -> bool:
    with metric.sync_context():
        return len(metric.scores) > 0 if isinstance(metric, MeanPrecision) else bool(metric.images.any())


def _curves(metric: BoxAccuracy, step: int = 10) -> dict[str, list[float]]:
    curves = metric.curves()
    shown = {f"IoU{iou}": line[::step].round(2).tolist() for iou, line in zip(IOUS, curves.single, strict=True)}
    return {"threshold": curves.thresholds[::step].round(2).tolist(), **shown}


def _filled(boxes: Float[np.ndarray, "1 4"]) -> Float[np.ndarray, "S S"]:
    x0, y0, x1, y1 = boxes[0].round().astype(int)
    heatmap = np.zeros((SIZE, SIZE))
    heatmap[y0:y1, x0:x1] = 1
    return heatmap
