"""ACoL: adversarial complementary learning (Zhang et al., CVPR 2018)."""

from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose, erase, fuse, min_max, peak, pick_class, scattered
from wsol.nn.ranges import in_range


class ACoL(Method):
    """Two heads on one backbone: what A finds most telling is erased from the features that B must classify.

    Zhang et al., CVPR 2018, https://doi.org/10.1109/CVPR.2018.00144. Algorithm 1, for label y::

        S  = backbone(x)
        A  = head_a(S);   R = 1[minmax(A_y) >= delta];   B = head_b(erase(S, R))
        L  = CE(GAP A, y) + CE(GAP B, y)
        map_c = max(minmax(A_c), minmax(B_c)), with erasing on and y = c

    Scores are those of A.

    erase_threshold: delta, in (0, 1], on the map of A scaled to [0, 1] (the paper prints `>`, its code `>=`, as here);
        above 1 nothing is erased.
    erase_where: in training, the "strongest" region or, as a control, as many cells at "random" places.
    head_depth: 3x3 convolutions of each head.
    head_width: channels of those convolutions.

    Readings of the paper:
    pool: 3x3 max pooling of the features, stride 1, as the released code keeps VGG16's pool5.
    smooth: 3x3 average pooling of the features before both heads, as the released code does for VGG16 alone.

    At test:
    heads: whose map counts: "both" fused, or "a" or "b" alone.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        erase_threshold: float = 0.6,
        erase_where: Literal["strongest", "random"] = "strongest",
        pool: bool = False,
        smooth: bool = False,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        in_range(0, erase_threshold=erase_threshold)
        self.backbone, self.erase_threshold, self.erase_where = backbone, erase_threshold, erase_where
        self.pool, self.smooth = pool, smooth
        self.head_a, self.head_b = (
            Head(backbone.channels(-1), classes, head_depth, head_width, init="xavier") for _ in range(2)
        )

    def loss(self, images: Images, labels: Labels) -> Terms:
        features = self.features(images)
        logits_a, maps_a = self.head_a(features)
        strongest = self.discriminative(choose(maps_a, pick_class(labels)[:, None]))[:, 0]
        logits_b, _ = self.head_b(
            erase(features, strongest if self.erase_where == "strongest" else scattered(strongest))
        )
        return {"a": cross_entropy(logits_a, labels), "b": cross_entropy(logits_b, labels)}

    def predict(self, images: Images) -> Prediction:
        features = self.features(images)
        logits_a, maps_a = self.head_a(features)
        return Prediction(logits_a, {"features": features, "maps_a": maps_a})

    def heatmaps(
        self, prediction: Prediction, classes: Int[Tensor, "b n"], *, heads: Literal["both", "a", "b"] = "both"
    ) -> Float[Tensor, "b n h w"]:
        """Head B runs once for each class asked; the backbone is not repeated."""
        maps_a = choose(prediction.evidence["maps_a"], classes)
        if heads == "a":
            return maps_a
        features = prediction.evidence["features"]
        features = features[:, None].expand(-1, classes.shape[1], -1, -1, -1).flatten(0, 1)
        _, maps_b = self.head_b(erase(features, self.discriminative(maps_a).flatten(0, 1)))
        maps_b = choose(maps_b, classes.reshape(-1, 1)).view_as(maps_a)
        return maps_b if heads == "b" else fuse(maps_a, maps_b)

    def features(self, images: Images) -> Float[Tensor, "b c h w"]:
        features = self.backbone(images)
        if self.pool:
            features = functional.max_pool2d(features, 3, stride=1, padding=1)
        return functional.avg_pool2d(features, 3, stride=1, padding=1) if self.smooth else features

    def discriminative(self, maps_a: Float[Tensor, "b n h w"]) -> Bool[Tensor, "b n h w"]:
        return peak(min_max(maps_a), self.erase_threshold, relative=False)
