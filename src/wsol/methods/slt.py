"""SLT-Net's localizer: strengthen learning tolerance (Guo et al., CVPR 2021)."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from wsol.errors import WsolError
from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import best_mean, choose, flip_some, min_max, pick_class, resize
from wsol.nn.ranges import in_range
from wsol.nn.views import without_statistics


class SLTNet(Method):
    """A localizer that may confuse similar classes, and whose maps follow the photo when that is changed.

    Guo et al., CVPR 2021, https://doi.org/10.1109/CVPR46437.2021.00732. Algorithm, g a random jitter, flip and scale
    and g' its inverse on maps::

        A = backbone and head(x);  z = GAP(A);  w = alpha if y is among the K best of z, else 1
        L = w CE(z, y) + beta mean (A - g'(A of g(x)))^2;  map = mean of the K best class maps

    The paper's other two networks are runs of their own, a regressor of this one's boxes and a classifier::

        wsol train sltnet PHOTOS --output runs/localizer
        wsol locate runs/localizer PHOTOS --threshold 0.2 --format json --output boxes
        wsol train regressor PHOTOS --pseudo-boxes boxes/results.jsonl --output runs/regressor
        wsol train cam PHOTOS --output runs/classifier
        wsol evaluate runs/localizer PHOTOS --classes-from runs/classifier --boxes-from runs/regressor

    boundary: where the localizer ends (InceptionV3: Mixed_6e).
    alpha: weight of the cross-entropy once the class is among the K best (CUB: 0.4, ILSVRC: 0.2).
    best: K, how many classes count as the best, at most all (CUB: 30, ILSVRC: 100).
    beta: weight of the consistency of maps; at 0 no changed photo is run.
    head_depth: 3x3 convolutions of the head.
    head_width: channels of those convolutions.

    Readings of the paper:
    vst_maps: maps are compared "raw", or each scaled by its "minmax".
    jitter: largest change of brightness, contrast, saturation and hue.
    flip: probability of a mirror image.
    scales: smallest and largest scale, one drawn for each batch, the side rounded to a multiple of 32.

    At test:
    averaged: the heatmap is the mean over that many of the best classes, whatever class is asked, 0 for K; 1 gives the
        map of the class itself.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundary: str | int = -1,
        alpha: float = 0.4,
        best: int = 30,
        beta: float = 10.0,
        vst_maps: Literal["raw", "minmax"] = "raw",
        jitter: tuple[float, ...] = (0.4, 0.4, 0.4, 0.1),
        flip: float = 0.5,
        scales: tuple[float, ...] = (0.75, 1.25),
        head_depth: int = 1,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        in_range(0, 1, alpha=alpha, flip=flip)
        in_range(0, beta=beta)
        in_range(1, best=best)
        if len(jitter) != 4 or len(scales) != 2:
            raise ValueError("jitter takes four numbers, scales two")
        in_range(0, scales=scales[0])
        in_range(scales[0], scales=scales[1])
        self.backbone = backbone.cut(boundary)
        self.head = Head(self.backbone.channels(-1), classes, head_depth, head_width)
        self.alpha, self.best, self.beta, self.vst_maps = alpha, min(best, classes), beta, vst_maps
        self.jitter, self.flip, self.scales = v2.ColorJitter(*jitter), flip, scales

    def loss(self, images: Images, labels: Labels) -> Terms:
        classes = pick_class(labels)
        logits, class_maps = self.head(self.backbone(images))
        other_maps = self.maps_of_changed(images, class_maps) if self.beta else class_maps
        return {
            "classification": cross_entropy(logits, labels, self.tolerance(logits, classes)),
            "consistency": self.beta * self.difference(other_maps, class_maps),
        }

    def tolerance(self, logits: Float[Tensor, "b k"], classes: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Alpha where fewer than K classes score more than the photo's own, else 1."""
        above = (logits > logits.gather(1, classes[:, None])).sum(1)
        return torch.where(above < self.best, self.alpha, 1.0)

    def maps_of_changed(self, images: Images, class_maps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Class maps of jittered, flipped and scaled photos, flipped and scaled back."""
        changed, flipped = self.changed(images)
        _, maps = self.head(without_statistics(self.backbone)(changed))
        return resize(flip_some(maps, flipped), (class_maps.shape[-2], class_maps.shape[-1]))

    def changed(self, images: Images) -> tuple[Float[Tensor, "b 3 H2 W2"], Bool[Tensor, " b"]]:
        """Each photo jittered and perhaps mirrored, all at another size; and which are mirrored."""
        low, high = self.scales
        side = max(32, 32 * round(images.shape[-1] * (low + (high - low) * torch.rand(()).item()) / 32))
        jittered = torch.stack([self.jitter(image) for image in images])
        flipped = torch.rand(len(images)).to(images.device) < self.flip
        return resize(flip_some(jittered, flipped), (side, side)), flipped

    def difference(self, one: Float[Tensor, "b k h w"], other: Float[Tensor, "b k h w"]) -> Float[Tensor, ""]:
        scaled = min_max if self.vst_maps == "minmax" else Tensor.float
        return functional.mse_loss(scaled(one), scaled(other))

    def predict(self, images: Images) -> Prediction:
        logits, class_maps = self.head(self.backbone(images))
        return Prediction(logits, {"class_maps": class_maps})

    def heatmaps(
        self, prediction: Prediction, classes: Int[Tensor, "b n"], *, averaged: int = 0
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError for more classes averaged than there are."""
        class_maps, known = prediction.evidence["class_maps"], prediction.logits.shape[1]
        if averaged == 1:
            return choose(class_maps, classes)
        if not 0 <= averaged <= known:
            raise WsolError(f"averaged {averaged}: there are {known} classes; give 1 to {known}, or 0 for the K best")
        best = best_mean(class_maps, prediction.logits, averaged or self.best)
        return best[:, None].expand(-1, classes.shape[1], -1, -1)
