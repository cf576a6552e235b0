"""A benchmark: every row of a grid with every seed, trained, measured and put into one table beside the paper's.

OUTPUT/NAME-SEED.json    a run's figures, its settings, the command that gives them again, and its training's minutes
OUTPUT/table.md, .csv    a row of the grid a line, mean and standard deviation over seeds; table-bas.md by protocol bas
OUTPUT/index.html        the same, with what each row finds in the same photos
OUTPUT/runs/             the run folders
"""

import html
import shlex
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copyfile
from statistics import mean
from typing import Any

import numpy as np

from wsol.benchmark.grid import Grid, Measure, Row, read_grid
from wsol.benchmark.table import COLUMNS, METRICS, Table, by_protocol, write_tables
from wsol.data import BoxFormat, Chosen, Dataset, open_data, readable
from wsol.data.dataset import Split
from wsol.errors import WsolError, listed
from wsol.evaluation.evaluate import evaluate, find_protocol
from wsol.evaluation.tally import BASELINES
from wsol.locating.locate import locate
from wsol.registry import check_key
from wsol.runs.figures import read_figures
from wsol.runs.folder import Run
from wsol.runs.settings import FILES, as_options
from wsol.show.pages import embedded, sheet, write_page
from wsol.system.console import console
from wsol.system.files import write_json, write_whole
from wsol.system.locks import locked_file
from wsol.training.train import train

PHOTOS = 6  # on the contact sheet
SIDE = 160  # of each, pixels
ABOUT = ("data", "split", "images", "protocol", "ten_crop")  # of figures by another protocol


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
        resolved = self.row.resolved.all
        files = {name: Path(value).name for name in FILES if (value := resolved.get(name))}
        readout = {"readout": self.row.readout} if self.row.readout else {}
        return resolved | files | readout | {"seed": self.seed}

    @property
    def done(self) -> bool:
        return self.kept.is_file()


def benchmark(
    grid: str | Path,
    data: str | Path | None = None,
    *,
    output: str | Path,
    recipe: str | None = None,
    seeds: int | None = None,
    runs: str | Path | None = None,
    only_table: bool = False,
    box_format: BoxFormat | None = None,
    **given: Any,
) -> dict[str, str]:
    """Train and measure every row of a grid with every seed, beside the papers' figures, in one table and page.

    One seed of every row comes first, then the next. What is there already is not run again: an interrupted benchmark
    goes on with the same command. Rows that differ only in what counts at test share a network. A run that fails is
    listed and the others go on.

    grid: name of one that comes with the package, or a YAML file like them, see `wsol.benchmark.grid`.
    data: as `wsol train` takes it, with true boxes or masks; by default what the grid says.
    output: folder for the figures, table.md, table.csv and index.html.
    recipe: the recipe that every row begins with; by default what the grid says.
    seeds: how many; by default what the grid says.
    runs: folder for the networks; by default OUTPUT/runs.
    only_table: write the tables of the figures that are there again, and train nothing.
    box_format: what the four numbers of a box mean, as `wsol evaluate` takes it.
    given: settings of every row, over the grid's.

    Returns the errors by run, empty when all is well. Raises WsolError for a grid that cannot be, before anything runs.
    """
    read, output = read_grid(grid, recipe, seeds, **given), Path(output)
    for column in read.columns:
        check_key(column, COLUMNS, f"{grid}: columns: there is no figure")
    errors: dict[str, str] = {}
    if only_table:
        write_tables(read, output, errors)
        return errors
    data = data if data is not None else read.data
    if data is None:
        raise WsolError(f"{grid}: the grid names no data; give a data set's folder")
    if read.recipe is None and str(data) == "creatures":  # as in training
        read = read_grid(grid, "creatures", seeds, **given)
    size = read.rows[0].resolved.settings.image_size * 8 // 7
    photos = open_data(data, read.split, size=size, box_format=box_format)
    jobs = _jobs(read, str(data), photos.name, output, Path(runs) if runs else output / "runs", box_format)
    for place, job in enumerate(jobs):
        if job.done and not _unmeasured(job, read):
            continue
        said = f"{job.row.name}, seed {job.seed}"
        console.print(f"run {place + 1} of {len(jobs)}: {said}{_left(jobs)}")
        try:
            with locked_file(job.kept):
                if not job.done:  # by another process, while this one had other rows
                    _run(job, _twin(job, jobs), read, data, box_format)
                for measure in _unmeasured(job, read):
                    _measure(job, measure, data, read.split, box_format)
        except Exception as error:  # one row's mistake must not cost the others
            errors[said] = str(error).strip().split("\n")[0] or type(error).__name__
            console.print(f"{said} failed: {errors[said]}", style="red")
        tables = write_tables(read, output, errors)
        if job.row is read.rows[-1] and job.seed + 1 < read.seeds:
            _page(tables, jobs, output, photos)
    _page(write_tables(read, output, errors), jobs, output, photos)
    return errors


