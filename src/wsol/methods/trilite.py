"""TriLite: a small head on a frozen network (Sabaghi and Oramas, CVPR 2026)."""

import warnings
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.ranges import in_range

COLLAPSED = "TriLite: the foreground map holds nearly all of the photos or nothing; lower --alpha or the learning rate"


class TriLite(Method):
    """Each cell of the features is foreground, background or ambiguous; the background must not name the class.

    Sabaghi and Oramas, CVPR 2026, https://arxiv.org/abs/2602.23120. Algorithm, F (c, h, w) the patch tokens and t (c)
    the class token of a frozen transformer, W one layer for both regions::

        M = softmax over channels of BN(conv3x3(F)): foreground, background, ambiguous
        f_r = sum_p M_r(p) F(p) / sum_p M_r(p);  z_r = W dropout(f_r), r = foreground, background
        L = CE(V dropout(t), y) + CE(z_foreground, y) + alpha mean -log(1 - softmax(z_background)_y)
        map = M_foreground, for any class

    The ambiguous channel has no loss: it takes what is neither. The backbone is frozen by the setting `freeze`, whose
    default is "all" here; `learning_rate` is that of the maps and of W, and V learns at `head_rate` times it. The paper
    chooses each head's epoch by boxes; here the best Top1Cls chooses for both.

    On a network without class token, such as any convolutional one, t is the mean of the last map: that is ours. So is
    what photos of several classes mean: each is scored by itself (sigmoid), and the background may name none of them.

    alpha: weight of the background's term (CUB: 100, ILSVRC: 500, OpenImages: 3; short trainings: about 1).
    channels: 3, or 2 for no ambiguous region.
    dropout: of the two regions' features.
    class_dropout: of the class token.
    first_map: the foreground begins "random" (the paper), or as the "mean" over the features' channels, the background
        as its opposite: short trainings then do not confuse the two (ours).

    Readings of the paper:
    token_norm: tokens are read "pre" (the paper, DINOv2) or "post" (its code for DeiT) the transformer's last norm.
    """

    settings: ClassVar[dict[str, Any]] = {"freeze": "all"}

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        alpha: float = 100.0,
        channels: Literal[2, 3] = 3,
        dropout: float = 0.5,
        class_dropout: float = 0.5,
        first_map: Literal["random", "mean"] = "random",
        token_norm: Literal["pre", "post"] = "pre",
    ) -> None:
        super().__init__()
        in_range(0, alpha=alpha)
        in_range(0, 1, dropout=dropout, class_dropout=class_dropout)
        normed = backbone.boundaries[-1] == "norm"
        self.backbone, self.alpha = backbone.cut(-2) if normed and token_norm == "pre" else backbone, alpha
        width = backbone.channels(-1)
        convolution = nn.Conv2d(width, channels, 3, padding=1, bias=False)
        self.tri_head = nn.Sequential(convolution, nn.BatchNorm2d(channels))
        if first_map == "mean":
            for region, sign in ((0, 1), (1, -1)):
                nn.init.zeros_(convolution.weight[region])
                nn.init.constant_(convolution.weight[region, :, 1, 1], sign * width**-0.5)
        self.region_head, self.class_head = nn.Linear(width, classes), nn.Linear(width, classes)
        self.region_dropout, self.class_dropout = nn.Dropout(dropout), nn.Dropout(class_dropout)

    def loss(self, images: Images, labels: Labels) -> Terms:
        features, class_token = self.tokens(images)
        regions = self.regions(features)
        foreground, background = (
            self.region_head(self.region_dropout(pooled(features, regions[:, region]))) for region in (0, 1)
        )
        if not 0.02 < regions[:, 0].mean() < 0.98:
            warnings.warn(COLLAPSED, stacklevel=2)
        return {
            "classification": cross_entropy(self.class_head(self.class_dropout(class_token)), labels),
            "foreground": cross_entropy(foreground, labels),
            "background": self.alpha * named(background, labels),
        }

    def tokens(self, images: Images) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c"]]:
        """The map of patches, and the class token or what stands for it."""
        if "class token" in self.backbone.abilities:
            return self.backbone.tokens(images)  # type: ignore[operator]
        features = self.backbone(images)
        return features, features.mean((2, 3))

    def regions(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r h w"]:
        """The share of each region in each cell: foreground, background, and ambiguous where there are three."""
        return self.tri_head(features).float().softmax(1)

    def predict(self, images: Images) -> Prediction:
        features, class_token = self.tokens(images)
        return Prediction(self.class_head(class_token), {"foreground": self.regions(features)[:, 0]})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return prediction.evidence["foreground"][:, None].expand(-1, classes.shape[1], -1, -1)

    def new_layers(self) -> list[nn.Module]:
        return [self.class_head]


def pooled(features: Float[Tensor, "b c h w"], weights: Float[Tensor, "b h w"]) -> Float[Tensor, "b c"]:
    """The weighted mean of the features over the cells."""
    total = torch.einsum("bchw,bhw->bc", features.float(), weights)
    return total / (weights.sum((1, 2)) + 1e-6)[:, None]


def named(logits: Float[Tensor, "b k"], labels: Labels) -> Float[Tensor, ""]:
    """How much logits name the labelled classes: mean of -log(1 - p), which is 0 where they do not."""
    if labels.dtype == torch.bool:
        probability, weights = logits.float().sigmoid(), labels.float()
    else:
        probability = logits.float().softmax(1)
        weights = functional.one_hot(labels, logits.shape[1]).float() if labels.dim() == 1 else labels
    terms = -torch.log(1 - probability + 1e-7)
    return (weights * terms).sum(1).div(weights.sum(1).clamp(min=1e-7)).mean()
