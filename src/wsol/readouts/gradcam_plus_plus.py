"""Grad-CAM++ (Chattopadhay et al., WACV 2018)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from wsol.readouts.features import Features, GradientReadout


@dataclass(frozen=True)
class GradCAMPlusPlus(GradientReadout):
    """Grad-CAM whose positions count by how much they alone raise the score.

    https://arxiv.org/abs/1710.11063, for features A, the logit S_c, the score Y = exp(S_c) and g = dS_c / dA.
    Equation 19, p a position and q all of them::

        alpha_kp = Y''_kp / (2 Y''_kp + sum_q A_kq Y'''_kp),   Y' = Y g,  Y'' = Y g^2,  Y''' = Y g^3
                 = 1 / (2 + g_kp sum_q A_kq)
        w_k = sum_p alpha_kp relu(Y'_kp);   map_c = relu(sum_k w_k A_k)

    The derivatives are those of a network of ReLUs, whose S_c has no curvature. Y g^2 cancels, so that small gradients
    do not underflow. The factor Y of Y' is left out: it is the same for the whole map.

    boundary: where features are read, by name or index; best after a ReLU, where the denominator is at least 2.
    """

    about = "Grad-CAM whose positions count by how much they alone raise the score"
    boundary: str | int = -1

    def heatmap(self, features: Features, gradient: Features) -> Float[Tensor, "b h w"]:
        denominator = 2 + gradient * features.sum((2, 3), keepdim=True)
        alpha = (1 / denominator).masked_fill(denominator.abs() < 1e-6, 0)  # 0 only where features may be negative
        weights = (alpha * gradient.relu()).sum((2, 3), keepdim=True)
        return (weights * features).sum(1).relu()
