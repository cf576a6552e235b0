"""VGG16 (torchvision), cut after conv5_3: the last pooling is left out, as all WSOL papers do."""

from torchvision import models

from wsol.backbones.architecture import Architecture, span, torchvision_network

VGG16 = Architecture(
    torchvision_network(models.vgg16),
    {
        "pool1": span("features", 0, 4),
        "pool2": span("features", 5, 9),
        "pool3": span("features", 10, 16),
        "relu4_3": span("features", 17, 22),
        "pool4": ["features.23"],
        "conv5_3": span("features", 24, 29),
    },
)

VGG16_BN = Architecture(
    torchvision_network(models.vgg16_bn),
    {
        "pool1": span("features", 0, 6),
        "pool2": span("features", 7, 13),
        "pool3": span("features", 14, 23),
        "relu4_3": span("features", 24, 32),
        "pool4": ["features.33"],
        "conv5_3": span("features", 34, 42),
    },
)
