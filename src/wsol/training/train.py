"""Training: one loop for all methods, Lightning underneath.

It learns from photos and labels. True boxes are opened for methods alone that say that they learn from those of
validation photos (`Method.learns_from`), and to watch (`wsol.training.watching`).
"""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from wsol.backbones import backbone_for
from wsol.data import Dataset, open_data, readable
from wsol.data.classes import with_classes
from wsol.data.contents import digests
from wsol.data.crops import EvaluationImages, Shuffled, Together, TrainingImages, collate
from wsol.data.label_tree import label_tree
from wsol.data.loading import Loader, explained, leave_if_imported
from wsol.data.pseudo_boxes import PseudoTruth, read_pseudo_boxes
from wsol.data.true_boxes import with_true_boxes
from wsol.errors import WsolError
from wsol.methods.contract import Method
from wsol.methods.stack import Stack, stack
from wsol.registry import check_key
from wsol.runs.folder import Run
from wsol.runs.recipes import recipes_of
from wsol.runs.settings import Resolved, Settings, resolve
from wsol.system import processes
from wsol.system.console import console
from wsol.system.files import keep_apart, unwritable
from wsol.system.locks import locked
from wsol.training.checkpoints import Checkpoints
from wsol.training.colocated import colocated
from wsol.training.features import cached
from wsol.training.loop import Loop
from wsol.training.pace import use_bf16
from wsol.training.parallel import Sliced, share_batch_norms
from wsol.training.photos import squares
from wsol.training.progress import Progress
from wsol.training.record import Record, note
from wsol.training.resume import STATE, StateFile, check_resumable, epochs_in, learnt
from wsol.training.twice import say_shared, say_twice
from wsol.training.watching import BoxWatch

Photos = str | Path | tuple[Dataset, Dataset]
ENOUGH_STEPS = 300  # of a short training for masks to hold, see docs/own-photos.md
SMALL_BATCH = 8


def train(
    method: str,
    data: Photos,
    output: str | Path,
    *,
    recipe: str | Path | None = None,
    resume: bool = False,
    **given: Any,
) -> Run:
    """Train a method on photos with class labels and leave a run folder.

    method: its name, see `wsol methods`; `has+eil` is one method around another.
    data: a folder of class folders, a CSV, a known data set's folder, or `creatures`; in Python also two data sets,
        (training, validation).
    output: the run folder to write.
    recipe: name of a recipe of the method, or a YAML file.
    resume: continue the run in the output folder, or begin it where there is none yet. It may have more epochs; the
        learning rate then follows the schedule of the new number of epochs from there on.
    given: settings (wsol.runs.settings.Settings) and the method's hyper-parameters, over the recipe's.

    Where torchrun started several processes, they share each batch and the validation photos; the first one writes.

    Returns the run. Raises WsolError for anything that a user can fix.
    """
    leave_if_imported()
    methods, folder = stack(method), Path(output)
    if recipe is None and str(data) == "creatures" and "creatures" in recipes_of(methods.recipes_from):
        recipe = "creatures"
    resolved = resolve(methods, recipe, given)
    resolved = replace(resolved, settings=_with_backbone(resolved.settings))
    keep_apart(folder, data)
    processes.join()
    first = processes.place()[0] == 0
    with ExitStack() as locks, processes.in_touch():
        with processes.agreed():
            if first:
                locks.enter_context(locked(folder))
            if learnt(folder) and not resume:
                raise WsolError(f"{folder}: a run is stored here already; add --resume or choose another --output")

            L.seed_everything(resolved.settings.seed, workers=True, verbose=False)
            training, validation = _photos(data, resolved.settings, methods)
            several, classes = any(sample.present for sample in training.samples), tuple(training.classes)
            if (background := resolved.settings.background) is not None:
                check_key(background, classes, f"background: {training.name} has no class")
            resolved = _with_tree(methods, resolved, classes)
            run = Run(folder, methods, resolved, classes, training.name, several, validation.fingerprint())
            network = run.build()
            network.backbone.check_size(*2 * (resolved.settings.image_size,))
            if resume:
                check_resumable(run)
            training, validation = (readable(split, resolved.settings.on_bad_image) for split in (training, validation))
        training, boxes = processes.first_then_others(lambda: _with_boxes(run, network, training))
        with processes.agreed():
            if first:
                run.describe()
                contents = digests(training)
                run.keep_photos(contents)
                note(folder, data=str(data) if isinstance(data, str | Path) else None, recipe=recipe and str(recipe))
                say_twice(training, contents)
                meant = methods.learns_from == "validation boxes"
                say_shared(training, validation, data if isinstance(data, str | Path) else None, meant)
                if recipe == "own_photos":
                    _warn_of_few_steps(resolved.settings, len(training))
        fit(run, network, training, validation, resume, boxes)
        processes.gather([])  # the first one has written everything
        return run


