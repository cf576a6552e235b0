"""ResNet18 and ResNet50 (torchvision)."""

from torchvision import models

from wsol.backbones.architecture import Architecture, torchvision_network

STAGES = {
    "stem": ["conv1", "bn1", "relu", "maxpool"],
    "layer1": ["layer1"],
    "layer2": ["layer2"],
    "layer3": ["layer3"],
    "layer4": ["layer4"],
}

RESNET18 = Architecture(torchvision_network(models.resnet18), STAGES, removed=("fc.",), classifier="fc")
RESNET50 = Architecture(torchvision_network(models.resnet50), STAGES, removed=("fc.",), classifier="fc")
