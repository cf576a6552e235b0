"""How well masks are found: pixel average precision (PxAP) and the best pixel IoU (PIoU)."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric

from wsol.boxes import normalise, thresholds
from wsol.errors import WsolError
from wsol.metrics.protocols import SIZE


class PixelScore(NamedTuple):
    """What one image scores.

    inside, outside: pixels of the object and of the background in each bin of heatmap values.
    precision: PxAP of this image alone, in percent; None without a pixel of the object.
    """

    inside: Int[np.ndarray, " bins"]
    outside: Int[np.ndarray, " bins"]
    precision: float | None


class PixelPrecision(Metric):
    """PxAP of Choe et al., CVPR 2020, equal to their evaluator's to the last bit; PIoU on the same counts.

    Score one image, then count it: `metric.update(metric.score(heatmap, mask, ignore))`. States are
    whole-number histograms that add up, so N processes give what one gives, and memory does not grow with
    the images.

    interval: step between the thresholds tried.
    """

    full_state_update = False
    inside: Tensor
    outside: Tensor

    def __init__(self, interval: float = 0.001):
        super().__init__()
        # the last edges let the value 1 have a bin of its own, as in the evaluator
        self.edges = np.append(thresholds(interval), [1.0, 2.0, 3.0])
        for name in ("inside", "outside"):
            self.add_state(name, torch.zeros(len(self.edges) - 1, dtype=torch.int64), dist_reduce_fx="sum")

    def score(
        self,
        heatmap: Float[np.ndarray, "h w"],
        mask: Bool[np.ndarray, "H W"],
        ignore: Bool[np.ndarray, "H W"] | None = None,
    ) -> PixelScore:
        """Score a heatmap of the true class, any range.

        mask: true on the object; ignore: true where pixels do not count, unless they are the object's. Both
        in pixels of the original image.
        """
        heatmap, small = normalise(heatmap, (SIZE, SIZE)), _shrink(mask)
        background = ~small if ignore is None else ~(small | _shrink(ignore))
        inside, outside = (np.histogram(heatmap[where], self.edges)[0] for where in (small, background))
        return PixelScore(inside, outside, _average_precision(inside, outside))

    def update(self, score: PixelScore) -> None:
        """Count one image."""
        self.inside += torch.from_numpy(score.inside).to(self.device)
        self.outside += torch.from_numpy(score.outside).to(self.device)

    def compute(self) -> dict[str, float]:
        """PxAP and PIoU (IoU of all pixels together, at the threshold best for it), in percent.

        Raises WsolError when no pixel of any object was counted.
        """
        inside, outside = self.inside.cpu().numpy(), self.outside.cpu().numpy()
        precision = _average_precision(inside, outside)
        if precision is None:
            raise WsolError("no pixel of an object was scored; evaluate a split that has masks")
        found, wrong = _at_least(inside), _at_least(outside)
        return {"PxAP": precision, "PIoU": float((found / (inside.sum() + wrong)).max() * 100)}


def _average_precision(inside: Int[np.ndarray, " bins"], outside: Int[np.ndarray, " bins"]) -> float | None:
    """Area under precision and recall in percent: sum of P_i (R_i - R_{i-1}), from high thresholds to low."""
    if inside.sum() == 0:
        return None
    found, wrong = _at_least(inside), _at_least(outside)
    some = found + wrong > 0
    precision = np.divide(found, found + wrong, out=np.zeros(len(found)), where=some)
    recall = found / inside.sum()
    return float((precision[1:] * np.diff(recall))[some[1:]].sum() * 100)


def _at_least(histogram: Int[np.ndarray, " bins"]) -> Int[np.ndarray, " bins"]:
    """Pixels at or above each threshold, from the highest threshold to the lowest."""
    return histogram[::-1].cumsum()


def _shrink(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "S S"]:
    """A mask on the 224 x 224 grid, by nearest pixel."""
    return cv2.resize(mask.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) > 0.5
