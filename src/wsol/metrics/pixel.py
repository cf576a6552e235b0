"""How well masks are found: pixel average precision (PxAP), the best pixel IoU (PIoU), and its mean over classes."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from wsol.boxes.rule import thresholds
from wsol.metrics.counts import Counts, Figures, Sums
from wsol.metrics.protocols import CLOVA, Protocol


class PixelScore(NamedTuple):
    """What one image scores.

    inside, outside: pixels of the object and of the background in each bin of heatmap values.
    precision: PxAP of this image alone, in percent; None without a pixel of the object.
    """

    inside: Int[np.ndarray, " bins"]
    outside: Int[np.ndarray, " bins"]
    precision: float | None


class PixelPrecision(Counts):
    """PxAP of Choe et al., CVPR 2020, equal to their evaluator's to the last bit; PIoU on the same counts.

    Score one image, then count it: `metric.update(metric.score(heatmap, mask, ignore))`.

    interval: step between the thresholds tried. classes, replicates, occurring: see `Counts`. Pixels of all images are
    pooled, whatever the protocol averages over.
    """

    needs = "a mask"

    def __init__(
        self,
        interval: float = 0.001,
        protocol: Protocol = CLOVA,
        classes: int = 1,
        replicates: int = 0,
        occurring: Collection[int] | None = None,
    ):
        # the last edges let the value 1 have a bin of its own, as in the evaluator
        edges = np.append(thresholds(interval), [1.0, 2.0, 3.0])
        bins = (len(edges) - 1,)
        super().__init__(classes, replicates, occurring=occurring, inside=bins, outside=bins)
        self.edges, self.interval, self.protocol = edges, interval, protocol

    def score(
        self,
        heatmap: Float[np.ndarray, "S S"],
        mask: Bool[np.ndarray, "H W"],
        ignore: Bool[np.ndarray, "H W"] | None = None,
    ) -> PixelScore:
        """Score the heatmap of the true class, normalised by the protocol.

        mask: true on the object; ignore: true where pixels do not count, unless they are the object's. Both
        in pixels of the original image.
        """
        small = self.protocol.mask(mask)
        background = ~small if ignore is None else ~(small | self.protocol.mask(ignore))
        bins = self._bins(heatmap)
        inside, outside = (np.bincount(bins[where], minlength=len(self.edges) - 1) for where in (small, background))
        return PixelScore(inside, outside, _average_precision(inside, outside))

    def update(self, score: PixelScore, label: int = 0, index: int = 0) -> None:
        """Count one image."""
        self.count(label, index, inside=score.inside, outside=score.outside)

    def figures(self, sums: Sums) -> Figures:
        """PxAP and PIoU (IoU of all pixels together, at the threshold best for it), in percent.

        None where there is no pixel of any object.
        """
        inside, outside = sums["inside"].sum(0), sums["outside"].sum(0)
        precision = _average_precision(inside, outside)
        if precision is None:
            return {"PxAP": None, "PIoU": None}
        found, wrong = _at_least(inside), _at_least(outside)
        return {"PxAP": precision, "PIoU": float((found / (inside.sum() + wrong)).max() * 100)}

    def mean_iou(self) -> float | None:
        """MeanIoU: IoU of all pixels of a class together, averaged over classes, at the one threshold best for that.

        In percent; each image counts pixels of its own class against the rest, and the rest is no class itself. None
        where there is no pixel of any object.
        """
        with self.sync_context():
            sums = self._sums()
        inside, outside = (sums[name][: len(self.rows)] for name in ("inside", "outside"))
        some = inside.any(1)
        if not some.any():
            return None
        found, wrong = (_at_least(each[some]) for each in (inside, outside))
        return float((found / (found[:, -1:] + wrong)).mean(0).max() * 100)

    def _bins(self, heatmap: Float[np.ndarray, "S S"]) -> Int[np.ndarray, "S S"]:
        """The bin of each value, as by `np.histogram` with these edges: nearly evenly spaced, so nearly a division."""
        bins = np.minimum((heatmap / self.interval).astype(np.int64), len(self.edges) - 3)
        bins -= heatmap < self.edges[bins]
        return bins + (heatmap >= self.edges[bins + 1])


def _average_precision(inside: Int[np.ndarray, " bins"], outside: Int[np.ndarray, " bins"]) -> float | None:
    """Area under precision and recall in percent: sum of P_i (R_i - R_{i-1}), from high thresholds to low."""
    if inside.sum() == 0:
        return None
    found, wrong = _at_least(inside), _at_least(outside)
    some = found + wrong > 0
    precision = np.divide(found, found + wrong, out=np.zeros(len(found)), where=some)
    recall = found / inside.sum()
    return float((precision[1:] * np.diff(recall))[some[1:]].sum() * 100)


def _at_least(histogram: Int[np.ndarray, "*rows bins"]) -> Int[np.ndarray, "*rows bins"]:
    """Pixels at or above each threshold, from the highest threshold to the lowest."""
    return histogram[..., ::-1].cumsum(-1)
