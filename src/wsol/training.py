"""Training: one loop for all methods, Lightning underneath. It reads photos and labels, never boxes or masks."""

import csv
import inspect
import logging
import math
import signal
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.utils.data import DataLoader

from wsol.backbones import backbone_for
from wsol.data import Dataset, open_data, readable
from wsol.data.pseudo_boxes import read_pseudo_boxes
from wsol.data.transforms import EvaluationImages, Shuffled, TrainingImages
from wsol.errors import WsolError, listed
from wsol.method import Method
from wsol.metrics import ranks
from wsol.progress import Progress
from wsol.run import Run, build, describe, load, read_json
from wsol.settings import Settings, method_class, plain, recipes_of, resolve
from wsol.snapshots import Snapshots


def train(
    method: str,
    data: str | Path | Dataset,
    output: str | Path,
    recipe: str | Path | None = None,
    resume: bool = False,
    **given: Any,
) -> Run:
    """Trains a method on photos with class labels and leaves a run folder.

    method: its name, see `wsol methods`. data: a folder of class folders, a CSV, a known data set's folder,
    "creatures", or a data set, whose photos then validate too. output: the run folder. recipe: name or path of a
    recipe. resume: continue the run in `output`.
    given: settings (wsol.settings.Settings) and the method's hyper-parameters, over the recipe's.

    Returns the run with its best network. Raises WsolError for anything a user can mend.
    """
    kind, folder = method_class(method), Path(output)
    if recipe is None and str(data) == "creatures" and "creatures" in recipes_of(kind):
        recipe = "creatures"
    settings, options = resolve(kind, recipe, given)
    settings = _settle_backbone(settings)
    if _learnt(folder) and not resume:
        raise WsolError(f"{folder}: a run is stored here already; add --resume or choose another --output")

    L.seed_everything(settings.seed, workers=True, verbose=False)
    training, validation = _photos(data, settings)
    run = build(folder, kind, settings, options, training.classes, training.name)
    run.several = any(sample.present for sample in training.samples)
    if resume:
        _check_resumable(run)
    training, validation = (readable(split, settings.on_bad_image) for split in (training, validation))
    describe(run)
    fit(run, training, validation, resume)
    return load(folder)


def fit(run: Run, training: Dataset, validation: Dataset, resume: bool = False) -> None:
    """Runs the loop on two splits; writes checkpoints, logs and contact sheets into the run's folder."""
    settings, folder = run.settings, run.folder
    loading: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "num_workers": settings.workers,
        "persistent_workers": settings.workers > 0,
    }
    state = folder / "resume.ckpt"
    resume = resume and state.exists()
    begun = _epochs_in(state) if resume else 0
    batches = DataLoader(
        TrainingImages(training, settings.image_size, settings.seed, _pseudo_boxes(run, training)),
        sampler=Shuffled(len(training), settings.seed, begun),
        drop_last=True,
        generator=torch.Generator(),
        **loading,
    )
    if len(batches) == 0:
        raise WsolError(
            f"{training.name}: {len(training)} training photos do not fill a batch of {settings.batch_size}; "
            "give a smaller --batch-size"
        )
    loop = Loop(run.method, settings, len(batches))
    snapshots = Snapshots(run, validation)
    if settings.epochs == 0:
        snapshots.save_untrained()
        return
    with _quiet():
        trainer = L.Trainer(
            max_epochs=settings.epochs,
            precision="bf16-mixed" if use_bf16(settings.precision) else "32-true",
            gradient_clip_val=settings.clip or None,
            callbacks=[Progress(), snapshots],
            logger=[_csv_log(folder, begun), TensorBoardLogger(folder, "", "")],
            log_every_n_steps=10,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            accelerator="auto",
            devices=1,
        )
        checking = DataLoader(EvaluationImages(validation, settings.image_size), generator=torch.Generator(), **loading)
        try:
            trainer.fit(loop, batches, checking, ckpt_path=state if resume else None, weights_only=True)
        except SystemExit as error:  # what Lightning makes of Ctrl-C, which it then ignores for good
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from error


