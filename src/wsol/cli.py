"""The command `wsol`: one thin command a function, its options read off signatures and docstrings."""

import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.table import Table

from wsol.errors import WsolError
from wsol.grid import grids
from wsol.method import METHODS, Method
from wsol.settings import Settings, method_class, options_of, recipes_of


class UsageError(Exception):
    """A command line whose options do not go together."""


app = App(
    name="wsol",
    help="Find objects in photos with a network that was trained on class labels alone, without any box.\n\n"
    "A first look: `wsol demo`. With your own photos, one folder a class:\n\n"
    "`wsol train eil photos --output runs/eil`\n\n"
    "`wsol locate runs/eil new_photos --output found --format coco,overlay`",
    help_format="markdown",
    version_flags=["--version"],
)
training = App(
    name="train",
    help="Train a method on photos with class labels and leave a run folder.\n\n"
    "`wsol train eil --help` lists the settings of one method.",
)
app.command(training)
out, err = (Console(stderr=stderr, soft_wrap=True, markup=False, highlight=False) for stderr in (False, True))


def documented(described: type) -> dict[str, str]:
    """What a docstring says of each name: lines `name: text`, continued where they are indented further."""
    found: dict[str, str] = {}
    for kind in reversed(described.__mro__):
        text = inspect.cleandoc(kind.__doc__ or "")
        found |= {name: " ".join(said.split()) for name, said in re.findall(r"(?m)^(\w+): (.*(?:\n +.*)*)", text)}
    return found


def train_command(method: type[Method]) -> Callable[..., None]:
    """`wsol train METHOD`, with every setting and hyper-parameter as an option that is None unless given."""
    settings = {
        field.name: (field.type, None if field.default is MISSING else field.default) for field in fields(Settings)
    }
    hyper = {name: (each.annotation, each.default) for name, each in options_of(method).items()}
    helps = documented(Settings) | documented(method)

    def command(data: Path, *, output: Path, recipe: str | None = None, resume: bool = False, **given: Any) -> None:
        from wsol.training import train

        chosen = {name: value for name, value in given.items() if value is not None}
        run = train(method.__name__, _data(data), output, recipe, resume, **chosen)
        figure = run.checkpoint.get("Top1Cls")
        said = f", validation Top1Cls {figure:.1f} %" if figure is not None else ""
        out.print(f"{run.folder}: {method.__name__} trained, best of epoch {run.checkpoint['epoch']}{said}")

    fixed = [
        _parameter(
            "data", Path, "A folder of class folders, a CSV, a known data set's folder, or `creatures`.", where=0
        ),
        _parameter("output", Path, "The run folder to write."),
        _parameter(
            "recipe", str | None, f"One of {', '.join(recipes_of(method)) or 'none'}, or a YAML file.", default=None
        ),
        _parameter("resume", bool, "Continue the run in the output folder.", default=False),
    ]
    optional = [
        _parameter(name, kind | None, f"{helps.get(name, '')} [default: {_shown(default)}]", group, None)  # type: ignore[operator]
        for group, each in ((method.__name__, hyper), ("Training", settings))
        for name, (kind, default) in each.items()
    ]
    signature = inspect.Signature([*fixed, *optional], return_annotation=None)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*fixed, *optional)}
    command.__doc__ = f"{method.reference.paper} ({method.reference.venue} {method.reference.year})."
    return command


def _parameter(
    name: str, kind: Any, text: str, group: str | None = None, default: Any = ..., where: int = 1
) -> inspect.Parameter:
    many = any(get_origin(each) is tuple for each in (kind, *getattr(kind, "__args__", ())))
    told = Parameter(
        help=text,
        show_default=False,
        consume_multiple=many,
        allow_leading_hyphen=name == "boundary",
    )
    position = inspect.Parameter.KEYWORD_ONLY if where else inspect.Parameter.POSITIONAL_OR_KEYWORD
    default = inspect.Parameter.empty if default is ... else default
    described = Annotated[kind, told, Parameter(group=group)] if group else Annotated[kind, told]
    return inspect.Parameter(name, position, default=default, annotation=described)


