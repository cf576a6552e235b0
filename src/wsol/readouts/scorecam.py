"""Score-CAM (Wang et al., CVPR workshops 2020)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsol.errors import WsolError
from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import choose, min_max, resize
from wsol.nn.written import is_written
from wsol.readouts.contract import Readout
from wsol.readouts.features import features_at


@dataclass(frozen=True)
class ScoreCAM(Readout):
    """Features weighted by the score of the photo that they mask; no gradients.

    https://arxiv.org/abs/1910.01279, algorithm 1, for the photo X, features A and f_c the score of class c::

        H_k = minmax(upsample(A_k));   C_k = f_c(X * H_k) - f_c(0);   map_c = relu(sum_k w_k A_k)
        softmax "channels":  f_c is the logit,  w = softmax over k of C (the black image's score cancels)
        softmax "classes":   f_c is the class's probability,  w = C

    The paper's text asks for a score after softmax, its algorithm takes the softmax over channels.

    It costs as many predictions an image as there are channels.

    boundary: where features are read, by name or index.
    channels: how many channels are tried, those that vary most over the map first; 0 for all.
    batch: masked photos in one prediction, but at least one of each photo.
    softmax: over "channels" or over "classes".
    """

    about = "features weighted by the score of the photo that they mask"
    boundary: str | int = -1
    channels: int = 0
    batch: int = 64
    softmax: Literal["channels", "classes"] = "channels"

    def __post_init__(self) -> None:
        if self.batch < 1 or self.channels < 0:
            raise WsolError(f"scorecam: batch {self.batch} must be at least 1, and channels {self.channels} at least 0")

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError where the method scores all classes alike: then no mask is better than another."""
        logits = prediction.logits
        if logits.shape[1] > 1 and not is_written() and (logits == logits[:, :1]).all():
            raise WsolError(
                f"{type(method).__name__} scores all classes alike; scorecam needs a method that classifies"
            )
        features, _ = features_at(method, images, self.boundary)
        if 0 < self.channels < features.shape[1]:
            features = choose(features, features.flatten(2).std(2, correction=0).topk(self.channels).indices)
        weights = self.weights(method, images, features, classes).mT.contiguous()
        # one by one the place of a class changes no bit of its map; a written file does not know how many there will be
        one_by_one = [weights] if is_written() else weights.split(1, 1)
        maps = torch.cat([weight @ features.flatten(2) for weight in one_by_one], 1)
        return maps.unflatten(-1, features.shape[-2:]).relu()

    @torch.no_grad()
    def weights(
        self, method: Method, images: Images, features: Float[Tensor, "b c h w"], classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b c n"]:
        scores = []
        for some in features.split(self.batch if is_written() else max(1, self.batch // images.shape[0]), 1):
            masks = min_max(resize(some, (images.shape[-2], images.shape[-1])))
            masked = (images[:, None] * masks[:, :, None]).flatten(0, 1)
            asked = classes[:, None].expand(-1, some.shape[1], -1).flatten(0, 1)
            scores.append(self.scores(method, masked, asked).unflatten(0, (-1, some.shape[1])))
        scores = torch.cat(scores, 1)
        if self.softmax == "channels":
            return scores.softmax(1)
        return scores - self.scores(method, torch.zeros_like(images), classes)[:, None]

    def scores(self, method: Method, images: Images, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        logits = method.predict(images).logits
        return (logits.softmax(1) if self.softmax == "classes" else logits).gather(1, classes)
