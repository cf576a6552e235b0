"""Any timm network by name: its chain of stages is derived, then verified by equality."""

from typing import Any

import torch
from torch import Tensor, nn

from wsol.backbones.architecture import Architecture, fetch, timm_network
from wsol.errors import WsolError


@torch.no_grad()
def derive(name: str) -> Architecture:
    """Stages of a timm network: its children run one after another until they give `forward_features`.

    Boundaries are the modules that timm's `feature_info` lists. Raises WsolError where the network is no such
    chain or its features are no (b, c, h, w) maps (transformers, HRNet).
    """
    make = timm_network(name)
    network: Any = fetch(make, own=True, download=False).eval()
    cuts = [info["module"] for info in network.feature_info] if hasattr(network, "feature_info") else []
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    wanted = network.forward_features(images)
    if not isinstance(wanted, Tensor) or wanted.dim() != 4 or wanted.shape[1] != network.num_features:
        raise WsolError(f"{name}: its features are no (b, c, h, w) maps; choose a convolutional network")
    chain = _chain(network, cuts, images, wanted)
    if not chain:
        raise WsolError(f"{name}: its modules form no chain that a stream could re-enter; choose another network")
    stages: dict[str, list[str]] = {}
    begun: list[str] = []
    for path in chain:
        begun.append(path)
        if path in cuts or path == chain[-1]:
            stages[path], begun = begun, []
    behind = tuple(f"{child}." for child, _ in network.named_children() if not any(_inside(p, child) for p in chain))
    cfg = network.pretrained_cfg
    return Architecture(
        make, stages, behind, _classifier(network, images, wanted), statistics=(tuple(cfg["mean"]), tuple(cfg["std"]))
    )


def _classifier(network: Any, images: Tensor, features: Tensor) -> str | None:
    """Path of the last layer, where it reads the averaged features and nothing stands between."""
    layer = network.get_classifier()
    if not isinstance(layer, nn.Linear) or layer.in_features != features.shape[1]:
        return None
    direct = torch.allclose(layer(features.mean((2, 3))), network(images), atol=1e-4)
    return next(path for path, module in network.named_modules() if module is layer) if direct else None


def _chain(network: nn.Module, cuts: list[str], x: Tensor, wanted: Tensor) -> list[str]:
    chain: list[str] = []
    for path, module in _units(network, cuts):
        try:
            x = module(x)
        except Exception:  # whatever a module says of an input that was never meant for it: the chain ends before
            break
        chain.append(path)
        if isinstance(x, Tensor) and x.shape == wanted.shape and torch.equal(x, wanted):
            return chain
    return []


def _units(network: nn.Module, cuts: list[str]) -> list[tuple[str, nn.Module]]:
    """Children in order; a container that holds cuts is opened."""
    units = []
    for name, child in network.named_children():
        if any(cut.startswith(name + ".") for cut in cuts) and isinstance(child, nn.Sequential | nn.ModuleList):
            units += [(f"{name}.{inner}", module) for inner, module in child.named_children()]
        else:
            units.append((name, child))
    return units


def _inside(path: str, child: str) -> bool:
    return path == child or path.startswith(child + ".")
