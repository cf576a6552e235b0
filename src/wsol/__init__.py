"""Weakly supervised object localization: photos with class labels and no boxes in, what and where out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsol.errors import WsolError

if TYPE_CHECKING:
    from wsol.evaluation.evaluate import evaluate, evaluate_maps
    from wsol.localizer import Localizer
    from wsol.locating.colocate import colocate
    from wsol.locating.locate import locate
    from wsol.locating.result import Result
    from wsol.locating.results import Results
    from wsol.runs.adopt import adopt
    from wsol.runs.export import export_network
    from wsol.runs.hub import push
    from wsol.runs.opening import load
    from wsol.training.train import train

_LATER = {
    "Localizer": "localizer",
    "Result": "locating.result",
    "Results": "locating.results",
    "adopt": "runs.adopt",
    "colocate": "locating.colocate",
    "evaluate": "evaluation.evaluate",
    "evaluate_maps": "evaluation.evaluate",
    "export_network": "runs.export",
    "load": "runs.opening",
    "locate": "locating.locate",
    "push": "runs.hub",
    "train": "training.train",
}


def __getattr__(name: str) -> Any:
    """The verbs are imported when first used: torch and Lightning take seconds."""
    if name in _LATER:
        return getattr(import_module(f"wsol.{_LATER[name]}"), name)
    raise AttributeError(f"module 'wsol' has no attribute {name!r}")


__all__ = [
    "Localizer",
    "Result",
    "Results",
    "WsolError",
    "adopt",
    "colocate",
    "evaluate",
    "evaluate_maps",
    "export_network",
    "load",
    "locate",
    "push",
    "train",
]
