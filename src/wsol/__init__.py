"""Weakly supervised object localization: photos with class labels and no boxes in, what and where out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsol import methods
from wsol.errors import WsolError

if TYPE_CHECKING:
    from wsol.evaluation import evaluate, evaluate_maps
    from wsol.locating import locate
    from wsol.result import Result
    from wsol.run import load
    from wsol.training import train

_LATER = {"train": "training", "evaluate": "evaluation", "evaluate_maps": "evaluation", "locate": "locating"}
_LATER |= {"load": "run", "Result": "result"}


def __getattr__(name: str) -> Any:
    """The verbs are imported when first used: Lightning takes seconds."""
    if name in _LATER:
        return getattr(import_module(f"wsol.{_LATER[name]}"), name)
    raise AttributeError(f"module 'wsol' has no attribute {name!r}")


__all__ = ["Result", "WsolError", "evaluate", "evaluate_maps", "load", "locate", "methods", "train"]