def _shown(default: Any) -> str:
    return " ".join(map(str, default)) or "none" if isinstance(default, tuple) else str(default).lower()


def _data(data: Path) -> str | Path:
    return str(data) if str(data) == "creatures" else data


for _method in METHODS.values():
    training.command(train_command(_method), name=_method.__name__.lower())


sets = App(name="data", help="Look at data sets before they are used.")
app.command(sets)


@sets.command
def check(
    place: Path,
    *,
    split: Annotated[list[Literal["train", "val", "test"]] | None, Parameter(consume_multiple=True)] = None,
    output: Path | None = None,
) -> None:
    """Say which layout a data set has, what it holds, and what must be mended; exit with 1 where something must.

    Every photo, box and mask is read once.

    Parameters
    ----------
    place
        A folder of class folders, a CSV, a known data set's folder, or `creatures`.
    split
        Which splits. Default: all there are.
    output
        A picture to write: some photos with their true boxes and masks.
    """
    from wsol.data import check as find

    report = find(_data(place), split or (), output)
    out.print(report.table())
    for line in report.notes:
        out.print(line)
    for line in report.problems:
        out.print(line, style="red")
    if output is not None:
        out.print(f"{output}: written")
    if report.problems:
        raise WsolError(f"{place}: {len(report.problems)} to be mended, see above")


@sets.command
def download(name: str, folder: Path) -> None:
    """Fetch a published data set by torchvision: caltech256, flowers102, pet or voc2012.

    Parameters
    ----------
    name
        Which one.
    folder
        Where to; `wsol train METHOD FOLDER` then reads it.
    """
    from wsol.data import download as fetch

    fetch(name, folder)
    out.print(f"{folder}: {name} is here; wsol data check {folder} says what it holds")


@app.command
def evaluate(
    run: Path | None = None,
    data: Path | None = None,
    *,
    maps: Path | None = None,
    metadata: Path | None = None,
    mask_root: Path | None = None,
    write_maps: Path | None = None,
    output: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    protocol: str = "clova",
    threshold: float | Literal["auto"] | None = None,
    checkpoint: Literal["best", "last"] = "best",
    ten_crop: bool = False,
    batch_size: int = 32,
    on_bad_image: Literal["raise", "skip"] = "raise",
) -> None:
    """Measure a run by the field's metrics, beside a fixed centre box and the whole image.

    `wsol evaluate RUN DATA`, or `wsol evaluate --maps DIR --metadata DIR` for maps made elsewhere. Started by
    `torchrun -m wsol evaluate ...` in several processes, each measures its share.

    Parameters
    ----------
    run
        A run folder, as `wsol train` left it.
    data
        A data set with true boxes or masks, or `creatures`.
    maps
        Folder of score maps, ID.npy for each image, to be measured instead of a run.
    metadata
        Folder of image_ids.txt, class_labels.txt, image_sizes.txt and localization.txt that belong to the maps.
    mask_root
        Folder in which the masks of localization.txt lie.
    write_maps
        Folder for the run's score maps, as `--maps` reads them.
    output
        JSON file for the figures; pictures (curves, best and worst photos) are put beside it.
    split
        Which photos.
    protocol
        The conventions of clova, cvpr16, psol or bas: they move scores by points.
    threshold
        Share of the heatmap's peak at which boxes are cut, or auto: each heatmap's own mean. Default: the
        protocol's, else the recipe's, else the best on validation photos that have boxes, else auto; for
        maps the protocol's, else 0.2.
    checkpoint
        Which of the run's networks.
    ten_crop
        Classify by the mean over ten crops.
    batch_size
        Photos a pass.
    on_bad_image
        What to do with photos that cannot be read.
    """
    from wsol import processes
    from wsol.evaluation import evaluate as measure
    from wsol.evaluation import evaluate_maps, table

    if (maps is None) == (run is None) or (maps is None) != (metadata is None) or (run is None) != (data is None):
        raise UsageError("give RUN and DATA, or --maps and --metadata")
    processes.join()
    if maps is not None and metadata is not None:
        figures = evaluate_maps(maps, metadata, output, mask_root, threshold, protocol)
    else:
        figures = measure(
            run,  # type: ignore[arg-type]
            _data(data),  # type: ignore[arg-type]
            output,
            split,
            threshold,
            protocol,
            checkpoint,
            ten_crop,
            write_maps,
            batch_size,
            on_bad_image=on_bad_image,
        )
    if processes.place()[0] == 0:
        out.print(table(figures))
        if output is not None:
            out.print(f"{output}: written, with pictures beside it")


