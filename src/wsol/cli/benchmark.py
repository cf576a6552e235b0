"""`wsol benchmark`: a grid of runs, in one table."""

from pathlib import Path
from typing import Any

from wsol.benchmark import run as running
from wsol.benchmark.grid import grids
from wsol.cli.app import out
from wsol.cli.derive import derived
from wsol.errors import WsolError


@derived(running.benchmark, positional=("grid", "data"))
def benchmark(*, grid: str, output: Path, weights: str | None = None, **given: Any) -> None:
    """
    grid: name of one that comes with the package, or a YAML file like them.
    weights: file of the backbone's weights, for every row.
    """
    if weights is not None:
        given["weights"] = weights
    errors = running.benchmark(grid, output=output, **given)
    for table in (output / "table.md", *sorted(output.glob("table-*.md"))):
        out.print(table.read_text(encoding="utf-8"))
    if errors:
        raise WsolError(f"{len(errors)} runs failed: {'; '.join(errors)}; {output / 'table.md'} says why")


benchmark.__doc__ = f"{benchmark.__doc__}\n\nGrids of the package: {', '.join(grids())}."
