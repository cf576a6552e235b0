"""Whether and where a training goes on."""

import csv
from pathlib import Path
from pickle import UnpicklingError

import torch
from lightning.pytorch.loggers import CSVLogger

from wsol.errors import WsolError, listed
from wsol.runs.folder import Run
from wsol.system.files import read_json


def learnt(folder: Path) -> bool:
    """Whether a run has left anything that a new one would overwrite."""
    return any((folder / name).exists() for name in ("resume.ckpt", "best.safetensors"))


def check_resumable(run: Run) -> None:
    """Raises WsolError unless the folder holds a run of the same method, settings and classes."""
    about = run.folder / "run.json"
    if not about.exists():
        raise WsolError(f"{run.folder}: no run to resume; leave --resume out to start one")
    if not learnt(run.folder):  # it ended before its first epoch did, perhaps for a reason that is fixed now
        return
    entries = read_json(about, "choose another --output")
    if entries.get("classes") != list(run.classes):
        raise WsolError(f"{about}: was begun with other classes; resume with the same or choose another --output")
    before = {"method": entries.get("method")}
    for kind in ("settings", "options", "at_test"):
        before |= entries.get(kind) or {}
    now = {"method": run.stack.key, **run.resolved.all}
    if other := [
        f"{key} {before.get(key)}, not {now.get(key)}" for key in before | now if before.get(key) != now.get(key)
    ]:
        raise WsolError(f"{about}: was begun with {listed(other)}; resume with the same or choose another --output")


def epochs_in(state: Path) -> int:
    """How many epochs were finished when the state was written."""
    try:
        return torch.load(state, weights_only=True)["epoch"] + 1
    except (EOFError, KeyError, RuntimeError, TypeError, ValueError, IndexError, UnpicklingError) as error:
        first = str(error).split("\n")[0]
        raise WsolError(f"{state}: cannot be read ({first}); remove it, and --resume begins anew") from error


def csv_log(folder: Path, begun: int) -> CSVLogger:
    """metrics.csv, with the rows of the epochs that a resumed run has behind it: a new logger takes the file away."""
    logger, path = CSVLogger(folder, "", "", flush_logs_every_n_steps=1), folder / "metrics.csv"
    if begun and path.exists():
        with open(path, encoding="utf-8", newline="", errors="replace") as file:
            rows = [row for row in csv.DictReader(file) if None not in row and (row.get("epoch") or "").isdecimal()]
        logger.experiment.metrics = [row for row in rows if int(row["epoch"]) < begun]
        logger.experiment.save()
    return logger
