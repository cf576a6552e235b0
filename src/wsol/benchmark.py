"""A benchmark: every row of a grid with every seed, trained, measured and put into one table beside the paper's.

OUTPUT/NAME-SEED.json    a run's figures, its settings, the command that gives them again, and its training's minutes
OUTPUT/table.md, .csv    a row of the grid a line, mean and standard deviation over seeds
OUTPUT/index.html        the same, with what each row finds in the same photos
OUTPUT/runs/             the run folders
"""

import csv
import html
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from wsol.data import Chosen, Dataset, open_data, readable
from wsol.errors import WsolError, listed
from wsol.evaluation import evaluate
from wsol.grid import Grid, Row, read_grid
from wsol.page import embedded, sheet, write_page
from wsol.progress import console
from wsol.published import published
from wsol.run import describe, load, read_json, save, write_json
from wsol.settings import check_key
from wsol.tally import BASELINES, BOXES, CLASSIFICATION, MASKS
from wsol.training import train

METRICS = (*CLASSIFICATION, *(name for name in BOXES if name != "MaxBoxAcc50"), *MASKS, "PeakOnPart")
COLUMNS = (*METRICS, "threshold", "minutes")
PHOTOS = 6  # on the contact sheet
SIDE = 160  # of each, pixels
FILES = ("weights", "pseudo_boxes")  # settings that are paths
Figures = list[dict[str, Any]]  # of one row, a dictionary a seed


@dataclass(frozen=True)
class Job:
    """One row under one seed: where its figures and its run are kept, and the command that gives them again."""

    row: Row
    seed: int
    kept: Path
    folder: Path
    command: str

    @property
    def settings(self) -> dict[str, Any]:
        """All that the run is made with; files by their names alone."""
        files = {name: Path(value).name for name in FILES if (value := self.row.resolved.get(name))}
        return self.row.resolved | files | {"seed": self.seed}

    @property
    def done(self) -> bool:
        return self.kept.is_file()


def benchmark(
    grid: str | Path,
    data: str | Path | None,
    output: str | Path,
    recipe: str | None = None,
    seeds: int | None = None,
    runs: str | Path | None = None,
    only_table: bool = False,
    **given: Any,
) -> dict[str, str]:
    """Runs what a grid says, one seed of every row first, then the next; what is there already is not run again.

    grid: the name of one that comes with the package, or a YAML file, see `wsol.grid`. data: as `train` takes it; None
    for the grid's own. output: folder for figures and tables. recipe, seeds, given: in the place of the grid's; given
    are settings of every row. runs: folder for the networks; None for OUTPUT/runs. only_table: write the tables of the
    figures that are there and train nothing.

    Rows that differ only in what training does not read (`Method.at_test`, `threshold`) share a network. A run that
    fails is listed and the others go on. Returns the errors by run, empty when all is well. Raises WsolError for a
    grid that cannot be, before anything runs.
    """
    read, output = read_grid(grid, recipe, seeds, **given), Path(output)
    for column in read.columns:
        check_key(column, COLUMNS, f"{grid}: columns: there is no figure")
    errors: dict[str, str] = {}
    if only_table:
        _write(read, output, errors)
        return errors
    data = data if data is not None else read.data
    if data is None:
        raise WsolError(f"{grid}: the grid names no data; give a data set's folder")
    if read.recipe is None and str(data) == "creatures":  # as in training
        read = read_grid(grid, "creatures", seeds, **given)
    photos = open_data(data, "test", size=read.rows[0].resolved["image_size"] * 8 // 7)
    jobs = _jobs(read, str(data), output, Path(runs) if runs else output / "runs")
    for place, job in enumerate(jobs):
        if job.done:
            continue
        said = f"{job.row.name}, seed {job.seed}"
        console.print(f"run {place + 1} of {len(jobs)}: {said}{_left(jobs)}", highlight=False)
        try:
            _run(job, _twin(job, jobs), read, data)
        except Exception as error:  # one row's mistake must not cost the others
            errors[said] = str(error).strip().split("\n")[0] or type(error).__name__
            console.print(f"{said} failed: {errors[said]}", style="red", markup=False, highlight=False)
        table = _write(read, output, errors)
        if job.row is read.rows[-1] and job.seed + 1 < read.seeds:
            _page(table, jobs, output, photos)
    _page(_write(read, output, errors), jobs, output, photos)
    return errors


def _jobs(grid: Grid, data: str, output: Path, runs: Path) -> list[Job]:
    """Every run in order. Raises WsolError where figures of another command are kept under a run's name."""
    jobs = []
    for seed in range(grid.seeds):
        for row in grid.rows:
            name = f"{row.slug}-{seed}"
            job = Job(row, seed, output / f"{name}.json", runs / name, command(row, seed, data, grid.recipe))
            kept = read_json(job.kept) if job.done else {}
            if kept.get("command", job.command) != job.command:
                raise WsolError(
                    f"{job.kept}: holds the figures of `{kept['command']}`, not of `{job.command}`; choose another "
                    "--output, or remove the file"
                )
            before = kept.get("settings", {})
            if other := [name for name, value in job.settings.items() if before.get(name, value) != value]:
                differing = listed([f"{name} {before[name]}, not {job.settings[name]}" for name in other])
                raise WsolError(
                    f"{job.kept}: holds the figures of {differing}, as its recipe said; choose another --output, or "
                    "remove the file"
                )
            jobs.append(job)
    return jobs


def command(row: Row, seed: int, data: str, recipe: str | None) -> str:
    """What gives a run's figures again; files by their names alone, as every machine has its own folders."""
    data, folder = Path(data).absolute().name, f"runs/{row.slug}-{seed}"
    words = ["wsol", "train", row.method.__name__.lower(), data]
    words += ["--recipe", Path(recipe).name] if recipe else []
    for name, value in row.given.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list | tuple):
            words += [f"--{option}", *map(str, value)]
        elif value is not None:
            words += [f"--{option}", Path(value).name if name in FILES else str(value)]
    words += ["--seed", str(seed), "--output", folder]
    return f"{shlex.join(words)} && {shlex.join(['wsol', 'evaluate', folder, data])}"


