"""What is known of a named architecture, and how it is built with its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from torch import nn

from wsol.backbones.base import IMAGENET, Backbone, Stages, Statistics
from wsol.backbones.weights import load_weights
from wsol.errors import WsolError

HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Architecture:
    """A library network and its chain of stages.

    make(own, download): the network as the library's own weights want it or as other weights do, and whether to
    fetch the library's. removed: prefixes of the parameters behind the last stage. classifier: path of the library's
    last layer where it reads the last features. rectified_classifier: ReLU follows that layer. statistics: mean and
    std that its weights want, where the library does not say. surgery(network, kept_strides): what the papers change
    before they lower strides; left out where no map stride is asked. respelt: pattern and replacement for parameter
    names of older files.
    """

    make: Callable[[bool, bool], nn.Module]
    stages: Stages
    removed: tuple[str, ...]
    classifier: str | None = None
    rectified_classifier: bool = False
    statistics: Statistics = IMAGENET
    surgery: Callable[[Any, int], None] | None = None
    respelt: tuple[str, str] = ("", "")

    def build(
        self,
        weights: str | Path | None,
        end: str | None,
        map_stride: int | None,
        kept_strides: int = 0,
        load: bool = True,
    ) -> Backbone:
        own = weights == "pretrained"
        network = fetch(self.make, own, own and load)
        if weights is not None and not own and load:
            load_weights(network, Path(weights), self.removed, self.respelt)
        config: Any = getattr(network, "pretrained_cfg", None) if own else None
        statistics = (tuple(config["mean"]), tuple(config["std"])) if config else self.statistics
        if self.surgery and map_stride is not None:
            self.surgery(network, kept_strides)
        stages = self.stages if end is None else _cut(self.stages, end)
        classifier: Any = network.get_submodule(self.classifier) if self.classifier and stages == self.stages else None
        return Backbone(network, stages, statistics, map_stride, kept_strides, classifier, self.rectified_classifier)


def torchvision_network(make: Callable[..., nn.Module], **otherwise: Any) -> Callable[[bool, bool], nn.Module]:
    """One of torchvision's constructors; `otherwise` are the options where its weights are not fetched.

    Fetched are its first weights, with which the papers began: ResNet50's later ones are trained another way.
    """
    return lambda own, download: make(weights="IMAGENET1K_V1") if download else make(weights=None, **otherwise)


def timm_network(name: str, **otherwise: Any) -> Callable[[bool, bool], nn.Module]:
    """One of timm's networks; `otherwise` are the options for weights that are not timm's own."""
    return lambda own, download: timm.create_model(name, pretrained=download, **({} if own else otherwise))


def fetch(make: Callable[[bool, bool], nn.Module], own: bool, download: bool) -> nn.Module:
    """Builds a network. Raises WsolError when its weights cannot be downloaded."""
    if not download:
        return make(own, False)
    try:
        return make(own, True)
    except Exception as error:
        raise WsolError(
            f"the library's weights could not be downloaded ({str(error).splitlines()[0][:100]}); "
            "give --weights a local file, or --weights none to start from scratch"
        ) from error


def span(parent: str, first: int, last: int) -> list[str]:
    """Paths of consecutive children of a Sequential, both ends included."""
    return [f"{parent}.{i}" for i in range(first, last + 1)]


def _cut(stages: Stages, end: str) -> Stages:
    if end not in stages:
        raise WsolError(f"there is no boundary {end!r} to end at; this backbone has {', '.join(stages)}")
    names = list(stages)
    return {name: stages[name] for name in names[: names.index(end) + 1]}
