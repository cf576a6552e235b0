"""`wsol colocate`: boxes from what the photos of each class have in common."""

from pathlib import Path
from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived
from wsol.cli.locate import written
from wsol.export import find_formats
from wsol.locating import colocate as colocating
from wsol.runs.opening import load
from wsol.system.files import keep_apart

SETTLED = ("readout", "settings", "classes_from", "boxes_from")  # what does not matter to features


@derived(colocating.colocate, load, positional=("run", "data"), without=SETTLED)
def colocate(
    *, run: str, data: str, output: Path, format: str = "json,overlay", overwrite: bool = False, **given: Any
) -> None:
    """
    output: folder for what is found.
    format: one or more formats, separated by commas.
    overwrite: replace earlier results of these formats in the output folder.
    """
    formats = find_formats(format)
    keep_apart(output, data)
    results = colocating.colocate(run, data, **given)
    count = written("co-locating", results, len(results), output, results.photos.classes, formats, overwrite)
    out.print(f"{output}: {count} photos co-located")
