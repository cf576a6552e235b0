"""The model card of a run on the Hugging Face Hub: README.md, made from what the run knows of itself."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from wsol.errors import WsolError, listed
from wsol.methods.references import reference
from wsol.runs.folder import Run
from wsol.system.files import read_json

FIGURES = {
    "Top1Cls": "photos whose best class is right",
    "MaxBoxAcc": "boxes with an IoU of at least 0.5, at the best threshold",
    "MaxBoxAccV2": "the same over IoUs of 0.3, 0.5 and 0.7",
    "GTKnownLoc": "boxes with an IoU of at least 0.5",
    "Top1Loc": "photos whose class and box are right",
}
FROM = {"labels": "class labels alone, without any box", "validation boxes": "true boxes of a few photos"}


def card(run: Run, to: str, license: str | None = None) -> str:
    """The text of the card.

    to: USER/NAME of the repository.
    license: as the hub spells it.
    """
    head: dict[str, Any] = {"library_name": "wsol", "pipeline_tag": "object-detection"}
    head |= {"tags": ["wsol", "weakly-supervised-object-localization", *(entry.name for entry in run.stack.entries)]}
    if license:
        head["license"] = license
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {to.partition('/')[2]}",
        f"Says which of {len(run.classes)} classes a photo shows, and where: boxes, masks and heatmaps, by a "
        f"{run.resolved.settings.backbone} that was trained on {FROM[run.stack.learns_from]} "
        f"({run.stack.title}, on {_escaped(Path(run.data).name)}).",
        f'```python\nimport wsol\n\nfor result in wsol.locate("hf://{to}", "photos"):\n    print(result.path, '
        "result.name, result.score, result.boxes)\n```",
        f"Or `wsol locate hf://{to} photos --output found --format coco,overlay`.",
        _measured(run),
        f"## Classes\n\n{_escaped(listed(list(run.classes), most=100))}",
        _settings(run),
        _papers(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def last_evaluation(run: Run) -> dict[str, Any] | None:
    """The figures of the run's last evaluation; None where it was not measured."""
    stored = []
    for path in sorted((run.folder / "evaluations").glob("*.json")):
        with suppress(WsolError):  # a damaged one is no reason not to share the run
            stored.append(read_json(path))
    return max(stored, key=lambda figures: str(figures.get("date", "")), default=None)


def _measured(run: Run) -> str:
    figures = last_evaluation(run)
    if figures is None:
        known = run.figures().get("Top1Cls")
        said = "" if known is None else f" Of its validation photos it says the class of {known:.1f} %."
        return f"## Figures\n\nIts boxes have not been measured.{said}"
    rows = [
        f"| {name} | {figures[name]:.1f} | {meaning} |"
        for name, meaning in FIGURES.items()
        if isinstance(figures.get(name), float | int)
    ]
    data, images = _escaped(Path(str(figures.get("data"))).name), figures.get("images")
    cut = f"threshold {figures.get('threshold')} ({figures.get('threshold_source')})"
    heading = f"On {images} photos of {data} ({figures.get('measured')}), {cut}:"
    table = "\n".join(["| figure | % | |", "|---|---|---|", *rows])
    return f"## Figures\n\n{heading}\n\n{table}"


def _settings(run: Run) -> str:
    settings = run.resolved.settings
    threshold = run.folder / "threshold.json"
    chosen = read_json(threshold).get("threshold") if threshold.is_file() else settings.threshold
    by_mean = chosen in (None, "validation", "auto")
    lines = [
        f"* photos of {settings.image_size} x {settings.image_size} pixels, whatever their aspect was",
        f"* {settings.epochs} epochs, batches of {settings.batch_size}, seed {settings.seed}",
        f"* boxes are cut at {'the mean of each heatmap' if by_mean else f'{chosen} of the heatmap’s peak'}",
    ]
    if run.several:
        lines.append("* a photo may show several classes")
    if settings.background is not None:
        lines.append(f"* `{_escaped(settings.background)}` stands for photos without an object, and gets no box")
    options = ", ".join(f"{name} {json.dumps(value)}" for name, value in run.resolved.options.items())
    return "\n".join(["## Training", "", *lines, *([f"* {run.stack.title}: {_escaped(options)}"] if options else [])])


def _papers(run: Run) -> str:
    papers = [paper for entry in run.stack.entries if (paper := reference(entry))]
    said = "\n".join(f"* {paper.paper} ({paper.venue} {paper.year}). {paper.link}" for paper in papers)
    bibtex = "\n\n".join(paper.bibtex for paper in papers)
    return f"## Papers\n\n{said}\n\n```bibtex\n{bibtex}\n```" if papers else ""


def _escaped(text: str) -> str:
    """Names as they are, whatever Markdown or HTML would make of them."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|&" else sign for sign in " ".join(text.split()))
