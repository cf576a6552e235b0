"""SLT-Net: strengthen learning tolerance (Guo et al., CVPR 2021)."""

from copy import deepcopy
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from wsol.boxes import find_boxes, normalise
from wsol.heads import Head
from wsol.maps import best_mean, flip_some, pick_class, resize
from wsol.method import Backbone, Images, Labels, Method, Prediction, Reference, cross_entropy, register
from wsol.views import without_statistics


@register
class SLTNet(Method):
    """Three networks: a localizer allowed to confuse similar classes, a regressor of its boxes, and a classifier.

    Algorithm, g a random jitter, flip and scale and g' its inverse on maps::

        A = loc(x), z = GAP(A);  w = alpha if y is among the K best of z, else 1
        L_LOC = w CE(z, y) + beta mean (A - g'(loc(g(x))))^2
        box of the largest component of the mean of the K best class maps, above 0.2 of its maximum (no gradient)
        L_REG = sum smooth_l1(reg(x) - box / m);  L_CLS = CE(cls(x), y);  L = L_LOC + L_REG + L_CLS

    Boxes are the regressor's, scores the classifier's; the heatmap, the same for all classes, is the localizer's.

    alpha: weight of the localizer's cross-entropy once the class is among the K best (CUB: 0.4, ILSVRC: 0.2).
    best: K, at most the number of classes (CUB: 30, ILSVRC: 100).
    beta: weight of the consistency of maps.
    parts: "all", or the "localizer" alone, whose scores and boxes then count (the paper's ablations).
    box_threshold: share of the map's maximum at which boxes for the regressor are cut (paper: "top 20 % values").
    box_unit: the regressor counts in cells of the "grid" (m is the map's stride) or in shares of the "image".
    box_width: hidden units of the regressor.
    jitter: largest change of brightness, contrast, saturation and hue; this and the next two are not in the paper.
    flip: chance of a mirror image.
    scales: smallest and largest scale, one drawn for each batch, the side rounded to a multiple of 32.
    detach_target: no gradient into the maps of the unchanged photo.
    head_depth: 3x3 convolutions of the localizer's and the classifier's head.
    head_width: channels of those convolutions.
    """

    reference = Reference(
        "guo2021slt", "Strengthen Learning Tolerance for Weakly Supervised Object Localization", "CVPR", 2021
    )
    class_agnostic = True

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        alpha: float = 0.4,
        best: int = 30,
        beta: float = 10.0,
        parts: Literal["all", "localizer"] = "all",
        box_threshold: float = 0.2,
        box_unit: Literal["grid", "image"] = "grid",
        box_width: int = 512,
        jitter: tuple[float, ...] = (0.4, 0.4, 0.4, 0.1),
        flip: float = 0.5,
        scales: tuple[float, ...] = (0.75, 1.25),
        detach_target: bool = False,
        head_depth: int = 1,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        self.backbone, channels = backbone, backbone.channels(-1)
        self.head = Head(channels, classes, head_depth, head_width)
        if parts == "all":
            self.classifier_backbone, self.regressor_backbone = deepcopy(backbone), deepcopy(backbone)
            self.head_class = Head(channels, classes, head_depth, head_width)
            self.head_box = regressor(channels, box_width, 224 / backbone.stride(-1) if box_unit == "grid" else 1.0)
        self.alpha, self.best, self.beta, self.parts = alpha, min(best, classes), beta, parts
        self.box_threshold, self.box_unit = box_threshold, box_unit
        self.jitter, self.flip, self.scales = v2.ColorJitter(*jitter), flip, scales
        self.detach_target = detach_target

    def loss(self, images: Images, labels: Labels) -> dict[str, Tensor]:
        logits, class_maps = self.head(self.backbone(images))
        target = class_maps.detach() if self.detach_target else class_maps
        terms = {
            "localizer": cross_entropy(logits, labels, self.tolerance(logits, pick_class(labels))),
            "consistency": self.beta * functional.mse_loss(self.seen_otherwise(images, class_maps), target),
        }
        if self.parts == "localizer":
            return terms
        boxes = self.pseudo_boxes(best_mean(class_maps, logits, self.best), images.shape[-1])
        distance = functional.smooth_l1_loss(self.regressed(images), boxes / self.unit(images), reduction="none")
        class_logits, _ = self.head_class(self.classifier_backbone(images))
        return {"class": cross_entropy(class_logits, labels), **terms, "box": distance.sum(1).mean()}

    def tolerance(self, logits: Float[Tensor, "b k"], classes: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Alpha where the class is among the K best already, else 1."""
        known = (logits.detach().topk(self.best).indices == classes[:, None]).any(1)
        return torch.where(known, self.alpha, 1.0)

    def seen_otherwise(self, images: Images, class_maps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """The class maps of jittered, flipped and scaled photos, flipped and scaled back."""
        changed, flipped = self.transformed(images)
        _, maps = self.head(without_statistics(self.backbone)(changed))
        return resize(flip_some(maps, flipped), (class_maps.shape[-2], class_maps.shape[-1]))

    def transformed(self, images: Images) -> tuple[Float[Tensor, "b 3 H2 W2"], Bool[Tensor, " b"]]:
        """Each photo jittered and perhaps mirrored, all at another size; and which are mirrored."""
        low, high = self.scales
        side = max(32, 32 * round(images.shape[-1] * (low + (high - low) * torch.rand(()).item()) / 32))
        jittered = torch.stack([self.jitter(image) for image in images])
        flipped = torch.rand(len(images)).to(images.device) < self.flip
        return resize(flip_some(jittered, flipped), (side, side)), flipped

    def pseudo_boxes(self, heatmaps: Float[Tensor, "b h w"], side: int) -> Float[Tensor, "b 4"]:
        """The localizer's boxes in pixels of the input, without gradient; the whole input where there is none."""
        grids = (normalise(each, (side, side)) for each in heatmaps.detach().float().cpu().numpy())
        found = [find_boxes(grid, self.box_threshold, empty="image") for grid in grids]
        return torch.from_numpy(np.concatenate(found)).float().to(heatmaps.device)

    def regressed(self, images: Images) -> Float[Tensor, "b 4"]:
        return self.head_box(self.regressor_backbone(images).mean((2, 3))).float()

    def unit(self, images: Images) -> float:
        """Pixels of the input that one unit of the regressor stands for."""
        return self.backbone.stride(-1) if self.box_unit == "grid" else images.shape[-1]

    def predict(self, images: Images) -> Prediction:
        logits, class_maps = self.head(self.backbone(images))
        evidence = {"heatmap": best_mean(class_maps, logits, self.best)}
        if self.parts == "localizer":
            return Prediction(logits, evidence)
        class_logits, _ = self.head_class(self.classifier_backbone(images))
        shares = (self.regressed(images) * self.unit(images) / images.shape[-1]).clamp(0, 1)
        corners = torch.cat(
            [torch.minimum(shares[:, :2], shares[:, 2:]), torch.maximum(shares[:, :2], shares[:, 2:])], 1
        )
        return Prediction(class_logits, evidence, corners)

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return prediction.evidence["heatmap"][:, None].expand(-1, classes.shape[1], -1, -1)


def regressor(channels: int, width: int, whole: float) -> nn.Sequential:
    """Features to x0 y0 x1 y1, ReLU after each layer; begins with the middle of the image, or the last ReLU may die."""
    last = nn.Linear(width, 4)
    nn.init.normal_(last.weight, std=0.01)
    last.bias.data.copy_(torch.tensor([0.25, 0.25, 0.75, 0.75]) * whole)
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU(), last, nn.ReLU())
