"""How well boxes are found: MaxBoxAcc, MaxBoxAccV2 and the Top-k localization scores."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from wsol.boxes import box_iou, check_threshold, normalise, scale_boxes, sweep, thresholds
from wsol.errors import WsolError
from wsol.metrics.protocols import IOUS, SIZE


class BoxScore(NamedTuple):
    """What one image scores: its best IoU with any true box.

    single, every: (t,) at each threshold, for the largest contour's box and for all contours' boxes.
    iou: for the largest contour's box at the metric's fixed threshold.
    """

    single: Float[np.ndarray, " t"]
    every: Float[np.ndarray, " t"]
    iou: float


class BoxCurves(NamedTuple):
    """Share of images found, in percent, at each threshold (t,) for each IoU of 30, 50 and 70 (3, t)."""

    thresholds: Float[np.ndarray, " t"]
    single: Float[np.ndarray, "3 t"]
    every: Float[np.ndarray, "3 t"]


class BoxAccuracy(Metric):
    """Box accuracy of Choe et al., CVPR 2020, equal to their evaluator's to the last bit.

    Score one image, then count it: `metric.update(metric.score(heatmap, boxes, image.size), rank)`. The score
    also tells the best images from the worst. States are whole-number counts that add up, so N processes give
    what one gives, and memory does not grow with the images.

    interval: step between the thresholds tried.
    threshold: the fixed one in [0, 1], for GTKnownLoc, Top1Loc and Top5Loc; it need not be among those tried.
    Raises WsolError when it is outside [0, 1].
    """

    full_state_update = False
    single: Tensor
    every: Tensor
    top1: Tensor
    top5: Tensor
    fixed: Tensor
    images: Tensor

    def __init__(self, interval: float = 0.001, threshold: float = 0.2):
        check_threshold(threshold)
        super().__init__()
        self.thresholds, self.threshold = thresholds(interval), threshold
        steps = len(self.thresholds)
        shapes = {
            "single": (3, steps),
            "every": (3, steps),
            "top1": steps,
            "top5": steps,
            "fixed": 3,
            "images": (),
        }
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def score(
        self,
        heatmap: Float[np.ndarray, "h w"],
        true_boxes: Float[np.ndarray, "n 4"],
        image_size: tuple[int, int],
    ) -> BoxScore:
        """Score a heatmap of the true class, any range.

        true_boxes: x0 y0 x1 y1 in pixels of the original image; image_size: its (W, H).
        Raises WsolError without true boxes: such an image cannot be scored, leave it out.
        """
        tried = np.append(self.thresholds, self.threshold)
        truth = _draw(true_boxes, image_size)
        single, every = sweep(normalise(heatmap, (SIZE, SIZE)), truth, tried)
        return BoxScore(single[:-1], every[:-1], float(single[-1]))

    def score_box(
        self, box: Float[np.ndarray, "1 4"], true_boxes: Float[np.ndarray, "n 4"], image_size: tuple[int, int]
    ) -> BoxScore:
        """Score a box that no threshold made (a regressed one, a baseline): the same at every threshold.

        box: in pixels of the original image, cut down to whole pixels at 224 x 224 as true boxes are.
        Raises WsolError without true boxes.
        """
        iou = box_iou(_draw(box, image_size), _draw(true_boxes, image_size)).max()
        same = np.full(len(self.thresholds), iou)
        return BoxScore(same, same, float(iou))

    def update(self, score: BoxScore, rank: int) -> None:
        """Count one image. rank: how many classes the network puts before the true one, as by `ranks`."""
        hits = np.array(IOUS)[:, None] / 100
        single, every = self._tensor(score.single >= hits), self._tensor(score.every >= hits)
        self.single += single
        self.every += every
        self.top1 += single[1] * (rank < 1)
        self.top5 += single[1] * (rank < 5)
        self.fixed += self._tensor((score.iou >= 0.5) & np.array([True, rank < 1, rank < 5]))
        self.images += 1

    def compute(self) -> dict[str, float]:
        """Percentages of images found by the largest contour's box (MaxBoxAccV2: by any), and a threshold.

        MaxBoxAcc30, 50, 70: with that IoU, at the threshold best for it. MaxBoxAcc: the same as MaxBoxAcc50.
        MaxBoxAccV2: mean over the three IoUs of any contour's box, each at its own best threshold.
        GTKnownLoc: with IoU 50 at the fixed threshold.
        Top1Loc, Top5Loc: the same, and the true class is among the k best (with up to five classes always so).
        MaxTop1Loc, MaxTop5Loc: these at the threshold best for each.
        BestThreshold: where MaxBoxAcc is reached; of several the middle one, as the first stands on the edge
        of a plateau, where other images would score less.

        Raises WsolError when no image was counted.
        """
        curves = self._curves()
        single, every = curves.single.max(1), curves.every.max(1)
        found, top1, top5 = self._percent(self.fixed)
        best = np.flatnonzero(curves.single[1] == single[1])
        scores = {
            "MaxBoxAcc": single[1],
            "MaxBoxAcc30": single[0],
            "MaxBoxAcc50": single[1],
            "MaxBoxAcc70": single[2],
            "MaxBoxAccV2": np.average(every),
            "GTKnownLoc": found,
            "Top1Loc": top1,
            "Top5Loc": top5,
            "MaxTop1Loc": self._percent(self.top1).max(),
            "MaxTop5Loc": self._percent(self.top5).max(),
            "BestThreshold": curves.thresholds[best[len(best) // 2]],
        }
        return {name: float(value) for name, value in scores.items()}

    def curves(self) -> BoxCurves:
        """Accuracy at every threshold, over all processes. Raises WsolError when no image was counted."""
        with self.sync_context():
            return self._curves()

    def _curves(self) -> BoxCurves:
        return BoxCurves(self.thresholds, self._percent(self.single), self._percent(self.every))

    def _percent(self, counts: Tensor) -> np.ndarray:
        if self.images == 0:
            raise WsolError("no image with true boxes was scored; evaluate a split that has boxes")
        # this order: the other differs in the last bit for some counts
        return counts.cpu().numpy() * 100.0 / float(self.images)

    def _tensor(self, hits: np.ndarray) -> Tensor:
        return torch.from_numpy(hits).to(self.device)


def _draw(boxes: Float[np.ndarray, "n 4"], image_size: tuple[int, int]) -> Float[np.ndarray, "n 4"]:
    """Boxes of the original image on the 224 x 224 grid."""
    if len(boxes) == 0:
        raise WsolError("an image without true boxes cannot be scored; leave it out")
    return scale_boxes(boxes, image_size, (SIZE, SIZE), whole=True)
