"""The staged backbone: a chain of named boundaries that a stream can leave and re-enter."""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsol.backbones.contract import IMAGENET, Ability, Backbone, OwnClassifier, Statistics
from wsol.errors import WsolError

Stages = dict[str, list[str]]


class Chain(Backbone):
    """Features of a convolutional network, stage by stage.

    It adopts the network's children, so parameter names are those of the library and its weights load as they
    are; what lies behind the last stage (the library's classifier) is left out.

    network: any convolutional classifier.
    stages: boundary name -> paths of the network's modules that lead there from the boundary before, in order.
    statistics: mean and std that the weights want; images come in [0, 1].
    map_stride: input pixels per cell of the last map, lowered by giving the last strided modules stride 1 with their
        kernels as they are (the papers' way; no dilation), or None for the network's own.
    kept_strides: how many strided stages at the end keep theirs, so that earlier ones are lowered instead (BAS: 1).
    classifier: the library's own last layer.

    Raises WsolError when the stride cannot be reached, or a stage does not run.
    """

    abilities = frozenset[Ability]({"re-entry"})

    def __init__(
        self,
        network: nn.Module,
        stages: Stages,
        statistics: Statistics = IMAGENET,
        map_stride: int | None = None,
        kept_strides: int = 0,
        classifier: OwnClassifier | None = None,
    ) -> None:
        super().__init__(statistics)
        self._paths = stages
        self.boundaries = list(stages)
        self._classifier = classifier
        for name, child in network.named_children():
            self.add_module(name, child)
        _prune(self, {path for paths in stages.values() for path in paths})
        weighted = [any(list(module.parameters(False)) for module in self._modules_of(stage)) for stage in stages]
        self._counted = [stage for stage, more in zip(stages, [*weighted[1:], True], strict=True) if more]
        self._probe()
        if map_stride is not None:
            self._lower_stride(map_stride, kept_strides)

    def forward(
        self, x: Float[Tensor, "b _ _ _"], after: str | int | None = None, until: str | int | None = None
    ) -> Float[Tensor, "b _ _ _"]:
        start = 0 if after is None else self.boundaries.index(self.boundary(after)) + 1
        stop = len(self.boundaries) if until is None else self.boundaries.index(self.boundary(until)) + 1
        if after is None:
            features = self.features_for(x, self.boundaries[stop - 1])
            if features is None:
                x = self.normalised(x)
            else:
                start = self.boundaries.index(str(self.frozen)) + 1
                x = self._edit(features, self.boundaries[start - 1])
        for name in self.boundaries[start:stop]:
            for path in self._paths[name]:
                x = self.get_submodule(path)(x)
            x = self._edit(x, name)
        return x

    def _edit(self, x: Tensor, boundary: str) -> Tensor:
        for edit in self._edits.get(boundary, ()):
            x = edit(x)
        return x

    def behind(self, boundary: str) -> list[nn.Module]:
        later = self.boundaries[self.boundaries.index(boundary) + 1 :]
        return [self.get_submodule(path) for name in later for path in self._paths[name]]

    def cut(self, boundary: str | int) -> "Chain":
        shorter, last = deepcopy(self), self.boundary(boundary)
        shorter.boundaries = self.boundaries[: self.boundaries.index(last) + 1]
        shorter._counted = [name for name in shorter.boundaries if name in self._counted or name == last]
        shorter._classifier = None
        _prune(shorter, {path for name in shorter.boundaries for path in self._paths[name]})
        return shorter

    @torch.no_grad()
    def check_size(self, height: int, width: int) -> None:
        modes = [(module, module.training) for module in self.modules()]
        try:
            self.eval()(torch.zeros(1, 3, height, width, device=next(self.parameters()).device))
        except RuntimeError as error:  # a pooling that leaves nothing
            said = f"images of {width}x{height} pixels are too small for {self.name}"
            raise WsolError(f"{said}; set image_size to more, such as {2 * max(height, width)}") from error
        finally:
            for module, mode in modes:
                module.training = mode

    @torch.no_grad()
    def _probe(self, side: int = 160) -> None:
        """Runs every stage once on noise: channels, strides, signs; a stage may not change its input."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        self._channels, self._strides, self._rectified = {}, {}, {}
        before = None
        for name in self.boundaries:
            kept = x.clone()
            try:
                following = self(x, after=before, until=name).clone()
            except Exception as error:  # whatever a foreign module says of a size that it was not made for
                cells = f"{x.shape[-1]}x{x.shape[-2]}"
                raise WsolError(
                    f"stage {name} of this network does not run on {cells} cells; choose another"
                ) from error
            if not torch.equal(x, kept):
                for module in self._modules_of(name):
                    if hasattr(module, "inplace"):
                        module.inplace = False  # type: ignore[assignment]
            finer = self._strides[before] if before else 1
            self._strides[name] = finer * 2 ** round(math.log2(x.shape[-1] / following.shape[-1]))
            before, x = name, following
            self._channels[name] = x.shape[1]
            self._rectified[name] = bool((x >= 0).all())
        for module, mode in modes:
            module.training = mode

    def _lower_stride(self, wanted: int, kept: int) -> None:
        for name, earlier in reversed(list(zip(self.boundaries, [None, *self.boundaries], strict=False))):
            factor = self._strides[name] // (self._strides[earlier] if earlier else 1)
            kept -= factor == 2
            if self.stride(-1) > wanted and factor == 2 and kept < 0:
                for path in self._paths[name]:
                    lower_strides(self.get_submodule(path))
                self._probe()
        if self.stride(-1) != wanted:
            strides = ", ".join(f"{name} {stride}" for name, stride in self._strides.items())
            raise WsolError(f"map_stride {wanted} cannot be reached by this backbone (strides: {strides})")

    def _modules_of(self, boundary: str) -> Iterator[nn.Module]:
        return (module for path in self._paths[boundary] for module in self.get_submodule(path).modules())


def strided(module: nn.Module) -> list[Any]:
    """The convolutions and poolings of stride 2 in a module."""
    return [inner for inner in module.modules() if getattr(inner, "stride", 1) in (2, (2, 2))]


def lower_strides(module: nn.Module) -> None:
    """Stride 1 instead of 2; a pooling window becomes 3x3 with padding 1 so that the map keeps its size."""
    for each in strided(module):
        if isinstance(each, nn.MaxPool2d | nn.AvgPool2d):
            each.kernel_size, each.padding, each.ceil_mode = 3, 1, False
        if isinstance(each, nn.AvgPool2d):
            each.count_include_pad = False
        each.stride = (1, 1) if isinstance(each.stride, tuple) else 1


def _prune(module: nn.Module, kept: set[str], prefix: str = "") -> None:
    """Removes every child that no kept path lies in or under."""
    for name, child in list(module.named_children()):
        path = prefix + name
        if path in kept:
            continue
        if any(one.startswith(path + ".") for one in kept):
            _prune(child, kept, path + ".")
        else:
            delattr(module, name)
