"""Small networks that tests can afford to run exactly."""

import torch
from torch import nn

from wsol.backbones import Backbone, build_backbone
from wsol.backbones.chain import Chain
from wsol.nn.heads import Head


def plain(seed: int = 0) -> Chain:
    """Three rectified stages without batch norm: stages a, b and the last, c; 8x8 maps from 32 pixels."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 10, 3, 1, 1), nn.ReLU()
    )
    return Chain(network, {"a": ["0", "1"], "b": ["2", "3"], "c": ["4", "5"]})


def normed(seed: int = 0) -> Backbone:
    """A real network with batch norm."""
    torch.manual_seed(seed)
    return build_backbone("resnet18", map_stride=8)


def loud(method: nn.Module) -> nn.Module:
    """The method with class weights of size 1: classes, and streams, differ by more than rounding."""
    for head in (module for module in method.modules() if isinstance(module, Head)):
        nn.init.normal_(head.classifier.weight)
    return method


def batch(side: int = 32, b: int = 4, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(b, 3, side, side, generator=generator), torch.randint(classes, (b,), generator=generator)
