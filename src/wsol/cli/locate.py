"""`wsol locate` and `wsol export`: boxes of photos, and of heatmaps that were stored."""

import inspect
from pathlib import Path
from typing import Any

from wsol.boxes.rule import Threshold
from wsol.cli.app import out
from wsol.cli.derive import derived, settings_of
from wsol.data.images import find_images
from wsol.export import find_formats, read_heatmaps, write_results
from wsol.locating import locate as locating
from wsol.runs.opening import load
from wsol.system.console import bar


@derived(locating.locate, load, positional=("run", "images"))
def locate(*images: str, run: str, output: Path, format: str = "json,overlay", **given: Any) -> None:
    """
    output: folder for what is found.
    format: one or more formats, separated by commas.
    """
    formats = find_formats(format)
    given["settings"] = settings_of(given["settings"])
    opened = {name: given.pop(name) for name in inspect.signature(load).parameters if name in given}
    localizer = load(run, **opened)
    results = locating.locate(localizer, images, **given)
    with bar("locating") as shown:
        photos = shown.track(results, total=len(find_images(images)))
        count = write_results(photos, output, list(localizer.classes), formats.values())
    out.print(f"{output}: {count} photos located")


def _export(source: Path, *, output: Path, format: str = "coco", threshold: Threshold | None = None) -> None:
    """Write boxes again from stored heatmaps, at another threshold and without the network.

    source: the output folder of `wsol locate --format heatmap`.
    output: folder for what is found.
    format: one or more formats, separated by commas; but for overlay, since photos are not stored, and yolo has labels
        alone.
    threshold: share of the heatmap's peak at which boxes are cut, or auto; by default as it was.
    """
    formats = find_formats(format)
    classes, results = read_heatmaps(source, threshold)
    count = write_results(results, output, classes, formats.values())
    out.print(f"{output}: {count} photos exported")


@derived(_export, positional=("source",))
def export(**given: Any) -> None:
    _export(**given)
