"""MobileNetV1 and V2 (timm). V1's boundaries carry the papers' count of modules, the first convolution being 1.

Weights that are not timm's own (published files, or training from scratch) get TensorFlow's "same" padding, with
which the published MobileNets were trained; timm's own want its symmetric padding.
"""

from wsol.backbones.architecture import Architecture, timm_network

MOBILENETV1 = Architecture(
    timm_network("mobilenetv1_100", {"pad_type": "same"}),
    {
        "module2": ["conv_stem", "bn1", "blocks.0"],
        "module4": ["blocks.1"],
        "module6": ["blocks.2"],
        "module12": ["blocks.3"],
        "module14": ["blocks.4"],
    },
    classifier="classifier",
)

MOBILENETV2 = Architecture(
    timm_network("mobilenetv2_100", {"pad_type": "same"}),
    {"block0": ["conv_stem", "bn1", "blocks.0"]}
    | {f"block{i}": [f"blocks.{i}"] for i in range(1, 7)}
    | {"head": ["conv_head", "bn2"]},
    classifier="classifier",
)
