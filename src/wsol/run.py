"""A run folder: what a trained network is made of, written and read.

run.json            method, hyper-parameters, settings, classes, data, versions
best.safetensors    tensors of the epoch with the best validation accuracy, with best.json
last.safetensors    tensors of the last epoch, with last.json
threshold.json      where heatmaps are cut, once chosen on validation photos
metrics.csv         every loss term and validation accuracy
sheets/             heatmaps on validation photos, every few epochs
resume.ckpt         state of the optimiser, for --resume
"""

import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from wsol import processes
from wsol.backbones import build_backbone
from wsol.boxes import Threshold, check_threshold
from wsol.errors import WsolError
from wsol.method import Method
from wsol.settings import Settings, method_class, plain, resolve


@dataclass
class Run:
    """A network that was trained: its folder, its method with the weights in place, and how it came about.

    `threshold` is the share of the heatmap's peak at which boxes are cut, or "auto", each map's own mean;
    `threshold_source` says who chose it: "recipe", "validation", or nobody: "auto".
    several: whether a photo may have several classes.
    """

    folder: Path
    method: Method
    options: dict[str, Any]
    settings: Settings
    classes: list[str]
    data: str
    checkpoint: dict[str, Any] = field(default_factory=dict)
    several: bool = False

    def scores(self, logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """How likely each class is, 0 to 1: softmax, or where a photo may have several classes the sigmoid."""
        return logits.float().sigmoid() if self.several else logits.float().softmax(1)

    @property
    def threshold(self) -> Threshold:
        return self._threshold()[0]

    @property
    def threshold_source(self) -> str:
        return self._threshold()[1]

    def _threshold(self) -> tuple[Threshold, str]:
        if self.settings.threshold is not None:
            return self.settings.threshold, "recipe"
        if (path := self.folder / "threshold.json").is_file():
            try:
                threshold = float(read_json(path)["threshold"])
            except (KeyError, TypeError, ValueError) as error:
                raise WsolError(f"{path}: holds no threshold ({error}); evaluate again") from error
            check_threshold(threshold)
            return threshold, "validation"
        return "auto", "auto"

    def choose_threshold(self, threshold: float, data: str, images: int) -> None:
        """Stores the threshold that was best on validation photos."""
        write_json(self.folder / "threshold.json", {"threshold": threshold, "data": data, "images": images})


def describe(run: Run) -> None:
    """Writes run.json."""
    write_json(
        run.folder / "run.json",
        {
            "method": type(run.method).__name__,
            "options": plain(run.options),
            "settings": plain(run.settings),
            "classes": run.classes,
            "several": run.several,
            "data": run.data,
            "versions": {name: version(name) for name in ("wsol", "torch", "torchvision", "timm", "lightning")}
            | {"python": platform.python_version()},
        },
    )


def load(folder: str | Path, checkpoint: Literal["best", "last"] = "best", **given: Any) -> Run:
    """Opens a run folder: `wsol.load("runs/eil").method` is the network, in eval mode, on the GPU where there is one.

    given: hyper-parameters and settings over the run's, of those that training does not read (`Method.at_test`).

    Raises WsolError, naming the file, when the folder is no run or a file is damaged.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise WsolError(f"{folder}: no run is stored here (run.json is missing); give the --output of wsol train")
    about = read_json(folder / "run.json")
    try:
        method = method_class(str(about["method"]))
        settings, options = resolve(method, None, about["settings"] | about["options"] | given)
        if settings.backbone is None:
            raise KeyError("backbone")
        run = build(folder, method, settings, options, list(about["classes"]), about["data"], load=False)
        run.several = bool(about.get("several", False))
    except (KeyError, TypeError) as error:
        raise WsolError(f"{folder / 'run.json'}: incomplete ({error}); train again") from error
    except WsolError as error:
        raise WsolError(f"{folder / 'run.json'}: {error}") from error
    restore(run.method, folder / f"{checkpoint}.safetensors")
    run.checkpoint = {"checkpoint": checkpoint} | read_json(folder / f"{checkpoint}.json")
    run.method.to(processes.device()).eval()
    return run


def build(
    folder: Path,
    method: type[Method],
    settings: Settings,
    options: dict[str, Any],
    classes: list[str],
    data: str,
    load: bool = True,
) -> Run:
    """A run with a fresh network; load=False leaves the backbone's weights out, as the state comes from a file.

    Raises WsolError for hyper-parameters that the method refuses.
    """
    weights = None if settings.weights == "none" else settings.weights
    assert settings.backbone is not None, "training settles the backbone before it builds"
    map_stride = None if settings.map_stride == "own" else settings.map_stride
    backbone = build_backbone(settings.backbone, weights, settings.end, map_stride, settings.kept_strides, load)
    try:
        return Run(folder, method(backbone, len(classes), **options), options, settings, classes, data)
    except ValueError as error:
        raise WsolError(f"{method.__name__}: {error}") from error


def save(method: Method, path: Path, about: dict[str, Any]) -> None:
    """Writes a network's tensors to `path` and what is known of them beside it, each file whole or not at all."""
    tensors = {name: value.contiguous() for name, value in method.state_dict().items()}
    _whole(path, lambda temporary: save_file(tensors, temporary))
    write_json(path.with_suffix(".json"), about)


def restore(method: Method, path: Path) -> None:
    """Loads tensors that `save` wrote. Raises WsolError naming the file when they are damaged or do not fit."""
    if not path.is_file():
        raise WsolError(f"{path}: the run has no such checkpoint; train it, or choose another --checkpoint")
    try:
        given: dict[str, Tensor] = load_file(path)
        method.load_state_dict(given)
    except (SafetensorError, OSError) as error:
        raise WsolError(f"{path}: damaged ({error}); use the other checkpoint or train again with --resume") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WsolError(f"{path}: does not fit the network of run.json: {first[:200]}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises WsolError naming the file when it is missing or damaged."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WsolError(f"{path}: not readable as JSON ({error}); train or evaluate again") from error
    if not isinstance(entries, dict):
        raise WsolError(f"{path}: holds no JSON object; train or evaluate again")
    return entries


def write_json(path: Path, entries: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all. Raises WsolError naming the file when the disk refuses."""
    text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
    _whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _whole(path: Path, write: Any) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise WsolError(
            f"{path}: could not be written ({error}); free some space or choose another --output"
        ) from error
