"""DANet: divergent activation (Xue et al., ICCV 2019)."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms, cross_entropy
from wsol.nn.heads import Head
from wsol.nn.maps import choose, likeness, pick_class, resize
from wsol.nn.ranges import in_range
from wsol.nn.views import outputs_of


class DANet(Method):
    """Heads at three depths learn orders, families and species, each by several maps that must differ.

    Xue et al., ICCV 2019, https://doi.org/10.1109/ICCV.2019.00669. Algorithm, at depths l with classes y_l (the order,
    the family and the class itself) and d maps a class::

        A_l = head_l(F_l);  z_l = GAP of the mean of each class's d maps
        L = class_weight sum_l CE(z_l, y_l) + divergence_weight |sum of cos(a, a')| / pairs,
            over pairs of `compared` maps, drawn for each batch from the 3 d maps of the y_l, at the largest map's size
        map_c = sum_l relu(mean of the d maps of c_l);  scores are those of the last head

    families: the family of each class, by number from 0; where nobody gives them training reads `--label-tree` or
        takes classes whose names end in the same word. Empty: each class is its own.
    orders: the same for orders; where nobody gives them they are the families.
    activated_at: where the heads of orders, families and classes read, shallow to deep, by name or negative index
        (paper, VGG16: conv3, conv4 and conv5, as here).
    maps: d (paper: 8).
    compared: maps that are drawn and compared in pairs (paper: 12 of 24).
    class_weight: of each cross-entropy (paper: 0.5).
    divergence_weight: of the likeness of maps (paper: 0.01).
    head_depth: 3x3 convolutions of each head.
    head_width: channels of those convolutions; those of orders have half of them.
    """

    families: Int[Tensor, " k"]
    orders: Int[Tensor, " k"]

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        families: tuple[int, ...] = (),
        orders: tuple[int, ...] = (),
        activated_at: tuple[str | int, ...] = (-3, -2, -1),
        maps: int = 8,
        compared: int = 12,
        class_weight: float = 0.5,
        divergence_weight: float = 0.01,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__()
        in_range(1, 256, maps=maps)
        in_range(2, 3 * maps, compared=compared)
        in_range(0, class_weight=class_weight, divergence_weight=divergence_weight)
        if len(activated_at) != 3:
            raise ValueError("activated_at takes three boundaries")
        families = families or tuple(range(classes))
        orders = orders or families
        for name, groups in (("families", families), ("orders", orders)):
            if len(groups) != classes or min(groups) < 0:
                raise ValueError(f"{name} takes a number from 0 on for each of {classes} classes")
            self.register_buffer(name, torch.tensor(groups), persistent=False)
        self.register_buffer("species", torch.arange(classes), persistent=False)
        self.backbone, self.activated_at = backbone, backbone.in_order(activated_at)
        self.compared, self.class_weight, self.divergence_weight = compared, class_weight, divergence_weight
        shallow, middle, deep = (backbone.channels(boundary) for boundary in self.activated_at)
        self.head_species = DiverseHead(deep, classes, maps, head_depth, head_width)
        self.head_families = DiverseHead(middle, max(families) + 1, maps, head_depth, head_width)
        self.head_orders = DiverseHead(shallow, max(orders) + 1, maps, head_depth, (head_width + 1) // 2)

    def loss(self, images: Images, labels: Labels) -> Terms:
        classes, terms, maps = pick_class(labels), {}, []
        for name, head, groups, features in self.levels(images):
            with outputs_of(head.classifier) as outputs:
                logits, _ = head(features)
            terms[name] = self.class_weight * cross_entropy(logits, in_groups(labels, groups, head.classes))
            diverse = outputs[0].unflatten(1, (head.classes, -1))
            maps.append(diverse[torch.arange(len(classes), device=classes.device), groups[classes]])
        size = maps[0].shape[-2], maps[0].shape[-1]
        of_levels = torch.cat([resize(each, size) for each in maps], 1)
        drawn = of_levels[:, torch.randperm(of_levels.shape[1])[: self.compared]]
        return terms | {"divergence": self.divergence_weight * likeness(drawn)}

    def levels(
        self, images: Images
    ) -> Iterator[tuple[str, "DiverseHead", Int[Tensor, " k"], Float[Tensor, "b c h w"]]]:
        """Name, head, the group of each class, and features, shallow to deep."""
        for name, features in zip(
            ("orders", "families", "species"), self.backbone.at(images, *self.activated_at), strict=True
        ):
            yield name, getattr(self, f"head_{name}"), getattr(self, name), features

    def predict(self, images: Images) -> Prediction:
        answers = {name: head(features) for name, head, _, features in self.levels(images)}
        return Prediction(answers["species"][0], {name: class_maps for name, (_, class_maps) in answers.items()})

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        evidence = prediction.evidence
        height, width = evidence["orders"].shape[-2:]
        size = int(height), int(width)
        of_levels = [choose(class_maps, getattr(self, name)[classes]).relu() for name, class_maps in evidence.items()]
        return torch.stack([resize(each, size) for each in of_levels]).sum(0)


class DiverseHead(Head):
    """A head that has several maps for each class; its class maps are their means.

    maps: d, of each class.
    """

    def __init__(self, channels: int, classes: int, maps: int, depth: int, width: int) -> None:
        super().__init__(channels, classes * maps, depth, width)
        self.classes = classes

    def forward(self, features: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k h w"]]:
        _, diverse = super().forward(features)
        class_maps = diverse.unflatten(1, (self.classes, -1)).mean(2)
        return class_maps.mean((2, 3)), class_maps


def in_groups(
    labels: Labels, groups: Int[Tensor, " k"], count: int
) -> Int[Tensor, " b"] | Float[Tensor, "b g"] | Bool[Tensor, "b g"]:
    """Labels of classes as labels of their groups; soft ones add up, and a group of a true class is true."""
    if labels.dim() == 1:
        return groups[labels]
    shares = labels.float() @ functional.one_hot(groups, count).float()
    return shares > 0 if labels.dtype == torch.bool else shares
