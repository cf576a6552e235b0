"""GC-Net: geometry constrained localization (Lu et al., ECCV 2020)."""

import math
from copy import deepcopy
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.ranges import in_range
from wsol.nn.views import frozen, running_statistics

GRID = 28  # cells a side of the heatmap


class GCNet(Method):
    """A detector draws one shape a photo: what it covers must name the class, the rest must not, and it be small.

    Lu et al., ECCV 2020, https://arxiv.org/abs/2007.09727. Algorithm; the detector has a backbone of its own, and the
    classifier f is frozen in the last two passes::

        L_cls = CE(f(x), y)
        u, v, w, h, t = sigmoid(shape_head(GAP(detector(x))));  m = the ellipse of these, turned by pi (t - 1/2)
        L_obj = CE(f(m x), y);  L_bg = log k - entropy of softmax f((1 - m) x);  L_area = w h
        L = L_cls, and from `classes_first` on + L_obj + L_bg + area_weight L_area
        map of any class = m;  box = the box around the shape

    What a mask covers gets the mean colour. The paper's masks come from a network that was taught shapes before; these
    are drawn by their equation, as its analytic form is, with soft edges through which the detector learns.

    area_weight: of the shape's area (paper: 2.5 with drawn masks, 1 with its generator's).
    shape: an "ellipse" or a "rectangle".
    rotated: the shape may be turned (released code: a turned ellipse).
    head_depth: 3x3 convolutions of the class head.
    head_width: channels of those convolutions.

    Readings of the paper:
    classes_first: share of the training in which the classifier alone learns. It goes on learning then, from whole
        photos (the paper trains it in a run of its own and freezes it).
    softness: width of a mask's edge, as a share of the shape's radius.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        area_weight: float = 2.5,
        shape: Literal["ellipse", "rectangle"] = "ellipse",
        rotated: bool = True,
        head_depth: int = 0,
        head_width: int = 1024,
        classes_first: float = 0.5,
        softness: float = 0.1,
    ) -> None:
        super().__init__()
        in_range(0, area_weight=area_weight)
        in_range(0, 1, classes_first=classes_first)
        in_range(1e-3, 1, softness=softness)
        self.backbone, self.detector = backbone, deepcopy(backbone)
        self.head = Head(backbone.channels(-1), classes, head_depth, head_width)
        self.shape_head = nn.Linear(backbone.channels(-1), 5 if rotated else 4)
        nn.init.normal_(self.shape_head.weight, std=0.01)  # begins with the middle of the photo
        nn.init.zeros_(self.shape_head.bias)
        self.area_weight, self.all_learn_from = area_weight, classes_first
        self.shape, self.softness = shape, softness

    def loss(self, images: Images, labels: Labels, progress: float = 1.0) -> Terms:
        """progress: share of the training that is done, 0 to 1."""
        logits, _ = self.head(self.backbone(images))
        terms = {"classification": cross_entropy(logits, labels)}
        shapes = self.shapes(images)
        if progress < self.all_learn_from:
            return terms | dict.fromkeys(("object", "background", "area"), 0 * shapes.sum())
        mask = self.masks(shapes, images.shape[-1])[:, None]
        return terms | {
            "object": cross_entropy(self.judged(images, mask), labels),
            "background": certainty(self.judged(images, 1 - mask)),
            "area": self.area_weight * (shapes[:, 2] * shapes[:, 3]).mean(),
        }

    def judged(self, images: Images, mask: Float[Tensor, "b 1 H W"]) -> Float[Tensor, "b k"]:
        """The frozen classifier's logits of what a mask leaves of photos."""
        mean = self.backbone.mean
        with running_statistics(self.backbone):
            features = frozen(self.backbone)(mean + mask * (images - mean))
        return frozen(self.head)(features)[0]

    def shapes(self, images: Images) -> Float[Tensor, "b n"]:
        """Centre, width and height as shares of the photo, and the angle from -pi/2 to pi/2 where shapes are turned."""
        shares = self.shape_head(self.detector(images).mean((2, 3))).float().sigmoid()
        return torch.cat([shares[:, :4], math.pi * (shares[:, 4:] - 0.5)], 1)

    def masks(self, shapes: Float[Tensor, "b n"], side: int) -> Float[Tensor, "b {side} {side}"]:
        """Shapes on a grid: nearly 1 inside, 1/2 on the edge, nearly 0 outside."""
        centres = (torch.arange(side, device=shapes.device) + 0.5) / side
        across, down = centres - shapes[:, :1], centres - shapes[:, 1:2]
        x, y, (cosine, sine) = across[:, None, :], down[:, :, None], self.turns(shapes)
        half_width, half_height = (shapes[:, 2:4] / 2 + 1e-4)[:, :, None, None].unbind(1)
        along = ((x * cosine[:, None] + y * sine[:, None]) / half_width).square()
        athwart = ((y * cosine[:, None] - x * sine[:, None]) / half_height).square()
        distance = along + athwart if self.shape == "ellipse" else torch.maximum(along, athwart)
        return ((1 - distance) / (2 * self.softness)).sigmoid()

    def turns(self, shapes: Float[Tensor, "b n"]) -> tuple[Float[Tensor, "b 1"], Float[Tensor, "b 1"]]:
        """Cosine and sine of each shape's angle."""
        angles = shapes[:, 4:] if shapes.shape[1] == 5 else torch.zeros_like(shapes[:, :1])
        return angles.cos(), angles.sin()

    def boxes(self, shapes: Float[Tensor, "b n"]) -> Float[Tensor, "b 4"]:
        """x0 y0 x1 y1 around the shapes, within the photo."""
        cosine, sine = self.turns(shapes)
        turned = torch.stack([torch.cat([cosine, sine], 1), torch.cat([sine, cosine], 1)], 1)
        reach = turned * shapes[:, None, 2:4] / 2  # of the two half axes along x and along y
        reach = reach.square().sum(2).sqrt() if self.shape == "ellipse" else reach.abs().sum(2)
        return torch.cat([shapes[:, :2] - reach, shapes[:, :2] + reach], 1).clamp(0, 1)

    def predict(self, images: Images) -> Prediction:
        logits, _ = self.head(self.backbone(images))
        shapes = self.shapes(images)
        return Prediction(logits, {"shape": shapes}, self.boxes(shapes))

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return self.masks(prediction.evidence["shape"], GRID)[:, None].expand(-1, classes.shape[1], -1, -1)

    def new_layers(self) -> list[nn.Module]:
        return [self.head, self.shape_head]


def certainty(logits: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """How far the scores of photos are from even ones: log k less their entropy, mean over the photos."""
    scores = logits.float().log_softmax(1)
    return math.log(logits.shape[1]) + (scores.exp() * scores).sum(1).mean()
