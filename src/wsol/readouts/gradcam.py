"""Grad-CAM (Selvaraju et al., ICCV 2017)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from wsol.readouts.features import Features, GradientReadout


@dataclass(frozen=True)
class GradCAM(GradientReadout):
    """Features weighted by the mean gradient of their channel.

    https://arxiv.org/abs/1610.02391, equations 1 and 2, for features A and the logit y_c::

        w_k = mean over positions of dy_c / dA_k;   map_c = relu(sum_k w_k A_k)

    boundary: where features are read, by name or index.
    """

    about = "features weighted by their mean gradients"
    boundary: str | int = -1

    def heatmap(self, features: Features, gradient: Features) -> Float[Tensor, "b h w"]:
        weights = gradient.mean((2, 3), keepdim=True)
        return (weights * features).sum(1).relu()
