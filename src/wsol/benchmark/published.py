"""Figures that papers print, as facts: entries of published.yaml."""

from functools import cache
from importlib.resources import files
from typing import Any

from wsol.system.files import read_yaml


@cache
def _entries() -> list[dict[str, Any]]:
    return read_yaml(files("wsol.benchmark") / "published.yaml", "list of figures")["figures"]


def published(**asked: Any) -> list[dict[str, Any]]:
    """Published figures, percent: `published(method="eil", data="CUB", backbone="VGG16", setting=None)`.

    asked: what an entry must say; None for what it must not mention. A paper's own figure comes before quotations.
    """
    return [entry for entry in _entries() if all(entry.get(key) == value for key, value in asked.items())]
