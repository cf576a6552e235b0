"""SqueezeNet 1.1 (torchvision); its own classifier rectifies the class maps before it averages them."""

from torchvision import models

from wsol.backbones.architecture import Architecture, span, torchvision_network

SQUEEZENET1_1 = Architecture(
    torchvision_network(models.squeezenet1_1),
    {
        "pool1": span("features", 0, 2),
        "pool3": span("features", 3, 5),
        "pool5": span("features", 6, 8),
        "fire7": span("features", 9, 10),
        "fire9": span("features", 11, 12),
    },
    classifier="classifier.1",
    rectified_classifier=True,
)
