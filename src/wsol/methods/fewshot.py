"""The few-shot baseline of the field's re-evaluation (Choe et al., CVPR 2020): what a few true boxes are worth."""

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.errors import WsolError
from wsol.methods.contract import Backbone, Images, Labels, LearnsFrom, Method, Prediction, Terms
from wsol.nn.maps import drawn


class FewShot(Method):
    """Each cell of the features says whether a true box covers it, learnt from the validation photos that have boxes.

    Choe et al., CVPR 2020, https://arxiv.org/abs/2001.07437 (few-shot learning baseline). Algorithm, B(p) the share of
    cell p that true boxes cover::

        s = conv1x1(backbone(x)), one channel;  L = mean over the cells of BCE(sigmoid s, B)
        map of any class = sigmoid s

    It is no WSOL method but the row to beat: from the boxes by which the others may choose it learns, from labels and
    training photos it does not. Of classes it says nothing, its logits are zero.
    """

    learns_from: ClassVar[LearnsFrom] = "validation boxes"
    names_classes: bool = False

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone, self.classes = backbone, classes
        self.head = nn.Conv2d(backbone.channels(-1), 1, 1)

    def loss(self, images: Images, labels: Labels, true_boxes: Float[Tensor, "b m 4"] | None = None) -> Terms:
        """true_boxes: x0 y0 x1 y1 in pixels of the images. Raises WsolError without."""
        if true_boxes is None:
            raise WsolError("FewShot learns from the true boxes of validation photos; train it by wsol train")
        scores = self.scores(images)
        covered = drawn(true_boxes / images.shape[-1], scores.shape[-1]).amax(1)
        return {"cover": functional.binary_cross_entropy_with_logits(scores, covered)}

    def scores(self, images: Images) -> Float[Tensor, "b h w"]:
        """Of each cell, before the sigmoid."""
        return self.head(self.backbone(images))[:, 0].float()

    def predict(self, images: Images) -> Prediction:
        scores = self.scores(images)
        return Prediction(scores.new_zeros(images.shape[0], self.classes), {"covered": scores.sigmoid()})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return prediction.evidence["covered"][:, None].expand(-1, classes.shape[1], -1, -1)
