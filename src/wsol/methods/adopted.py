"""Somebody's own classifier as a method: it is not trained here, only asked."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.backbones.adopted import Adopted
from wsol.errors import WsolError
from wsol.methods.contract import Images, Method, Prediction
from wsol.nn.maps import choose


class AdoptedClassifier(Method):
    """A classifier as it is. Where its logits are a linear layer on averaged features, its own heatmaps are CAM's.

    backbone: the classifier, see `wsol.backbones.adopted.adopt_network`.
    """

    def __init__(self, backbone: Adopted) -> None:
        super().__init__()
        self.backbone, self.name, self.answer = backbone, backbone.name, backbone.answer
        self.linear = backbone.own_head(backbone.classes) if backbone.has_own_head else None

    def predict(self, images: Images) -> Prediction:
        features, logits = self.answer(images)
        return Prediction(logits, {"features": features})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        """Raises WsolError for a classifier that has no class maps."""
        if self.linear is None:
            raise WsolError(f"{self.name} has no class maps of its own; choose another read-out, such as gradcam")
        return choose(functional.conv2d(prediction.evidence["features"], self.linear.classifier.weight), classes)
