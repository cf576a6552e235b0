"""A read-out that looks at nothing but how bright a place is."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Images, Method, Prediction
from wsol.readouts.contract import Readout


@dataclass(frozen=True)
class Brightness(Readout):
    """The mean of the colours, to a power.

    power: above 1 for fewer places.
    """

    about = "how bright a place is"
    power: float = 1.0

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        return (images.mean(1, keepdim=True) ** self.power).expand(-1, classes.shape[1], -1, -1)
