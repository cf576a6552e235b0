"""ResNet18 and ResNet50 (torchvision).

Where layer4 keeps its stride while layer3's is lowered (kept_strides 1), a 2x2 max-pool before it takes the stride, as
in BAS.
"""

from collections import OrderedDict

from torch import nn
from torchvision import models

from wsol.backbones.architecture import Architecture, torchvision_network
from wsol.backbones.chain import lower_strides

STAGES = {
    "stem": ["conv1", "bn1", "relu", "maxpool"],
    "layer1": ["layer1"],
    "layer2": ["layer2"],
    "layer3": ["layer3"],
    "layer4": ["layer4"],
}


def pooled(network: models.ResNet, kept_strides: int) -> None:
    if kept_strides:
        lower_strides(network.layer4)
        network.layer4 = nn.Sequential(OrderedDict([("pool", nn.MaxPool2d(2)), *network.layer4.named_children()]))


RESNET18, RESNET50 = (
    Architecture(torchvision_network(make), STAGES, classifier="fc", surgery=pooled)
    for make in (models.resnet18, models.resnet50)
)
