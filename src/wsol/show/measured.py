"""The part of a report that says how well runs did: figures, thresholds, IoU, classes, best and worst photos."""

import html
import shlex
from typing import Any

import numpy as np

from wsol.metrics import IOUS
from wsol.show.charts import Line, bar_chart, line_chart
from wsol.show.parts import named, note, number, picture, table
from wsol.show.story import Evaluation, Story

Rows = list[tuple[int, Story, Evaluation]]  # place of a run on the page, the run, what is shown of it

MATRIX = 30  # classes up to which their confusion is a matrix
PAIRS = 15  # of classes that are most often confused
TRIVIAL = ("CentreBox", "WholeImage")
SAYS = {
    "Top1Cls": "class right",
    "Top5Cls": "class among the five best",
    "mAP": "average precision of classes",
    "MaxBoxAcc": "box right (IoU 50) at its best threshold",
    "MaxBoxAcc30": "the same at IoU 30",
    "MaxBoxAcc70": "the same at IoU 70",
    "MaxBoxAccV2": "mean over IoU 30, 50, 70, any region",
    "GTKnownLoc": "box right at the threshold in use",
    "Top1Loc": "class and box right",
    "Top5Loc": "class among five, and box right",
    "MeanBoxIoU": "mean IoU of the box",
    "PxAP": "pixels, average precision",
    "PIoU": "IoU of all pixels together",
    "MeanIoU": "IoU of pixels, mean over classes",
    "PeakOnPart": "heatmap's peak on the telling part",
}
GOES_WRONG = {
    "Right": "class and box right",
    "WrongClass": "another class",
    "Part": "box on a part of the object",
    "More": "box around the object and much more",
    "Several": "one box over several objects",
    "Elsewhere": "box elsewhere",
}
OF_CLASS = ("Top1Cls", "GTKnownLoc", "MeanBoxIoU")


def measured(stories: list[Story]) -> str:
    """The evaluation that all runs share, else the last one of each."""
    shared = next(
        (
            last.measured
            for last in stories[0].evaluations
            if all(any(other.measured == last.measured for other in story.evaluations) for story in stories)
        ),
        None,
    )
    rows: Rows = []
    parts = []
    for place, story in enumerate(stories):
        same = [each for each in story.evaluations if shared is None or each.measured == shared]
        if same:
            rows.append((place, story, same[0]))
        else:
            said = f"wsol evaluate {shlex.quote(str(story.run.folder))} DATA"
            who = "" if len(stories) == 1 else f"{html.escape(story.name)}: "
            parts.append(f"<p>{who}not measured yet: <code>{html.escape(said)}</code></p>")
    if len(rows) > 1 and shared is None:
        parts.append(note("The runs were measured on different photos, so their figures cannot be compared."))
    if not rows:
        return "".join(parts)
    for _, story, evaluation in rows[: 1 if shared else None]:
        said = _about(evaluation.figures)
        parts.append(f"<p>{html.escape(said if len(rows) == 1 or shared else f'{story.name}: {said}')}</p>")
    alike = shared is not None or len(rows) == 1
    parts += [_figures(rows, alike), _thresholds(rows), _ious(rows), _errors(rows), _confusion(rows), _classes(rows)]
    parts.append(_extremes(rows))
    if len(stories) == 1:
        parts.append(_others(stories[0].evaluations[1:]))
    return "".join(parts)


def _about(figures: dict[str, Any]) -> str:
    measured = figures.get("measured", figures["split"])
    which = measured if measured == figures["split"] else f"({measured})"
    opened = "".join(f", {name} {value}" for name, value in figures.get("opened", {}).items())
    return f"{figures['data']} {which}, {figures['images']} photos, protocol {figures['protocol']}{opened}"


