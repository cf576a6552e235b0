"""`wsol data`: look at data sets before they are used."""

from pathlib import Path
from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived
from wsol.data import check as checking
from wsol.data import download as fetching
from wsol.data.dataset import Split
from wsol.errors import WsolError


@derived(checking, positional=("data",), without=("splits",))
def check(*, split: tuple[Split, ...] = (), **given: Any) -> None:
    """
    split: which splits; by default all there are.
    """
    report = checking(splits=split, **given)
    out.print(report.table())
    for line in report.notes:
        out.print(line)
    for line in report.problems:
        out.print(line, style="red")
    if given["output"] is not None:
        out.print(f"{given['output']}: written")
    if report.problems:
        raise WsolError(f"{given['data']}: {len(report.problems)} to be fixed, see above")


@derived(fetching, positional=("name", "folder"))
def download(name: str, folder: Path) -> None:
    fetching(name, folder)
    out.print(f"{folder}: {name} is here; wsol data check {folder} says what it holds")
