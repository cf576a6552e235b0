"""How long a training still takes: a bar on a terminal, a line an epoch in a log file."""

import time
from typing import Any

import lightning as L

from wsol.system.console import bar


class Progress(L.Callback):
    """Shows the steps of the whole training with the time left, and each epoch's loss and accuracy."""

    def __init__(self) -> None:
        self.bar = bar("training")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.total, self.first = int(trainer.estimated_stepping_batches), trainer.global_step
        self.began = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task("", total=self.total, completed=self.first)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        self.bar.update(self.task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done, spent = trainer.global_step, time.monotonic() - self.began
        left = spent * (self.total - done) / max(done - self.first, 1)
        figures = trainer.callback_metrics
        validation = f"validation Top1Cls {float(figures['Top1Cls']):.1f} %  " if "Top1Cls" in figures else ""
        self.bar.console.print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {float(figures['loss/total']):.3f}  "
            f"{validation}{_clock(left)} left",
            highlight=False,
        )

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.bar.stop()

    def on_exception(self, *_: Any, **__: Any) -> None:
        self.bar.stop()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
