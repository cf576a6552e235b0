"""What is known of a named architecture, and how it is built with its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from wsol.backbones.chain import Chain, Stages
from wsol.backbones.contract import IMAGENET, OwnClassifier, Statistics
from wsol.backbones.weights import load_weights
from wsol.errors import WsolError

Make = Callable[[bool, bool], nn.Module]


@dataclass(frozen=True)
class Architecture:
    """A library network and its chain of stages.

    make: (own, download) -> the network, as the library's own weights want it or as other weights do, and whether to
        fetch the library's.
    stages: see `Chain`.
    classifier: path of the library's last layer where it reads the last features.
    rectified_classifier: ReLU follows that layer.
    statistics: mean and std that its weights want, where the library does not say.
    surgery: (network, kept_strides) -> None, what the papers change before they lower strides; left out where no map
        stride is asked.
    respelt: pattern and replacement for parameter names of older files.
    """

    make: Make
    stages: Stages
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
    ) -> Chain:
        """The backbone; see `build_backbone`."""
        library = weights == "pretrained"
        stages = self.stages if end is None else _cut(self.stages, end)
        network = fetch(self.make, library, library and load)
        classifier = self.classifier if stages == self.stages else None
        if weights is not None and load and not library:
            paths = tuple(f"{path}." for stage in stages.values() for path in stage)
            needed = {key for key in network.state_dict() if key.startswith(paths)}
            classifier = load_weights(network, Path(weights), needed, classifier, self.respelt)
        config: Any = getattr(network, "pretrained_cfg", None) if library else None
        statistics = (tuple(config["mean"]), tuple(config["std"])) if config else self.statistics
        if self.surgery and map_stride is not None:
            self.surgery(network, kept_strides)
        layer: Any = network.get_submodule(classifier) if classifier else None
        head = OwnClassifier(layer, self.rectified_classifier, blank=not load) if classifier else None
        return Chain(network, stages, statistics, map_stride, kept_strides, head)


def torchvision_network(make: Callable[..., nn.Module], fetched: str = "IMAGENET1K_V1", **otherwise: Any) -> Make:
    """One of torchvision's constructors; `otherwise` are the options where its weights are not fetched.

    Fetched are its first weights, with which the papers began: ResNet50's later ones are trained another way.
    """
    return lambda own, download: make(weights=fetched) if download else make(weights=None, **otherwise)


def timm_network(name: str, otherwise: dict[str, Any] | None = None, **always: Any) -> Make:
    """One of timm's networks.

    otherwise: options for weights that are not timm's own.
    always: options for all weights.
    """

    def make(own: bool, download: bool) -> nn.Module:
        import timm  # slow

        return timm.create_model(name, pretrained=download, **always, **({} if own else otherwise or {}))

    return make


def fetch(make: Make, own: bool, download: bool) -> nn.Module:
    """Builds a network. Raises WsolError when its weights cannot be downloaded."""
    if not download:
        return make(own, False)
    try:
        return make(own, True)
    except Exception as error:
        raise WsolError(
            f"the library's weights could not be downloaded ({said(error)[:100]}); "
            "give --weights a local file, or --weights none to start from scratch"
        ) from error


def said(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def span(parent: str, first: int, last: int) -> list[str]:
    """Paths of consecutive children of a Sequential, both ends included."""
    return [f"{parent}.{i}" for i in range(first, last + 1)]


def _cut(stages: Stages, end: str) -> Stages:
    if end not in stages:
        raise WsolError(f"there is no boundary {end!r} to end at; this backbone has {', '.join(stages)}")
    names = list(stages)
    return {name: stages[name] for name in names[: names.index(end) + 1]}
