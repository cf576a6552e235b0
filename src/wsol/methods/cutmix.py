"""CutMix: a box of one photo is pasted into another (Yun et al., ICCV 2019)."""

import math

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional

from wsol.methods.around import Around
from wsol.methods.contract import Images, Labels, Method
from wsol.nn.ranges import in_range


class CutMix(Around):
    """Each training photo gets a box of another one, and the label of both by their share of the area.

    Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899. Algorithm, around any method that classifies::

        lambda ~ Beta(a, a);  x', y' = the batch in another order;  a box of sqrt(1 - lambda) of each side, its centre
        uniform, cut at the borders, is copied from x' into x;  s = its share of the area
        L = L_method(x, (1 - s) y + s y');  at test photos are whole

    Where photos hold several classes, a mixed photo holds those of both.

    mix_rate: probability that a batch is mixed (paper: 1 on ImageNet, 0.5 on CIFAR).
    mix_shape: a, the shape of the distribution of lambda (paper: 1, that is uniform).
    """

    def __init__(self, method: Method, mix_rate: float = 1.0, mix_shape: float = 1.0) -> None:
        super().__init__(method)
        in_range(0, 1, mix_rate=mix_rate)
        in_range(1e-3, mix_shape=mix_shape)
        if (head := self.class_head()) is None:
            raise self.without_classes("CutMix mixes the labels of classes")
        self.mix_rate, self.mix_shape, self.classes = mix_rate, mix_shape, head.classes

    def edit(self, images: Images, labels: Labels) -> tuple[Images, Labels]:
        if torch.rand(()) >= self.mix_rate:
            return images, labels
        kept = Beta(self.mix_shape, self.mix_shape).sample().item()
        order = torch.randperm(len(images)).to(images.device)
        rows, columns = (span(side, math.sqrt(1 - kept)) for side in images.shape[-2:])
        mixed = images.clone()
        mixed[:, :, rows, columns] = images[order][:, :, rows, columns]
        pasted = images[0, 0, rows, columns].numel() / images[0, 0].numel()
        return mixed, self.mixed_labels(labels, labels[order], pasted)

    def mixed_labels(self, labels: Labels, others: Labels, pasted: float) -> Labels:
        """Soft labels (b, k) of photos of which a share is pasted from others; bool labels stay bool."""
        if labels.dtype == torch.bool:
            return labels | others
        one, other = (self.soft(given) for given in (labels, others))
        return (1 - pasted) * one + pasted * other

    def soft(self, labels: Labels) -> Tensor:
        return functional.one_hot(labels, self.classes).float() if labels.dim() == 1 else labels


def span(side: int, share: float) -> slice:
    """That share of a side around a random centre, cut at the borders."""
    half, centre = int(side * share) // 2, int(torch.randint(side, ()))
    return slice(max(centre - half, 0), min(centre + half, side))
