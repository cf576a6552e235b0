"""PC1: the first principal component of the features (CAM Back Again, Yasuki and Taki, CVPR 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import min_max
from wsol.readouts.contract import Readout
from wsol.readouts.features import features_at


@dataclass(frozen=True)
class PC1(Readout):
    """The pattern that the channels of one photo's features share most; no class, no gradients.

    https://arxiv.org/abs/2403.06676, for features A (c, hw) of one photo, each channel a sample::

        map = the first right singular vector of A - mean over channels of A
        map = -map  where more than half of its frame lies above its mean

    The map is the same for all classes asked. A component has no sign: before the rule of the frame it is the one that
    goes with the mean over channels.

    boundary: where features are read, by name or index.
    scaled: each channel is scaled to [0, 1] first, as in the released code, which beforehand also multiplies it by the
        predicted class's weight (that turns over channels of negative weight; not included).
    """

    about = "first principal component of the features"
    boundary: str | int = -1
    scaled: bool = False

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        features = features_at(method, images, self.boundary)[0].float()
        if self.scaled:
            features = min_max(features)
        mean = features.mean(1)
        heatmaps = first_component(features.flatten(2)).view_as(mean)
        with_mean = (heatmaps * (mean - mean.mean((1, 2), keepdim=True))).sum((1, 2), keepdim=True)
        heatmaps = torch.where(with_mean < 0, -heatmaps, heatmaps)
        heatmaps = torch.where(frame_share(heatmaps) > 0.5, -heatmaps, heatmaps)
        return heatmaps[:, None].expand(-1, classes.shape[1], -1, -1)


def first_component(samples: Float[Tensor, "b c p"]) -> Float[Tensor, "b p"]:
    """The direction, up to its factor, along which c samples vary most; from the smaller of two scatter matrices."""
    centred = samples - samples.mean(1, keepdim=True)
    if samples.shape[1] < samples.shape[2]:
        combination = torch.linalg.eigh(centred @ centred.mT).eigenvectors[..., -1:]
        return (centred.mT @ combination)[..., 0]
    return torch.linalg.eigh(centred.mT @ centred).eigenvectors[..., -1]


def frame_share(heatmaps: Float[Tensor, "b h w"]) -> Float[Tensor, "b 1 1"]:
    """The share of the outermost cells that lie above the map's mean."""
    frame = torch.ones_like(heatmaps[0], dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    above = heatmaps > heatmaps.mean((1, 2), keepdim=True)
    return above[:, frame].float().mean(1)[:, None, None]
