"""ADL: attention-based dropout layer (Choe and Shim, CVPR 2019)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from wsol.methods.around import Around
from wsol.methods.contract import Method
from wsol.nn.maps import channel_mean, erase, peak
from wsol.nn.ranges import in_range


class ADL(Around):
    """At some boundaries the training either drops the strongest region of the features or weights them by attention.

    Choe and Shim, CVPR 2019, https://arxiv.org/abs/1908.10028. Algorithm, around any method, at each boundary and each
    time that a stream passes it, with one draw for the whole batch::

        m = mean over channels of F
        with probability p:  F * 1[m < gamma max m]    (the drop mask)
        else:                F * sigmoid(m)            (the importance map)

    Nothing of it at test.

    drop_at: the boundaries, by name or negative index (paper, VGG16: pool3, pool4 and conv5_3).
    drop_rate: p, probability of the drop mask (paper: 0.75).
    drop_threshold: gamma, share of the mean map's maximum from which on features are dropped (paper, VGG16: 0.8,
        ResNet50: 0.9); above 1 nothing is.
    """

    def __init__(
        self,
        method: Method,
        drop_at: tuple[str | int, ...] = (-3, -2, -1),
        drop_rate: float = 0.75,
        drop_threshold: float = 0.8,
    ) -> None:
        super().__init__(method)
        in_range(0, 1, drop_rate=drop_rate)
        in_range(0, drop_threshold=drop_threshold)
        self.drop_at = self.backbone.in_order(drop_at)
        self.drop_rate, self.drop_threshold = drop_rate, drop_threshold

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        with ExitStack() as edits:
            for boundary in self.drop_at:
                edits.enter_context(self.backbone.edited(boundary, self.attended))
            yield

    def attended(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        attention = channel_mean(features)
        if torch.rand(()) < self.drop_rate:
            return erase(features, peak(attention, self.drop_threshold))
        return features * attention.sigmoid()[:, None].to(features.dtype)
