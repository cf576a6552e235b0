"""BAS: background activation suppression (Wu et al., CVPR 2022)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.errors import WsolError
from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head, xavier
from wsol.nn.losses import risen
from wsol.nn.maps import choose, pick_class
from wsol.nn.ranges import in_range
from wsol.nn.views import frozen
from wsol.nn.written import is_written


@dataclass
class Streams:
    """What one training pass computes: features at the boundary, logits, class maps, and the true class's mask."""

    features: Float[Tensor, "b c h w"]
    logits: Float[Tensor, "b k"]
    class_maps: Float[Tensor, "b k h2 w2"]
    classes: Int[Tensor, " b"]
    mask: Float[Tensor, "b 1 h w"]

    def scores(self, mask: Float[Tensor, "b 1 h w"], detach: bool = False) -> Float[Tensor, "b k"]:
        """Logits of the class maps, with or without gradient into them, under a mask brought to their size."""
        class_maps = self.class_maps.detach() if detach else self.class_maps
        height, width = class_maps.shape[-2:]
        return (class_maps * functional.adaptive_avg_pool2d(mask, (height, width))).mean((2, 3))


class BAS(Method):
    """A separate localizer learns masks: what they leave to the background must not name the class, and they be small.

    Wu et al., CVPR 2022, https://doi.org/10.1109/CVPR52688.2022.01385. Algorithm, for label y; the suffix f2 (rest of
    the backbone and class head) is frozen in the last pass::

        F = f1(x);  A = f2(F);  z = GAP(A);  M = sigmoid(conv3x3(F))_y
        L_cls = CE(z, y);  L_frg = CE(GAP(A * pool(M)), y);  L_ac = mean M
        L_bas = relu(frozen_f2(sg(F) * (1 - M))_y) / sg(relu(z_y)), and 1 without gradient where that exceeds 1
        L = L_cls + alpha L_frg + L_bas + beta L_ac;  map_c = M_c

    Where a photo holds several classes, y is one of them, drawn at random; L_cls alone asks for all.

    boundary: where the localizer reads and the suffix begins.
    foreground_weight: alpha, weight of L_frg (MobileNetV1: 0.5).
    background_weight: of L_bas (paper: 1).
    area_weight: beta, weight of L_ac (MobileNetV1 on CUB: 1.9 in the extended code, 1.5 in the CVPR code).
    area_ramp: share of the training over which beta rises from 0 (not in the paper: 0). Short schedules need it: until
        the class is learnt nothing holds the mask against its area, and an empty mask never comes back.
    head_depth: 3x3 convolutions of the class head.
    head_width: channels of those convolutions.

    Readings of the paper:
    detach: the localizer reads features without gradient into the backbone (not in the paper).
    detach_maps: L_frg teaches the mask alone (extended code for VOC 2012).
    rectify: ReLU on the class maps (CVPR code; not in the extended one).
    init: of new layers: "kaiming" with small last layers, or "xavier" (uniform, biases zero), as in the extended code.
    mask_rate: the mask filters learn at the rate of the new "head", as in the code, or of the "backbone".

    At test:
    averaged: the mask is the mean over that many of the best classes, whatever class is asked (CUB: 80 of 200), 0 for
        all; 1 gives the mask of the class itself, and no other filter is evaluated.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundary: str | int = -2,
        foreground_weight: float = 0.5,
        background_weight: float = 1.0,
        area_weight: float = 1.5,
        area_ramp: float = 0.0,
        detach: bool = False,
        detach_maps: bool = False,
        rectify: bool = False,
        init: Literal["kaiming", "xavier"] = "kaiming",
        mask_rate: Literal["head", "backbone"] = "head",
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        backbone.need("re-entry", type(self).__name__)
        in_range(0, foreground_weight=foreground_weight, background_weight=background_weight, area_weight=area_weight)
        in_range(0, 1, area_ramp=area_ramp)
        self.backbone, self.boundary = backbone, backbone.boundary(boundary)
        self.head = Head(backbone.channels(-1), classes, head_depth, head_width, init=init, rectify=rectify)
        self.head_mask = nn.Conv2d(backbone.channels(self.boundary), classes, 3, padding=1)
        if init == "xavier":
            xavier(self.head_mask)
        self.foreground_weight, self.background_weight = foreground_weight, background_weight
        self.area_weight, self.area_ramp = area_weight, area_ramp
        self.detach, self.detach_maps, self.mask_rate = detach, detach_maps, mask_rate

    def loss(self, images: Images, labels: Labels, progress: float = 1.0) -> Terms:
        """progress: share of the training that is done, 0 to 1."""
        return self.suppression(self.streams(images, labels), labels, progress)

    def streams(self, images: Images, labels: Labels) -> Streams:
        features = self.backbone(images, until=self.boundary)
        logits, class_maps = self.head(self.backbone(features, after=self.boundary))
        classes = pick_class(labels)
        mask = self.masks(features.detach() if self.detach else features, classes[:, None])
        return Streams(features, logits, class_maps, classes, mask)

    def suppression(self, streams: Streams, labels: Labels, progress: float) -> Terms:
        foreground = streams.scores(streams.mask, self.detach_maps)
        return {
            "classification": cross_entropy(streams.logits, labels),
            "foreground": self.foreground_weight * cross_entropy(foreground, streams.classes),
            "background": self.background_weight * self.activation(streams).mean(),
            "area": risen(progress, self.area_ramp) * self.area_weight * streams.mask.mean(),
        }

    def activation(self, streams: Streams) -> Float[Tensor, " b"]:
        """The class's score on the background as a share of its score on the whole; gradient through the mask alone."""
        background = frozen(self.backbone)(streams.features.detach() * (1 - streams.mask), after=self.boundary)
        logits, _ = frozen(self.head)(background)
        left, whole = (
            scores.gather(1, streams.classes[:, None])[:, 0].float().relu() for scores in (logits, streams.logits)
        )
        share = left / (whole.detach() + 1e-8)
        return torch.where(left > whole, torch.ones_like(share), share)

    def masks(self, features: Float[Tensor, "b c h w"], classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        """The localizer's masks in [0, 1] of n classes an image; no other class's filter is evaluated."""
        if is_written():  # a graph has no groups that follow the batch: all filters run
            return choose(self.head_mask(features).sigmoid(), classes)
        b, c, h, w = features.shape
        weight, bias = self.head_mask.weight[classes].flatten(0, 1), self.head_mask.bias
        assert bias is not None
        stacked = features.reshape(1, b * c, h, w)
        masks = functional.conv2d(stacked, weight, bias[classes].flatten(), padding=1, groups=b)
        return masks.view(b, -1, h, w).sigmoid()

    def predict(self, images: Images) -> Prediction:
        features = self.backbone(images, until=self.boundary)
        logits, _ = self.head(self.backbone(features, after=self.boundary))
        return Prediction(logits, {"features": features})

    def heatmaps(
        self, prediction: Prediction, classes: Int[Tensor, "b n"], *, averaged: int = 1
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError for more classes averaged than there are."""
        features, known = prediction.evidence["features"], prediction.logits.shape[1]
        if averaged == 1:
            return self.masks(features, classes)
        if not 0 <= averaged <= known:
            raise WsolError(f"averaged {averaged}: there are {known} classes; give 1 to {known}, or 0 for all")
        best = prediction.logits.topk(averaged or known).indices
        return self.masks(features, best).mean(1, keepdim=True).expand(-1, classes.shape[1], -1, -1)

    def new_layers(self) -> list[nn.Module]:
        return [self.head, self.head_mask] if self.mask_rate == "head" else [self.head]
