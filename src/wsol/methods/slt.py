"""SLT-Net: strengthen learning tolerance (Guo et al., CVPR 2021)."""

from copy import deepcopy
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from wsol.boxes import find_boxes, normalise
from wsol.errors import WsolError
from wsol.heads import BoxHead, Head
from wsol.maps import best_mean, flip_some, min_max, pick_class, relu_max, resize
from wsol.method import Backbone, Images, Labels, Method, Prediction, Reference, Terms, cross_entropy, register
from wsol.views import without_statistics

SCALED = {"raw": Tensor.float, "minmax": min_max, "relu_max": relu_max}


@register
class SLTNet(Method):
    """Three networks: a localizer allowed to confuse similar classes, a regressor of its boxes, and a classifier.

    Algorithm, g a random jitter, flip and scale and g' its inverse on maps::

        A = loc(x), z = GAP(A);  w = alpha if y is among the K best of z, else 1
        L_LOC = w CE(z, y) + beta mean (A - g'(loc(g(x))))^2
        box of the largest component of the mean of the K best class maps, above 0.2 of its maximum (no gradient)
        L_REG = sum smooth_l1(reg(x) - box / m);  L_CLS = CE(cls(x), y);  L = L_LOC + L_REG + L_CLS

    Boxes are the regressor's, scores the classifier's; the heatmap, the same for all classes, is the localizer's.

    In two runs the localizer may be of another backbone (the paper's on ILSVRC: InceptionV3 for all)::

        wsol train sltnet PHOTOS --parts localizer --backbone inception_v3 --output runs/localizer
        wsol locate runs/localizer PHOTOS --threshold 0.2 --format json --output boxes
        wsol train sltnet PHOTOS --parts regressor --pseudo-boxes boxes/results.jsonl --backbone vgg16 --output runs/slt

    boundary: where the localizer ends (InceptionV3: Mixed_6e); the other two networks keep the whole backbone.
    alpha: weight of the localizer's cross-entropy once the class is among the K best (CUB: 0.4, ILSVRC: 0.2).
    best: K, how many classes count as the best, at most all (CUB: 30, ILSVRC: 100).
    averaged: class maps whose mean is the heatmap at test; 0 for K. 1 is the predicted class's own.
    beta: weight of the consistency of maps; at 0 no changed photo is run.
    parts: "all"; the "localizer" alone, whose scores and boxes then count; or the "regressor" and the classifier, which
        learn from the training's pseudo_boxes and whose heatmap is the classifier's.
    box_threshold: share of the map's maximum at which boxes for the regressor are cut (paper: "top 20 % values").
    box_unit: the regressor counts in cells of the "grid" (m is the map's stride) or in shares of the "image".
    box_width: hidden units of the regressor.
    box_end: the regressor's last layer is a "relu", as in the paper, or a "sigmoid".
    jitter: largest change of brightness, contrast, saturation and hue; this and the next two are not in the paper.
    flip: chance of a mirror image.
    scales: smallest and largest scale, one drawn for each batch, the side rounded to a multiple of 32.
    detach_target: no gradient into the maps of the unchanged photo.
    smt_on_transformed: the weighted cross-entropy is the mean over both photos, not the unchanged one's.
    vst_reduction: squares of maps are a "mean" over classes or, as the paper's formula is printed, "sum_classes".
    vst_maps: maps are compared "raw", scaled by "minmax", or their positive part by its maximum, "relu_max".
    head_depth: 3x3 convolutions of the localizer's and the classifier's head.
    head_width: channels of those convolutions.
    """

    reference = Reference(
        "guo2021slt", "Strengthen Learning Tolerance for Weakly Supervised Object Localization", "CVPR", 2021
    )
    class_agnostic = True
    at_test = ("averaged",)

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundary: str | int = -1,
        alpha: float = 0.4,
        best: int = 30,
        averaged: int = 0,
        beta: float = 10.0,
        parts: Literal["all", "localizer", "regressor"] = "all",
        box_threshold: float = 0.2,
        box_unit: Literal["grid", "image"] = "grid",
        box_width: int = 512,
        box_end: Literal["relu", "sigmoid"] = "relu",
        jitter: tuple[float, ...] = (0.4, 0.4, 0.4, 0.1),
        flip: float = 0.5,
        scales: tuple[float, ...] = (0.75, 1.25),
        detach_target: bool = False,
        smt_on_transformed: bool = False,
        vst_reduction: Literal["mean", "sum_classes"] = "mean",
        vst_maps: Literal["raw", "minmax", "relu_max"] = "raw",
        head_depth: int = 1,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        if len(jitter) != 4 or len(scales) != 2 or best < 1 or averaged < 0:
            raise ValueError("jitter takes four numbers, scales two; best is at least 1 and averaged at least 0")
        if parts != "regressor":
            self.backbone = backbone.cut(boundary)
            self.head = Head(self.backbone.channels(-1), classes, head_depth, head_width)
        if parts != "localizer":
            self.classifier_backbone, self.regressor_backbone = backbone, deepcopy(backbone)
            self.head_class = Head(backbone.channels(-1), classes, head_depth, head_width)
            self.head_box = BoxHead(backbone.channels(-1), box_width, box_end)
        self.alpha, self.best, self.beta, self.parts = alpha, min(best, classes), beta, parts
        self.averaged = min(averaged, classes) or self.best
        self.box_threshold, self.box_unit = box_threshold, box_unit
        self.stride = backbone.stride(boundary)
        self.jitter, self.flip, self.scales = v2.ColorJitter(*jitter), flip, scales
        self.detach_target, self.smt_on_transformed = detach_target, smt_on_transformed
        self.vst_reduction, self.vst_maps = vst_reduction, vst_maps

    def loss(self, images: Images, labels: Labels, pseudo_boxes: Float[Tensor, "b 4"] | None = None) -> Terms:
        """pseudo_boxes: another run's, x0 y0 x1 y1 in pixels of the images; with parts "regressor", and only then."""
        if (self.parts == "regressor") != (pseudo_boxes is not None):
            raise WsolError(
                f"SLTNet with parts {self.parts!r}: --parts regressor learns from --pseudo-boxes, and nothing else does"
            )
        if pseudo_boxes is not None:
            return self.separate(images, labels, pseudo_boxes)
        terms, heatmaps = self.localization(images, labels)
        if self.parts == "localizer":
            return terms
        return self.separate(images, labels, self.boxes_of(heatmaps, images.shape[-1])) | terms

    def localization(self, images: Images, labels: Labels) -> tuple[Terms, Float[Tensor, "b h w"]]:
        """The localizer's two terms and its heatmaps."""
        classes = pick_class(labels)
        logits, class_maps = self.head(self.backbone(images))
        changed = self.beta > 0 or self.smt_on_transformed
        other_logits, other_maps = self.seen_otherwise(images, class_maps) if changed else (logits, class_maps)
        judged = [logits, other_logits] if self.smt_on_transformed else [logits]
        semantic = [cross_entropy(each, labels, self.tolerance(each, classes)) for each in judged]
        target = class_maps.detach() if self.detach_target else class_maps
        terms = {
            "localizer": torch.stack(semantic).mean(),
            "consistency": self.beta * self.difference(other_maps, target),
        }
        return terms, best_mean(class_maps, logits, self.best)

    def separate(self, images: Images, labels: Labels, boxes: Float[Tensor, "b 4"]) -> Terms:
        """What the classifier learns, and the regressor from boxes in pixels of the images."""
        logits, _ = self.head_class(self.classifier_backbone(images))
        distance = functional.smooth_l1_loss(self.regressed(images), boxes / self.unit(images), reduction="none")
        return {"class": cross_entropy(logits, labels), "box": distance.sum(1).mean()}

    def tolerance(self, logits: Float[Tensor, "b k"], classes: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Alpha where fewer than K classes score more than the photo's own, else 1."""
        above = (logits > logits.gather(1, classes[:, None])).sum(1)
        return torch.where(above < self.best, self.alpha, 1.0)

    def seen_otherwise(
        self, images: Images, class_maps: Float[Tensor, "b k h w"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k h w"]]:
        """Logits and class maps of jittered, flipped and scaled photos, the maps flipped and scaled back."""
        changed, flipped = self.transformed(images)
        logits, maps = self.head(without_statistics(self.backbone)(changed))
        return logits, resize(flip_some(maps, flipped), (class_maps.shape[-2], class_maps.shape[-1]))

    def transformed(self, images: Images) -> tuple[Float[Tensor, "b 3 H2 W2"], Bool[Tensor, " b"]]:
        """Each photo jittered and perhaps mirrored, all at another size; and which are mirrored."""
        low, high = self.scales
        side = max(32, 32 * round(images.shape[-1] * (low + (high - low) * torch.rand(()).item()) / 32))
        jittered = torch.stack([self.jitter(image) for image in images])
        flipped = torch.rand(len(images)).to(images.device) < self.flip
        return resize(flip_some(jittered, flipped), (side, side)), flipped

    def difference(self, one: Float[Tensor, "b k h w"], other: Float[Tensor, "b k h w"]) -> Float[Tensor, ""]:
        scaled = SCALED[self.vst_maps]
        square = functional.mse_loss(scaled(one), scaled(other))
        return square * one.shape[1] if self.vst_reduction == "sum_classes" else square

    def boxes_of(self, heatmaps: Float[Tensor, "b h w"], side: int) -> Float[Tensor, "b 4"]:
        """The localizer's boxes in pixels of the input, without gradient; the whole input where there is none."""
        grids = (normalise(each, (side, side)) for each in heatmaps.detach().float().cpu().numpy())
        found = [find_boxes(grid, self.box_threshold, empty="image") for grid in grids]
        return torch.from_numpy(np.concatenate(found)).float().to(heatmaps.device)

    def regressed(self, images: Images) -> Float[Tensor, "b 4"]:
        """x0 y0 x1 y1 in units."""
        return self.head_box(self.regressor_backbone(images), images.shape[-1] / self.unit(images))

    def unit(self, images: Images) -> float:
        """Pixels of the input that one unit of the regressor stands for."""
        return self.stride if self.box_unit == "grid" else images.shape[-1]

    def predict(self, images: Images) -> Prediction:
        if self.parts == "localizer":
            logits, class_maps = self.head(self.backbone(images))
            return Prediction(logits, {"heatmap": best_mean(class_maps, logits, self.averaged)})
        logits, class_maps = self.head_class(self.classifier_backbone(images))
        own, maps = (logits, class_maps) if self.parts == "regressor" else self.head(self.backbone(images))
        shares = (self.regressed(images) * self.unit(images) / images.shape[-1]).clamp(0, 1)
        low, high = shares.split(2, 1)
        corners = torch.cat([torch.minimum(low, high), torch.maximum(low, high)], 1)
        return Prediction(logits, {"heatmap": best_mean(maps, own, self.averaged)}, corners)

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return prediction.evidence["heatmap"][:, None].expand(-1, classes.shape[1], -1, -1)
