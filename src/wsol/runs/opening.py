"""Whatever can be asked where: a run folder, a run, a localizer, or a network of a library by name."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from wsol import registry
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.readouts.contract import Own, Readout
from wsol.registry import check_key
from wsol.runs.adopt import adopt_named, is_network
from wsol.runs.folder import Checkpoint, Run
from wsol.system.values import cast

Network = str | Path | Run | Localizer


def load(
    run: Network,
    *,
    checkpoint: Checkpoint = "best",
    readout: str | Readout | None = None,
    settings: dict[str, Any] | None = None,
    classes_from: Network | None = None,
    boxes_from: Network | None = None,
    weights: str | Path = "pretrained",
    names: str | Sequence[str] | None = None,
) -> Localizer:
    """Opens a trained network: `wsol.load("runs/eil").look(images)`.

    run: a run folder, as `wsol train` left it; or a network of a library, `timm:NAME`, `torchvision:NAME`, or
        `package.module:function` of a function that makes it. In Python also a run or a localizer, which is handed back
        with what else is asked for.
    checkpoint: which of the run's networks.
    readout: how the network is asked where; by default the method's own heatmaps. See `wsol readouts`.
    settings: of the read-out, or of the method's own heatmaps.
    classes_from: another run, whose scores say what is in a photo.
    boxes_from: another run, of a method that regresses boxes: they count instead of those cut from heatmaps.
    weights: of a library's network: pretrained for its own, or a file of tensors.
    names: of its classes: separated by commas, or a text file with one a line; in Python also a list.

    Raises WsolError, naming the file, where the folder is no run or a file is damaged.
    """
    settings = settings or {}
    if isinstance(run, str | Path):
        run = adopt_named(str(run), weights, names) if is_network(run) else Run.read(run)
    named = None if readout is None or readout == "own" else find_readout(readout, settings)
    if isinstance(run, Run):
        localizer = run.open(checkpoint, named, **({} if named else settings))
    elif named is not None:
        localizer = replace(run, readout=named, threshold="auto", threshold_source="auto")
    else:
        localizer = replace(run, readout=Own(settings)) if settings else run
    classes = None if classes_from is None else load(classes_from, checkpoint=checkpoint)
    boxes = None if boxes_from is None else load(boxes_from, checkpoint=checkpoint)
    return localizer.with_(classes, boxes) if classes or boxes else localizer


def find_readout(readout: str | Readout, settings: dict[str, Any]) -> Readout:
    """A read-out by name, with settings. Raises WsolError, with a suggestion, for an unknown name or setting."""
    if isinstance(readout, Readout):
        return replace(readout, **settings) if settings else readout  # type: ignore[type-var]
    kind = registry.find("readouts", readout)
    known = {field.name: field.type for field in fields(kind)}
    for name, value in settings.items():
        check_key(name, known, f"the read-out {readout} has no setting")
        settings = settings | {name: cast(value, known[name], f"{readout}: {name}")}
    try:
        return kind(**settings)
    except ValueError as error:
        raise WsolError(f"{readout}: {error}") from error
