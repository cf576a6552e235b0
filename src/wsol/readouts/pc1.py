"""PC1: the first principal component of the features (CAM Back Again, Yasuki and Taki, CVPR 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import min_max
from wsol.nn.written import is_written
from wsol.readouts.contract import Readout
from wsol.readouts.features import features_at

SQUARINGS = 16  # leave of another component its ratio to the first, to the power of 65536


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
    agnostic = True
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
        return (centred.mT @ strongest(centred @ centred.mT)[..., None])[..., 0]
    return strongest(centred.mT @ centred)


def strongest(scatter: Float[Tensor, "b s s"]) -> Float[Tensor, "b s"]:
    """The eigenvector of the largest eigenvalue, up to its factor."""
    if not is_written():
        return torch.linalg.eigh(scatter).eigenvectors[..., -1]
    for _ in range(SQUARINGS):  # a graph has no eigenvectors; the square of a matrix has the same, further apart
        scatter = scatter / scatter.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].clamp(min=1e-30)
        scatter = scatter @ scatter
    column = scatter.diagonal(dim1=1, dim2=2).argmax(1)[:, None, None].expand(-1, scatter.shape[1], 1)
    vector = scatter.gather(2, column)[..., 0]
    return vector / vector.norm(dim=1, keepdim=True).clamp(min=1e-30)


def frame_share(heatmaps: Float[Tensor, "b h w"]) -> Float[Tensor, "b 1 1"]:
    """The share of the outermost cells that lie above the map's mean."""
    frame = torch.ones_like(heatmaps[0], dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    above = heatmaps > heatmaps.mean((1, 2), keepdim=True)
    return above[:, frame].float().mean(1)[:, None, None]
