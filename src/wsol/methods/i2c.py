"""I2C: inter-image communication (Zhang et al., ECCV 2020)."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose, min_max, pick_class
from wsol.nn.ranges import in_range


class I2C(Method):
    """What a network finds of a class must look alike in two photos of it, and like what it found in all others.

    Zhang et al., ECCV 2020, https://arxiv.org/abs/2008.05096. Algorithm, for pairs of photos x, x' of one class y;
    m_y is the class's centre, begun at random, v_y counts its pairs::

        S = backbone(x);  A = head(S);  f_1 ... f_n = S at n places where minmax A_y > tau;  f' likewise from x'
        L = CE(GAP A, y) + local_weight mean_j |f_j - f'_j| + global_weight |f - m_y|,  f the mean of all f_j and f'_j
        then m_y = (1 - r) m_y + r f  with r = exp(-fading v_y);  map_c = A_c

    Pairs whose drawn classes differ, as in photos of several classes, count for the first term alone.

    seeds: n, places a photo, repeated in turn where fewer are above the threshold (paper: 3).
    seed_threshold: tau, on the class map scaled to [0, 1] (paper: 0.7).
    local_weight: of the distance between the two photos (released code: 0.008).
    global_weight: of the distance to the class's centre (released scripts: 0.001).
    fading: how fast a centre settles (released code: 0.002).
    dropout: before each 3x3 convolution of the head, in training (released code: 0.5).
    head_depth: 3x3 convolutions of the head.
    head_width: channels of those convolutions.

    Readings of the paper:
    classes_first: share of the training in which classes alone are learnt (the released code begins with the weights
        of a CAM instead, a training of its own: then 0).
    seed_choice: the "first" places from the top left, as in the released code, or "random" ones, as the paper says.
    smooth: 3x3 average pooling of the features before the head, as the released code does for VGG16.
    """

    together = 2
    centres: Float[Tensor, "k c"]
    visits: Float[Tensor, " k"]

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        seeds: int = 3,
        seed_threshold: float = 0.7,
        local_weight: float = 0.008,
        global_weight: float = 0.001,
        fading: float = 0.002,
        classes_first: float = 0.5,
        seed_choice: Literal["first", "random"] = "first",
        smooth: bool = False,
        dropout: float = 0.5,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        in_range(1, seeds=seeds)
        in_range(0, 1, seed_threshold=seed_threshold, classes_first=classes_first)
        in_range(0, local_weight=local_weight, global_weight=global_weight, fading=fading)
        self.backbone, self.smooth, self.classes_first = backbone, smooth, classes_first
        self.seeds, self.seed_threshold, self.seed_choice = seeds, seed_threshold, seed_choice
        self.local_weight, self.global_weight, self.fading = local_weight, global_weight, fading
        self.head = Head(backbone.channels(-1), classes, head_depth, head_width, dropout=dropout)
        self.register_buffer("centres", torch.randn(classes, backbone.channels(-1)))
        self.register_buffer("visits", torch.zeros(classes))

    def loss(self, images: Images, labels: Labels, progress: float = 1.0) -> Terms:
        """progress: share of the training that is done, 0 to 1. Photos come in pairs: 0 and 1, 2 and 3 ..."""
        features = self.features(images)
        logits, class_maps = self.head(features)
        classes, pairs = pick_class(labels), len(images) // 2
        found = self.at_seeds(features, choose(class_maps, classes[:, None])[:, 0])
        one, other, paired = found[: 2 * pairs : 2], found[1::2], classes[: 2 * pairs : 2]
        counted = (paired == classes[1::2]) & (progress >= self.classes_first)
        local = functional.pairwise_distance(one, other).mean(1)
        common = (one + other).mean(1) / 2
        distance = functional.pairwise_distance(common, self.centres[paired])
        self.remember(paired, common.detach(), counted)
        share = counted / counted.sum().clamp(min=1)
        return {
            "classification": cross_entropy(logits, labels),
            "local": self.local_weight * (share * local).sum(),
            "global": self.global_weight * (share * distance).sum(),
        }

    def at_seeds(self, features: Float[Tensor, "b c h w"], heatmaps: Float[Tensor, "b h w"]) -> Float[Tensor, "b n c"]:
        """Features where each photo's map is strong; for a map without peak at the first places."""
        strong = (min_max(heatmaps.detach()) > self.seed_threshold).flatten(1)
        order = strong + torch.rand_like(strong, dtype=torch.float) * (self.seed_choice == "random")
        order = order.argsort(dim=1, descending=True, stable=True)  # strong places first
        turns = torch.arange(self.seeds, device=features.device) % strong.sum(1, keepdim=True).clamp(min=1)
        places = order.gather(1, turns)[:, None].expand(-1, features.shape[1], -1)
        return features.flatten(2).gather(2, places).mT.float()

    @torch.no_grad()
    def remember(self, classes: Int[Tensor, " p"], common: Float[Tensor, "p c"], counted: Bool[Tensor, " p"]) -> None:
        """Moves the centres of the classes, pair by pair."""
        for label, feature, one in zip(classes, common, counted.float(), strict=True):
            rate = one * torch.exp(-self.fading * self.visits[label])
            self.centres[label] += rate * (feature - self.centres[label])
            self.visits[label] += one

    def predict(self, images: Images) -> Prediction:
        logits, class_maps = self.head(self.features(images))
        return Prediction(logits, {"class_maps": class_maps})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        return choose(prediction.evidence["class_maps"], classes)

    def features(self, images: Images) -> Float[Tensor, "b c h w"]:
        features = self.backbone(images)
        return functional.avg_pool2d(features, 3, stride=1, padding=1) if self.smooth else features
