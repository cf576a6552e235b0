"""Any network of timm or torchvision by name: its chain of stages is derived, then verified by equality.

Vision transformers of timm are no chains; they become `Tokens`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import timm
import torch
from timm.models import Eva, VisionTransformer
from torch import Tensor, nn
from torchvision import models

from wsol import registry
from wsol.backbones.architecture import Architecture, Make, fetch, said, timm_network, torchvision_network
from wsol.backbones.contract import Maker, Statistics
from wsol.backbones.tokens import Transformer
from wsol.backbones.weights import load_weights
from wsol.errors import WsolError

CONTAINERS = ("features.", "layers.", "trunk_output.")  # where torchvision's networks keep their stages
Features = Callable[[Tensor], Any]


def derive(name: str) -> Maker:
    """How the network of that name is built.

    name: as `build_backbone` takes it.

    Raises WsolError where there is no such network, its features are no (b, c, h, w) maps, or its modules form no
    chain.
    """
    source, _, rest = name.partition(":")
    try:
        if source == "torchvision":
            return _of_torchvision(rest)
        return _of_timm(rest if source == "timm" else name)
    except WsolError as error:
        raise WsolError(f"{name}: {error}") from error
    except Exception as error:  # whatever a library says of a name, or a network of a size it was not made for
        raise WsolError(f"{name}: cannot be used as a backbone ({_shortly(error)}); choose another network") from error


def library_classifier(name: str, weights: str | Path, classes: int | None) -> tuple[nn.Module, Statistics, int]:
    """A whole classifier of timm or torchvision, its mean and std, and the side of its images: what is adopted.

    name: as `build_backbone` takes it; a plain name is timm's.
    weights: "pretrained" for the library's own, with their classes; or the path of a state dict.
    classes: k of that file; None for as many as the library's own have.

    Raises WsolError where there is no such network or the file does not fit it.
    """
    source, _, rest = name.partition(":")
    download = weights == "pretrained"
    options: dict[str, Any] = {} if download or classes is None else {"num_classes": classes}
    try:
        if source == "torchvision":
            preset, first = _torchvisions_preset(rest)
            network = fetch(torchvision_network(partial(models.get_model, rest, **options), first), True, download)
            statistics, size = (tuple(preset.mean), tuple(preset.std)), preset.crop_size[0]
        else:
            name = rest if source == "timm" else name
            _check_timms(name)
            network: Any = fetch(timm_network(name, **options), True, download)
            config = network.pretrained_cfg
            statistics, size = (tuple(config["mean"]), tuple(config["std"])), config["input_size"][-1]
    except WsolError:
        raise
    except Exception as error:
        raise WsolError(f"{name}: cannot be built ({_shortly(error)}); give another name") from error
    if not download:
        load_weights(network, Path(weights), set(network.state_dict()))
    return network, statistics, size


def _of_timm(name: str) -> Maker:
    _check_timms(name)
    network: Any = fetch(timm_network(name), own=True, download=False).eval()
    config = network.pretrained_cfg
    statistics = (tuple(config["mean"]), tuple(config["std"]))
    if isinstance(network, VisionTransformer | Eva):
        return Transformer(timm_network(name, dynamic_img_size=True), statistics, _patch_classifier(network))
    cuts = [info["module"] for info in network.feature_info] if hasattr(network, "feature_info") else []
    return _chained(timm_network(name), network, network.forward_features, cuts, statistics)


def _of_torchvision(name: str) -> Maker:
    if name in registry.names("backbones"):
        return registry.find("backbones", name)
    preset, first = _torchvisions_preset(name)
    make = torchvision_network(models.get_model_builder(name), fetched=first)
    network = fetch(make, own=True, download=False).eval()
    statistics = (tuple(preset.mean), tuple(preset.std))
    return _chained(make, network, lambda images: _last_map(network, images), list(CONTAINERS), statistics)


def _check_timms(name: str) -> None:
    """Raises WsolError, with a suggestion, where timm has no network of that name; hubs and folders know theirs."""
    if ":" not in name:
        registry.check_key(name.partition(".")[0], timm.list_models(), "timm has no network")


def _torchvisions_preset(name: str) -> tuple[Any, str]:
    """How images are prepared for a network of torchvision, and the name of its first weights."""
    registry.check_key(name, models.list_models(module=models), "torchvision has no network")
    weights: Any = models.get_model_weights(name)
    first = getattr(weights, "IMAGENET1K_V1", weights.DEFAULT)
    return first.transforms(), first.name


@torch.no_grad()
def _chained(make: Make, network: Any, features: Features, cuts: list[str], statistics: Statistics) -> Architecture:
    """The chain of modules that gives the features, with its boundaries.

    cuts: modules that end a stage; where there are none, stages end before the map's size changes. A boundary's value
        is a (b, c, h, w) map in any case.
    """
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    wanted = features(images)
    if not isinstance(wanted, Tensor) or wanted.dim() != 4 or wanted.shape[1] == wanted.shape[2] != wanted.shape[3]:
        raise WsolError("its features are no (b, c, h, w) maps; choose a convolutional network or a plain ViT of timm")
    chain = _chain(network, cuts, images, wanted)
    if not chain:
        raise WsolError("its modules form no chain that a stream could re-enter; choose another network")
    smaller = images[..., :160, :160]
    steps, steps_smaller = _steps(network, chain, images), _steps(network, chain, smaller)
    if not torch.equal(steps_smaller[-1], features(smaller)):
        raise WsolError("it is another network at another image size; choose another network")
    maps = [path for path, x, y in zip(chain, steps, steps_smaller, strict=True) if x.dim() == 4 and _alike(x, y)]
    if not set(cuts) & set(chain):
        cuts = [path for path, x, y in zip(chain, steps, steps[1:], strict=False) if x.shape[-1] != y.shape[-1]]
    cuts = [path for path in maps if path in cuts or path == chain[-1]]
    stages: dict[str, list[str]] = {}
    begun: list[str] = []
    for path in chain:
        begun.append(path)
        if path in cuts:
            stages[path], begun = begun, []
    return Architecture(make, stages, classifier_of(network, images, wanted), statistics=statistics)


@torch.no_grad()
def classifier_of(network: nn.Module, images: Tensor, features: Tensor) -> str | None:
    """Path of the linear layer that makes the logits from the averaged features, where nothing stands between.

    The layer has random weights of size 1 meanwhile: a fresh one of zeros would fit any features.
    """
    generator = torch.Generator().manual_seed(0)
    for path, layer in reversed(list(network.named_modules())):
        if isinstance(layer, nn.Linear) and layer.in_features == features.shape[1]:
            kept = layer.weight.clone()
            layer.weight.normal_(generator=generator)
            direct, logits = layer(features.mean((2, 3))), network(images)
            layer.weight.copy_(kept)
            if direct.shape == logits.shape and torch.allclose(direct, logits, atol=1e-4 * float(logits.abs().max())):
                return path
    return None


@torch.no_grad()
def _patch_classifier(network: Any) -> str | None:
    """Path of the linear layer that makes the logits from a transformer's averaged patch tokens, where there is one."""
    if network.global_pool != "avg":
        return None
    images = torch.rand(1, 3, *network.patch_embed.img_size, generator=torch.Generator().manual_seed(0))
    patches = network.forward_features(images)[:, network.num_prefix_tokens :]
    return classifier_of(network, images, patches.transpose(1, 2).unsqueeze(-1))