def fit(
    run: Run, method: Method, training: Dataset, validation: Dataset, resume: bool = False, boxes: Tensor | None = None
) -> None:
    """Runs the loop on two splits; writes checkpoints, logs, contact sheets and the report into its folder.

    boxes: of the training photos, for a method that learns from such.
    """
    settings, folder, first = run.resolved.settings, run.folder, processes.place()[0] == 0
    state = folder / STATE
    resume = resume and state.exists()
    begun = epochs_in(state) if resume else 0
    if len(set(processes.gather([begun]))) > 1:
        raise WsolError(f"{state}: not all processes see it; give an --output that all of them share")
    batch_size, workers = _batch_size(settings, training, method.together), settings.workers
    order = Sliced(_order(training, method.together, settings.seed, begun), batch_size)
    if settings.sync_batch_norm and order.processes > 1:
        share_batch_norms(method)
    loop = Loop(method, settings, len(order) // order.size)
    if settings.cache_photos and settings.epochs:
        sides = ((training, settings.image_size * 8 // 7), (validation, settings.image_size))
        training, validation = processes.first_then_others(
            lambda: [squares(photos, folder, settings.image_size, side) for photos, side in sides]
        )
    views = TrainingImages(training, settings.image_size, settings.seed, boxes)
    check_views = EvaluationImages(validation, settings.image_size)
    if settings.freeze != "none":
        console.print(_learning(method))
    if settings.cache_features and settings.epochs:
        views, check_views = processes.first_then_others(lambda: cached(loop, folder, training, validation, boxes))
        workers = 0
    batches = Loader(views, order.size, workers, order, drop_last=True)
    looked_at = processes.share(len(validation)) or range(min(len(validation), 1))  # all processes look at something
    checking = Loader(check_views, settings.batch_size, workers, looked_at, collate)
    checkpoints = Checkpoints(run, method, validation)
    record = Record(run, {"training": len(training), "validation": len(validation)}, resume)
    if settings.epochs == 0 and first:
        checkpoints.save_untrained()
        record.begin()
        record.write()
    if settings.epochs == 0:
        return
    device = processes.device()
    watching: list[L.Callback] = [BoxWatch(run, method, validation)] if settings.watch_boxes else []
    if settings.pseudo_truth is not None:
        watching.append(BoxWatch(run, method, PseudoTruth(validation, settings.pseudo_truth), "PseudoBoxAcc"))
    with _quiet(), explained():
        trainer = L.Trainer(
            max_epochs=settings.epochs,
            precision="bf16-mixed" if use_bf16(settings.precision) else "32-true",
            callbacks=[Progress(), *watching, record, checkpoints] if first else watching,
            logger=[TensorBoardLogger(folder, "", "")] if find_spec("tensorboard") and first else [],
            log_every_n_steps=10,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            plugins=[StateFile()],
            accelerator="auto",
            devices=1 if device.index is None else [device.index],
        )
        try:
            trainer.fit(loop, batches, checking, ckpt_path=state if resume else None, weights_only=True)
        except WsolError as error:
            raise error.with_traceback(None) from error.__cause__  # without a hundred lines of Lightning's
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            fix = "give a larger --batch-size or --image-size"
            raise WsolError(f"batch norm has one value a channel here, and cannot train on it; {fix}") from error
        except OSError as error:  # of TensorBoard's events
            raise unwritable(Path(error.filename or folder), error) from error
        except SystemExit as error:  # what Lightning makes of Ctrl-C, which it then ignores for good
            signal.signal(signal.SIGINT, signal.default_int_handler)
            done = epochs_in(state) if state.exists() else 0
            where = f"after epoch {done} of {settings.epochs}" if done else "in the first epoch"
            raise KeyboardInterrupt(f"{folder}: stopped {where}") from error


def _order(training: Dataset, together: int, seed: int, epoch: int) -> Shuffled:
    if together == 1:
        return Shuffled(len(training), seed, epoch)
    return Together([sample.label for sample in training.samples], together, seed, epoch)


def _batch_size(settings: Settings, training: Dataset, together: int) -> int:
    """As asked, or as many photos as there are, in whole groups of photos that stay together, as many a process."""
    _, count = processes.place()
    if settings.batch_size % together:
        raise WsolError(
            f"batch_size {settings.batch_size}: the method takes {together} photos of a class at a time; "
            f"give a multiple of {together}"
        )
    if settings.batch_size % (together * count):
        raise WsolError(
            f"batch_size {settings.batch_size}: {count} processes share it; give a multiple of {together * count}"
        )
    if len(training) >= settings.batch_size:
        return settings.batch_size
    if not len(training):
        raise WsolError(f"{training.name}: no training photo is left; check the data set with wsol data check")
    if count > 1 and len(training) < together * count:
        raise WsolError(
            f"{training.name}: {len(training)} training photos are too few for {count} processes; start fewer"
        )
    held = max(len(training) // (together * count), 1) * together * count
    warnings.warn(
        f"{training.name}: {len(training)} training photos do not fill a batch of {settings.batch_size}: "
        f"each batch holds {held}",
        stacklevel=3,
    )
    return held


def _warn_of_few_steps(settings: Settings, photos: int) -> None:
    """What takes more steps, where masks may not hold after so few (docs/own-photos.md)."""
    steps, more = (settings.epochs * (photos // size) for size in (settings.batch_size, SMALL_BATCH))
    if settings.freeze == "none" and 0 < steps < min(ENOUGH_STEPS, more):
        warnings.warn(f"few steps in all, {steps}: a --batch-size of {SMALL_BATCH} takes {more}", stacklevel=3)


def _learning(method: Method) -> str:
    """Which parameters learn."""
    learning, total = (
        sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad or count_all)
        for count_all in (False, True)
    )
    backbone = method.backbone
    return f"{backbone.name} is frozen up to {backbone.frozen}: {learning:,} of {total:,} parameters learn"


def _with_backbone(settings: Settings) -> Settings:
    if settings.weights in ("pretrained", "none"):
        return replace(settings, backbone=settings.backbone or "resnet50")
    path = Path(settings.weights).absolute()
    return replace(settings, weights=str(path), backbone=settings.backbone or backbone_for(path))


def _photos(data: Photos, settings: Settings, methods: Stack) -> tuple[Dataset, Dataset]:
    """Those to learn from and those to validate on; the same where the method learns from validation boxes."""
    from_labels = methods.learns_from == "labels"
    if isinstance(data, tuple):
        training, validation = data[0 if from_labels else 1], data[1]
    elif isinstance(data, Dataset):
        raise WsolError(f"{data.name}: one data set cannot be both; give two, (training, validation)")
    else:
        training, validation = (
            open_data(data, split, size=settings.image_size * 8 // 7, val_per_class=settings.val_per_class)
            for split in ("train" if from_labels else "val", "val")
        )
        if validation.by_rule and not from_labels:
            raise WsolError(f"{data}: no split for validation, whose boxes {methods.title} learns from; add one")
    if len(training.classes) < 2:
        name = training.name if isinstance(data, tuple) else data
        raise WsolError(f"{name}: only one class ({training.classes[0]}); training needs at least two class folders")
    return training, with_classes(validation, training.classes, validation.name, "the training photos")


def _with_tree(methods: Stack, resolved: Resolved, classes: tuple[str, ...]) -> Resolved:
    """With the families and orders of the classes, for a method that learns such and was given none."""
    path = resolved.settings.label_tree
    if "families" not in resolved.options:
        if path is not None:
            raise WsolError(f"{methods.title} learns from no label tree; leave --label-tree out")
        return resolved
    if resolved.options["families"]:
        return resolved
    families, orders = label_tree(path, classes)
    if path is None and len(set(families)) == len(classes):
        warnings.warn(
            "no two classes have names that end in the same word, so each is a family of its own; "
            "give --label-tree a table of families, or figures of another run",
            stacklevel=3,
        )
    return replace(resolved, options=resolved.options | {"families": families, "orders": orders})


def _with_boxes(run: Run, method: Method, training: Dataset) -> tuple[Dataset, Tensor | None]:
    """The photos to learn from, with boxes where the method learns from such.

    True ones, those of another run, or else what the photos of each class have in common.
    """
    title, settings = run.stack.title, run.resolved.settings
    if run.stack.learns_from == "validation boxes":
        if settings.pseudo_boxes is not None:
            raise WsolError(f"{title} learns from true boxes; leave --pseudo-boxes out")
        boxed, boxes = with_true_boxes(training)
        said = f"the true boxes of {len(boxed)} of {len(training)} validation photos, and no training photo"
        console.print(f"{title} learns from {said}")
        return boxed, boxes
    asked, path = "pseudo_boxes" in method.asked, settings.pseudo_boxes
    if path is not None and not asked:
        raise WsolError(f"{title} learns from no boxes; leave --pseudo-boxes out")
    if not asked or (path is None and not settings.epochs):
        return training, None
    path = path or colocated(run, method, training)
    return training, read_pseudo_boxes(path, [sample.id for sample in training.samples])


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints are for people who write loops."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message="To get the last learning rate")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
