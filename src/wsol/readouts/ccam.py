"""CCAM: combinational class activation maps (Yang et al., WACV 2020)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsol.errors import WsolError
from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import Falling, rank_weights
from wsol.nn.written import is_written
from wsol.readouts.contract import Readout

CHUNK = 16  # classes whose heatmaps are in memory at once


@dataclass(frozen=True)
class CCAM(Readout):
    """All classes' heatmaps weighted by the rank of their score: improbable classes subtract the background they share.

    https://arxiv.org/abs/1910.05518, r the rank of a class by its score, 1 for the most probable::

        map = sum_r w_r map_r,   "quadratic":  w = u^2 with u falling from 1 to 0 over the `best` classes,
                                               w = -u^2 with u falling from 0 to -1 over the others
                                 "linear":     w falls from 1 to -1 over all classes
                                 "difference": the first class less the last
                                 "top":        the first class alone

    The map is the same for all classes asked. The maps combined are the method's own.

    best: classes with a positive weight in the quadratic form, 0 for half of them (paper, CUB: 100 of 200).
    form: how weights fall from the most to the least probable class.
    """

    about = "all classes' heatmaps weighted by the rank of their score"
    best: int = 0
    form: Falling = "quadratic"

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError where heatmaps do not differ by class, and for more best classes than there are."""
        ranked = prediction.logits.argsort(1, descending=True)
        extremes = method.heatmaps(prediction, ranked[:, [0, -1]])
        if not is_written() and alike(extremes):
            raise WsolError(
                f"the heatmaps of {type(method).__name__} do not differ by class, so ccam cannot combine them; "
                f"use another read-out"
            )
        combined = torch.zeros_like(extremes[:, :1])
        weights = self.weights(ranked.shape[1]).to(extremes)
        for some, weight in zip(ranked.split(CHUNK, 1), weights.split(CHUNK), strict=True):
            combined += (weight[:, None, None] * method.heatmaps(prediction, some)).sum(1, keepdim=True)
        return combined.expand(-1, classes.shape[1], -1, -1)

    def weights(self, classes: int) -> Float[Tensor, " k"]:
        """The weight of each rank, of the most probable class first."""
        best = self.best or (classes + 1) // 2
        if not 0 < best <= classes:
            raise WsolError(
                f"ccam: best is {best}, and there are {classes} classes; give 1 to {classes}, or 0 for half"
            )
        return rank_weights(classes, best, self.form)


def alike(heatmaps: Float[Tensor, "b 2 h w"]) -> bool:
    """Whether two classes have one map, which says something."""
    return torch.equal(heatmaps[:, 0], heatmaps[:, 1]) and bool((heatmaps != heatmaps[..., :1, :1]).any())
