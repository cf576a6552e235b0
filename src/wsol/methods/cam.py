"""CAM: class activation maps (Zhou et al., CVPR 2016), in the two equal forms of its head."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose


class CAM(Method):
    """A classifier whose map of class c is the sum of the last features weighted by that class's weights.

    Zhou et al., CVPR 2016, https://doi.org/10.1109/CVPR.2016.319. Algorithm::

        S = backbone(x);  z = W . GAP(S) + b;  L = CE(z, y);  map_c = sum_k W[c, k] S_k

    head_depth: 3x3 convolutions before the last layer (VGG16: 1, ACoL's heads: 2).
    head_width: channels of those convolutions.
    head: "new", or "pretrained" for the classifier that came with the backbone's weights (no training needed).

    Readings of the paper:
    head_form: "linear" as in the paper, or "conv" (1x1 convolution, then average): equal logits, equal boxes.
    hidden_rate: the head's 3x3 convolutions learn at the rate of the new "head" or, as in EIL's released code, of the
        "backbone".
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        head_depth: int = 0,
        head_width: int = 1024,
        head_form: Literal["conv", "linear"] = "conv",
        head: Literal["new", "pretrained"] = "new",
        hidden_rate: Literal["head", "backbone"] = "head",
    ) -> None:
        super().__init__()
        self.backbone, self.hidden_rate = backbone, hidden_rate
        if head == "pretrained":
            self.head = backbone.own_head(classes)
        else:
            self.head = Head(backbone.channels(-1), classes, head_depth, head_width, head_form)

    def loss(self, images: Images, labels: Labels) -> Terms:
        logits, _ = self.head(self.backbone(images))
        return {"classification": cross_entropy(logits, labels)}

    def predict(self, images: Images) -> Prediction:
        logits, class_maps = self.head(self.backbone(images))
        return Prediction(logits, {"class_maps": class_maps})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return choose(prediction.evidence["class_maps"], classes)

    def new_layers(self) -> list[nn.Module]:
        return [self.head if self.hidden_rate == "head" else self.head.classifier]
