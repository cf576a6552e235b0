"""Somebody's own classifier, asked where: given as a module, or by the name under which a library makes it."""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from wsol.backbones.adopted import adopt_network
from wsol.backbones.contract import IMAGENET
from wsol.backbones.derived import library_classifier
from wsol.backbones.weights import load_weights
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.methods.adopted import AdoptedClassifier
from wsol.readouts.contract import Own, Readout
from wsol.readouts.gradcam import GradCAM
from wsol.system import processes
from wsol.system.files import unreadable

Three = tuple[float, float, float]
LIBRARIES = ("timm", "torchvision", "hf-hub")


def adopt(
    model: nn.Module,
    classes: Sequence[str] | None,
    *,
    mean: Three = IMAGENET[0],
    std: Three = IMAGENET[1],
    image_size: int = 224,
    several: bool = False,
    readout: Readout | None = None,
    name: str = "",
) -> Localizer:
    """A classifier that was trained elsewhere, as a localizer: `wsol.locate(wsol.adopt(model, names), photos)`.

    model: (b, 3, H, W) normalised images to (b, k) logits.
    classes: their names, in the order of the logits; None for ImageNet's where there are 1000, else numbers.
    mean: of each colour that it wants, of images in [0, 1].
    std: likewise.
    image_size: side of the images for which it was made, pixels.
    several: whether a photo may hold several classes, and scores are sigmoids.
    readout: how it is asked where; None for CAM where the logits are linear in the averaged features, else Grad-CAM.
    name: what reports call it.

    Raises WsolError where the network gives other than k logits or has no map of features to look at.
    """
    backbone = adopt_network(model, mean, std, image_size)
    names = tuple(_usual_names(backbone.classes) if classes is None else classes)
    if len(names) != backbone.classes:
        raise WsolError(f"{name or backbone.name}: gives {backbone.classes} logits, but {len(names)} classes are named")
    method = AdoptedClassifier(backbone).to(processes.device()).eval()
    asked = readout or (Own() if backbone.has_own_head else GradCAM())
    title = name or backbone.name
    return Localizer(method, names, image_size, several, readout=asked, name=title, facts={"method": title})


def is_network(name: str | Path) -> bool:
    """Whether a name stands for a network of a library or of a module: `timm:resnet50`, `package.module:function`."""
    source, colon, rest = str(name).partition(":")
    return bool(colon and rest) and not Path(name).exists() and (source in LIBRARIES or _is_dotted(source))


def adopt_named(
    name: str,
    weights: str | Path = "pretrained",
    names: str | Sequence[str] | None = None,
    unnamed: bool = False,
    **given: Any,
) -> Localizer:
    """A classifier by name.

    name: `timm:NAME`, `torchvision:NAME`, `hf-hub:NAME`, or `package.module:function` of a function that makes it.
    weights: "pretrained" for the library's own, or a file of tensors.
    names: of the classes, a list, names separated by commas, or a text file with one a line; None for the library's
        own weights: ImageNet's classes, else numbers.
    unnamed: whether a file may come without names: it then has as many classes as the library's own weights.
    given: as `adopt` takes it.

    Raises WsolError where there is no such network, the file does not fit, or names are missing.
    """
    listed = read_names(names)
    source, _, function = name.partition(":")
    if source in LIBRARIES:
        if weights != "pretrained" and listed is None and not unnamed:
            raise WsolError(
                f"{weights}: whose classes are they? add --names, a list or a text file with one a line, "
                "or a read-out that asks for none, such as pc1"
            )
        network, statistics, size = library_classifier(name, weights, None if listed is None else len(listed))
        given = {"mean": statistics[0], "std": statistics[1], "image_size": size} | given
    else:
        network = _made(source, function)
        if weights != "pretrained":
            load_weights(network, Path(weights), set(network.state_dict()))
    return adopt(network, listed, name=name, **given)


def read_names(names: str | Sequence[str] | None) -> list[str] | None:
    """Names of classes: a list, separated by commas, or a text file with one a line."""
    if names is None or not isinstance(names, str):
        return None if names is None else list(names)
    if os.path.isfile(path := Path(names)):  # of a long list Path.is_file says that it is no name
        try:
            return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(
                path, error, f"cannot be read as a list of names ({error}); save it as UTF-8 text"
            ) from error
    return [name.strip() for name in names.split(",") if name.strip()]


def _usual_names(count: int) -> list[str]:
    if count == 1000:
        from timm.data.imagenet_info import ImageNetInfo

        info = ImageNetInfo()
        return [info.index_to_description(index) for index in range(count)]
    return [str(index) for index in range(count)]


def _made(module: str, function: str) -> nn.Module:
    try:
        model = getattr(import_module(module), function)()
    except Exception as error:  # whatever somebody else's module says
        said = str(error).partition("\n")[0] or type(error).__name__
        raise WsolError(f"{module}:{function}: cannot be built ({said}); give a function without arguments") from error
    if not isinstance(model, nn.Module):
        raise WsolError(f"{module}:{function}: gives no torch module but {type(model).__name__}")
    return model


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and len(name) > 1
