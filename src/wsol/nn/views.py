"""The same network under other tensors: a view calls a module without owning, copying or changing it.

Each view is a callable with the module's own signature, built on `torch.func.functional_call`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm


def frozen(module: nn.Module) -> Callable:
    """A snapshot: detached parameters, cloned buffers.

    Gradients reach the input, never the weights; running statistics of the live module stay untouched.
    """
    return _under(module, _detached(module) | _cloned_buffers(module))


def without_statistics(module: nn.Module) -> Callable:
    """Live parameters, cloned buffers: trains the weights, leaves the running statistics as they are."""
    return _under(module, _cloned_buffers(module))


class TwinNorms(nn.Module):
    """A second set of batch norms for a network that shares all its other weights (AdvProp, arXiv:1911.09665).

    They begin as copies of the network's own.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        norms = {path: child for path, child in module.named_modules() if isinstance(child, _BatchNorm)}
        self.paths, self.norms = list(norms), nn.ModuleList(deepcopy(list(norms.values())))

    def under(self, module: nn.Module, verb: str = "forward", statistics: bool = True) -> Callable:
        """The module's method of that name, run with the twins in the place of its batch norms.

        statistics: whether the run updates the twins' running statistics.
        """
        tensors: dict[str, Tensor] = {}
        for path, norm in zip(self.paths, self.norms, strict=True):
            buffers = {name: buffer if statistics else buffer.clone() for name, buffer in norm.named_buffers()}
            state = dict(norm.named_parameters()) | buffers
            tensors |= {f"module.{path}.{name}": tensor for name, tensor in state.items()}
        return _under(_Verb(module, verb), tensors)


class _Verb(nn.Module):
    """Any method of a module as a module of its own, which `functional_call` can run."""

    def __init__(self, module: nn.Module, verb: str) -> None:
        super().__init__()
        self.module, self.verb = module, verb

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.module, self.verb)(*args, **kwargs)


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Meanwhile the module's batch norms use their running statistics and leave them as they are."""
    training = [child for child in module.modules() if isinstance(child, _BatchNorm) and child.training]
    for norm in training:
        norm.eval()
    try:
        yield
    finally:
        for norm in training:
            norm.train()


@contextmanager
def outputs_of(module: nn.Module | None) -> Iterator[list[Any]]:
    """Meanwhile what the module returns is kept, in the order of its calls."""
    outputs: list[Any] = []
    handle = None
    if module is not None:  # one without layers would count as false
        handle = module.register_forward_hook(lambda _module, _args, output: outputs.append(output))
    try:
        yield outputs
    finally:
        if handle:
            handle.remove()


def _under(module: nn.Module, tensors: dict[str, Tensor]) -> Callable:
    return lambda *args, **kwargs: functional_call(module, tensors, args, kwargs)


def _detached(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@torch.no_grad()
def _cloned_buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}
