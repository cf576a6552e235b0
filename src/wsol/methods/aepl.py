"""AEPL: adversarial erasing and pseudo labels on top of BAS (arXiv 2404.09475), a reconstruction."""

from typing import Any, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from wsol.methods.bas import BAS, Streams
from wsol.methods.contract import Backbone, Images, Labels, Terms, cross_entropy
from wsol.nn.losses import risen
from wsol.nn.maps import choose, min_max, peak, resize
from wsol.nn.ranges import in_range


class AEPL(BAS):
    """BAS that must also classify with the strongest parts erased, and whose masks become their own labels.

    Reconstructed from https://arxiv.org/abs/2404.09475: thresholds and weights are not in the text we have, the
    defaults are ours. In BAS's letters, each erasure made without gradient::

        L_ae    = CE(GAP(A * 1[minmax(A_y) < t1]), y)
        L_ae_fg = CE(GAP(A * pool(M * 1[M <= t2])), y)
        L_pseudo = mean |M - label| over pixels labelled 1 where M > t4, and 0 where M < t3
        L = L_BAS + g2 L_ae + g3 L_ae_fg + g4 L_pseudo, g4 rising over the first 20 % of training

    erase_threshold: t1, on the true class's map scaled to [0, 1]; above 1 nothing is erased.
    mask_threshold: t2, on what `mask_erased_by` says; above 1 nothing is erased.
    background_below: t3, a pixel of the mask below it is labelled 0.
    foreground_above: t4, one above it is labelled 1; pixels between t3 and t4 have no label.
    erased_weight: g2, weight of L_ae.
    erased_mask_weight: g3, weight of L_ae_fg.
    pseudo_weight: g4, weight of L_pseudo.

    Readings of the paper:
    mask_erased_by: the mask is erased where the "mask" itself is above t2 or, as the class map in L_ae, where the true
        class's "map", scaled to [0, 1], reaches it.
    relative: t2 is a share of the mask's maximum instead.
    erased_ramp: share of the training over which g2 and g3 rise from 0, as area_ramp lets beta.
    balanced: L_pseudo is the mean over the pixels labelled 1 and that over those labelled 0, halved each.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        erase_threshold: float = 0.7,
        mask_threshold: float = 0.7,
        mask_erased_by: Literal["mask", "map"] = "mask",
        relative: bool = False,
        erased_ramp: float = 0.0,
        balanced: bool = False,
        background_below: float = 0.2,
        foreground_above: float = 0.8,
        erased_weight: float = 0.5,
        erased_mask_weight: float = 0.5,
        pseudo_weight: float = 0.5,
        **bas: Any,
    ) -> None:
        super().__init__(backbone, classes, **bas)
        in_range(0, erase_threshold=erase_threshold, mask_threshold=mask_threshold, pseudo_weight=pseudo_weight)
        in_range(0, erased_weight=erased_weight, erased_mask_weight=erased_mask_weight)
        in_range(0, 1, erased_ramp=erased_ramp)
        if background_below > foreground_above:
            raise ValueError(f"background_below {background_below} must not exceed foreground_above {foreground_above}")
        self.erase_threshold, self.mask_threshold, self.relative = erase_threshold, mask_threshold, relative
        self.background_below, self.foreground_above = background_below, foreground_above
        self.erased_weight, self.erased_mask_weight = erased_weight, erased_mask_weight
        self.pseudo_weight, self.balanced = pseudo_weight, balanced
        self.mask_erased_by, self.erased_ramp = mask_erased_by, erased_ramp

    def loss(self, images: Images, labels: Labels, progress: float = 1.0) -> Terms:
        """progress: share of the training that is done, 0 to 1."""
        streams = self.streams(images, labels)
        class_map = min_max(choose(streams.class_maps, streams.classes[:, None]))
        erased = (streams.class_maps * ~peak(class_map, self.erase_threshold, relative=False)).mean((2, 3))
        risen_to = risen(progress, self.erased_ramp)
        left = streams.scores(streams.mask * self.kept(streams.mask, class_map))
        return self.suppression(streams, labels, progress) | {
            "erased": risen_to * self.erased_weight * cross_entropy(erased, streams.classes),
            "erased_mask": risen_to * self.erased_mask_weight * cross_entropy(left, streams.classes),
            "pseudo": risen(progress, 0.2) * self.pseudo_weight * self.pseudo(streams).mean(),
        }

    def kept(self, mask: Float[Tensor, "b 1 h w"], class_map: Float[Tensor, "b 1 h2 w2"]) -> Bool[Tensor, "b 1 h w"]:
        """Where the mask is not erased."""
        if self.mask_erased_by == "map":
            finer = resize(class_map, (mask.shape[-2], mask.shape[-1]))
            return ~peak(finer, self.mask_threshold, relative=False)
        values = mask.detach().float()
        highest = values.amax((2, 3), keepdim=True) if self.relative else 1.0
        return values <= self.mask_threshold * highest

    def pseudo(self, streams: Streams) -> Float[Tensor, " b"]:
        """Mean distance of a mask from its own confident pixels rounded to 0 and 1."""
        mask, values = streams.mask.float(), streams.mask.detach().float()
        ones, zeros = values > self.foreground_above, values < self.background_below
        distance = (mask - ones.float()).abs()
        if self.balanced:
            return (mean_over(ones, distance) + mean_over(zeros, distance)) / 2
        return mean_over(ones | zeros, distance)


def mean_over(where: Bool[Tensor, "b 1 h w"], values: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """Each image's mean of the values there; 0 where there are none."""
    return (values * where).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp(min=1)