def _figures(rows: Rows, same_photos: bool) -> str:
    """All figures, beside those of the trivial boxes and with the best in bold where the photos are the same."""
    cells_of: dict[str, list[str]] = {}
    first, baselines = rows[0][2].figures, TRIVIAL if same_photos else ()
    for name, said in SAYS.items():
        values = [evaluation.figures.get(name) for *_, evaluation in rows]
        known = [value for value in values if isinstance(value, int | float)]
        if not known:
            continue
        cells = []
        for value, (*_, evaluation) in zip(values, rows, strict=True):
            ends = evaluation.figures["Interval95"].get(name)
            best = same_photos and len(rows) > 1 and value == max(known)
            shown = f"<b>{number(value)}</b>" if best else number(value)
            cells.append(shown + (f"<small>{ends[0]:.1f} – {ends[1]:.1f}</small>" if ends else ""))
        trivial = [number(first[baseline].get(name)) for baseline in baselines]
        cells_of[f"{name}<small>{said}</small>"] = cells + trivial
    cut = [evaluation.figures["threshold"] for *_, evaluation in rows]
    sources = [str(evaluation.figures.get("threshold_source", "")) for *_, evaluation in rows]
    said = [
        html.escape(value) if isinstance(value, str) else f"{value:.3g}<small>{html.escape(source)}</small>"
        for value, source in zip(cut, sources, strict=True)
    ]
    cells_of["threshold<small>share of the heatmap's peak</small>"] = [*said, *("" for _ in baselines)]
    head = ["percent", *(named(place, story) for place, story, _ in rows), *baselines]
    text = "Small figures: where it would lie on 95 % of other draws of as many photos."
    if baselines:
        text += " CentreBox and WholeImage look at nothing: always a box in the middle, always the whole photo."
    return f"{table(head, cells_of)}<p>{text}</p>"


def _thresholds(rows: Rows) -> str:
    """Box accuracy against threshold, the one in use marked."""
    charts = []
    for iou in IOUS:
        lines = []
        for place, story, evaluation in rows:
            if curves := evaluation.figures.get("Curves"):
                points = list(zip(curves["threshold"], curves[f"IoU{iou}"], strict=True))
                cut = evaluation.figures["threshold"]
                at = None
                if not isinstance(cut, str):
                    at = cut, float(np.interp(cut, curves["threshold"], curves[f"IoU{iou}"]))
                lines.append(Line(story.name, place, points, at))
        if lines:
            charts.append(line_chart(f"boxes right at IoU {iou}, %", "threshold", lines, (0.0, 100.0), wide=(0.0, 1.0)))
    if not charts:
        return ""
    return (
        f'<h3>How much hangs on the threshold</h3><div class="charts">{"".join(charts)}</div>'
        "<p>A dot marks the threshold in use; there is none where each heatmap is cut at its own mean (auto).</p>"
    )


def _ious(rows: Rows) -> str:
    lines = [
        Line(story.name, place, [(bin / len(shares), share) for bin, share in enumerate(shares)])
        for place, story, evaluation in rows
        if (shares := evaluation.figures.get("IoUs"))
    ]
    if not lines:
        return ""
    chart = bar_chart("photos, %", "IoU of the box with the true one", lines, 1 / len(lines[0].points))
    return f'<h3>How well boxes fit</h3><div class="charts">{chart}</div>'


def _errors(rows: Rows) -> str:
    if not any(evaluation.figures.get("Errors") for *_, evaluation in rows):
        return ""
    shares = {}
    for kind, said in GOES_WRONG.items():
        values = [(evaluation.figures.get("Errors") or {}).get(kind) for *_, evaluation in rows]
        shares[f"{kind}<small>{said}</small>"] = list(map(number, values))
    head = ["percent of photos", *(named(place, story) for place, story, _ in rows)]
    return f"<h3>What goes wrong</h3>{table(head, shares)}"


def _confusion(rows: Rows) -> str:
    """A matrix for each run; where there are many classes, the pairs that are confused most often."""
    shown = []
    for place, story, evaluation in rows:
        if confusion := evaluation.figures.get("Confusion"):
            names = list(evaluation.figures["PerClass"])
            drawn = _matrix(confusion, names) if len(names) <= MATRIX else _pairs(confusion)
            caption = f"<figcaption>{named(place, story)}</figcaption>" if len(rows) > 1 else ""
            shown.append(f'<figure class="wide">{caption}{drawn}</figure>')
    if not shown:
        return ""
    return f'<h3>Which classes are taken for which</h3><div class="side">{"".join(shown)}</div>'


