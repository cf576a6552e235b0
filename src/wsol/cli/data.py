"""`wsol data`: look at data sets before they are used."""

from pathlib import Path
from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived
from wsol.data import check as checking
from wsol.data import download as fetching
from wsol.data.dataset import Split
from wsol.errors import WsolError
from wsol.system.console import PlainConsole

MOST_LINES = 50
WIDTH = 240  # a terminal's would cut the lines of the tree


@derived(checking, positional=("data",), without=("splits",))
def check(*, split: tuple[Split, ...] = (), **given: Any) -> None:
    """
    split: which splits; by default all there are.
    """
    report = checking(splits=split, **given)
    PlainConsole(width=WIDTH).print(report.tree())
    missing = [line for line in report.missing.values() if line not in report.problems]
    for line in dict.fromkeys([*report.notes, *missing]):
        out.print(f"note: {line}", style="yellow")
    for line in report.problems[:MOST_LINES]:
        out.print(f"fix:  {line}", style="red")
    if (more := len(report.problems) - MOST_LINES) > 0:
        out.print(f"fix:  and {more} more; in Python wsol.data.check(DATA).problems has all of them", style="red")
    if given["output"] is not None:
        out.print(f"{given['output']}: written")
    if report.problems:
        raise WsolError(report.conclusion())
    out.print(report.conclusion(), style="green")


@derived(fetching, positional=("name", "folder"))
def download(name: str, folder: Path) -> None:
    fetching(name, folder)
    out.print(f"{folder}: {name} is here; wsol data check {folder} says what it holds")
