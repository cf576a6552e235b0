"""`wsol locate` and `wsol cut`: boxes of photos, and of heatmaps that were stored."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wsol.boxes.rule import Threshold
from wsol.cli.app import out
from wsol.cli.derive import derived, settings_of
from wsol.errors import WsolError
from wsol.export import Writer, find_formats, read_heatmaps, write_results
from wsol.export.parts import Shard, write_part
from wsol.locating import locate as locating
from wsol.locating.result import Result
from wsol.locating.results import Results, Unread
from wsol.runs.opening import load
from wsol.system.console import bar
from wsol.system.files import keep_apart


@derived(locating.locate, load, positional=("run", "images"))
def locate(
    *images: str,
    run: str,
    output: Path,
    format: str = "json,overlay",
    shard: str | None = None,
    overwrite: bool = False,
    **given: Any,
) -> None:
    """
    output: folder for what is found.
    format: one or more formats, separated by commas; parquet goes alone.
    shard: which part of the photos to locate, for parquet: 0/16 to 15/16 for the sixteen of 16 machines, that may share
        a folder. What torchrun starts shares a part. A part that is there is not located again.
    overwrite: replace earlier results of these formats in the output folder.
    """
    formats, part = find_formats(format), Shard.parse(shard)
    if part.count > 1 and "parquet" not in formats:
        raise WsolError("several processes share the photos only with --format parquet")
    if "parquet" in formats and len(formats) > 1:
        raise WsolError(f"--format {format}: parquet goes alone, since a part of it may be there already")
    keep_apart(output, *images)
    given["settings"] = settings_of(given["settings"])
    opened = {name: given.pop(name) for name in inspect.signature(load).parameters if name in given}
    localizer = load(run, **opened)
    results = locating.locate(localizer, images, **given)
    if "parquet" in formats:
        return _locate_part(results, output, part, overwrite)
    classes = list(localizer.classes)
    count = written("locating", results.outcomes(), len(results), output, classes, formats, overwrite)
    out.print(f"{output}: {said(count, len(results) - count)}")


def _locate_part(results: Results, output: Path, shard: Shard, overwrite: bool) -> None:
    total = len(results[shard.of(len(results))])
    with bar("locating") as shown:
        count = write_part(results, output, shard, overwrite, lambda outcomes: shown.track(outcomes, total=total))
    told = "is there already" if count is None else said(count, total - count)
    out.print(f"{output / shard.file}: {told}")


def said(located: int, unread: int) -> str:
    return f"{located} photos located" + (f", {unread} could not be read" if unread else "")


def written(
    doing: str,
    results: Iterable[Result | Unread],
    total: int,
    output: Path,
    classes: list[str],
    formats: dict[str, type[Writer]],
    overwrite: bool,
) -> int:
    """Writes results under a progress bar, and counts them."""
    with bar(doing) as shown:
        return write_results(shown.track(results, total=total), output, classes, formats.values(), overwrite)


def _cut(
    source: Path,
    *,
    output: Path,
    format: str = "coco",
    threshold: Threshold | None = None,
    overwrite: bool = False,
) -> None:
    """Write boxes again from stored heatmaps, at another threshold and without the network.

    source: the output folder of `wsol locate --format heatmap`.
    output: folder for what is found.
    format: one or more formats, separated by commas; but for overlay, since photos are not stored, and yolo has labels
        alone.
    threshold: share of the heatmap's peak at which boxes are cut, or auto; by default as it was.
    overwrite: replace earlier results of these formats in the output folder.
    """
    formats = find_formats(format)
    if "heatmap" in formats and output.resolve() == source.resolve():
        raise WsolError(f"{output}: the heatmaps are read from here; give another --output")
    classes, results = read_heatmaps(source, threshold)
    count = write_results(results, output, classes, formats.values(), overwrite)
    out.print(f"{output}: {count} photos cut")


@derived(_cut, positional=("source",))
def cut(**given: Any) -> None:
    _cut(**given)
