"""Grids: which methods, under which settings and how many seeds, a benchmark runs; read from YAML files.

    about: where EIL erases
    data: CUB_200_2011           # may be given on the command line
    recipe: cub50_mobilenetv1    # what every row begins with
    seeds: 1
    settings: {epochs: 8}        # of every row, over the recipe's
    rows:                        # each a method and settings of its own; `vary` makes a row of every combination
      - {method: cam}
      - {method: eil, name: "EIL, late", boundary: -2, vary: {sigma: [1, 2]}, paper: "gamma 0.7, sigma {sigma}"}
    columns: [Top1Cls, MaxBoxAcc]                  # all, if left out
    published: {data: CUB, backbone: VGG16}        # entries of published.yaml that stand beside ours, if any

A row's `readout` asks the network otherwise than its method does; with `epochs: 0` that is a baseline without training.
A row's `paper` is the `setting` of its published figure, with the row's settings in braces; left out, the paper's
result stands beside it, and where it is empty nothing does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from wsol import registry
from wsol.errors import WsolError
from wsol.methods.stack import Stack, stack
from wsol.registry import check_key
from wsol.runs.settings import Resolved, resolve
from wsol.system.files import read_yaml
from wsol.system.values import cast

GRIDS = files("wsol.benchmark") / "grids"
KINDS: dict[str, Any] = {"about": str, "data": str, "recipe": str, "seeds": int, "settings": dict}
KINDS |= {"rows": tuple[dict, ...], "columns": tuple[str, ...], "published": dict}
PRINTED = ("data", "backbone", "source")
ROW: dict[str, Any] = {"method": str, "name": str, "vary": dict, "paper": str, "readout": str}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    name: what the table calls it.
    stack: its method.
    given: settings over the recipe's.
    resolved: all settings.
    paper: `setting` of the published figure beside it.
    readout: how the network is asked where; by default the method's own heatmaps.
    """

    name: str
    stack: Stack
    given: dict[str, Any]
    resolved: Resolved
    paper: str | None = None
    readout: str | None = None

    @property
    def slug(self) -> str:
        """The name as files take it."""
        return re.sub(r"[^a-z0-9.-]+", "-", self.name.lower()).strip("-")

    @property
    def trained(self) -> dict[str, Any]:
        """What training reads: rows that are equal in it share a network."""
        return self.resolved.trained | {"method": self.stack.key}


@dataclass(frozen=True)
class Grid:
    """A grid as its file says, its rows resolved."""

    name: str
    rows: tuple[Row, ...]
    about: str = ""
    data: str | None = None
    recipe: str | None = None
    seeds: int = 1
    columns: tuple[str, ...] = ()
    published: dict[str, str] = field(default_factory=dict)


def grids() -> list[str]:
    """Names of the grids that come with the package."""
    return sorted(each.name.removesuffix(".yaml") for each in GRIDS.iterdir())


def read_grid(grid: str | Path, recipe: str | None = None, seeds: int | None = None, **given: Any) -> Grid:
    """A grid that comes with the package, by name, or a YAML file.

    grid: its name or path.
    recipe: in the place of the file's.
    seeds: in the place of the file's.
    given: settings of every row, over the file's.

    Raises WsolError for an unknown key or value, with a suggestion, before anything runs.
    """
    path = GRIDS / f"{grid}.yaml" if str(grid) in grids() else Path(grid)
    if not path.is_file():
        check_key(str(grid), grids(), "there is no grid")
    entries = read_yaml(path, "grid")
    for key, value in entries.items():
        check_key(key, KINDS, f"{path}: a grid has no entry")
        entries[key] = cast(value, KINDS[key], f"{path}: {key}")
    for key in entries.get("published", {}):
        check_key(key, PRINTED, f"{path}: published: there is no")
    recipe = recipe or entries.get("recipe")
    seeds = entries.get("seeds", 1) if seeds is None else seeds
    assert seeds is not None
    settings = entries.pop("settings", {}) | given
    try:
        rows = tuple(row for entry in entries.pop("rows", ()) for row in _rows(entry, settings, recipe))
    except WsolError as error:
        raise WsolError(f"{path}: {error}") from error
    if not rows or seeds < 1:
        raise WsolError(f"{path}: {len(rows)} rows and {seeds} seeds; there must be one of each at least")
    slugs = [row.slug for row in rows]
    if twice := [row.name for row in rows if slugs.count(row.slug) > 1]:
        raise WsolError(f"{path}: two rows are called {twice[0]!r}; give one of them another `name`")
    return Grid(**entries | {"name": Path(grid).stem, "rows": rows, "recipe": recipe, "seeds": seeds})


def _rows(entry: dict[Any, Any], settings: dict[str, Any], recipe: str | None) -> Iterator[Row]:
    """The rows of one entry, one for every combination of what it varies."""
    own = {key: cast(entry[key], kind, key) for key, kind in ROW.items() if key in entry}
    if "method" not in own:
        raise WsolError(f"the row {entry} names no method; write `method: cam`")
    methods = stack(own["method"])
    if "readout" in own:
        registry.find("readouts", own["readout"])
    shared = {str(key): value for key, value in entry.items() if key not in ROW}
    vary = {str(key): values for key, values in own.get("vary", {}).items()}
    if wrong := [key for key, values in vary.items() if not isinstance(values, list)]:
        raise WsolError(f"vary: {wrong[0]} cannot be {vary[wrong[0]]!r}; it must be a list")
    for values in product(*vary.values()):
        varied = dict(zip(vary, values, strict=True))
        given = settings | shared | varied
        if "seed" in given:
            raise WsolError("a row has no `seed`; say how many with `seeds`")
        differing = (f"{key} {_said(value)}" for key, value in varied.items())
        name = ", ".join([own.get("name", methods.title), *differing])
        resolved = resolve(methods, recipe, given)
        try:
            paper = own["paper"].format(**given) if "paper" in own else None
        except (KeyError, IndexError, ValueError) as error:
            raise WsolError(f"paper {own['paper']!r}: only the row's settings may stand in braces") from error
        yield Row(name, methods, given, resolved, paper, own.get("readout"))


def _said(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
