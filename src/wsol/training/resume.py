"""Whether and where a training goes on."""

import csv
import io
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from wsol.errors import WsolError, listed
from wsol.runs.folder import Run
from wsol.runs.settings import Settings, plain
from wsol.system.files import read_json, unreadable, write_whole

# what may change when a training goes on
FREE = ("epochs", "workers", "sheet_every", "on_bad_image", "threshold")


class StateFile(TorchCheckpointIO):
    """resume.ckpt as our other files: written beside its place, whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)  # into a file it would raise no OSError
        write_whole(Path(path), lambda temporary: temporary.write_bytes(content.getbuffer()))


def learnt(folder: Path) -> bool:
    """Whether a run has left anything that a new one would overwrite."""
    return any((folder / name).exists() for name in ("resume.ckpt", "best.safetensors"))


def check_resumable(run: Run) -> None:
    """Raises WsolError unless the folder holds a run of the same method, settings and classes.

    Warns where it goes on with another number of epochs, and says what becomes of the learning rate.
    """
    about = run.folder / "run.json"
    if not about.exists():
        raise WsolError(f"{run.folder}: no run to resume; leave --resume out to start one")
    if not learnt(run.folder):  # it ended before its first epoch did, perhaps for a reason that is fixed now
        return
    entries = read_json(about, "choose another --output")
    if entries.get("classes") != list(run.classes):
        raise WsolError(f"{about}: was begun with other classes; resume with the same or choose another --output")
    before = plain(Settings()) | {"method": entries.get("method")}  # what an earlier version did not know
    for kind in ("settings", "options", "at_test"):
        before |= entries.get(kind) or {}
    now = {"method": run.stack.key, **run.resolved.all}
    other = [name for name in before | now if name not in FREE and before.get(name) != now.get(name)]
    if other:
        said = listed([f"{name} {before.get(name)}, not {now.get(name)}" for name in other])
        raise WsolError(f"{about}: was begun with {said}; resume with the same or choose another --output")
    _check_epochs(run, before.get("epochs"))


def _check_epochs(run: Run, begun: int | None) -> None:
    settings, state = run.resolved.settings, run.folder / "resume.ckpt"
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
    try:
        return torch.load(state, weights_only=True, mmap=True)["epoch"] + 1
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, IndexError, UnpicklingError) as error:
        first = str(error).split("\n")[0]
        raise unreadable(state, error, f"cannot be read ({first}); remove it, and --resume begins anew") from error


def csv_log(folder: Path, begun: int) -> CSVLogger:
    """metrics.csv, with the rows of the epochs that a resumed run has behind it: a new logger takes the file away."""
    logger, path = CSVLogger(folder, "", "", flush_logs_every_n_steps=1), folder / "metrics.csv"
    if begun and path.exists():
        with open(path, encoding="utf-8", newline="", errors="replace") as file:
            rows = [row for row in csv.DictReader(file) if None not in row and (row.get("epoch") or "").isdecimal()]
        logger.experiment.metrics = [row for row in rows if int(row["epoch"]) < begun]
        logger.experiment.save()
    return logger
