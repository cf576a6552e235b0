"""How well boxes are found: MaxBoxAcc, MaxBoxAccV2, the Top-k localization scores, and which errors are made."""

from collections.abc import Collection
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from wsol.boxes.rule import Threshold, check_threshold, thresholds
from wsol.metrics.counts import Counts, Figures, Sums
from wsol.metrics.protocols import CLOVA, Protocol

ErrorKind = Literal["Several", "Part", "More", "Elsewhere"]
ERRORS: tuple[ErrorKind, ...] = ("Several", "Part", "More", "Elsewhere")
BINS = 20  # of the histogram of IoU
MILLION = 10**6  # IoUs are summed as whole millionths, so that processes add up exactly


class BoxScore(NamedTuple):
    """What one image scores: its best IoU with any true box.

    single, every: (t,) at each threshold, for the largest component's box and for all contours' boxes.
    iou: for the one box at the metric's fixed threshold. error: what kind of error that box is, if it is one.
    """

    single: Float[np.ndarray, " t"]
    every: Float[np.ndarray, " t"]
    iou: float
    error: ErrorKind = "Elsewhere"


class BoxCurves(NamedTuple):
    """Share of images found, in percent, at each threshold (t,) for each IoU of 30, 50 and 70 (3, t)."""

    thresholds: Float[np.ndarray, " t"]
    single: Float[np.ndarray, "3 t"]
    every: Float[np.ndarray, "3 t"]


