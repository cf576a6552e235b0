"""The table of a benchmark: a row of the grid a line, mean and deviation over seeds, beside the papers' figures."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from wsol.benchmark.grid import Grid, Measure
from wsol.benchmark.published import published
from wsol.evaluation.tally import BASELINES, BOXES, CLASSIFICATION, MASKS, NAMES
from wsol.runs.figures import read_figures
from wsol.system.files import write_csv, write_text

METRICS = (*CLASSIFICATION, *(name for name in BOXES if name != "MaxBoxAcc50"), *MASKS, "PeakOnPart")
COLUMNS = (*METRICS, "threshold", "minutes")
Figures = list[dict[str, Any]]  # of one row, a dictionary a seed


@dataclass(frozen=True)
class Table:
    """What table.md, table.csv and the page show: the figures of every row, and what the papers print.

    By one protocol, as figures of two do not compare.
    """

    grid: Grid
    figures: dict[str, Figures]  # of the rows that have some, then of the boxes that look at nothing
    papers: dict[str, dict[str, Any]]
    columns: list[str]
    notes: list[str]

    @property
    def head(self) -> list[str]:
        return [each for name in self.columns for each in ([name, "paper"] if self.printed(name) else [name])]

    @property
    def body(self) -> dict[str, list[str]]:
        """Cells by the name of the row."""
        return {who: [each for name in self.columns for each in self._cells(who, name)] for who in self.figures}

    def printed(self, column: str) -> bool:
        """Whether a paper says anything of it."""
        return any(column in paper for paper in self.papers.values())

    def _cells(self, who: str, column: str) -> list[str]:
        paper = self.papers.get(who, {}).get(column)
        own = cell(self.figures[who], column)
        return [own, "" if paper is None else f"{paper:g}"] if self.printed(column) else [own]

    @property
    def caption(self) -> str:
        runs = next(iter(self.figures.values()), None)
        if runs is None:
            return "nothing is measured yet"
        rows = [each for who, each in self.figures.items() if who not in BASELINES]
        seeds = ", ".join(map(str, sorted({len(each) for each in rows})))
        about = "{data}, {images} {split} photos, protocol `{protocol}`".format_map(runs[0])
        crops = ", classes by ten crops" if runs[0].get("ten_crop") else ""
        return f"{about}{crops}, seeds a method: {seeds}"


def tabulate(grid: Grid, output: Path, errors: dict[str, str] | None = None, measure: Measure | None = None) -> Table:
    """The table of the figures that are kept in a folder.

    errors: of runs that failed, which are noted.
    measure: a protocol of the grid; by default clova.
    """
    kept = {row.name: [output / f"{row.slug}-{seed}.json" for seed in range(grid.seeds)] for row in grid.rows}
    figures = {name: [read_figures(path) for path in paths if path.is_file()] for name, paths in kept.items()}
    if measure is not None:
        figures = {name: [by for run in each if (by := by_protocol(run, measure))] for name, each in figures.items()}
    figures = {name: each for name, each in figures.items() if each}
    for name in (row.name for row in grid.rows if row.name in figures and not row.stack.names_classes):
        figures[name] = [{key: run[key] for key in run if key not in NAMES} for run in figures[name]]
    columns = grid.columns or COLUMNS
    columns = [name for name in columns if any(each[0].get(name) is not None for each in figures.values())]
    papers, notes = _papers(grid, set(figures), columns)
    notes += [f"{run} failed: {error}" for run, error in (errors or {}).items()]
    if figures:
        first = next(iter(figures.values()))[0]
        figures |= {name: [first[name]] for name in BASELINES}
    return Table(grid, figures, papers, columns, notes)


def by_protocol(run: dict[str, Any], measure: Measure) -> dict[str, Any] | None:
    """A run's figures by another protocol, where it was measured so."""
    return run.get("protocols", {}).get(measure.name)


def _papers(grid: Grid, shown: set[str], columns: list[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What stands beside the rows shown, and a note on where it is from."""
    if not grid.published:
        return {}, []
    papers = {}
    for row in grid.rows:
        asked = grid.published | {"method": row.stack.key, "setting": row.paper}
        entries = [entry for entry in published(**asked) if set(entry) & set(columns)]
        if row.name in shown and entries:
            papers[row.name] = entries[0]
    sources = ", ".join(sorted({entry["source"] for entry in papers.values()}))
    notes = [f"paper: {', '.join(grid.published.values())}, as printed in {sources}"] if papers else []
    return papers, notes + [f"paper, {name}: {entry['note']}" for name, entry in papers.items() if "note" in entry]


def cell(runs: Figures, column: str) -> str:
    values = [run[column] for run in runs if run.get(column) is not None]
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        return values[0] if values else ""  # "auto"
    digits = 2 if column == "threshold" else 1
    spread = f" ± {stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
    return f"{mean(numbers):.{digits}f}{spread}"


def markdown(table: Table) -> str:
    """Mean and, from two seeds on, the standard deviation; the trivial boxes last; then the notes."""
    lines = [f"{table.caption}\n", f"| | {' | '.join(table.head)} |", f"|---|{'---:|' * len(table.head)}"]
    names = {who: who.replace("|", "\\|").replace("<", "&lt;") for who in table.body}
    lines += [f"| {names[who]} | {' | '.join(cells)} |" for who, cells in table.body.items()]
    lines += [""] * bool(table.notes) + [f"* {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def write_tables(grid: Grid, output: Path, errors: dict[str, str]) -> list[Table]:
    """table.md and table.csv, the latter with the numbers unrounded; table-bas.md and .csv by protocol bas."""
    output.mkdir(parents=True, exist_ok=True)
    others = {f"table-{each.slug}": tabulate(grid, output, measure=each) for each in grid.protocols}
    tables = {"table": tabulate(grid, output, errors)} | {
        name: table for name, table in others.items() if table.figures
    }
    for name, table in tables.items():
        write_text(output / f"{name}.md", markdown(table))
        _write_csv(table, output / f"{name}.csv")
    return list(tables.values())


def _write_csv(table: Table, path: Path) -> None:
    rows = []
    for who, runs in table.figures.items():
        row: dict[str, Any] = {"row": who, "seeds": len(runs)}
        for name in table.columns:
            values = [run[name] for run in runs if isinstance(run.get(name), int | float)]
            row[name], row[f"{name}_sd"] = mean(values) if values else "", stdev(values) if len(values) > 1 else ""
            if table.printed(name):
                row[f"{name}_paper"] = table.papers.get(who, {}).get(name, "")
        rows.append(row)
    write_csv(path, list(rows[0]) if rows else ["row"], rows)
