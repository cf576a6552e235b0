"""Whatever can be asked where: a run folder, here or on a hub, a file of a network, or a network of a library by name.

torch is imported for what needs it: a network in an ONNX file does not.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from wsol import registry
from wsol.answer import AnyLocalizer
from wsol.errors import WsolError
from wsol.portable.session import Portable, open_portable
from wsol.registry import check_key
from wsol.runs import Checkpoint
from wsol.runs.hub import fetch, is_on_hub
from wsol.system.values import cast

if TYPE_CHECKING:
    import wsol.readouts.contract
    import wsol.runs.folder

Network = Union[str, Path, "wsol.runs.folder.Run", AnyLocalizer]
TORCHSCRIPT = (".ts", ".torchscript", ".pt2")


def load(
    run: Network,
    *,
    checkpoint: Checkpoint = "best",
    readout: Union[str, "wsol.readouts.contract.Readout", None] = None,
    settings: dict[str, Any] | None = None,
    classes_from: Network | None = None,
    boxes_from: Network | None = None,
    weights: str | Path = "pretrained",
    names: str | Sequence[str] | None = None,
) -> AnyLocalizer:
    """Opens a trained network: `wsol.load("runs/eil").look(images)`.

    run: a run folder, as `wsol train` left it, or `hf://USER/NAME` of one on the Hugging Face Hub; an ONNX file of
        `wsol export`; or a network of a library, `timm:NAME`, `torchvision:NAME`, or `package.module:function` of a
        function that makes it. In Python also a run or a localizer, which is handed back with what else is asked for.
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
    if isinstance(run, str | Path) and not Path(run).is_dir():
        if (suffix := Path(run).suffix.lower()) in TORCHSCRIPT:
            raise WsolError(
                f"{run}: a TorchScript file is a program: where you trust it, open it by torch.jit.load; "
                "wsol opens ONNX files, wsol export RUN --format onnx"
            )
        run = open_portable(Path(run)) if suffix == ".onnx" and not is_on_hub(run) else run
    if isinstance(run, Portable):
        asked = {"checkpoint": checkpoint != "best", "readout": readout not in (None, "own"), "settings": settings}
        asked |= {"classes_from": classes_from, "boxes_from": boxes_from}
        if fixed := [name for name, given in asked.items() if given]:
            raise WsolError(f"{run.name}: {fixed[0]} is fixed in a file of wsol export; export the run again with it")
        return run
    from wsol.readouts.contract import Own
    from wsol.runs.adopt import adopt_named, is_network
    from wsol.runs.folder import Run

    if is_on_hub(run):
        run = fetch(str(run))
    named = None if readout is None or readout == "own" else find_readout(readout, settings)
    if isinstance(run, str | Path):
        unnamed = named is not None and named.agnostic
        run = adopt_named(str(run), weights, names, unnamed) if is_network(run) else Run.read(run)
    localizer: Any = run
    if isinstance(run, Run):
        localizer = run.open(checkpoint, named, **({} if named else settings))
    elif named is not None:
        localizer = replace(localizer, readout=named, threshold="auto", threshold_source="auto")
    elif settings:
        localizer = replace(localizer, readout=Own(settings))
    classes, boxes = _opened(classes_from, checkpoint), _opened(boxes_from, checkpoint)
    return localizer.with_(classes, boxes) if classes or boxes else localizer


def _opened(run: Network | None, checkpoint: Checkpoint) -> Any:
    """Another network whose scores or boxes count, which a file cannot give."""
    if isinstance(other := None if run is None else load(run, checkpoint=checkpoint), Portable):
        raise WsolError(f"{other.name}: a file of wsol export answers alone; give the run that it came from")
    return other


def find_readout(
    readout: Union[str, "wsol.readouts.contract.Readout"], settings: dict[str, Any]
) -> "wsol.readouts.contract.Readout":
    """A read-out by name, with settings. Raises WsolError, with a suggestion, for an unknown name or setting."""
    if not isinstance(readout, str):
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
