"""`wsol evaluate`: a run, or maps made elsewhere, measured."""

from pathlib import Path
from typing import Any

from wsol.cli.app import UsageError, out
from wsol.cli.derive import derived, settings_of
from wsol.evaluation import evaluate as measuring
from wsol.evaluation.report import NotWritten, table
from wsol.runs.opening import load
from wsol.show.report import REPORT
from wsol.system import processes


@derived(measuring.evaluate, measuring.evaluate_maps, load, positional=("run", "data"))
def evaluate(**given: Any) -> None:
    maps, run = given["maps"], given["run"]
    incomplete = (run is None) != (given["data"] is None) or (maps is None) != (given["metadata"] is None)
    if incomplete or (maps is None) == (run is None):
        raise UsageError("give RUN and DATA, or --maps and --metadata")
    processes.join()
    try:
        if maps is not None:
            names = ("maps", "metadata", "output", "mask_root", "threshold", "protocol", "box_format")
            figures = measuring.evaluate_maps(**{name: given[name] for name in names})
        else:
            given["settings"] = settings_of(given["settings"])
            of_maps = ("maps", "metadata", "mask_root")
            figures = measuring.evaluate(**{name: value for name, value in given.items() if name not in of_maps})
    except NotWritten as error:
        out.print(table(error.figures))
        raise
    if processes.place()[0] == 0:
        out.print(table(figures))
        if given["output"] is not None:
            out.print(f"{given['output']}: written, with pictures beside it")
        if run is not None and (report := Path(run) / REPORT).is_file():
            out.print(f"open {report}")
