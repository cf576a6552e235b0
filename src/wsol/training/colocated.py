"""Boxes to learn from where none are given: what the photos of each class have in common, as PSOL begins."""

from pathlib import Path

from wsol.data import Dataset
from wsol.errors import WsolError
from wsol.export import write_results
from wsol.export.table import JsonWriter
from wsol.locating.colocate import Colocated
from wsol.methods.contract import Method
from wsol.runs.folder import Run
from wsol.system import processes
from wsol.system.console import bar, console
from wsol.training.resume import learnt
from wsol.training.watching import answering

BATCH = 16  # photos a pass


def colocated(run: Run, method: Method, training: Dataset) -> Path:
    """The results.jsonl of DDT on the backbone before it learns, made anew but where training goes on.

    Photos are seen at twice the size of training, as in the paper (448).

    run: its folder takes the file, in `boxes`.
    method: as it was built.
    training: the photos.

    Raises WsolError for a backbone that has learnt nothing.
    """
    settings, folder = run.resolved.settings, run.folder / "boxes"
    path = folder / "results.jsonl"
    if path.is_file() and (learnt(run.folder) or processes.place()[0]):  # the first of several processes made it
        return path
    if settings.weights == "none":
        raise WsolError(
            f"{run.stack.title} learns from boxes; give --pseudo-boxes the results.jsonl of another run, or --weights "
            "whose features show what the photos of a class have in common"
        )
    localizer, side = answering(run, method.to(processes.device()).eval()), 2 * settings.image_size
    method.backbone.check_size(side, side)
    with bar("co-locating") as shown:
        results = Colocated(localizer, training, -1, side, BATCH)
        write_results(shown.track(results, total=len(results)), folder, list(run.classes), [JsonWriter])
    method.train()
    console.print(f"no --pseudo-boxes: DDT's boxes are learnt, {path}")
    return path
