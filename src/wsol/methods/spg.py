"""SPG: self-produced guidance (Zhang et al., ECCV 2018)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose, min_max, pick_class, resize
from wsol.nn.ranges import in_range
from wsol.nn.views import outputs_of

FEW = 30  # pixels of foreground, below which a mask's own maximum counts


class SPG(Method):
    """Masks of the object are learnt inside the network, each from the sure pixels of the one before it.

    Zhang et al., ECCV 2018, https://arxiv.org/abs/1807.08902. Algorithm, for label y, all maps at the size of x; the
    masks B1 and B2 share their last layers, and guides carry no gradient::

        F1, F2, S = backbone(x);  A = head(S);  B1, B2 = head_b(F1), head_b(F2);  C = head_c(hidden layers of head)
        sure(G) = 1 where G > high, 0 where G < low, else nothing is said
        L = CE(GAP A, y) + BCE(B2, sure(minmax A_y)) + BCE(B1, sure(sigmoid B2))
            + BCE(C, sure(mean of sigmoid B1 and sigmoid B2))
        map_c = A_c

    Where a photo holds several classes, y is one of them, drawn at random; the first term alone asks for all.

    guided_at: where B1 and B2 read, by name or negative index (InceptionV3: Mixed_5d; Mixed_6d in the released code,
        Mixed_6e in the paper's figure).
    sure_b2: high and low for B2's guide, the class map (paper: 0.7, 0.05).
    sure_b1: the same for B1's guide, B2 (paper: 0.5, 0.05).
    sure_c: the same for C's guide, the mean of B1 and B2 (paper: 0.7, 0.1).
    dropout: before each 3x3 convolution of the class head, in training (released code: 0.5).
    head_depth: 3x3 convolutions of the class head.
    head_width: channels of those convolutions; those of masks have half of them.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        guided_at: tuple[str | int, ...] = (-3, -2),
        sure_b2: tuple[float, ...] = (0.7, 0.05),
        sure_b1: tuple[float, ...] = (0.5, 0.05),
        sure_c: tuple[float, ...] = (0.7, 0.1),
        dropout: float = 0.5,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        if {len(pair) for pair in (guided_at, sure_b2, sure_b1, sure_c)} != {2}:
            raise ValueError("guided_at takes two boundaries, sure_b2, sure_b1 and sure_c two numbers each")
        in_range(0, 1, sure_b2=min(sure_b2), sure_b1=min(sure_b1), sure_c=min(sure_c))
        in_range(0, 1, sure_b2=max(sure_b2), sure_b1=max(sure_b1), sure_c=max(sure_c))
        self.backbone, self.guided_at = backbone, backbone.in_order(guided_at)
        self.sure_b2, self.sure_b1, self.sure_c = sure_b2, sure_b1, sure_c
        self.head = Head(backbone.channels(-1), classes, head_depth, head_width, dropout=dropout)
        half = (head_width + 1) // 2
        shallow, deep = (backbone.channels(boundary) for boundary in self.guided_at)
        self.head_b1, self.head_b2 = (nn.Conv2d(channels, half, 3, padding=1) for channels in (shallow, deep))
        self.head_b = Head(half, 1, depth=1, width=half)
        self.head_c = Head(self.head.classifier.in_channels, 1, depth=1, width=half)

    def loss(self, images: Images, labels: Labels) -> Terms:
        shallow, deep, features = self.backbone.at(images, *self.guided_at, -1)
        with outputs_of(self.head.hidden) as outputs:
            logits, class_maps = self.head(features)
        masks = (
            self.head_b(self.head_b1(shallow).relu()),
            self.head_b(self.head_b2(deep).relu()),
            self.head_c(*outputs),
        )
        size = images.shape[-2], images.shape[-1]
        b1, b2, c = (resize(mask, size) for _, mask in masks)
        own = resize(choose(class_maps, pick_class(labels)[:, None]), size)
        return {
            "classification": cross_entropy(logits, labels),
            "b2": guided(b2, min_max(own), *self.sure_b2),
            "b1": guided(b1, b2.sigmoid(), *self.sure_b1),
            "c": guided(c, (b1.sigmoid() + b2.sigmoid()) / 2, *self.sure_c),
        }

    def predict(self, images: Images) -> Prediction:
        logits, class_maps = self.head(self.backbone(images))
        return Prediction(logits, {"class_maps": class_maps})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return choose(prediction.evidence["class_maps"], classes)


def guided(
    mask: Float[Tensor, "b 1 h w"], guide: Float[Tensor, "b 1 h w"], high: float, low: float
) -> Float[Tensor, ""]:
    """Binary cross-entropy of a mask's logits where the guide is sure, mean over these pixels of the batch.

    Photos with few pixels above `high` take those above `high` times their maximum; below `low` is background always.
    """
    guide = guide.detach().float()
    background, foreground = guide < low, guide > high
    few = foreground.sum((2, 3), keepdim=True) < FEW
    sure = background | torch.where(few, guide > high * guide.amax((2, 3), keepdim=True), foreground)
    terms = functional.binary_cross_entropy_with_logits(mask.float(), (~background).float(), reduction="none")
    return (terms * sure).sum() / sure.sum().clamp(min=1)
