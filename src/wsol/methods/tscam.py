"""TS-CAM: token semantic coupled attention maps (Gao et al., ICCV 2021)."""

from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose
from wsol.nn.ranges import in_range


class TSCAM(Method):
    """A transformer's patches say which class, the attention of its class token says where; the map is their product.

    Gao et al., ICCV 2021, https://arxiv.org/abs/2103.14862. Algorithm, F (c, h, w) the patch tokens after the last
    norm, A_l (heads, N + 1, N + 1) the attention of block l after its softmax::

        S = conv3x3(F);  L = CE(GAP S, y)
        a = sum_l of the class token's row in the mean of A_l over its heads, its N patches as a map;  map_c = a * S_c

    Attention is read at test alone; training is that of a classifier. It needs a transformer with a class token, and
    features that run anew each time: `cache_features` keeps no attention.

    drop_path: share of photos for which training leaves out what the last block adds, less in earlier ones (DeiT: 0.1).
    """

    settings: ClassVar[dict[str, Any]] = {"backbone": "deit_small_patch16_224"}

    def __init__(self, backbone: Backbone, classes: int, drop_path: float = 0.1) -> None:
        super().__init__()
        in_range(0, 1, drop_path=drop_path)
        backbone.need("attention", "TS-CAM")
        if drop_path:
            backbone.drop_paths(drop_path)  # type: ignore[operator]
        self.backbone = backbone
        self.head = Head(backbone.channels(-1), classes, kernel=3, init="library")

    def loss(self, images: Images, labels: Labels) -> Terms:
        logits, _ = self.head(self.backbone(images))
        return {"classification": cross_entropy(logits, labels)}

    def predict(self, images: Images) -> Prediction:
        features, _, attention = self.backbone.tokens_and_attention(images)  # type: ignore[operator]
        logits, class_maps = self.head(features)
        return Prediction(logits, {"class_maps": class_maps, "attention": attention.sum(0)})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        evidence = prediction.evidence
        return evidence["attention"][:, None] * choose(evidence["class_maps"], classes)