@app.command
def locate(
    run: Path,
    *images: str,
    output: Path,
    format: str = "json,overlay",
    threshold: float | Literal["auto"] | None = None,
    classes: int = 1,
    keep: Literal["largest", "all", "union"] = "largest",
    checkpoint: Literal["best", "last"] = "best",
    batch_size: int = 16,
    on_bad_image: Literal["raise", "skip"] = "raise",
) -> None:
    """Say what is in each photo and where.

    Parameters
    ----------
    run
        A run folder, as `wsol train` left it.
    images
        Files, folders (searched through, their structure kept) or glob patterns.
    output
        Folder for what is found.
    format
        One or more of coco, yolo, voc, json (lines), csv, overlay (pictures), heatmap (to cut again later by
        `wsol export`), separated by commas.
    threshold
        Share of the heatmap's peak at which boxes are cut, or auto: each heatmap's own mean. Default: the run's.
    classes
        How many of the best classes to locate in each photo.
    keep
        The largest connected region above the threshold, all regions, or one box around all.
    checkpoint
        Which of the run's networks.
    batch_size
        Photos a pass.
    on_bad_image
        What to do with photos that cannot be read.
    """
    from wsol.data.images import find_images
    from wsol.export import write_results
    from wsol.locating import locate as find
    from wsol.progress import bar
    from wsol.run import load

    opened = load(run, checkpoint)
    results = find(opened, images, threshold, classes, keep, batch_size, on_bad_image)
    with bar("locating") as shown:
        count = write_results(
            shown.track(results, total=len(find_images(images))), output, opened.classes, _formats(format)
        )
    out.print(f"{output}: {count} photos located")


def _formats(text: str) -> list[str]:
    from wsol.export import FORMATS

    chosen = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    unknown = [each for each in chosen if each not in FORMATS]
    if unknown or not chosen:
        raise WsolError(f"--format {text}: {unknown or 'nothing'} is no format; choose from {', '.join(FORMATS)}")
    return chosen


@app.command
def export(
    source: Path, *, output: Path, format: str = "coco", threshold: float | Literal["auto"] | None = None
) -> None:
    """Write boxes again from stored heatmaps, at another threshold and without the network.

    Parameters
    ----------
    source
        The output folder of `wsol locate --format heatmap`.
    output
        Folder for what is found.
    format
        As in `wsol locate`, but for overlay: photos are not stored, and yolo has labels alone.
    threshold
        Share of the heatmap's peak at which boxes are cut, or auto. Default: as it was.
    """
    from wsol.export import read_heatmaps, write_results

    classes, results = read_heatmaps(source, threshold)
    count = write_results(results, output, classes, _formats(format))
    out.print(f"{output}: {count} photos exported")


