"""How long a training still takes: a bar on a terminal; in a log file a line a minute, and one an epoch."""

import time
from typing import Any

import lightning as L

from wsol.show.story import VALIDATION
from wsol.system import processes
from wsol.system.console import bar

EVERY = 60.0  # seconds between lines of a log file


class Progress(L.Callback):
    """Shows the steps of the whole training with the time left, and each epoch's loss and accuracy."""

    def __init__(self) -> None:
        self.bar = bar("training")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.total, self.first = int(trainer.estimated_stepping_batches), trainer.global_step
        self.began = self.said = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task("", total=self.total, completed=self.first)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bar.update(self.task, completed=trainer.global_step)
        if self.bar.console.is_terminal or time.monotonic() - self.said < EVERY:
            return
        self.said, done = time.monotonic(), trainer.global_step
        _, shared_by = processes.place()
        speed = (done - self.first) * shared_by * len(batch[0]) / (self.said - self.began)
        self.bar.console.print(
            f"step {done}/{self.total}  loss {float(outputs['loss']):.3f}  {speed:.1f} photos/s  "
            f"{_clock(self._left(done))} left"
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        left = self._left(trainer.global_step)
        figures = trainer.callback_metrics
        known = [f"{name} {float(figures[name]):.1f} %" for name in VALIDATION if name in figures]
        validation = f"validation {', '.join(known)}  " if known else ""
        self.bar.console.print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {float(figures['loss/total']):.3f}  "
            f"{validation}{_clock(left)} left"
        )

    def _left(self, done: int) -> float:
        """Seconds, at the speed so far."""
        return (time.monotonic() - self.began) * (self.total - done) / max(done - self.first, 1)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.bar.stop()

    def on_exception(self, *_: Any, **__: Any) -> None:
        self.bar.stop()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
