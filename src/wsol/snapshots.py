"""What training leaves in the run folder as it goes: checkpoints and contact sheets."""

from typing import Any

import lightning as L
import numpy as np
import torch

from wsol.boxes import normalise
from wsol.data import Dataset
from wsol.data.transforms import evaluation_view
from wsol.draw import contact_sheet, overlay
from wsol.run import Run, save


class Snapshots(L.Callback):
    """Saves last and best networks each epoch, the optimiser's state, and a contact sheet every few epochs.

    Best is the highest validation Top1Cls, the later epoch on a tie and without validation photos: boxes play no part.
    """

    def __init__(self, run: Run, validation: Dataset, photos: int = 8) -> None:
        self.run, self.validation = run, validation
        self.best = -1.0
        self.shown = np.linspace(0, len(validation) - 1, min(photos, len(validation))).astype(int)

    def save_untrained(self) -> None:
        """The network as it was built, as both checkpoints."""
        for name in ("best", "last"):
            save(self.run.method, self.run.folder / f"{name}.safetensors", {"epoch": 0})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch, folder = trainer.current_epoch + 1, self.run.folder
        about = {"epoch": epoch} | {name: float(value) for name, value in trainer.callback_metrics.items()}
        save(self.run.method, folder / "last.safetensors", about)
        figure = about.get("Top1Cls", 100.0)
        if figure >= self.best:
            self.best = figure
            save(self.run.method, folder / "best.safetensors", about)
        partial = folder / "resume.ckpt.part"
        trainer.save_checkpoint(partial)
        partial.replace(folder / "resume.ckpt")
        every = self.run.settings.sheet_every
        if every and len(self.shown) and (epoch % every == 0 or epoch == trainer.max_epochs):
            self.draw(epoch)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            save(self.run.method, self.run.folder / "last.safetensors", {"epoch": trainer.current_epoch, "cut": True})
            if not (self.run.folder / "best.safetensors").exists():
                save(self.run.method, self.run.folder / "best.safetensors", {"epoch": trainer.current_epoch})

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    @torch.no_grad()
    def draw(self, epoch: int) -> None:
        """Heatmaps of the true class on a few validation photos, without any box."""
        method = self.run.method.eval()
        device = next(method.parameters()).device
        cells = []
        for index in self.shown:
            image, label = self.validation.image(int(index)), self.validation.samples[index].label
            prediction = method.predict(evaluation_view(image, self.run.settings.image_size)[None].to(device))
            heatmap = method.heatmaps(prediction, torch.tensor([[label]], device=device))[0, 0]
            side = (224, 224)
            picture = overlay(image.resize(side), normalise(heatmap.float().cpu().numpy(), side))
            cells.append((picture, self.run.classes[label]))
        method.train()
        folder = self.run.folder / "sheets"
        folder.mkdir(exist_ok=True)
        contact_sheet([cells]).save(folder / f"epoch_{epoch:03d}.png")
