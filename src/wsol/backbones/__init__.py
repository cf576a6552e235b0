"""Backbones: architectures with named boundaries, and nothing else."""

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from wsol import registry
from wsol.backbones.contract import Backbone
from wsol.errors import WsolError

if TYPE_CHECKING:
    from wsol.backbones.contract import Maker

SOURCES = ("timm:", "torchvision:", "hf-hub:", "local-dir:")


def build_backbone(
    name: str,
    weights: str | Path | None = None,
    end: str | None = None,
    map_stride: int | None = 16,
    kept_strides: int = 0,
    load: bool = True,
) -> Backbone:
    """A backbone by name: a named one, or any network of timm or torchvision that can serve.

    Can serve: networks whose modules form a chain (`Chain`), and vision transformers (`Tokens`).

    With a map_stride, inception_v3 takes the papers' padded form, whose maps have 28x28 or 14x14 cells at Mixed_6e
    (the library's: 12x12, and 17x17 at 299 px); with kept_strides, ResNets pool before layer4 (BAS).

    name: one of `registry.names("backbones")`; a timm name with or without its tag (`resnet18.a1_in1k`); or
        `timm:NAME`, `torchvision:NAME`, `hf-hub:OWNER/NAME`, `local-dir:FOLDER`.
    weights: None (random), "pretrained" (the library's own, downloaded) or the path of a state dict.
    end: boundary to end at, None for the last.
    map_stride: input pixels per cell of the last map (16: 14x14 at 224 px; 8: the papers' 28x28), None for the
        library's network as it is. A transformer has one cell a patch: 16, the default, stands for that.
    kept_strides: see `Chain`.
    load: False leaves the weights out, for a network whose state comes from a run.

    Raises WsolError for an unknown name (with a suggestion), a network that cannot serve, weights that do not fit, an
    end or a stride that cannot be had.
    """
    backbone = _maker(name).build(weights, end, map_stride, kept_strides, load)
    backbone.name = name
    return backbone


def backbone_for(weights: Path) -> str:
    """The backbone that a file of weights is called after: a named one, or timm's of exactly that name.

    Raises WsolError when the file's name says nothing.
    """
    stem = weights.stem.lower()
    fitting = [name for name in registry.names("backbones") if re.match(rf"{re.escape(name)}(?![a-z0-9])", stem)]
    if fitting:
        return max(fitting, key=len)
    if _is_timms(weights.stem):
        return weights.stem
    raise WsolError(f"{weights}: its name does not say which network it belongs to; add --backbone NAME")


def _maker(name: str) -> "Maker":
    if name in registry.names("backbones"):
        return registry.find("backbones", name)
    if name.startswith(SOURCES) or _is_timms(name):
        from wsol.backbones.derived import derive

        return derive(name)
    suggestion = _suggestion(name)
    named = ", ".join(registry.names("backbones"))
    hint = f"did you mean {suggestion}?" if suggestion else f"named ones are {named}; any of timm's works too"
    raise WsolError(f"there is no backbone {name!r}; {hint}")


def _is_timms(name: str) -> bool:
    import timm  # slow

    return timm.is_model(name)


def _suggestion(name: str) -> str | None:
    """The closest name, whatever its capitals and hyphens; a named backbone before one of timm's."""
    import timm

    names: dict[str, str] = {}
    for known in (*registry.names("backbones"), *timm.list_models()):
        names.setdefault(_letters(known), known)
    close = difflib.get_close_matches(_letters(name), names, 1)
    return names[close[0]] if close else None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


__all__ = ["Backbone", "backbone_for", "build_backbone"]