def _twin(job: Job, jobs: list[Job]) -> Job | None:
    """A finished run that left the network which this one would train."""
    same = (other for other in jobs if other.seed == job.seed and other.row.trained == job.row.trained)
    return next((other for other in same if other.done and (other.folder / "best.safetensors").is_file()), None)


def _run(job: Job, twin: Job | None, grid: Grid, data: str | Path) -> None:
    """Trains, or takes the twin's network, measures, and keeps the figures."""
    if twin is not None:
        run = load(twin.folder, **job.row.at_test)
        run.folder = job.folder
        save(run.method, job.folder / "best.safetensors", run.checkpoint)
        describe(run)
        minutes = read_json(twin.kept).get("minutes")
    else:
        begun, began = (job.folder / "run.json").is_file(), time.monotonic()
        settings = job.row.given | {"seed": job.seed}
        train(job.row.method.__name__, data, job.folder, recipe=grid.recipe, resume=begun, **settings)
        minutes = None if begun else round((time.monotonic() - began) / 60, 1)  # nobody knows what came before
    figures = evaluate(job.folder, data, job.folder / "figures.json")
    del figures["Curves"], figures["run"]
    write_json(job.kept, figures | {"minutes": minutes, "settings": job.settings, "command": job.command})


def _left(jobs: list[Job]) -> str:
    """How long the rest may take, from the minutes of what is there."""
    figures = [read_json(job.kept) for job in jobs if job.done]
    known = [each["minutes"] for each in figures if each.get("minutes") is not None]
    done, waiting = ({(job.seed, str(job.row.trained)) for job in jobs if job.done == done} for done in (True, False))
    return f", about {mean(known) * len(waiting - done):.0f} minutes left" if known else ""


@dataclass(frozen=True)
class Table:
    """What table.md, table.csv and the page show: the figures of every row, and what the papers print."""

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
        return f"{about}, seeds a method: {seeds}"


def tabulate(grid: Grid, output: Path, errors: dict[str, str] | None = None) -> Table:
    """The table of the figures that are kept in a folder; `errors` of runs that failed are noted."""
    kept = {row.name: [output / f"{row.slug}-{seed}.json" for seed in range(grid.seeds)] for row in grid.rows}
    figures = {name: [read_json(path) for path in paths if path.is_file()] for name, paths in kept.items()}
    figures = {name: each for name, each in figures.items() if each}
    columns = grid.columns or COLUMNS
    columns = [name for name in columns if any(each[0].get(name) is not None for each in figures.values())]
    papers, notes = _papers(grid, set(figures), columns)
    notes += [f"{run} failed: {error}" for run, error in (errors or {}).items()]
    if figures:
        first = next(iter(figures.values()))[0]
        figures |= {name: [first[name]] for name in BASELINES}
    return Table(grid, figures, papers, columns, notes)


def _papers(grid: Grid, shown: set[str], columns: list[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What stands beside the rows shown, and a note on where it is from."""
    if not grid.published:
        return {}, []
    papers = {}
    for row in grid.rows:
        asked = grid.published | {"method": row.method.__name__.lower(), "setting": row.paper}
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
    names = {who: who.replace("|", "\\|") for who in table.body}
    lines += [f"| {names[who]} | {' | '.join(cells)} |" for who, cells in table.body.items()]
    lines += [""] * bool(table.notes) + [f"* {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _write(grid: Grid, output: Path, errors: dict[str, str]) -> Table:
    """table.md and table.csv, the latter with the numbers unrounded."""
    table = tabulate(grid, output, errors)
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.md").write_text(markdown(table), encoding="utf-8")
    rows = []
    for who, runs in table.figures.items():
        row: dict[str, Any] = {"row": who, "seeds": len(runs)}
        for name in table.columns:
            values = [run[name] for run in runs if isinstance(run.get(name), int | float)]
            row[name], row[f"{name}_sd"] = mean(values) if values else "", stdev(values) if len(values) > 1 else ""
            if table.printed(name):
                row[f"{name}_paper"] = table.papers.get(who, {}).get(name, "")
        rows.append(row)
    with open(output / "table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["row"])
        writer.writeheader()
        writer.writerows(rows)
    return table


def _page(table: Table, jobs: list[Job], output: Path, photos: Dataset) -> None:
    """index.html, with what every row finds in the same photos under the first seed."""
    runs = {job.row.name: job.folder for job in jobs if job.done and job.seed == 0}
    runs = {name: folder for name, folder in runs.items() if (folder / "best.safetensors").is_file()}
    places = np.linspace(0, len(photos) - 1, min(PHOTOS, len(photos))).astype(int).tolist()
    shown = sheet(runs, readable(Chosen(photos, places), "skip"), SIDE)
    row = "<tr><th>{}</th>{}</tr>".format
    lines = {who: "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) for who, cells in table.body.items()}
    write_page(
        output / "index.html",
        "benchmark",
        html.escape(table.grid.about or table.grid.name),
        about=html.escape(table.grid.about or table.grid.name),
        caption=html.escape(table.caption.replace("`", "")),
        head="".join(f"<th>{name}</th>" for name in table.head),
        table="\n".join(row(html.escape(who), cells) for who, cells in lines.items()),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in table.notes),
        sheet=embedded(shown),
        commands="".join(f"<li><code>{html.escape(job.command)}</code></li>" for job in jobs),
    )
