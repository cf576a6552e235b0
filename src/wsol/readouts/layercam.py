"""LayerCAM (Jiang et al., TIP 2021)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from wsol.readouts.features import Features, GradientReadout


@dataclass(frozen=True)
class LayerCAM(GradientReadout):
    """Features weighted position by position by their positive gradients, which suits shallow boundaries too.

    https://doi.org/10.1109/TIP.2021.3089943, for features A and the logit y_c::

        map_c = relu(sum_k relu(dy_c / dA_k) * A_k)

    The paper's fusion of several layers is not included.

    boundary: where features are read, by name or index.
    """

    about = "features weighted position by position by their positive gradients"
    boundary: str | int = -1

    def heatmap(self, features: Features, gradient: Features) -> Float[Tensor, "b h w"]:
        return (gradient.relu() * features).sum(1).relu()
