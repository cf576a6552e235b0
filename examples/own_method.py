"""A method of your own in one file: features are dropped at random places, so that no single part can be relied on.

`@register` makes it known to `wsol.train`, `wsol.evaluate` and `wsol.locate`; the arguments after `classes` become
settings of recipes and runs, and with `**` those of the method that it extends.
"""

from typing import Any

import torch

import wsol
from wsol.methods.cam import CAM
from wsol.methods.contract import Backbone, Images, Labels, Terms, cross_entropy
from wsol.nn.maps import erase
from wsol.registry import register


@register
class Forgetful(CAM):
    """CAM that sees the whole photo once and once with places missing.

    share: how many places are dropped, 0 to 1.
    """

    def __init__(self, backbone: Backbone, classes: int, share: float = 0.5, **cam: Any) -> None:
        super().__init__(backbone, classes, **cam)
        self.share = share

    def loss(self, images: Images, labels: Labels) -> Terms:
        features = self.backbone(images)
        dropped = torch.rand_like(features[:, 0]) < self.share
        whole, _ = self.head(features)
        partial, _ = self.head(erase(features, dropped))
        return {"whole": cross_entropy(whole, labels), "partial": cross_entropy(partial, labels)}


if __name__ == "__main__":
    settings = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 112, "epochs": 1}
    options = {"share": 0.4, "head_depth": 1, "head_width": 64}  # its own and CAM's
    run = wsol.train("forgetful", "creatures", "runs/forgetful", learning_rate=0.02, **options, **settings)
    figures = wsol.evaluate(run, "creatures")
    print({name: round(figures[name], 1) for name in ("Top1Cls", "MaxBoxAcc", "PxAP")})