def _shortly(error: Exception) -> str:
    return shorten(said(error), 150, placeholder=" ...")


def _last_map(network: nn.Module, images: Tensor) -> Tensor | None:
    """The last map of features that a module of a torchvision network gives."""
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[-1] > 1:
            maps.append(output)

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    logits = network(images)
    for hook in hooks:
        hook.remove()
    return next((x for x in reversed(maps) if x.shape[1] != logits.shape[1]), None)


def _chain(network: nn.Module, cuts: list[str], x: Tensor, wanted: Tensor) -> list[str]:
    """Paths of the modules that lead from the images to the features; none where they do not."""
    chain: list[str] = []
    for path, module in _units(network, cuts):
        try:
            x = module(x)
        except Exception:  # whatever a module says of an input that was never meant for it: the chain ends before
            break
        if not isinstance(x, Tensor):
            break
        chain.append(path)
        if x.shape == wanted.shape and torch.equal(x, wanted):
            return chain
    return []


def _steps(network: nn.Module, chain: list[str], x: Tensor) -> list[Tensor]:
    """What each module of the chain gives."""
    steps = []
    for path in chain:
        x = network.get_submodule(path)(x)
        steps.append(x.clone())  # the next module may work in place
    return steps


def _alike(x: Tensor, smaller: Tensor) -> bool:
    """Whether two tensors are maps (b, c, h, w) of a larger and a smaller image."""
    return x.shape[1] == smaller.shape[1] and x.shape[-1] > smaller.shape[-1]


def _units(network: nn.Module, cuts: list[str]) -> list[tuple[str, nn.Module]]:
    """Children in order; a container that holds cuts is opened."""
    units = []
    for name, child in network.named_children():
        if any(cut.startswith(name + ".") for cut in cuts) and isinstance(child, nn.Sequential | nn.ModuleList):
            units += [(f"{name}.{inner}", module) for inner, module in child.named_children()]
        else:
            units.append((name, child))
    return units
