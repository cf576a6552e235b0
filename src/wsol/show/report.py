"""The page that says what a run did, and the one that puts several runs side by side: the same page, a column a run."""

import html
import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsol.errors import WsolError
from wsol.methods.references import reference
from wsol.runs.folder import Run
from wsol.show.charts import Line, line_chart
from wsol.show.measured import measured
from wsol.show.pages import write_page
from wsol.show.parts import named, note, picture, table
from wsol.show.story import VALIDATION, Story, read_story

REPORT = "report.html"
SHEETS = 8  # epochs whose heatmaps are shown


def write_report(run: Run) -> Path | None:
    """Writes the run's report.html anew from what its folder holds, and says where.

    A page that cannot be written is a warning and None: no training ends for it.
    """
    path = run.folder / REPORT
    try:
        _write(path, [read_story(run, run.folder.name or str(run.folder))])
    except Exception as error:  # hours of training hang on it
        said = str(error) if isinstance(error, WsolError) else f"{path}: {type(error).__name__}: {error}"
        warnings.warn(f"{said} (the report is not renewed)", stacklevel=2)
        return None
    return path


def compare(runs: Sequence[str | Path], *, output: str | Path) -> Path:
    """Put runs side by side on one page: figures, curves, settings that differ, heatmaps of the same photos.

    runs: two or more run folders.
    output: the HTML file to write.

    Returns where the page is. Raises WsolError for a folder that holds no run.
    """
    folders = list({Path(folder).absolute(): Path(folder) for folder in runs}.values())
    if len(folders) < 2:
        raise WsolError("one run cannot be compared; give two or more run folders (each has its own report.html)")
    stories = []
    for folder in folders:
        alike = [other for other in folders if other.absolute().name == folder.absolute().name]
        stories.append(read_story(Run.read(folder), str(folder) if len(alike) > 1 else folder.absolute().name))
    _write(Path(output), stories)
    return Path(output)


def _write(path: Path, stories: list[Story]) -> None:
    alone = len(stories) == 1
    first = stories[0]
    title = f"{first.run.stack.title} on {first.run.data}" if alone else " · ".join(story.name for story in stories)
    epochs = first.run.resolved.settings.epochs
    state = f"{first.epochs} of {epochs} epochs" if first.epochs < epochs else "trained"
    notes = [said if alone else f"{story.name}: {said}" for story in stories for said in story.notes]
    write_page(
        path,
        "report",
        html.escape(title),
        heading=html.escape(title),
        about=html.escape(f"{first.run.folder}, {state}" if alone else f"{len(stories)} runs side by side"),
        notes="".join(map(note, notes)),
        legend=_legend(stories),
        facts=_facts(stories),
        curves=_curves(stories),
        sheets=_own_sheets(first) if alone else _last_sheets(stories),
        measured=measured(stories),
        settings=_own_settings(first) if alone else _differing_settings(stories),
        commands="".join(_commands(story, alone) for story in stories),
    )


def _facts(stories: list[Story]) -> str:
    """What each run is."""
    facts: dict[str, Callable[[Story], str]] = {
        "method": _method,
        "data": lambda story: html.escape(f"{story.run.data}, {len(story.run.classes)} classes"),
        "photos": _photos,
        "recipe": lambda story: html.escape(story.recipe or ""),
        "chosen network": _chosen,
        "minutes": lambda story: _clock(story.training.get("minutes")),
        "machine": lambda story: html.escape(str(story.training.get("machine") or "")),
        "software": lambda story: html.escape(
            ", ".join(
                f"{name} {story.versions[name]}" for name in ("wsol", "torch", "python") if name in story.versions
            )
        ),
    }
    head = [] if len(stories) == 1 else ["", *(named(place, story) for place, story in enumerate(stories))]
    rows = {name: [said(story) for story in stories] for name, said in facts.items()}
    return table(head, {name: cells for name, cells in rows.items() if any(cells)}, "words")


def _method(story: Story) -> str:
    stack = story.run.stack
    papers = []
    for entry in stack.entries[: 1 if stack.alone else None]:
        if paper := reference(entry):
            said = html.escape(f"{paper.paper} ({paper.venue} {paper.year})")
            papers.append(f'<a href="{html.escape(paper.link)}">{said}</a>' if paper.link else said)
    return "<br>".join([html.escape(stack.title), *papers])


def _photos(story: Story) -> str:
    photos = story.training.get("photos")
    if not isinstance(photos, dict):
        return ""
    return html.escape(f"{photos.get('training')} to train, {photos.get('validation')} to validate")


