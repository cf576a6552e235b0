"""The same network under other tensors: a view calls a module without owning, copying or changing it.

Each view is a callable with the module's own signature, built on `torch.func.functional_call`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call


def frozen(module: nn.Module) -> Callable:
    """A snapshot: detached parameters, cloned buffers.

    Gradients reach the input, never the weights; running statistics of the live module stay untouched.
    """
    return _under(module, _detached(module) | _cloned_buffers(module))


def without_statistics(module: nn.Module) -> Callable:
    """Live parameters, cloned buffers: trains the weights, leaves the running statistics as they are."""
    return _under(module, _cloned_buffers(module))


def auxiliary(module: nn.Module, twins: dict[str, Tensor]) -> Callable:
    """Shared convolutions under another set of tensors, such as the batch norms made by `norm_twins`."""
    return _under(module, twins)


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Meanwhile the module's batch norms use their running statistics and leave them as they are."""
    training = [
        each for each in module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.training
    ]
    for each in training:
        each.eval()
    try:
        yield
    finally:
        for each in training:
            each.train()


def norm_twins(module: nn.Module) -> dict[str, Tensor]:
    """Copies of every batch norm's tensors, by name: parameters as new parameters, statistics as new buffers."""
    return {
        f"{path}.{name}": nn.Parameter(tensor.detach().clone()) if tensor.requires_grad else tensor.clone()
        for path, child in module.named_modules()
        if isinstance(child, nn.modules.batchnorm._BatchNorm)
        for name, tensor in (*child.named_parameters(), *child.named_buffers())
    }


def _under(module: nn.Module, tensors: dict[str, Tensor]) -> Callable:
    return lambda *args, **kwargs: functional_call(module, tensors, args, kwargs)


def _detached(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@torch.no_grad()
def _cloned_buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}
