"""HaS: hide-and-seek (Kumar Singh and Lee, ICCV 2017)."""

import math
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from wsol.methods.around import Around
from wsol.methods.contract import Images, Labels, Method
from wsol.nn.ranges import in_range

MIXED = (0, 16, 32, 44, 56)  # sides of the mixed variant; 0 hides nothing


class HaS(Around):
    """Random patches of the training photos are hidden, so that the class must be told from other parts as well.

    Kumar Singh and Lee, ICCV 2017, https://arxiv.org/abs/1704.04232. Algorithm, around any method::

        divide x into patches of s x s pixels;  hide each with probability p: it takes the mean colour of the data
        L = L_method(x, y);  at test photos are whole

    patch: s in pixels (paper: 16, 32, 44 or 56), or "mixed": drawn for each photo from 0 (nothing hidden) and these.
    hide_rate: p, probability that a patch is hidden (paper: 0.5).
    """

    def __init__(self, method: Method, patch: int | Literal["mixed"] = 32, hide_rate: float = 0.5) -> None:
        super().__init__(method)
        in_range(0, 1, hide_rate=hide_rate)
        if patch != "mixed":
            in_range(1, patch=patch)
        self.sides, self.hide_rate = MIXED if patch == "mixed" else (patch,), hide_rate

    def edit(self, images: Images, labels: Labels) -> tuple[Images, Labels]:
        height, width = images.shape[-2:]
        hidden = torch.stack([self.hidden(height, width) for _ in images]).to(images.device)
        return torch.where(hidden[:, None], self.backbone.mean.to(images.dtype), images), labels

    def hidden(self, height: int, width: int) -> Bool[Tensor, "{height} {width}"]:
        """Which pixels of one photo are hidden; patches at the right and lower border may be cut."""
        side = self.sides[int(torch.randint(len(self.sides), ()))]
        if not side:
            return torch.zeros(height, width, dtype=torch.bool)
        patches = torch.rand(math.ceil(height / side), math.ceil(width / side)) < self.hide_rate
        return patches.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width]
