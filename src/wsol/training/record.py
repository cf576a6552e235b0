"""How a run came about, for its report: training.json, and report.html renewed as the training goes on."""

import os
import platform
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from wsol.runs.folder import Run
from wsol.show.report import write_report
from wsol.system import processes
from wsol.system.files import read_json, write_json

FILE = "training.json"


class Record(L.Callback):
    """Keeps training.json and report.html up to date with each epoch.

    An epoch's figures are logged once its callbacks have run, so its report is written when the next epoch begins.

    run: its folder.
    photos: how many there are to train and to validate on.
    resume: whether the run has epochs behind it.
    """

    def __init__(self, run: Run, photos: dict[str, int], resume: bool = False) -> None:
        self.run, self.photos = run, photos
        self.before = None if resume else 0.0  # minutes of the epochs behind it; an earlier version kept none

    @property
    def minutes(self) -> float | None:
        """Of training; None where nobody knows how long a resumed run took before."""
        return None if self.before is None else self.before + (time.monotonic() - self.began) / 60

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begin()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write()

    def begin(self) -> None:
        """Notes with what the training begins."""
        self.began = time.monotonic()
        note(self.run.folder, photos=self.photos, machine=machine())

    def write(self) -> None:
        """Notes the minutes so far, and writes the page."""
        note(self.run.folder, minutes=self.minutes)
        write_report(self.run)

    def state_dict(self) -> dict[str, Any]:
        return {"minutes": self.minutes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["minutes"]


def note(folder: Path, **entries: Any) -> None:
    """Adds to a run's training.json. Raises WsolError, naming the file, where it is damaged."""
    path = folder / FILE
    known = read_json(path, "remove it; the report then says less") if path.is_file() else {}
    write_json(path, known | entries)


def machine() -> str:
    """The processor and its cores, or the GPU, and how many processes trained where there were several."""
    _, count = processes.place()
    several = f", {count} processes" if count > 1 else ""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name() + several
    return f"{_processor()}, {os.cpu_count()} cores{several}"


def _processor() -> str:
    try:  # Linux alone says it nowhere else
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]
