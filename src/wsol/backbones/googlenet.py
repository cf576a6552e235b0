"""GoogLeNet (torchvision, with batch norm); the papers end at inception4e. Its weights want a mean and std of 0.5."""

from torchvision import models

from wsol.backbones.architecture import Architecture, torchvision_network
from wsol.backbones.contract import HALF

GOOGLENET = Architecture(
    torchvision_network(models.googlenet, init_weights=True),
    {
        "maxpool1": ["conv1", "maxpool1"],
        "maxpool2": ["conv2", "conv3", "maxpool2"],
        "inception3a": ["inception3a"],
        "inception3b": ["inception3b"],
        "inception4a": ["maxpool3", "inception4a"],
        "inception4b": ["inception4b"],
        "inception4c": ["inception4c"],
        "inception4d": ["inception4d"],
        "inception4e": ["inception4e"],
        "inception5a": ["maxpool4", "inception5a"],
        "inception5b": ["inception5b"],
    },
    classifier="fc",
    statistics=HALF,
)
