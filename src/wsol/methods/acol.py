"""ACoL: adversarial complementary learning (Zhang et al., CVPR 2018)."""

from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.heads import Head
from wsol.maps import choose, erase, fuse, min_max, peak, pick_class
from wsol.method import Backbone, Images, Labels, Method, Prediction, Reference, cross_entropy, register


@register
class ACoL(Method):
    """Two heads on one backbone: what A finds most telling is erased from the features that B must classify.

    Algorithm 1, for label y::

        S  = backbone(x)
        A  = head_a(S);   R = 1[minmax(A_y) >= delta];   B = head_b(erase(S, R))
        L  = CE(GAP A, y) + CE(GAP B, y)
        map_c = max(minmax(A_c), minmax(B_c)), with erasing on and y = c

    Scores are those of A.

    erase_threshold: delta, in (0, 1], on the map of A scaled to [0, 1] (the paper prints `>`, its code `>=`, as here).
    heads: whose map counts at test: "both" fused, or "a" or "b" alone.
    smooth: 3x3 average pooling of the features before both heads, as the paper's code does for VGG16 alone.
    head_depth: 3x3 convolutions of each head.
    head_width: channels of those convolutions.
    """

    reference = Reference(
        "zhang2018acol",
        "Adversarial Complementary Learning for Weakly Supervised Object Localization",
        "CVPR",
        2018,
    )
    at_test = ("heads",)

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        erase_threshold: float = 0.6,
        heads: Literal["both", "a", "b"] = "both",
        smooth: bool = False,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_a, self.head_b = (
            Head(backbone.channels(-1), classes, head_depth, head_width, init="xavier") for _ in range(2)
        )
        self.erase_threshold, self.heads, self.smooth = erase_threshold, heads, smooth

    def loss(self, images: Images, labels: Labels) -> dict[str, Tensor]:
        features = self.features(images)
        logits_a, maps_a = self.head_a(features)
        erased = erase(features, self.discriminative(choose(maps_a, pick_class(labels)[:, None]))[:, 0])
        logits_b, _ = self.head_b(erased)
        return {"a": cross_entropy(logits_a, labels), "b": cross_entropy(logits_b, labels)}

    def predict(self, images: Images) -> Prediction:
        features = self.features(images)
        logits_a, maps_a = self.head_a(features)
        return Prediction(logits_a, {"features": features, "maps_a": maps_a})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        """Head B runs once for each class asked; the backbone is not repeated."""
        maps_a = choose(prediction.evidence["maps_a"], classes)
        if self.heads == "a":
            return maps_a
        features = prediction.evidence["features"].repeat_interleave(classes.shape[1], dim=0)
        _, maps_b = self.head_b(erase(features, self.discriminative(maps_a).flatten(0, 1)))
        maps_b = choose(maps_b, classes.reshape(-1, 1)).view_as(maps_a)
        return maps_b if self.heads == "b" else fuse(maps_a, maps_b)

    def features(self, images: Images) -> Float[Tensor, "b c h w"]:
        features = self.backbone(images)
        return functional.avg_pool2d(features, 3, stride=1, padding=1) if self.smooth else features

    def discriminative(self, maps_a: Float[Tensor, "b n h w"]) -> Bool[Tensor, "b n h w"]:
        return peak(min_max(maps_a), self.erase_threshold, relative=False)