def _jobs(grid: Grid, data: str, name: str, output: Path, runs: Path, box_format: BoxFormat | None) -> list[Job]:
    """Every run in order. Raises WsolError where figures of other settings are kept under a run's name."""
    jobs = []
    for seed in range(grid.seeds):
        for row in grid.rows:
            slug = f"{row.slug}-{seed}"
            said = command(row, seed, data, grid.recipe, box_format, grid.split, grid.protocols)
            job = Job(row, seed, output / f"{slug}.json", runs / slug, said)
            if job.done and (other := _differing(job, name, grid.split)):
                raise WsolError(
                    f"{job.kept}: holds the figures of {listed(other)}; choose another --output, or remove the file"
                )
            jobs.append(job)
    return jobs


def _differing(job: Job, data: str, split: Split) -> list[str]:
    """In what the stored figures differ from those of a job; settings that only one of them knows do not count."""
    kept = read_figures(job.kept)
    now = {"data": data, "split": split, "method": job.row.stack.title}
    before = {name: kept.get(name, now[name]) for name in now} | (kept.get("settings") or {})
    now |= job.settings
    return [f"{name} {before[name]}, not {now[name]}" for name in now if before.get(name, now[name]) != now[name]]


def command(
    row: Row,
    seed: int,
    data: str,
    recipe: str | None,
    box_format: BoxFormat | None = None,
    split: Split = "test",
    protocols: tuple[Measure, ...] = (),
) -> str:
    """What gives a run's figures again; files by their names alone, as every machine has its own folders."""
    data, folder = Path(data).absolute().name, f"runs/{row.slug}-{seed}"
    words = ["wsol", "train", row.stack.key, data]
    words += ["--recipe", Path(recipe).name] if recipe else []
    words += as_options({name: Path(value).name if name in FILES else value for name, value in row.given.items()})
    words += ["--seed", str(seed), "--output", folder]
    evaluating = ["wsol", "evaluate", folder, data]
    evaluating += ["--split", split] if split != "test" else []
    evaluating += ["--readout", row.readout] if row.readout else []
    evaluating += ["--box-format", box_format] if box_format else []
    chosen_by = row.resolved.settings.pseudo_truth
    first = ["--pseudo-truth", Path(chosen_by).name] if chosen_by is not None else []
    others = [["--protocol", each.protocol, *(["--ten-crop"] if each.ten_crop else [])] for each in protocols]
    return " && ".join(map(shlex.join, [words, *(evaluating + more for more in [first, *others])]))


def _twin(job: Job, jobs: list[Job]) -> Job | None:
    """A finished run that left the network which this one would train."""
    same = (other for other in jobs if other.seed == job.seed and other.row.trained == job.row.trained)
    return next((other for other in same if other.done and (other.folder / "best.safetensors").is_file()), None)


