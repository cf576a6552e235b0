"""A run folder: what a trained network is made of, written and read.

run.json            method, hyper-parameters, settings, classes, data, versions
best.safetensors    tensors of the epoch with the best validation accuracy, with best.json, which holds a checksum
last.safetensors    tensors of the last epoch, with last.json
photos.json         digests of the files of the training photos, by which evaluation knows them again
threshold.json      where heatmaps are cut, once chosen on the validation photos of the training data
metrics.csv         every loss term and validation accuracy
training.json       data, recipe, photos, machine and minutes of the training
evaluations/        figures of each evaluation, with its best and worst photos
report.html         all of it to look at, renewed by each epoch and each evaluation
sheets/             heatmaps on validation photos, every few epochs
resume.safetensors  state of the training after the last epoch, for --resume, with resume.json
"""

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wsol.backbones import build_backbone
from wsol.boxes.rule import Threshold
from wsol.errors import WsolError, repeated
from wsol.localizer import Localizer
from wsol.methods.contract import Method
from wsol.methods.stack import Stack, stack
from wsol.readouts.contract import Own, Readout
from wsol.runs import Checkpoint
from wsol.runs.settings import Resolved, plain, resolve
from wsol.runs.tensors import read_about, read_tensors, write_tensors
from wsol.system import processes
from wsol.system.files import read_json, read_record, write_json
from wsol.system.values import Count, Share, cast

RETRAIN = "train again"


@dataclass(frozen=True)
class About:
    """run.json, as far as it is read; `packages` by name of the method: [package, version]."""

    method: str
    settings: dict[str, Any]
    options: dict[str, Any]
    classes: tuple[str, ...]
    data: str
    packages: dict[str, tuple[str, str]] = field(default_factory=dict)
    at_test: dict[str, Any] = field(default_factory=dict)
    several: bool = False
    validation: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError where no class, or two, have a name."""
        if not self.classes or "" in self.classes:
            raise ValueError("classes must have names")
        if (twice := repeated(self.classes)) is not None:
            raise ValueError(f"classes: {twice} is there twice")


@dataclass(frozen=True)
class Chosen:
    """threshold.json; earlier versions wrote neither source nor images."""

    threshold: Share
    checkpoint: Checkpoint
    at_test: dict[str, Any]
    validation: str
    source: str = "validation"
    images: Count = 0


@dataclass(frozen=True)
class Run:
    """A run's folder and how its network came about.

    stack: its method.
    resolved: all settings.
    classes: names, by index.
    data: name of the training data.
    several: whether a photo may have several classes.
    validation: fingerprint of the photos that chose the checkpoint, see `Dataset.fingerprint`.
    """

    folder: Path
    stack: Stack
    resolved: Resolved
    classes: tuple[str, ...]
    data: str
    several: bool = False
    validation: str = ""

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.stack.title}, {len(self.classes)} classes of {self.data})"

    @classmethod
    def read(cls, folder: str | Path) -> "Run":
        """The run that a folder holds. Raises WsolError, naming the file, where it is none or damaged."""
        folder = Path(folder)
        path = folder / "run.json"
        if not path.is_file():
            raise WsolError(f"{folder}: no run is stored here (run.json is missing); give the --output of wsol train")
        about = read_record(path, About, RETRAIN)
        try:
            methods = _methods(about.method, about.packages)
            resolved = resolve(methods, None, about.settings | about.options | about.at_test)
        except WsolError as error:
            raise WsolError(f"{path}: {error}") from error
        if resolved.settings.backbone is None:
            raise WsolError(f"{path}: settings.backbone is missing; {RETRAIN}")
        return cls(folder, methods, resolved, about.classes, about.data, about.several, about.validation)

    def describe(self) -> None:
        """Writes run.json."""
        libraries = ("wsol", "torch", "torchvision", "timm", "lightning")
        entries = {
            "method": self.stack.key,
            "packages": {entry.name: [entry.package, entry.version] for entry in self.stack.entries},
            "options": plain(self.resolved.options),
            "at_test": plain(self.resolved.at_test),
            "settings": plain(self.resolved.settings),
            "classes": list(self.classes),
            "several": self.several,
            "data": self.data,
            "validation": self.validation,
            "versions": {name: version(name) for name in libraries} | {"python": platform.python_version()},
        }
        write_json(self.folder / "run.json", entries)

    def build(self, load: bool = True) -> Method:
        """The network, fresh.

        load: whether the backbone's weights are read; not needed where a checkpoint follows.

        Raises WsolError for hyper-parameters that the method refuses, and where it cannot be frozen so.
        """
        settings = self.resolved.settings
        weights = None if settings.weights == "none" else settings.weights
        assert settings.backbone is not None, "training settles the backbone before it builds"
        map_stride = None if settings.map_stride == "own" else settings.map_stride
        backbone = build_backbone(settings.backbone, weights, settings.end, map_stride, settings.kept_strides, load)
        method = self.stack.build(backbone, len(self.classes), **self.resolved.options)
        if settings.freeze != "none":
            method.freeze(settings.freeze)
        return method

    def open(self, checkpoint: Checkpoint = "best", readout: Readout | None = None, **at_test: Any) -> Localizer:
        """The trained network, on the GPU where there is one.

        checkpoint: which of its networks.
        readout: how it is asked where; None for the method's own heatmaps.
        at_test: settings of the method's own heatmaps, over the run's.

        Raises WsolError, naming the file, where a checkpoint is missing, damaged or of another network.
        """
        resolved = resolve(self.stack, None, self.resolved.all | at_test)
        own = Own(resolved.at_test)
        try:
            method = self.build(load=False)
        except WsolError as error:
            raise WsolError(f"{self.folder / 'run.json'}: {error}") from error
        figures = restore(method, self.folder / f"{checkpoint}.safetensors")
        threshold, source = self._threshold(checkpoint, resolved.at_test if readout is None else None)
        return Localizer(
            method.to(processes.device()).eval(),
            self.classes,
            self.resolved.settings.test_size or self.resolved.settings.image_size,
            self.several,
            threshold,
            source,
            readout or own,
            str(self.folder),
            self.folder,
            self.resolved.settings.background,
            figures.get("Energy5"),
            {"method": self.stack.title, "checkpoint": checkpoint, **figures},
        )

    def figures(self, checkpoint: Checkpoint = "best") -> dict[str, Any]:
        """What training knew of a checkpoint: its epoch, losses and validation accuracy."""
        path = self.folder / f"{checkpoint}.safetensors"
        return _figures(path, read_about(path, RETRAIN))

    def keep_photos(self, digests: list[str]) -> None:
        """Stores what the files of the training photos hold, so that nobody measures the run by them unawares."""
        write_json(self.folder / "photos.json", {"trained_on": digests})

    def trained_on(self) -> set[str] | None:
        """The digests of the training photos' files; None for a run of an earlier version."""
        path = self.folder / "photos.json"
        if not path.exists():
            return None
        fix = "remove it: photos are then known by their names alone"
        stored = read_json(path, fix).get("trained_on")
        if not isinstance(stored, list):
            raise WsolError(f"{path}: holds no list of photos; {fix}")
        return set(map(str, stored))

    def keep_threshold(self, threshold: float, checkpoint: str, images: int, source: str = "validation") -> None:
        """Stores the best threshold, for locating.

        threshold: share of the heatmap's peak.
        checkpoint: whose heatmaps it cuts.
        images: how many photos chose it.
        source: what photos these were: "validation" photos of the training data, or those of a "review".
        """
        entries = {"threshold": threshold, "source": source, "images": images, "checkpoint": checkpoint}
        entries["validation"] = self.validation
        write_json(self.folder / "threshold.json", entries | {"at_test": plain(self.resolved.at_test)})

    def _threshold(self, checkpoint: str, at_test: dict[str, Any] | None) -> tuple[Threshold, str]:
        """The recipe's threshold; the stored one, if it was chosen for these heatmaps; else "auto"."""
        fixed = self.resolved.settings.threshold
        if fixed is not None and fixed != "validation":
            return fixed, "recipe"
        path = self.folder / "threshold.json"
        if at_test is None or not path.is_file():
            return "auto", "auto"
        fix = "remove it, then evaluate again"
        stored = read_record(path, Chosen, fix)
        if stored.validation != self.validation:
            raise WsolError(f"{path}: holds no threshold of this run; {fix}")
        same = (stored.checkpoint, stored.at_test) == (checkpoint, plain(at_test))
        return (stored.threshold, stored.source) if same else ("auto", "auto")


