"""DenseNet-161 (torchvision); its last stage ends with the ReLU that the library applies before its classifier."""

from typing import Any

from torch import nn
from torchvision import models

from wsol.backbones.architecture import Architecture, torchvision_network


def densenet161(**options: Any) -> nn.Module:
    network = models.densenet161(**options)
    network.features.add_module("relu5", nn.ReLU())
    return network


DENSENET161 = Architecture(
    torchvision_network(densenet161),
    {
        "pool0": ["features.conv0", "features.norm0", "features.relu0", "features.pool0"],
        "denseblock1": ["features.denseblock1"],
        "transition1": ["features.transition1"],
        "denseblock2": ["features.denseblock2"],
        "transition2": ["features.transition2"],
        "denseblock3": ["features.denseblock3"],
        "transition3": ["features.transition3"],
        "denseblock4": ["features.denseblock4", "features.norm5", "features.relu5"],
    },
    classifier="classifier",
    respelt=(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)", r"\1"),  # torchvision's file says norm.1 for norm1
)