def _run(job: Job, twin: Job | None, grid: Grid, data: str | Path, box_format: BoxFormat | None) -> None:
    """Trains, or takes the twin's network, measures, and keeps the figures."""
    if twin is not None:
        run, row = Run.read(twin.folder), job.row.resolved
        settings = replace(run.resolved.settings, threshold=row.settings.threshold)
        resolved = replace(run.resolved, settings=settings, at_test=row.at_test)
        replace(run, folder=job.folder, resolved=resolved).describe()
        for name in ("best.safetensors", "best.json"):
            write_whole(job.folder / name, partial(copyfile, twin.folder / name))
        minutes = read_figures(twin.kept).get("minutes")
    else:
        begun, began = (job.folder / "run.json").is_file(), time.monotonic()
        settings = job.row.given | {"seed": job.seed}
        train(job.row.stack.key, data, job.folder, recipe=grid.recipe, resume=begun, **settings)
        minutes = None if begun else round((time.monotonic() - began) / 60, 1)  # nobody knows what came before
    kept, pseudo_truth = job.folder / "figures.json", job.row.resolved.settings.pseudo_truth
    asked: dict[str, Any] = {"split": grid.split, "pseudo_truth": pseudo_truth, "box_format": box_format}
    figures = evaluate(job.folder, data, kept, **asked, readout=job.row.readout)
    del figures["Curves"], figures["run"]
    write_json(job.kept, figures | {"minutes": minutes, "settings": job.settings, "command": job.command})


def _unmeasured(job: Job, grid: Grid) -> list[Measure]:
    """Protocols by which a run is still to be measured, where its network is still there."""
    if not (job.done and (job.folder / "best.safetensors").is_file()):
        return []
    kept = read_figures(job.kept)
    return [measure for measure in grid.protocols if by_protocol(kept, measure) is None]


def _measure(job: Job, measure: Measure, data: str | Path, split: Split, box_format: BoxFormat | None) -> None:
    """Measures a run by another protocol, at the threshold that its own figures have unless the protocol fixes one."""
    kept, conventions = read_figures(job.kept), find_protocol(measure.protocol)
    asked: dict[str, Any] = {"split": split, "box_format": box_format, "readout": job.row.readout}
    asked["threshold"] = kept["threshold"] if conventions.threshold is None else None
    figures = evaluate(job.folder, data, **asked, protocol=measure.protocol, ten_crop=measure.ten_crop)
    shown = {name: figures[name] for name in (*ABOUT, *METRICS, *BASELINES, "threshold") if name in figures}
    write_json(job.kept, kept | {"protocols": kept.get("protocols", {}) | {measure.name: shown}})


def _left(jobs: list[Job]) -> str:
    """How long the rest may take, from the minutes of what is there."""
    figures = [read_figures(job.kept) for job in jobs if job.done]
    known = [each["minutes"] for each in figures if each.get("minutes") is not None]
    done, waiting = ({(job.seed, str(job.row.trained)) for job in jobs if job.done == done} for done in (True, False))
    return f", about {mean(known) * len(waiting - done):.0f} minutes left" if known else ""


def _page(tables: list[Table], jobs: list[Job], output: Path, photos: Dataset) -> None:
    """index.html, with what every row finds in the same photos under the first seed."""
    first = [job for job in jobs if job.done and job.seed == 0 and (job.folder / "best.safetensors").is_file()]
    places = np.linspace(0, len(photos) - 1, min(PHOTOS, len(photos))).astype(int).tolist()
    shown = readable(Chosen(photos, places), "skip")
    images = [shown.image(index) for index in range(len(shown))]
    results = {job.row.name: list(locate(job.folder, images, readout=job.row.readout)) for job in first}
    pictures = sheet(shown, results, SIDE)
    about = html.escape(tables[0].grid.about or tables[0].grid.name)
    write_page(
        output / "index.html",
        "benchmark",
        about,
        about=about,
        tables="\n".join(map(_table, tables)),
        sheet=embedded(pictures),
        commands="".join(f"<li><code>{html.escape(job.command)}</code></li>" for job in jobs),
    )


def _table(table: Table) -> str:
    """A table with its caption and notes, as HTML."""
    lines = {who: "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) for who, cells in table.body.items()}
    rows = "\n".join(f"<tr><th>{html.escape(who)}</th>{cells}</tr>" for who, cells in lines.items())
    head = "".join(f"<th>{name}</th>" for name in table.head)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return (
        f"<p>{html.escape(table.caption.replace('`', ''))}. Percent, mean ± standard deviation over seeds.</p>\n"
        f'<div class="wide"><table class="figures">\n<tr><th></th>{head}</tr>\n{rows}\n</table></div>\n<ul>{notes}</ul>'
    )