def save(method: Method, path: Path, about: dict[str, Any]) -> None:
    """Writes a network's tensors to `path` and what is known of them beside it, each file whole or not at all."""
    write_tensors(path, method.state_dict(), about)


def restore(method: Method, path: Path) -> dict[str, Any]:
    """Loads tensors that `save` wrote, and gives what is known of them.

    Raises WsolError naming the file when they are damaged or do not fit.
    """
    if not path.is_file():
        raise WsolError(f"{path}: the run has no such checkpoint; train it, or choose another --checkpoint")
    tensors, about = read_tensors(path, f"use the other --checkpoint, or {RETRAIN}")
    figures = _figures(path, about)
    try:
        method.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WsolError(f"{path}: does not fit the network of run.json: {first[:200]}") from error
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise WsolError(f"{path}: {wrong[0]} holds NaN or infinity: the training diverged; lower --learning-rate")
    return figures


def _figures(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What is known of a network, by name. Raises WsolError where the epoch is missing, or something is no number."""
    if wrong := [name for name, value in {"epoch": None, **about}.items() if not isinstance(value, int | float)]:
        raise WsolError(f"{path.with_suffix('.json')}: holds no number for {wrong[0]}; {RETRAIN}")
    cast(about.get("epoch"), Count, f"{path.with_suffix('.json')}: epoch")
    return about


def _methods(name: str, packages: dict[str, Any]) -> Stack:
    """The run's method. Raises WsolError that names the package that it came from, where that is not installed."""
    try:
        return stack(name)
    except WsolError as error:
        for method, (package, release) in packages.items():
            if package and package != "wsol" and method in str(error):
                raise WsolError(f"{error}; it came from {package} {release}: pip install {package}") from error
        raise
