"""The staged backbone: a chain of named boundaries that a stream can leave and re-enter."""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsol.errors import WsolError
from wsol.heads import Head

Stages = dict[str, list[str]]
Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """Features of a library network, stage by stage.

    It adopts the network's children, so parameter names are those of the library and its weights load as they
    are; what lies behind the last stage (the library's classifier) is left out.

    network: any convolutional classifier. stages: boundary name -> paths of the network's modules that lead
    there from the boundary before, in order. statistics: mean and std that the weights want; images come in [0, 1].
    classifier: the library's own last layer, kept aside for `own_head`; rectified_classifier: ReLU follows it.
    map_stride: input pixels per cell of the last map, lowered by giving the last strided modules stride 1 with
    their kernels as they are (the papers' way; no dilation), or None for the network's own. kept_strides: how many
    strided stages at the end keep theirs, so that earlier ones are lowered instead (BAS: 1).

    Raises WsolError when the stride cannot be reached.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        stages: Stages,
        statistics: Statistics = IMAGENET,
        map_stride: int | None = None,
        kept_strides: int = 0,
        classifier: nn.Linear | nn.Conv2d | None = None,
        rectified_classifier: bool = False,
    ) -> None:
        super().__init__()
        self._paths = stages
        self.boundaries = list(stages)
        self._own_classifier = [(classifier, rectified_classifier)]  # a list keeps it out of the module tree
        for name, child in network.named_children():
            self.add_module(name, child)
        _prune(self, {path for paths in stages.values() for path in paths})
        weighted = [any(list(each.parameters(False)) for each in self._modules_of(name)) for name in stages]
        self._counted = [name for name, more in zip(stages, [*weighted[1:], True], strict=True) if more]
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self._probe()
        if map_stride is not None:
            self._lower_stride(map_stride, kept_strides)

    def forward(
        self, x: Float[Tensor, "b _ _ _"], after: str | int | None = None, until: str | int | None = None
    ) -> Float[Tensor, "b _ _ _"]:
        """Runs from one boundary to another.

        x: images (b, 3, H, W) in [0, 1], or the features (b, c, h, w) at boundary `after`.
        after, until: boundaries by name or negative index; None is the image and the last boundary.
        """
        start = 0 if after is None else self.boundaries.index(self.boundary(after)) + 1
        stop = len(self.boundaries) if until is None else self.boundaries.index(self.boundary(until)) + 1
        if start == 0:
            x = (x - self.mean) / self.std
        for name in self.boundaries[start:stop]:
            for path in self._paths[name]:
                x = self.get_submodule(path)(x)
        return x

    def boundary(self, boundary: str | int) -> str:
        """The name of a boundary given by name or index. Raises WsolError, listing the valid names.

        Boundaries with no weights between them count as one, the last: -2 is VGG's pool4, -3 its pool3, and relu4_3
        goes by its name.
        """
        if isinstance(boundary, str) and boundary.lstrip("-").isdigit():
            boundary = int(boundary)
        if isinstance(boundary, int) and -len(self._counted) <= boundary < len(self._counted):
            return self._counted[boundary]
        if boundary not in self.boundaries:
            raise WsolError(f"there is no boundary {boundary!r} in this backbone; it has {', '.join(self.boundaries)}")
        return str(boundary)

    def cut(self, boundary: str | int) -> "Backbone":
        """A copy that ends at a boundary, without the library's classifier."""
        part, last = deepcopy(self), self.boundary(boundary)
        part.boundaries = self.boundaries[: self.boundaries.index(last) + 1]
        part._counted = [name for name in part.boundaries if name in self._counted or name == last]
        part._own_classifier = [(None, False)]
        _prune(part, {path for name in part.boundaries for path in self._paths[name]})
        return part

    def in_order(self, boundaries: tuple[str | int, ...]) -> tuple[str, ...]:
        """Names of boundaries, shallow to deep. Raises WsolError for an unknown or repeated one, or none."""
        names = {self.boundary(boundary) for boundary in boundaries}
        if len(names) != len(boundaries) or not names:
            raise WsolError(f"boundaries must be one or more different ones, not {boundaries}")
        return tuple(name for name in self.boundaries if name in names)

    def channels(self, boundary: str | int) -> int:
        """Number of channels c at a boundary."""
        return self._channels[self.boundary(boundary)]

    def stride(self, boundary: str | int) -> int:
        """Input pixels per cell of the map at a boundary."""
        return self._strides[self.boundary(boundary)]

    def rectified(self, boundary: str | int) -> bool:
        """Whether a boundary comes after a non-linearity that leaves nothing negative."""
        return self._rectified[self.boundary(boundary)]

    def own_head(self, classes: int) -> Head:
        """A head that computes what the library's own classifier computed, with its weights.

        Raises WsolError where that classifier is no single layer on the last features or has other classes.
        """
        layer, rectified = self._own_classifier[0]
        if layer is None or layer.bias is None:
            raise WsolError("this backbone has no classifier of its own on its last features; use head 'new'")
        if (k := layer.weight.shape[0]) != classes:
            raise WsolError(f"the backbone's own classifier knows {k} classes, the data set {classes}; use head 'new'")
        head = Head(self.channels(-1), classes, form="conv" if rectified else "linear", rectify=rectified)
        weight = layer.weight.view_as(head.classifier.weight)
        head.classifier.load_state_dict({"weight": weight, "bias": layer.bias})
        return head

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
            following = self(x, after=before, until=name).clone()
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
    return [each for each in module.modules() if getattr(each, "stride", 1) in (2, (2, 2))]


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
