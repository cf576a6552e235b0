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


@dataclass(frozen=True)
class Architecture:
    """A library network and its chain of stages.

    make(own, download): the network as the library's own weights want it or as other weights do, and whether to
    fetch the library's. removed: prefixes of the parameters behind the last stage. classifier: path of the library's
    last layer where it reads the last features. rectified_classifier: ReLU follows that layer.
    """

    make: Callable[[bool, bool], nn.Module]
    stages: Stages
    removed: tuple[str, ...]
    classifier: str | None = None
    rectified_classifier: bool = False

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
            load_weights(network, Path(weights), self.removed)
        stages = self.stages if end is None else _cut(self.stages, end)
        classifier: Any = network.get_submodule(self.classifier) if self.classifier and stages == self.stages else None
        statistics = own_statistics(network) if own else IMAGENET
        return Backbone(network, stages, statistics, map_stride, kept_strides, classifier, self.rectified_classifier)


def torchvision_network(make: Callable[..., nn.Module]) -> Callable[[bool, bool], nn.Module]:
    """One of torchvision's constructors in the form that Architecture takes."""
    return lambda own, download: make(weights="DEFAULT" if download else None)


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


def own_statistics(network: nn.Module) -> Statistics:
    """Mean and std that a library's own weights want: timm says, torchvision's are ImageNet's."""
    config: Any = getattr(network, "pretrained_cfg", None)
    return (tuple(config["mean"]), tuple(config["std"])) if config else IMAGENET


def span(parent: str, first: int, last: int) -> list[str]:
    """Paths of consecutive children of a Sequential, both ends included."""
    return [f"{parent}.{i}" for i in range(first, last + 1)]


def _cut(stages: Stages, end: str) -> Stages:
    if end not in stages:
        raise WsolError(f"there is no boundary {end!r} to end at; this backbone has {', '.join(stages)}")
    names = list(stages)
    return {name: stages[name] for name in names[: names.index(end) + 1]}
