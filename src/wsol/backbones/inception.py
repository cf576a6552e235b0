"""InceptionV3 (torchvision) in two forms. Its weights want a mean and std of 0.5.

As the library has it (map_stride None), 224 pixels give 25x25 cells at Mixed_5d and 12x12 at Mixed_6e, 299 pixels
17x17 there. With a map_stride it takes the papers' form (SPG, BAS): the stem is padded to 28x28 at Mixed_5d, Mixed_6a
has stride 1 behind a max-pool that a map_stride of 8 takes away (28x28), and Mixed_7a is padded.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from torchvision.models import inception

from wsol.backbones.architecture import Architecture, torchvision_network
from wsol.backbones.chain import lower_strides, strided
from wsol.backbones.contract import HALF


class Halving(nn.Module):
    """A max-pool that is nothing once its stride is lowered."""

    def __init__(self) -> None:
        super().__init__()
        self.stride = 2

    def forward(self, x: Tensor) -> Tensor:
        return x if self.stride == 1 else functional.max_pool2d(x, 3, self.stride, ceil_mode=True)


class Mixed6a(inception.InceptionB):
    """The library's, with its pooling as a module, so that it can be padded and lowered."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.halving, self.pool = nn.Identity(), nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.halving(x)
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), twice, self.pool(x)], 1)


class Mixed7a(inception.InceptionD):
    """The library's, with its pooling as a module, so that it can be padded and lowered."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), wide, self.pool(x)], 1)


BLOCKS = [
    inception.BasicConv2d,
    inception.InceptionA,
    Mixed6a,
    inception.InceptionC,
    Mixed7a,
    inception.InceptionE,
    inception.InceptionAux,
]


def inception_v3(**options: Any) -> nn.Module:
    return models.inception_v3(inception_blocks=BLOCKS, **options)


def padded(network: models.Inception3, kept_strides: int) -> None:
    """The papers' form, on maps of 1/8, 1/16 and 1/32 of the image."""
    for path in ("Conv2d_1a_3x3", "maxpool1", "maxpool2", "Mixed_6a", "Mixed_7a"):
        for module in strided(network.get_submodule(path)):
            module.padding = 1 if isinstance(module, nn.MaxPool2d) else (1, 1)
    network.maxpool1.ceil_mode = network.maxpool2.ceil_mode = True
    lower_strides(network.Mixed_6a)
    network.Mixed_6a.halving = Halving()


MIXED = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
INCEPTION_V3 = Architecture(
    torchvision_network(inception_v3, init_weights=True),
    {
        "maxpool1": ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"],
        "maxpool2": ["Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"],
    }
    | {f"Mixed_{block}": [f"Mixed_{block}"] for block in MIXED},
    classifier="fc",
    statistics=HALF,
    surgery=padded,
)
