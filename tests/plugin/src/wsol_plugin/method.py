"""A method: places of the features are dropped at random, so that no single part can be relied on."""

from typing import Any

import torch
from torch import Tensor

from wsol.methods.cam import CAM
from wsol.methods.contract import Backbone, Images, Labels, cross_entropy
from wsol.nn.maps import erase


class Forgetful(CAM):
    """CAM that must name the class with places missing, too.

    share: how many places are dropped, 0 to 1.
    """

    def __init__(self, backbone: Backbone, classes: int, share: float = 0.5, **cam: Any) -> None:
        super().__init__(backbone, classes, **cam)
        self.share = share

    def loss(self, images: Images, labels: Labels) -> dict[str, Tensor]:
        features = self.backbone(images)
        dropped = torch.rand_like(features[:, 0]) < self.share
        whole, _ = self.head(features)
        partial, _ = self.head(erase(features, dropped))
        return {"whole": cross_entropy(whole, labels), "partial": cross_entropy(partial, labels)}