def _matrix(confusion: dict[str, dict[str, int]], names: list[str]) -> str:
    rows = []
    for name in names:
        said = confusion.get(name, {})
        total = max(sum(said.values()), 1)
        cells = []
        for other in names:
            count = said.get(other, 0)
            colour = "var(--c2)" if other == name else "var(--c1)"
            shade = (
                f' style="background: color-mix(in srgb, {colour} {90 * count // total}%, transparent)"'
                if count
                else ""
            )
            hint = html.escape(f"{name}, taken for {other}: {count} of {total}")
            cells.append(f'<td{shade} title="{hint}">{count or ""}</td>')
        rows.append(f"<tr><th>{html.escape(name)}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    head = f"<thead><tr><td></td>{head}</tr></thead>"
    legend = "<figcaption>Photos. Rows: what is in them; columns: what is said of them.</figcaption>"
    return f'<table class="matrix">{head}{"".join(rows)}</table>{legend}'


def _pairs(confusion: dict[str, dict[str, int]]) -> str:
    pairs = [
        (count / sum(said.values()), count, name, other)
        for name, said in confusion.items()
        for other, count in said.items()
        if other != name
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[1], -pair[0], *pair[2:]))[:PAIRS]
    if not worst:
        return "<p>No class is taken for another.</p>"
    cells = {
        html.escape(name) + f"<!-- {place} -->": [html.escape(other), str(count), f"{100 * share:.0f} %"]
        for place, (share, count, name, other) in enumerate(worst)
    }
    return table(["class", "taken for", "photos", "of the class"], cells)


def _classes(rows: Rows) -> str:
    """Every class, in a table that sorts."""
    names = list(dict.fromkeys(name for *_, evaluation in rows for name in evaluation.figures["PerClass"]))
    figures = [
        (metric, place, story, evaluation.figures["PerClass"])
        for metric in OF_CLASS
        for place, story, evaluation in rows
        if any(row.get(metric) is not None for row in evaluation.figures["PerClass"].values())
    ]
    counts = rows[0][2].figures["PerClass"]
    body = []
    for name in names:
        count = counts.get(name, {}).get("images", 0)
        values = [of.get(name, {}).get(metric) for metric, _, _, of in figures]
        cells = [
            f'<td data-value="{-1 if value is None else value}">{value if value == count else number(value)}</td>'
            for value in (count, *values)
        ]
        body.append(f"<tr><th>{html.escape(name)}</th>{''.join(cells)}</tr>")
    several = len(rows) > 1
    heads = [
        f"{metric}<small>{named(place, story)}</small>" if several else metric for metric, place, story, _ in figures
    ]
    head = "".join(f"<th>{each}</th>" for each in ("class", "photos", *heads))
    shown = f'<table class="sorted"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<h3>Every class</h3><p>A click on a heading sorts.</p><div class="wide tall">{shown}</div>'


def _extremes(rows: Rows) -> str:
    parts = []
    for kind in ("best", "worst"):
        shown = [
            picture(evaluation.picture(kind), story.name if len(rows) > 1 else "") for _, story, evaluation in rows
        ]
        if any(shown):
            parts.append(f'<h3>The {kind} photos</h3><div class="side">{"".join(shown)}</div>')
    if parts:
        parts.insert(1, "<p>The orange box is found, the dashed one true; the number is their IoU.</p>")
    return "".join(parts)


def _others(evaluations: list[Evaluation]) -> str:
    """Evaluations before the last one."""
    names = [name for name in ("Top1Cls", "MaxBoxAcc", "GTKnownLoc", "Top1Loc", "PxAP")]
    rows = {
        html.escape(_about(evaluation.figures)): [number(evaluation.figures.get(name)) for name in names]
        for evaluation in evaluations
    }
    return f"<h3>Earlier evaluations</h3>{table(['', *names], rows)}" if rows else ""
