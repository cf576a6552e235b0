"""The generic loop: the sum of any method's loss terms, minimised by SGD or AdamW."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from wsol.data.crops import Batch
from wsol.errors import WsolError
from wsol.localizer import energy
from wsol.methods.contract import Method
from wsol.metrics import ranks
from wsol.runs.settings import Settings
from wsol.system import processes
from wsol.training.parallel import average_step, begin_alike, meet


class Loop(L.LightningModule):
    """Trains any method; it takes the gradients of each part of a loss before the next part is computed.

    method: the network.
    settings: of its training.
    steps_per_epoch: batches of an epoch.

    Raises WsolError when the loss is no longer finite.
    """

    def __init__(self, method: Method, settings: Settings, steps_per_epoch: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.settings, self.steps_per_epoch = settings, steps_per_epoch
        self.rank, self.processes = processes.place()
        self.seen: list[tuple[int, tuple[float, float]]] = []  # of validation photos: right or not, energy

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for state in checkpoint["lr_schedulers"]:  # OneCycleLR's course; ours is that of the epochs asked for now
            for name in ("total_steps", "_schedule_phases"):
                state.pop(name, None)

    def on_train_start(self) -> None:
        scheduler: Any = self.lr_schedulers()
        for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_lr(), strict=True):
            group["lr"] = rate  # a resumed run may have another number of epochs
        if self.processes > 1:
            begin_alike(self.method)

    def on_train_epoch_start(self) -> None:
        # what a method draws in an epoch depends on its number and the process alone, also in a resumed run
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch + self.rank * 1_000_000_007)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        views, labels, *boxes = batch
        optimiser: Any = self.optimizers()
        optimiser.zero_grad()
        terms: dict[str, Tensor] = {}
        with self.shown(views) as images:
            for part in self.method.loss_parts(images, labels, **self.asked(boxes)):
                loss = torch.stack([term.float() for term in part.values()]).sum()
                if not torch.isfinite(loss):
                    values = ", ".join(f"{name} {term.item():.3g}" for name, term in part.items())
                    raise WsolError(f"the loss is no longer finite ({values}); lower --learning-rate or set --clip 5")
                with torch.autocast(self.device.type, enabled=False):
                    self.manual_backward(loss)
                terms |= {name: term.detach() for name, term in part.items()}
        if self.processes > 1:
            terms = average_step(self.method, terms)
        if self.settings.clip:
            self.clip_gradients(optimiser, self.settings.clip, "norm")
        optimiser.step()
        scheduler: Any = self.lr_schedulers()
        scheduler.step()
        total = torch.stack([term.float() for term in terms.values()]).sum()
        named = {f"loss/{name}": term for name, term in terms.items()} | {"loss/total": total}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(labels))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.processes > 1 and self.trainer.is_last_batch:  # validation sees one network
            meet(self.method)

    def validation_step(self, batch: Batch) -> None:
        if batch.errors:
            raise WsolError("; ".join(error for _, error in batch.errors))
        with self.shown(batch.images) as images:
            logits = self.method.predict(images).logits
        right = (ranks(logits, batch.targets) < 1).float()
        energies = energy(logits.float(), batch.targets.dtype == torch.bool)
        self.seen += zip(batch.indices.tolist(), zip(right.tolist(), energies.tolist(), strict=True), strict=True)

    def on_validation_epoch_end(self) -> None:
        """Top1Cls, and Energy5: a twentieth of the validation photos have less energy, as most photos of other things.

        Of all photos, which processes share.
        """
        seen = dict(processes.gather(self.seen))
        right, energies = torch.tensor(list(seen.values())).unbind(1)
        self.log("Top1Cls", 100 * right.mean())
        self.log("Energy5", energies.quantile(0.05))
        self.seen.clear()

    def configure_optimizers(self) -> Any:
        settings = self.settings
        groups, decay = parameter_groups(self.method, settings), settings.weight_decay
        optimiser: torch.optim.Optimizer
        if settings.optimiser == "adamw":
            optimiser = torch.optim.AdamW(groups, weight_decay=decay)
        else:
            momentum = settings.momentum
            optimiser = torch.optim.SGD(groups, momentum=momentum, nesterov=momentum > 0, weight_decay=decay)
        steps = settings.epochs * self.steps_per_epoch
        return [optimiser], [{"scheduler": schedule(optimiser, settings, steps), "interval": "step"}]

    @contextmanager
    def shown(self, views: Tensor) -> Iterator[Tensor]:
        """The images of a batch, or what stands for them where the batch holds cached features."""
        if not self.settings.cache_features:
            yield views.contiguous(memory_format=torch.channels_last)
            return
        with self.method.backbone.fed(views.float(), self.settings.image_size) as images:
            yield images

    def asked(self, boxes: Sequence[Tensor]) -> dict[str, Any]:
        """What a method's loss declares beside images and labels."""
        done = self.global_step / max(self.settings.epochs * self.steps_per_epoch, 1)
        given = {"progress": done} | {name: boxes[0] for name in ("pseudo_boxes", "true_boxes") if boxes}
        return {name: given[name] for name in given.keys() & self.method.asked}


def parameter_groups(method: Method, settings: Settings) -> list[dict[str, Any]]:
    """The papers' groups: new layers take head_rate, biases bias_rate, both multiplied (x1, x2, x10, x20)."""
    new = {id(parameter) for layer in method.new_layers() for parameter in layer.parameters()}
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in new, name.endswith("bias")), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate
            * (settings.head_rate if of_new_layers else 1)
            * (settings.bias_rate if of_biases else 1),
        }
        for (of_new_layers, of_biases), parameters in groups.items()
    ]


def schedule(optimiser: torch.optim.Optimizer, settings: Settings, steps: int) -> LRScheduler:
    """The learning rate's course over `steps`, after a linear warm-up; "polynomial" has the power 0.9."""
    if settings.schedule == "onecycle":
        return OneCycleLR(optimiser, [group["lr"] for group in optimiser.param_groups], total_steps=max(steps, 2))
    per_epoch = steps / max(settings.epochs, 1)
    warm = settings.warmup * per_epoch

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if settings.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
        if settings.schedule == "polynomial":
            return (1 - (step - warm) / max(steps - warm, 1)) ** 0.9
        if settings.schedule == "step":
            return settings.decay ** sum(step >= epoch * per_epoch for epoch in settings.milestones)
        return 1.0

    return LambdaLR(optimiser, factor)
