"""`wsol compare`: runs side by side on one page."""

from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived
from wsol.show import report


@derived(report.compare, positional=("runs",))
def compare(*runs: str, **given: Any) -> None:
    out.print(f"open {report.compare(runs, **given)}")