class BoxAccuracy(Counts):
    """Box accuracy of Choe et al., CVPR 2020, equal to their evaluator's to the last bit; or by another protocol.

    Score one image, then count it: `metric.update(metric.score(heatmap, boxes, image.size), rank)`. The score
    also tells the best images from the worst.

    interval: step between the thresholds tried.
    threshold: the fixed one in [0, 1], for GTKnownLoc, Top1Loc, Top5Loc and the errors, which need not be among those
    tried; or "auto", see `wsol.boxes.rule.cut`. classes, replicates, occurring: see `Counts`.
    Raises WsolError when the threshold is neither.
    """

    needs = "true boxes"

    def __init__(
        self,
        interval: float = 0.001,
        threshold: Threshold = 0.2,
        protocol: Protocol = CLOVA,
        classes: int = 1,
        replicates: int = 0,
        occurring: Collection[int] | None = None,
    ):
        check_threshold(threshold)
        tried = thresholds(interval)
        # at each threshold: single and every at IoU 30, 50 and 70, Top-1, Top-5. Kept as differences from threshold
        # to threshold, which are nearly all 0
        shapes = {"changes": (8, len(tried)), "fixed": (3,), "missed": (1 + len(ERRORS),)}
        shapes |= {"overlap": (1,), "spread": (BINS,)}
        super().__init__(classes, replicates, protocol.over_classes, occurring, **shapes)
        self.tried, self.protocol = tried, protocol
        self.threshold: Threshold = threshold

    def score(
        self,
        heatmap: Float[np.ndarray, "S S"],
        true_boxes: Float[np.ndarray, "n 4"],
        image_size: tuple[int, int],
    ) -> BoxScore:
        """Score the heatmap of the true class, normalised by the protocol.

        true_boxes: x0 y0 x1 y1 in pixels of the original image; image_size: its (W, H).
        Raises WsolError without true boxes: such an image cannot be scored, leave it out.
        """
        truth = self.protocol.boxes(true_boxes, image_size)
        box = self.protocol.box(heatmap, self.threshold)
        single, every = self.protocol.sweep(heatmap, truth, self.tried)
        return BoxScore(single, every, self.protocol.iou(box, truth), kind_of_error(box[0], truth))

    def score_box(
        self, box: Float[np.ndarray, "1 4"], true_boxes: Float[np.ndarray, "n 4"], image_size: tuple[int, int]
    ) -> BoxScore:
        """Score a box that no threshold made (a regressed one, a baseline): the same at every threshold.

        box: in pixels of the original image, brought to the grid as true boxes are.
        Raises WsolError without true boxes.
        """
        return self.score_drawn(self.protocol.boxes(box, image_size), true_boxes, image_size)

    def score_drawn(
        self, drawn: Float[np.ndarray, "1 4"], true_boxes: Float[np.ndarray, "n 4"], image_size: tuple[int, int]
    ) -> BoxScore:
        """`score_box` of a box that is on the grid already. Raises WsolError without true boxes."""
        truth = self.protocol.boxes(true_boxes, image_size)
        iou = self.protocol.iou(drawn, truth)
        same = np.full(len(self.tried), iou)
        return BoxScore(same, same, iou, kind_of_error(drawn[0], truth))

    def update(self, score: BoxScore, rank: int, label: int = 0, index: int = 0) -> None:
        """Count one image. rank: how many classes the network puts before the true one, as by `ranks`."""
        single, every = self.protocol.hits(score.single), self.protocol.hits(score.every)
        hits = np.concatenate([single, every, single[1:2] & (rank < 1), single[1:2] & (rank < 5)]).astype(int)
        hit = bool(self.protocol.hits(np.array(score.iou))[1])
        wrong = [rank > 0, *(rank < 1 and not hit and score.error == kind for kind in ERRORS)]
        changes, fixed = np.diff(hits, prepend=0), [hit, hit and rank < 1, hit and rank < 5]
        overlap, spread = round(score.iou * MILLION), np.arange(BINS) == min(int(score.iou * BINS), BINS - 1)
        self.count(label, index, changes=changes, fixed=fixed, missed=wrong, overlap=overlap, spread=spread)

    def figures(self, sums: Sums) -> Figures:
        """Percentages of images found by the largest component's box (MaxBoxAccV2: by any), and a threshold.

        MaxBoxAcc30, 50, 70: with that IoU, at the threshold best for it. MaxBoxAcc: the same as MaxBoxAcc50.
        MaxBoxAccV2: mean over the three IoUs of any contour's box, each at its own best threshold.
        GTKnownLoc: with IoU 50 at the fixed threshold.
        MeanBoxIoU: mean IoU of the one box at the fixed threshold, to a millionth an image.
        Top1Loc, Top5Loc: the same, and the true class is among the k best (with up to five classes always so).
        MaxTop1Loc, MaxTop5Loc: these at the threshold best for each.
        BestThreshold: where MaxBoxAcc is reached; of several the middle one, as the first stands on the edge
        of a plateau, where other images would score less.
        """
        curves = _percent(sums["changes"].cumsum(-1), sums["images"])
        single30, single50, single70, every30, every50, every70, top1, top5 = curves.max(1).tolist()
        fixed = _percent(sums["fixed"], sums["images"]).tolist()
        best = np.flatnonzero(curves[1] == single50)
        return {
            "MaxBoxAcc": single50,
            "MaxBoxAcc30": single30,
            "MaxBoxAcc50": single50,
            "MaxBoxAcc70": single70,
            "MaxBoxAccV2": float(np.average([every30, every50, every70])),
            **dict(zip(("GTKnownLoc", "Top1Loc", "Top5Loc"), fixed, strict=True)),
            "MeanBoxIoU": _percent(sums["overlap"], sums["images"]).item() / MILLION,
            "MaxTop1Loc": top1,
            "MaxTop5Loc": top5,
            "BestThreshold": float(self.tried[best[len(best) // 2]]),
        }

    def curves(self) -> BoxCurves:
        """Accuracy at every threshold, over all processes. Raises WsolError when no image was counted."""
        with self.sync_context():
            sums = self._whole(self._sums())
        curves = _percent(sums["changes"].cumsum(-1), sums["images"])
        return BoxCurves(self.tried, curves[:3], curves[3:6])

    def errors(self) -> dict[str, float]:
        """Percentages of images at the fixed threshold: WrongClass, then those of the right class whose box is wrong.

        The kinds are those of `kind_of_error`; with Top1Loc they make 100. Raises WsolError when no image was counted.
        """
        with self.sync_context():
            sums = self._whole(self._sums())
        return dict(zip(("WrongClass", *ERRORS), _percent(sums["missed"], sums["images"]).tolist(), strict=True))

    def histogram(self) -> list[float]:
        """Percentages of images whose box at the fixed threshold has an IoU from i/20 up to (i + 1)/20.

        Raises WsolError when no image was counted.
        """
        with self.sync_context():
            sums = self._whole(self._sums())
        return _percent(sums["spread"], sums["images"]).tolist()


def kind_of_error(box: Float[np.ndarray, " 4"], true_boxes: Float[np.ndarray, "m 4"]) -> ErrorKind:
    """What is wrong with a box whose IoU is too small (Zhang et al., "Rethinking Localization Map", 2020; TS-CAM).

    Several: it covers more than 30 % of each of two or more true boxes. Part: more than half of it lies on one object.
    More: it covers more than 70 % of an object. Elsewhere: none of these. The first that holds is the answer.
    """
    low, high = np.maximum(box[:2], true_boxes[:, :2]), np.minimum(box[2:], true_boxes[:, 2:])
    shared = np.maximum(high - low + 1, 0).prod(1)
    of_object = shared / (true_boxes[:, 2:] - true_boxes[:, :2] + 1).prod(1)
    if (of_object > 0.3).sum() > 1:
        return "Several"
    if shared.max() > 0.5 * (box[2:] - box[:2] + 1).prod():
        return "Part"
    return "More" if of_object.max() > 0.7 else "Elsewhere"


def _percent(counts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Averaged over the rows."""
    # this order: the other differs in the last bit for some counts
    return (counts * 100.0 / images.reshape(-1, *(1,) * (counts.ndim - 1))).mean(0)
