"""What a run folder tells, read for its report. Files that are missing or damaged are said, not raised."""

import csv
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from wsol.errors import WsolError
from wsol.runs.figures import read_figures
from wsol.runs.folder import Run
from wsol.runs.settings import as_options, resolve
from wsol.system.files import read_json

EVALUATIONS = "evaluations"  # folder of the figures and pictures of each evaluation
VALIDATION = ("Top1Cls", "MaxBoxAcc", "PseudoBoxAcc")  # what training may measure there, in percent
NEEDED = {"Interval95": dict[str, tuple[float, float] | None], "PerClass": dict[str, dict[str, float | None]]}
Curve = dict[int, float]  # epoch, from 1 -> value


@dataclass(frozen=True)
class Evaluation:
    """The figures of one evaluation, kept in the run folder.

    path: the file of its figures; its pictures lie beside it.
    figures: those of `wsol.evaluate`, with `date` and `command`.
    """

    path: Path
    figures: dict[str, Any]

    @property
    def measured(self) -> tuple[Any, ...]:
        """What must be equal where figures are compared."""
        return tuple(self.figures.get(name) for name in ("data", "split", "measured", "protocol", "images", "cases"))

    def picture(self, kind: str) -> Path:
        """best or worst."""
        return self.path.with_suffix(f".{kind}.jpg")


@dataclass(frozen=True)
class Story:
    """What is known of a run.

    name: by which the page calls it.
    run: its folder.
    versions: of the libraries.
    training: how it came about, see `wsol.training.record`; empty where nobody kept it.
    curves: what was measured on validation photos and parts of the loss, by name.
    evaluations: the last one first.
    sheets: heatmaps by epoch.
    notes: what is missing or damaged.
    """

    name: str
    run: Run
    versions: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    sheets: dict[int, Path] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def epochs(self) -> int:
        """How many are finished."""
        return max((epoch for curve in self.curves.values() for epoch in curve), default=0)

    @cached_property
    def best(self) -> dict[str, Any]:
        """What training knew of the best checkpoint; empty before there is one."""
        with suppress(WsolError):
            return self.run.figures()
        return {}

    @property
    def recipe(self) -> str | None:
        return self.training.get("recipe")

    @cached_property
    def begun_with(self) -> dict[str, Any]:
        """All settings as the recipe gives them; the defaults where there is none, or it is gone."""
        with suppress(WsolError):
            return resolve(self.run.stack, self.recipe, {}).all
        return self.defaults

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return resolve(self.run.stack, None, {}).all

    @property
    def settings(self) -> dict[str, Any]:
        return self.run.resolved.all

    def commands(self) -> list[list[str]]:
        """What trains, measures and asks it again, as words."""
        folder, data = str(self.run.folder), str(self.training.get("data") or self.run.data)
        words = ["wsol", "train", self.run.stack.key, data]
        words += ["--recipe", self.recipe] if self.recipe else []
        other = {name: value for name, value in self.settings.items() if value != self.begun_with.get(name)}
        words += [*as_options(other), "--output", folder]
        measured = next((evaluation.figures.get("command") for evaluation in self.evaluations), None)
        measuring = measured if isinstance(measured, list) else ["wsol", "evaluate", folder, data]
        return [
            words,
            measuring,
            ["wsol", "locate", folder, "PHOTOS", "--output", "found", "--format", "coco,overlay"],
        ]


def read_story(run: Run, name: str) -> Story:
    """Reads a run's folder."""
    notes: list[str] = []
    about = _read(run.folder / "run.json", notes)
    training = _read(run.folder / "training.json", notes)
    curves = _curves(run.folder / "metrics.csv", notes)
    if not curves:
        notes.append("There are no curves: no epoch is finished, or the network was never trained.")
    evaluations = []
    for path in sorted((run.folder / EVALUATIONS).glob("*.json")):
        try:
            evaluations.append(Evaluation(path, read_figures(path, NEEDED)))
        except WsolError as error:
            notes.append(str(error))
    evaluations.sort(key=lambda evaluation: str(evaluation.figures.get("date")), reverse=True)
    sheets = {
        int(path.stem[6:]): path for path in (run.folder / "sheets").glob("epoch_*.png") if path.stem[6:].isdecimal()
    }
    versions = about.get("versions")
    versions = {str(name): str(value) for name, value in versions.items()} if isinstance(versions, dict) else {}
    return Story(name, run, versions, training, curves, evaluations, dict(sorted(sheets.items())), notes)


def _read(path: Path, notes: list[str]) -> dict[str, Any]:
    """The entries of a JSON file; none, and a note, where it is damaged."""
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except WsolError as error:
        notes.append(str(error))
        return {}


def _curves(path: Path, notes: list[str]) -> dict[str, Curve]:
    """Figures of validation photos, then the loss and its parts; damaged lines are left out."""
    curves: dict[str, Curve] = {}
    damaged = 0
    try:
        with open(path, encoding="utf-8", newline="", errors="replace") as file:
            for row in csv.DictReader(line.replace("\0", "?") for line in file):
                epoch = row.get("epoch") or ""
                if None in row or not re.fullmatch("[0-9]{1,7}", epoch):
                    damaged += 1
                    continue
                for name, value in row.items():
                    if value and (name in VALIDATION or name.startswith("loss/")):
                        try:
                            number = float(value)
                        except ValueError:
                            damaged += 1
                            continue
                        if math.isfinite(number):
                            curves.setdefault(name, {})[int(epoch) + 1] = number
    except FileNotFoundError:
        if path.with_name("last.safetensors").exists():
            notes.append(f"{path}: is missing")
    except (OSError, csv.Error) as error:
        notes.append(f"{path}: cannot be read ({error})")
    if damaged:
        notes.append(f"{path}: {damaged} damaged entries are left out of the curves")
    if len([name for name in curves if name.startswith("loss/")]) == 2:
        curves.pop("loss/total", None)  # the same as the one part
    order = {name: place for place, name in enumerate((*VALIDATION, "loss/total"))}
    names = sorted(curves, key=lambda name: (order.get(name, len(order)), name))
    return {name: dict(sorted(curves[name].items())) for name in names}