class Loop(L.LightningModule):
    """The generic training loop of any method: the sum of its loss terms, by SGD.

    Raises WsolError when the loss is no longer finite.
    """

    def __init__(self, method: Method, settings: Settings, steps_per_epoch: int) -> None:
        super().__init__()
        self.method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.settings, self.steps_per_epoch = settings, steps_per_epoch

    def on_train_epoch_start(self) -> None:
        # what a method draws in an epoch depends on its number alone, also in a resumed run
        torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch)

    def asked(self, boxes: Sequence[Tensor] = ()) -> dict[str, Any]:
        """What a method's loss declares beside images and labels."""
        wanted = inspect.signature(self.method.loss).parameters
        done = self.global_step / max(self.settings.epochs * self.steps_per_epoch, 1)
        return ({"progress": done} if "progress" in wanted else {}) | ({"pseudo_boxes": boxes[0]} if boxes else {})

    def training_step(self, batch: list[Tensor]) -> Tensor:
        images, labels, *boxes = batch
        images = images.contiguous(memory_format=torch.channels_last)
        self.zero_grad()
        terms: dict[str, Tensor] = {}
        for part in self.method.loss_parts(images, labels, **self.asked(boxes)):
            loss = torch.stack([term.float() for term in part.values()]).sum()
            if not torch.isfinite(loss):
                parts = ", ".join(f"{name} {term.item():.3g}" for name, term in part.items())
                raise WsolError(f"the loss is no longer finite ({parts}); lower --learning-rate or set --clip 5")
            with torch.autocast(self.device.type, enabled=False):
                loss.backward()
            terms |= {name: term.detach() for name, term in part.items()}
        total = torch.stack([term.float() for term in terms.values()]).sum()
        named = {f"loss/{name}": term for name, term in terms.items()} | {"loss/total": total}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(labels))
        return total

    def backward(self, *_: Any, **__: Any) -> None:
        """Nothing: `training_step` takes the gradients of each part before the next is computed."""

    def optimizer_zero_grad(self, *_: Any, **__: Any) -> None:
        """Nothing: Lightning asks for it after `training_step`."""

    def validation_step(self, batch: list[Tensor]) -> None:
        images, labels = batch[0], batch[1]
        logits = self.method.predict(images.contiguous(memory_format=torch.channels_last)).logits
        right = ranks(logits, labels) < 1
        self.log("Top1Cls", 100 * right.float().mean(), on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        settings = self.settings
        groups = parameter_groups(self.method.named_parameters(), settings)
        optimiser = torch.optim.SGD(
            groups, momentum=settings.momentum, nesterov=settings.momentum > 0, weight_decay=settings.weight_decay
        )
        steps = settings.epochs * self.steps_per_epoch
        return [optimiser], [{"scheduler": schedule(optimiser, settings, steps), "interval": "step"}]


def parameter_groups(named: Iterable[tuple[str, Tensor]], settings: Settings) -> list[dict[str, Any]]:
    """The papers' groups: new layers take head_rate, biases bias_rate, both multiplied (methods' x1/x2/x10/x20)."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            groups.setdefault((name.startswith(settings.head_prefix), name.endswith("bias")), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * (settings.head_rate if new else 1) * (settings.bias_rate if bias else 1),
        }
        for (new, bias), parameters in groups.items()
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


def step_seconds(method: Method, images: Tensor, labels: Tensor, precision: str = "auto") -> float:
    """How long one loss with its gradients takes, computed as in training; leaves no gradients behind."""
    began = time.perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=use_bf16(precision)):
        terms = method.loss(images, labels)
    torch.autograd.backward(list(terms.values()))
    if images.is_cuda:
        torch.cuda.synchronize()
    method.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def use_bf16(precision: str) -> bool:
    """Whether to train under bf16 autocast: "auto" asks for units for it (AMX, AVX-512 BF16; a GPU from Ampere on)."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _settle_backbone(settings: Settings) -> Settings:
    if settings.weights in ("pretrained", "none"):
        return replace(settings, backbone=settings.backbone or "resnet50")
    path = Path(settings.weights).absolute()
    return replace(settings, weights=str(path), backbone=settings.backbone or backbone_for(path))


def _photos(data: str | Path | Dataset, settings: Settings) -> tuple[Dataset, Dataset]:
    if isinstance(data, Dataset):
        splits = data, data
    else:
        splits = tuple(
            open_data(data, split, size=settings.image_size * 8 // 7, val_per_class=settings.val_per_class)
            for split in ("train", "val")
        )
    training, validation = splits
    if len(training.classes) < 2:
        raise WsolError(f"{data}: only one class ({training.classes[0]}); training needs at least two class folders")
    return training, validation


def _pseudo_boxes(run: Run, training: Dataset) -> Tensor | None:
    path = run.settings.pseudo_boxes
    if path is None:
        return None
    if "pseudo_boxes" not in inspect.signature(run.method.loss).parameters:
        raise WsolError(f"{type(run.method).__name__} learns from no boxes; leave --pseudo-boxes out")
    return read_pseudo_boxes(path, [sample.id for sample in training.samples])


def _learnt(folder: Path) -> bool:
    """Whether a run has left anything that a new one would overwrite."""
    return any((folder / name).exists() for name in ("resume.ckpt", "best.safetensors"))


def _check_resumable(run: Run) -> None:
    about = run.folder / "run.json"
    if not about.exists():
        raise WsolError(f"{run.folder}: no run to resume; leave --resume out to start one")
    if not _learnt(run.folder):  # it ended before its first epoch did, perhaps by what has been mended since
        return
    before = read_json(about)
    if before.get("classes") != run.classes:
        raise WsolError(f"{about}: was begun with other classes; resume with the same or choose another --output")
    was = {"method": before.get("method"), **before.get("settings", {}), **before.get("options", {})}
    now = {"method": type(run.method).__name__, **plain(run.settings), **plain(run.options)}
    if other := [f"{key} {was.get(key)}, not {now.get(key)}" for key in was | now if was.get(key) != now.get(key)]:
        raise WsolError(f"{about}: was begun with {listed(other)}; resume with the same or choose another --output")


def _epochs_in(state: Path) -> int:
    """How many epochs were finished when it was written."""
    try:
        return torch.load(state, weights_only=True)["epoch"] + 1
    except (EOFError, KeyError, RuntimeError, TypeError, UnpicklingError) as error:
        first = str(error).split("\n")[0]
        raise WsolError(f"{state}: cannot be read ({first}); remove it, and --resume begins anew") from error


def _csv_log(folder: Path, begun: int) -> CSVLogger:
    """metrics.csv, with the rows of the epochs that a resumed run has behind it: a new logger takes the file away."""
    logger, path = CSVLogger(folder, "", "", flush_logs_every_n_steps=1), folder / "metrics.csv"
    if begun and path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdecimal()]  # whole ones
        logger.experiment.metrics = [row for row in rows if int(row["epoch"]) < begun]
        logger.experiment.save()
    return logger


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints are for people who write loops."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
