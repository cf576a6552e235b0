"""Whether the heatmap's peak lies on the part of the object that decides its class."""

from collections.abc import Collection

import numpy as np
from jaxtyping import Bool, Float

from wsol.metrics.counts import Counts, Figures, Sums
from wsol.metrics.protocols import CLOVA, Protocol

ONE = 2**32  # shares are counted in whole steps, so that their sum does not depend on the order


class PeakOnPart(Counts):
    """Share of the heatmap's peak that lies on the discriminative part: mean over images, in percent.

    The peak are the pixels above 0.8 of the maximum.
    """

    needs = "a part"

    def __init__(
        self,
        protocol: Protocol = CLOVA,
        classes: int = 1,
        replicates: int = 0,
        occurring: Collection[int] | None = None,
    ):
        super().__init__(classes, replicates, protocol.over_classes, occurring, share=())
        self.protocol = protocol

    def score(self, heatmap: Float[np.ndarray, "S S"], part: Bool[np.ndarray, "H W"]) -> float:
        """The share of one map's peak, normalised by the protocol. part: in pixels of the original image."""
        peak = heatmap > 0.8
        return float((peak & self.protocol.mask(part)).sum() / max(peak.sum(), 1))

    def update(self, share: float, label: int = 0, index: int = 0) -> None:
        """Count one image."""
        self.count(label, index, share=round(share * ONE))

    def figures(self, sums: Sums) -> Figures:
        """PeakOnPart of some rows of counts."""
        return {"PeakOnPart": float((sums["share"] / ONE * 100 / sums["images"]).mean())}
