"""A regressor of boxes that another run gave: PSOL's second step (Zhang et al., CVPR 2020), and SLT-Net's."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.errors import WsolError
from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms
from wsol.nn.heads import BoxHead
from wsol.nn.maps import drawn
from wsol.nn.ranges import in_range

GRID = 28  # cells a side of the heatmap


class Regressor(Method):
    """A network that predicts one box a photo, and learns it from the boxes that any run gave.

    Zhang et al., CVPR 2020 (PSOL), https://arxiv.org/abs/2002.11359, and Guo et al., CVPR 2021 (SLT-Net),
    https://doi.org/10.1109/CVPR46437.2021.00732. Algorithm, m the stride of the last map, box in pixels::

        p = box_head(GAP(backbone(x)));  L = sum over the corners of smooth_l1(p - box / m)

    Of classes it says nothing, its logits are zero; the heatmap of any class is the box drawn on a grid. Where no boxes
    are given, training begins with those of DDT (`wsol colocate`) on the features of this backbone, as PSOL does.

    box_weight: weight of the loss. 25 with box_unit "image" is PSOL's 50 times the mean square.

    Readings of the paper:
    box_width: hidden units (PSOL: 512; SLT-Net does not say).
    box_unit: boxes are counted in cells of the last map's "grid" (SLT-Net) or in shares of the "image" (PSOL).
    box_end: the last layer is a "relu" (SLT-Net) or a "sigmoid" (PSOL).
    """

    names_classes: bool = False

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        box_weight: float = 1.0,
        box_width: int = 512,
        box_unit: Literal["grid", "image"] = "grid",
        box_end: Literal["relu", "sigmoid"] = "relu",
    ) -> None:
        super().__init__()
        in_range(0, box_weight=box_weight)
        self.backbone, self.classes = backbone, classes
        self.box_head = BoxHead(backbone.channels(-1), box_width, box_end)
        self.box_weight, self.stride, self.box_unit = box_weight, backbone.stride(-1), box_unit

    def loss(self, images: Images, labels: Labels, pseudo_boxes: Float[Tensor, "b 4"] | None = None) -> Terms:
        """pseudo_boxes: another run's, x0 y0 x1 y1 in pixels of the images. Raises WsolError without."""
        if pseudo_boxes is None:
            raise WsolError("Regressor learns from boxes; give --pseudo-boxes the results.jsonl of another run")
        target = pseudo_boxes / self.unit(images)
        distance = functional.smooth_l1_loss(self.boxes(images), target, reduction="none")
        return {"box": self.box_weight * distance.sum(1).mean()}

    def boxes(self, images: Images) -> Float[Tensor, "b 4"]:
        """x0 y0 x1 y1 in units."""
        return self.box_head(self.backbone(images), int(images.shape[-1]) / self.unit(images))

    def unit(self, images: Images) -> float:
        """Pixels of the images that one unit stands for."""
        return self.stride if self.box_unit == "grid" else int(images.shape[-1])

    def predict(self, images: Images) -> Prediction:
        shares = (self.boxes(images) * self.unit(images) / images.shape[-1]).clamp(0, 1)
        low, high = shares.split(2, 1)
        corners = torch.cat([torch.minimum(low, high), torch.maximum(low, high)], 1)
        return Prediction(shares.new_zeros(images.shape[0], self.classes), {"box": corners}, corners)

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return drawn(prediction.evidence["box"], GRID)[:, None].expand(-1, classes.shape[1], -1, -1)