def _chosen(story: Story) -> str:
    said = f"epoch {story.best['epoch']} of {story.run.resolved.settings.epochs}" if "epoch" in story.best else ""
    top = story.best.get("Top1Cls")
    return html.escape(f"{said}, validation Top1Cls {top:.1f} %" if isinstance(top, float) else said)


def _clock(minutes: Any) -> str:
    if not isinstance(minutes, int | float):
        return ""
    return f"{minutes:.1f}" if minutes < 90 else f"{minutes:.0f} ({minutes / 60:.1f} hours)"


def _curves(stories: list[Story]) -> str:
    """A chart for each part of the loss and for what validation photos say, a line a run."""
    names = list(dict.fromkeys(name for story in stories for name in story.curves))
    charts = []
    for name in names:
        lines = []
        for place, story in enumerate(stories):
            points = [(float(epoch), value) for epoch, value in story.curves.get(name, {}).items()]
            best = story.best.get("epoch")
            mark = next((point for point in points if name in VALIDATION and point[0] == best), None)
            lines.append(Line(story.name, place, points, mark))
        title = f"validation {name}, %" if name in VALIDATION else name.replace("loss/", "loss: ")
        charts.append(line_chart(title, "epoch", lines, whole=True))
    if not charts:
        return "<p>No epoch is finished.</p>"
    marked = "<p>A large dot marks the epoch whose network was chosen.</p>" if "Top1Cls" in names else ""
    return f'<div class="charts">{"".join(charts)}</div>{marked}'


def _own_sheets(story: Story) -> str:
    """The same validation photos, epoch by epoch."""
    epochs = list(story.sheets)
    places = np.linspace(0, len(epochs) - 1, min(SHEETS, len(epochs))).round().astype(int).tolist()
    rows = [picture(story.run.folder / "sheets" / "photos.png", "the photos")]
    rows += [picture(story.sheets[epochs[place]], f"epoch {epochs[place]}") for place in places]
    if not any(rows):
        return "<p>No heatmaps are stored: --sheet-every says how often they are.</p>"
    return "<p>Heatmaps of the true class on the same validation photos.</p>" + "".join(rows)


def _last_sheets(stories: list[Story]) -> str:
    rows = []
    for story in stories:
        epoch = max(story.sheets, default=0)
        shown = picture(story.sheets[epoch], f"{story.name}, epoch {epoch}") if epoch else ""
        rows.append(shown or f"<p>{html.escape(story.name)}: no heatmaps are stored.</p>")
    other = "" if len({story.run.validation for story in stories}) == 1 else note("The runs saw different photos.")
    return f"<p>Heatmaps of the true class on validation photos.</p>{other}{''.join(rows)}"


def _own_settings(story: Story) -> str:
    """Settings that are not the defaults, and who says so."""
    rows = {}
    for name, value in story.settings.items():
        default, recipe = story.defaults.get(name), story.begun_with.get(name)
        if value != default:
            source = f"recipe {story.recipe}" if story.recipe and value == recipe else "given"
            rows[html.escape(name)] = [html.escape(_said(value)), html.escape(_said(default)), html.escape(source)]
    if not rows:
        return "<p>All settings are the defaults.</p>"
    return f"<p>Those that are not the defaults.</p>{table(['', 'this run', 'default', 'from'], rows)}"


def _differing_settings(stories: list[Story]) -> str:
    rows = {}
    for name in dict.fromkeys(name for story in stories for name in story.settings):
        values = [_said(story.settings[name]) if name in story.settings else "–" for story in stories]
        if len(set(values)) > 1:
            rows[html.escape(name)] = list(map(html.escape, values))
    if not rows:
        return "<p>The runs have the same settings.</p>"
    head = ["", *(named(place, story) for place, story in enumerate(stories))]
    return f"<p>Those that differ between the runs.</p>{table(head, rows)}"


def _commands(story: Story, alone: bool) -> str:
    who = "" if alone else f"<h3>{html.escape(story.name)}</h3>"
    lines = "\n".join(shlex.join(map(str, words)) for words in story.commands())
    return f"{who}<pre>{html.escape(lines)}</pre>"


def _legend(stories: list[Story]) -> str:
    if len(stories) == 1:
        return ""
    return f"<p>{' '.join(named(place, story) for place, story in enumerate(stories))}</p>"


def _said(value: Any) -> str:
    if value is None or value == []:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
