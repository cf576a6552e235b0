"""Gradient saliency (Simonyan et al., 2013)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from wsol.readouts.features import Features, GradientReadout


@dataclass(frozen=True)
class Saliency(GradientReadout):
    """How much the class's score changes with each pixel.

    https://arxiv.org/abs/1312.6034, section 3.1, for the image I and the logit y_c::

        map_c = max over colours of |dy_c / dI|

    The map is as large as the image. I is the photo in [0, 1], not the normalised input; the difference is one factor
    a colour. The paper segments the photo from this map; here boxes are cut from the map itself.
    """

    about = "gradient of the score with respect to pixels"
    boundary = None

    def heatmap(self, features: Features, gradient: Features) -> Float[Tensor, "b h w"]:
        return gradient.abs().amax(1)
