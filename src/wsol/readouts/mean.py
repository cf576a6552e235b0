"""The mean over the channels of the features: what every trained network is compared with before it is trained."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import channel_mean
from wsol.readouts.contract import Readout
from wsol.readouts.features import features_at


@dataclass(frozen=True)
class Mean(Readout):
    """The mean over the channels of the features; no class, no gradients. EIL erases where it is high.

    It needs no training: on ImageNet's features it is a baseline that a trained method must beat. The map is the same
    for all classes asked. See also https://doi.org/10.1109/CVPR42600.2020.00879, Algorithm 1.

    boundary: where features are read, by name or index.
    """

    about = "mean over the channels of the features"
    agnostic = True
    boundary: str | int = -1

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        heatmaps = channel_mean(features_at(method, images, self.boundary)[0])
        return heatmaps[:, None].expand(-1, classes.shape[1], -1, -1)
