"""Grids: which methods, under which settings and how many seeds, a benchmark runs; read from YAML files.

    about: where EIL erases
    data: CUB_200_2011           # may be given on the command line
    recipe: cub50_mobilenetv1    # what every row begins with
    seeds: 1
    split: val                   # which photos measure the rows; test, if left out. A search is judged by val
    settings: {epochs: 8}        # of every row, over the recipe's
    rows:                        # each a method and settings of its own; `vary` makes a row of every combination
      - {method: cam}
      - {method: eil, name: "EIL, late", boundary: -2, vary: {sigma: [1, 2]}, paper: "gamma 0.7, sigma {sigma}"}
    columns: [Top1Cls, MaxBoxAcc]                  # all, if left out
    protocols: [{protocol: cvpr16, ten_crop: true}]  # by which the networks are measured beside clova, a table each
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
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from wsol import registry
from wsol.data.dataset import Split
from wsol.errors import WsolError
from wsol.methods.stack import Stack, stack
from wsol.registry import check_key
from wsol.runs.settings import Resolved, resolve
from wsol.system.files import read_yaml
from wsol.system.values import Range, cast

GRIDS = files("wsol.benchmark") / "grids"
KINDS: dict[str, Any] = {
    "about": str,
    "data": str,
    "recipe": str,
    "seeds": Annotated[int, Range(1, 1000)],
    "split": Split,
    "settings": dict,
}
KINDS |= {"rows": tuple[dict, ...], "columns": tuple[str, ...], "protocols": tuple[dict, ...], "published": dict}
PRINTED = ("data", "backbone", "source")
ROW: dict[str, Any] = {"method": str, "name": str, "vary": dict[str, tuple[Any, ...]], "paper": str, "readout": str}
ROW_DEFAULTS: dict[str, Any] = dict.fromkeys(ROW) | {"vary": {}}
MOST_ROWS = 1000  # also of seeds


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
        return _slug(self.name)

    @property
    def trained(self) -> dict[str, Any]:
        """What training reads: rows that are equal in it share a network."""
        return self.resolved.trained | {"method": self.stack.key}


@dataclass(frozen=True)
class Measure:
    """A protocol beside `clova`, and how classes are told by it, as `wsol evaluate` takes them."""

    protocol: Literal["cvpr16", "psol", "bas"]
    ten_crop: bool = False

    @property
    def name(self) -> str:
        return f"{self.protocol}, ten crops" if self.ten_crop else self.protocol

    @property
    def slug(self) -> str:
        return _slug(self.name)


@dataclass(frozen=True)
class Grid:
    """A grid as its file says, its rows resolved."""

    name: str
    rows: tuple[Row, ...]
    about: str = ""
    data: str | None = None
    recipe: str | None = None
    seeds: int = 1
    split: Split = "test"
    columns: tuple[str, ...] = ()
    protocols: tuple[Measure, ...] = ()
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
    for key in (key for entry in entries.get("protocols", ()) for key in entry):
        check_key(key, Measure.__annotations__, f"{path}: protocols: there is no")
    entries["protocols"] = cast(entries.get("protocols", ()), tuple[Measure, ...], f"{path}: protocols")
    recipe = recipe or entries.get("recipe")
    seeds = entries.get("seeds", 1) if seeds is None else seeds
    assert seeds is not None
    settings = entries.pop("settings", {}) | given
    try:
        rows = tuple(row for entry in entries.pop("rows", ()) for row in _rows(entry, settings, recipe))
    except WsolError as error:
        raise WsolError(f"{path}: {error}") from error
    cast(seeds, KINDS["seeds"], f"{path}: seeds")
    if not 1 <= len(rows) <= MOST_ROWS:
        raise WsolError(f"{path}: {len(rows)} rows; there must be from 1 to {MOST_ROWS}")
    slugs = [row.slug for row in rows]
    if unnamed := [row.name for row in rows if not row.slug]:
        raise WsolError(f"{path}: {unnamed[0]!r} has no letter or digit to name files by; give the row another `name`")
    if twice := [row.name for row in rows if slugs.count(row.slug) > 1]:
        raise WsolError(f"{path}: two rows are called {twice[0]!r}; give one of them another `name`")
    return Grid(**entries | {"name": Path(grid).stem, "rows": rows, "recipe": recipe, "seeds": seeds})


def _rows(entry: dict[str, Any], settings: dict[str, Any], recipe: str | None) -> Iterator[Row]:
    """The rows of one entry, one for every combination of what it varies."""
    own = ROW_DEFAULTS | {key: cast(entry[key], kind, key) for key, kind in ROW.items() if key in entry}
    if own["method"] is None:
        raise WsolError(f"the row {entry} names no method; write `method: cam`")
    methods = stack(own["method"])
    if own["readout"] is not None:
        registry.find("readouts", own["readout"])
    shared = {key: value for key, value in entry.items() if key not in ROW}
    if (count := prod(map(len, own["vary"].values()))) > MOST_ROWS:
        raise WsolError(f"vary: makes {count} rows; a grid has {MOST_ROWS} at most")
    for values in product(*own["vary"].values()):
        varied = dict(zip(own["vary"], values, strict=True))
        given = settings | shared | varied
        if "seed" in given:
            raise WsolError("a row has no `seed`; say how many with `seeds`")
        differing = (f"{key} {_said(value)}" for key, value in varied.items())
        name = ", ".join([own["name"] or methods.title, *differing])
        if not name.isprintable():
            raise WsolError(f"name {name!r}: must be one line")
        resolved = resolve(methods, recipe, given)
        yield Row(name, methods, given, resolved, _filled(own["paper"], given), own.get("readout"))


def _filled(paper: str | None, given: dict[str, Any]) -> str | None:
    """The text with the settings that stand in braces."""
    if paper is None:
        return None
    words = re.split(r"\{(\w+)\}", paper)
    if unknown := [word for word in words[1::2] if word not in given] or re.findall("[{}].*", "".join(words[::2])):
        raise WsolError(f"paper {paper!r}: only the row's settings may stand in braces, not {unknown[0]}")
    return "".join(str(given[word]) if place % 2 else word for place, word in enumerate(words))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-")


def _said(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
