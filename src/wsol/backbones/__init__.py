"""Backbones: architectures as chains of named stages, and nothing else."""

import difflib
from pathlib import Path

import timm

from wsol.backbones.architecture import Architecture
from wsol.backbones.base import Backbone
from wsol.backbones.densenet import DENSENET161
from wsol.backbones.derived import derive
from wsol.backbones.googlenet import GOOGLENET
from wsol.backbones.inception import INCEPTION_V3
from wsol.backbones.mobilenet import MOBILENETV1, MOBILENETV2
from wsol.backbones.resnet import RESNET18, RESNET50
from wsol.backbones.squeezenet import SQUEEZENET1_1
from wsol.backbones.vgg import VGG16, VGG16_BN
from wsol.errors import WsolError

BACKBONES: dict[str, Architecture] = {
    "vgg16": VGG16,
    "vgg16_bn": VGG16_BN,
    "resnet18": RESNET18,
    "resnet50": RESNET50,
    "googlenet": GOOGLENET,
    "inception_v3": INCEPTION_V3,
    "densenet161": DENSENET161,
    "mobilenetv1": MOBILENETV1,
    "mobilenetv2": MOBILENETV2,
    "squeezenet1_1": SQUEEZENET1_1,
}


def build_backbone(
    name: str,
    weights: str | Path | None = None,
    end: str | None = None,
    map_stride: int | None = 16,
    kept_strides: int = 0,
    load: bool = True,
) -> Backbone:
    """A backbone by name: one of BACKBONES, or any timm network whose stages form a chain.

    weights: None (random), "pretrained" (the library's own, downloaded) or the path of a state dict.
    end: boundary to end at, None for the last. map_stride: input pixels per cell of the last map (16: 14x14 at
    224 px; 8: the papers' 28x28), None for the library's network as it is; kept_strides: see Backbone. load: False
    leaves the weights out, for a network whose state comes from a run.

    With a map_stride, inception_v3 takes the papers' padded form, whose maps have 28x28 or 14x14 cells at Mixed_6e
    (the library's: 12x12, and 17x17 at 299 px); with kept_strides, ResNets pool before layer4 (BAS).

    Raises WsolError for an unknown name (with a suggestion), weights that do not fit, an end or a stride that
    cannot be had.
    """
    if name in BACKBONES:
        return BACKBONES[name].build(weights, end, map_stride, kept_strides, load)
    if timm.is_model(name):
        return derive(name).build(weights, end, map_stride, kept_strides, load)
    close = difflib.get_close_matches(name, [*BACKBONES, *timm.list_models()], 3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"named ones are {', '.join(BACKBONES)}"
    raise WsolError(f"there is no backbone {name!r}; {hint}")


def backbone_for(weights: Path) -> str:
    """The named backbone that a file of weights is called after. Raises WsolError when its name says nothing."""
    fitting = [name for name in BACKBONES if weights.stem.lower().startswith(name)]
    if not fitting:
        raise WsolError(f"{weights}: its name does not say which network it belongs to; add --backbone NAME")
    return max(fitting, key=len)


__all__ = ["BACKBONES", "Backbone", "backbone_for", "build_backbone"]
