"""A run written to one file that other programs run, without wsol."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from wsol.boxes.rule import Threshold, check_threshold
from wsol.errors import WsolError
from wsol.registry import check_key
from wsol.runs.opening import Network, load


def export_network(
    run: Network,
    output: str | Path,
    *,
    format: str = "onnx",
    threshold: Threshold | None = None,
    overwrite: bool = False,
    **opened: Any,
) -> Path:
    """Write a run's network to one file: pixels in; classes, heatmaps and boxes out.

    `wsol.load("FILE.onnx")` answers like the run, without torch. What else reads the file finds the names of its
    inputs, outputs and classes in its metadata, entry `wsol`. Its own boxes surround all that lies above the threshold,
    where wsol takes the largest region.

    run: a run folder, as `wsol train` left it, or whatever else `wsol.load` opens, such as `timm:resnet50`.
    output: the file to write, such as network.onnx.
    format: onnx, or torchscript for torch.jit.load and C++.
    threshold: share of the heatmap's peak at which boxes are cut, or auto: each heatmap's own mean; by default the
        run's.
    overwrite: replace an earlier file.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, readout, settings, classes_from, boxes_from.

    Returns the file. Raises WsolError where the network cannot be written, as with read-outs that need gradients.
    """
    from wsol.localizer import Localizer
    from wsol.portable.write import FORMATS

    path = Path(output)
    check_key(format, FORMATS, "there is no format of a network")
    if path.is_dir() or path.parent.is_file():
        raise WsolError(f"{path}: is a folder; give the file to write, such as {path / 'network.onnx'}")
    if path.exists() and not overwrite:
        raise WsolError(f"{path}: is there already; add --overwrite, or give another --output")
    localizer = load(run, **opened)
    if not isinstance(localizer, Localizer):
        raise WsolError(f"{localizer.name}: is a file of wsol export already; give the run that it came from")
    if threshold is not None:
        check_threshold(threshold)
        localizer = replace(localizer, threshold=threshold, threshold_source="given")
    FORMATS[format](localizer, path)
    return path