@app.command
def methods(*, as_json: Annotated[bool, Parameter("--json", negative=())] = False) -> None:
    """List the methods.

    Parameters
    ----------
    as_json
        Print them for a program: name, class, paper, year.
    """
    entries = [
        {"name": name, "class": kind.__name__, "paper": kind.reference.paper, "year": kind.reference.year}
        for name, kind in sorted(METHODS.items(), key=lambda item: (item[1].reference.year, item[0]))
    ]
    if as_json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    table = Table("method", "paper", "year", "recipes")
    for entry in entries:
        kind = METHODS[str(entry["name"])]
        table.add_row(entry["name"], entry["paper"], str(entry["year"]), ", ".join(recipes_of(kind)))
    out.print(table)


@app.command
def cite(method: str) -> None:
    """Print a method's BibTeX entry.

    Parameters
    ----------
    method
        Its name, see `wsol methods`.
    """
    key = method_class(method).reference.key
    entries = (files("wsol") / "references.bib").read_text(encoding="utf-8")
    print(next(entry.strip() for entry in re.split(r"\n(?=@)", entries) if entry.strip().split("{")[1].startswith(key)))


@app.command
def doctor() -> None:
    """Say what this machine has: versions, accelerator, precision, and how fast it trains."""
    from wsol.machine import report

    table = Table(show_header=False)
    for name, value in report().items():
        table.add_row(name, value)
    out.print(table)


@app.command
def demo(*, output: Path = Path("wsol_demo"), minutes: float = 5.0, seed: int = 0) -> None:
    """Train CAM and EIL on generated creatures, evaluate both, and write a page that shows what they found.

    Parameters
    ----------
    output
        Folder for the two runs and the page.
    minutes
        How long it may take on this machine, in all.
    seed
        Of the creatures and the networks.
    """
    from wsol.demo import demo as show

    page = show(output, minutes, seed)
    out.print(f"open {page.resolve()}")


@app.command
def benchmark(
    grid: Annotated[str, Parameter(help=f"One of {', '.join(grids())}, or a YAML file like them.")],
    data: Path | None = None,
    *,
    output: Path,
    recipe: str | None = None,
    weights: str | None = None,
    seeds: int | None = None,
    runs: Path | None = None,
    only_table: bool = False,
) -> None:
    """Train and measure every row of a grid with every seed, beside the papers' figures, in one table and page.

    What is there already is not run again: an interrupted benchmark goes on with the same command.

    Parameters
    ----------
    data
        As in `wsol train`, with true boxes or masks. Default: what the grid says.
    output
        Folder for the figures, table.md, table.csv and index.html.
    recipe
        The recipe that every row begins with. Default: what the grid says.
    weights
        File of the backbone's weights, for every row.
    seeds
        How many. Default: what the grid says.
    runs
        Folder for the networks. Default: OUTPUT/runs.
    only_table
        Write the tables of the figures that are there again, and train nothing.
    """
    from wsol.benchmark import benchmark as run

    given = {} if weights is None else {"weights": weights}
    errors = run(grid, None if data is None else _data(data), output, recipe, seeds, runs, only_table, **given)
    out.print((output / "table.md").read_text(encoding="utf-8"))
    if errors:
        raise WsolError(f"{len(errors)} runs failed: {'; '.join(errors)}; {output / 'table.md'} says why")


def _warn(message: Warning | str, *_: Any) -> None:
    err.print(f"wsol: {message}", style="yellow")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0 on success, 2 on wrong usage, 1 otherwise with one line on what to do."""
    warnings.showwarning = _warn
    try:
        app(arguments, exit_on_error=False, result_action="return_value")
    except UsageError as error:
        err.print(f"wsol: {error}; wsol COMMAND --help says more", style="red")
        sys.exit(2)
    except CycloptsError:
        sys.exit(2)
    except WsolError as error:
        err.print(f"wsol: {error}", style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        said = "a training run goes on with --resume, a benchmark with the same command"
        err.print(f"wsol: interrupted; {said}", style="red")
        sys.exit(1)
    except OSError as error:
        err.print(
            f"wsol: {error.filename or 'disk'}: {error.strerror or error}; mend that and run it again", style="red"
        )
        sys.exit(1)
