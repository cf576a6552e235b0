"""What training leaves in the run folder as it goes: checkpoints, metrics.csv and contact sheets."""

import warnings
from typing import Any

import lightning as L
import numpy as np
import torch

from wsol.boxes.rule import normalise
from wsol.data import Dataset
from wsol.data.crops import evaluation_view
from wsol.errors import WsolError
from wsol.methods.contract import Method
from wsol.runs.folder import Run, save
from wsol.show.draw import contact_sheet, overlay
from wsol.system.files import write_csv, write_picture
from wsol.training.resume import STATE
from wsol.training.watching import answering

SIDE = 160  # of a photo on a contact sheet, pixels: six fit on a page


class Checkpoints(L.Callback):
    """Saves last and best networks each epoch, metrics.csv, a contact sheet every few, and the state to resume from.

    Best is the highest validation Top1Cls, the later epoch on a tie and without validation photos: true boxes play no
    part. With the setting pseudo_truth it is the highest PseudoBoxAcc. Before all of the network learns
    (`Method.all_learn_from`) it is the last.
    The state comes last and holds the rows of metrics.csv, so that nothing is lost wherever an epoch's end is cut.

    run: its folder.
    method: the network that is trained.
    validation: photos, some of which the sheets show.
    photos: how many.
    """

    def __init__(self, run: Run, method: Method, validation: Dataset, photos: int = 6) -> None:
        self.run, self.method, self.validation = run, method, validation
        self.best, self.begun = -1.0, False
        self.rows: list[dict[str, float]] = []
        self.shown = np.linspace(0, len(validation) - 1, min(photos, len(validation))).astype(int).tolist()

    def save_untrained(self) -> None:
        """The network as it was built, as both checkpoints."""
        for name in ("best", "last"):
            save(self.method, self.run.folder / f"{name}.safetensors", {"epoch": 0})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = True  # from here on the method holds the run's weights, those of a resumed run too

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch, folder = trainer.current_epoch + 1, self.run.folder
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        about = {"epoch": epoch} | figures
        save(self.method, folder / "last.safetensors", about)
        early = epoch <= self.method.all_learn_from * (trainer.max_epochs or epoch)
        figure = -1.0 if early else about.get("PseudoBoxAcc", about.get("Top1Cls", 100.0))
        if figure >= self.best:
            self.best = figure
            save(self.method, folder / "best.safetensors", about)
        self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step} | figures)
        self.write_rows()
        every = self.run.resolved.settings.sheet_every
        if every and len(self.shown) and (epoch % every == 0 or epoch == trainer.max_epochs):
            try:
                self.draw(epoch)
            except WsolError as error:  # no reason to stop
                warnings.warn(f"{error} (this sheet is left out)", stacklevel=2)
        trainer.save_checkpoint(folder / STATE)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Leaves a network where the first epoch is interrupted; later on that of the last whole epoch stays."""
        for name in ("last", "best") if self.begun and isinstance(exception, KeyboardInterrupt) else ():
            if not (path := self.run.folder / f"{name}.safetensors").exists():
                save(self.method, path, {"epoch": trainer.current_epoch, "cut": True})

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.rows = state_dict["best"], state_dict["rows"]
        self.write_rows()

    def write_rows(self) -> None:
        """metrics.csv, a row an epoch."""
        names = {name: None for row in self.rows for name in row}  # a set that keeps its order
        write_csv(self.run.folder / "metrics.csv", list(names), self.rows)

    def draw(self, epoch: int) -> None:
        """Heatmaps of the true class on a few validation photos, without any box."""
        size, localizer = self.run.resolved.settings.image_size, answering(self.run, self.method)
        images = [self.validation.image(index) for index in self.shown]
        labels = [self.validation.samples[index].label for index in self.shown]
        views = torch.stack([evaluation_view(image, size) for image in images])
        heatmaps = localizer.look(views, torch.tensor(labels)[:, None]).heatmaps[:, 0].numpy()
        photos = [image.resize((SIDE, SIDE)) for image in images]
        looks = [
            overlay(photo, normalise(heatmap, (SIDE, SIDE))) for photo, heatmap in zip(photos, heatmaps, strict=True)
        ]
        names = [self.run.classes[label] for label in labels]
        for name, pictures in (("photos", photos), (f"epoch_{epoch:03d}", looks)):
            sheet = contact_sheet([list(zip(pictures, names, strict=True))], side=SIDE)
            write_picture(self.run.folder / "sheets" / f"{name}.png", sheet)
