"""Recipes: the settings of papers, a YAML file each, in the folder `recipes/METHOD` beside the method's module."""

from pathlib import Path
from typing import Any

from wsol.errors import WsolError
from wsol.methods.references import beside
from wsol.registry import Entry
from wsol.system.files import read_yaml


def recipes_of(method: Entry) -> dict[str, Path]:
    """The recipes that come with a method, by name."""
    folder = beside(method)
    return {path.stem: path for path in sorted((folder / "recipes" / method.name).glob("*.yaml"))} if folder else {}


def read_recipe(method: Entry, recipe: str | Path | None) -> dict[str, Any]:
    """The entries of a recipe: the name of one that comes with the method, or the path of a YAML file.

    Raises WsolError where there is none of that name.
    """
    if recipe is None:
        return {}
    known = recipes_of(method)
    path = known.get(str(recipe), Path(recipe))
    if not path.is_file():
        raise WsolError(f"there is no recipe {recipe!r} for {method.title}; there are {', '.join(known) or 'none'}")
    return read_yaml(path, "recipe")
