"""A backbone: two convolutions, from scratch."""

from torch import nn

from wsol.backbones.architecture import Architecture


def tiny(own: bool, download: bool) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())


TINY = Architecture(tiny, {"first": ["0", "1"], "second": ["2", "3"]})
