"""Whether and where a training goes on, and the file that says so: tensors and JSON, nothing that could run code."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from wsol.errors import WsolError, listed
from wsol.runs.folder import About, Run
from wsol.runs.settings import Settings, plain
from wsol.runs.tensors import read_tensors, write_tensors
from wsol.system.files import read_record

STATE = "resume.safetensors"
REST = "state"  # all of it that is no tensor, as JSON, among the tensors: so the checksum is of everything
AGAIN = f"remove {STATE}, and --resume begins anew"
# what may change when a training goes on
FREE = ("epochs", "workers", "cache_photos", "sheet_every", "watch_boxes", "on_bad_image", "threshold")


class StateFile(TorchCheckpointIO):
    """The state of a training, in `STATE`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        tensors: dict[str, Tensor] = {}
        rest = json.dumps(_apart(checkpoint, tensors)).encode()
        tensors[REST] = torch.frombuffer(bytearray(rest), dtype=torch.uint8)
        write_tensors(Path(path), tensors, {"epoch": checkpoint["epoch"] + 1})

    def load_checkpoint(self, path: str | Path, *given: Any, **named: Any) -> dict[str, Any]:
        """Raises WsolError, naming the file, where it is missing or damaged."""
        tensors, _ = read_tensors(Path(path), AGAIN)
        try:
            return _together(json.loads(tensors[REST].numpy().tobytes()), tensors)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise WsolError(f"{path}: holds no state of a training ({error}); {AGAIN}") from error


def _apart(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """Nested values as JSON holds them. Their tensors are put into `tensors`, by their place."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):  # its keys need be no text
        return {"entries": [[key, _apart(inner, tensors, f"{name}/{key}")] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_apart(inner, tensors, f"{name}/{place}") for place, inner in enumerate(value)]
    return value


def _together(value: Any, tensors: dict[str, Tensor]) -> Any:
    """What `_apart` took apart."""
    if isinstance(value, list):
        return [_together(inner, tensors) for inner in value]
    if not isinstance(value, dict):
        return value
    if "entries" in value:
        return {key: _together(inner, tensors) for key, inner in value["entries"]}
    tensor = tensors[value["tensor"]]
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor  # as it was trained


def learnt(folder: Path) -> bool:
    """Whether a run has left anything that a new one would overwrite."""
    return any((folder / name).exists() for name in (STATE, "best.safetensors"))


def check_resumable(run: Run) -> None:
    """Raises WsolError unless the folder holds a run of the same method, settings and classes.

    Warns where it goes on with another number of epochs, and says what becomes of the learning rate.
    """
    about = run.folder / "run.json"
    if not about.exists() and not learnt(run.folder):
        warnings.warn(f"{run.folder}: there is nothing to resume yet, so training begins", stacklevel=3)
        return
    if (earlier := run.folder / "resume.ckpt").exists():
        raise WsolError(f"{earlier}: is of an earlier version, which cannot go on; remove it, and --resume begins anew")
    if not learnt(run.folder):  # it ended before its first epoch did, perhaps for a reason that is fixed now
        return
    begun = read_record(about, About, "choose another --output")
    if begun.classes != run.classes:
        raise WsolError(f"{about}: was begun with other classes; resume with the same or choose another --output")
    before: dict[str, Any] = plain(Settings())  # what an earlier version did not know
    before["method"] = begun.method
    before |= begun.settings | begun.options | begun.at_test
    now = {"method": run.stack.key, **run.resolved.all}
    other = [name for name in before | now if name not in FREE and before.get(name) != now.get(name)]
    if other:
        said = listed([f"{name} {before.get(name)}, not {now.get(name)}" for name in other])
        raise WsolError(f"{about}: was begun with {said}; resume with the same or choose another --output")
    _check_epochs(run, before.get("epochs"))


def _check_epochs(run: Run, begun: int | None) -> None:
    settings, state = run.resolved.settings, run.folder / STATE
    done = epochs_in(state) if state.exists() else 0
    if done > settings.epochs:
        raise WsolError(f"{run.folder}: {done} epochs are done already; give --epochs {done} or more")
    said = f"{run.folder}: {done} of {settings.epochs} epochs are done"
    if done == settings.epochs:
        warnings.warn(f"{said}; to train on, give more --epochs", stacklevel=4)
    elif done and begun != settings.epochs:
        course = f"the learning rate follows the {settings.schedule} schedule of {settings.epochs} epochs from here on"
        warnings.warn(f"{said}, where there were to be {begun}; {course}", stacklevel=4)


def epochs_in(state: Path) -> int:
    """How many epochs were finished when the state was written."""
    return StateFile().load_checkpoint(state)["epoch"] + 1
