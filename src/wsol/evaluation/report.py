"""What an evaluation shows and leaves: a table of figures, curves, and the photos with the best and the worst boxes."""

import re
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image
from rich.table import Table

from wsol.data import Dataset
from wsol.data.crops import framed
from wsol.errors import WsolError
from wsol.evaluation.tally import BASELINES, BOXES, CLASSIFICATION, MASKS, SHOWN, Shown
from wsol.metrics import SIZE, Protocol
from wsol.runs.folder import Run
from wsol.show import draw
from wsol.show.report import write_report
from wsol.show.story import EVALUATIONS
from wsol.system.files import write_json, write_picture


def table(figures: dict[str, Any]) -> Table:
    """The figures as a table: a row a metric that is defined, a column for the run and each trivial box."""
    cut_at = figures["threshold"] if figures["threshold"] == "auto" else f"{figures['threshold']:.3g}"
    cases = f" ({figures['cases']} cases)" if figures["cases"] != figures["images"] else ""
    measured = figures.get("measured", figures["split"])
    which = measured if measured == figures["split"] else f"({measured})"
    title = (
        f"{figures['data']} {which}, {figures['images']} photos{cases}, protocol {figures['protocol']}, "
        f"threshold {cut_at} ({figures['threshold_source']})"
    )
    shown = Table("percent", figures["method"], "95 %", *BASELINES, title=title)
    for name in (*CLASSIFICATION, *BOXES, *MASKS, "PeakOnPart"):
        if figures.get(name) is not None:
            ends = figures["Interval95"].get(name)
            interval = f"{ends[0]:.1f} – {ends[1]:.1f}" if ends else ""
            values = [figures[name], *(figures[baseline].get(name) for baseline in BASELINES)]
            measured, *trivial = ("" if value is None else f"{value:.1f}" for value in values)
            shown.add_row(name, measured, interval, *trivial)
    return shown


def pictures(photos: Dataset, protocol: Protocol, shown: dict[str, list[Shown]]) -> dict[str, Image.Image]:
    """The photos with the best and the worst boxes, a sheet each; empty where no photo has a truth."""
    sheets = {}
    for name, kept in shown.items():
        cells = []
        for quality, index, heatmap, box in sorted(kept, key=lambda photo: photo[:2], reverse=True)[:SHOWN]:
            sample, truth = photos.samples[index], photos.truth(index)
            try:
                image = photos.image(index)
            except WsolError:  # maps may come without their images
                image = Image.new("RGB", (SIZE, SIZE))
            true_boxes = protocol.boxes(truth.boxes, photos.size(index)) if len(truth.boxes) else truth.boxes
            view = framed(image, SIZE, protocol.crop)
            picture = draw.overlay(view, heatmap, box, true_boxes)
            cells.append((picture, f"{photos.classes[sample.label]} {abs(quality):.2f}"))
        if cells:
            sheets[name] = draw.contact_sheet([cells[i : i + 4] for i in range(0, len(cells), 4)])
    return sheets


class NotWritten(WsolError):
    """Figures that found no room; they are in `figures`."""

    def __init__(self, said: str, figures: dict[str, Any]) -> None:
        super().__init__(said)
        self.figures = figures


def write_figures(output: Path, figures: dict[str, Any], sheets: dict[str, Image.Image]) -> None:
    """The figures as JSON; curves and sheets beside it. Raises NotWritten, naming the file, where the disk refuses."""
    try:
        write_json(output, figures)
        if figures["Curves"]:
            write_picture(output.with_suffix(".curves.png"), draw.curves({figures["method"]: figures}))
        for name, sheet in sheets.items():
            write_picture(output.with_suffix(f".{name}.png"), sheet)
    except WsolError as error:
        raise NotWritten(str(error), figures) from error


def keep_evaluation(run: Run, figures: dict[str, Any], sheets: dict[str, Image.Image], command: list[str]) -> None:
    """Keeps figures and sheets in the run's folder and renews its report; warns where that cannot be written.

    What was measured in the same way before is replaced.
    """
    words = [figures["data"], figures["split"], figures["protocol"], *figures.get("opened", {}).values()]
    words += ["last"] * (figures.get("checkpoint") == "last") + ["ten-crop"] * bool(figures["ten_crop"])
    name = re.sub(r"[^\w+-]+", "-", "-".join(words)).strip("-")[-100:]
    path = run.folder / EVALUATIONS / f"{name}.json"
    about = {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "command": command}
    try:
        write_json(path, figures | about)
        for kind in ("best", "worst"):
            path.with_suffix(f".{kind}.jpg").unlink(missing_ok=True)
        for kind, sheet in sheets.items():
            write_picture(path.with_suffix(f".{kind}.jpg"), sheet, quality=85)
        write_report(run)
    except (OSError, WsolError) as error:
        warnings.warn(f"{error} (the run's report does not show this evaluation)", stacklevel=2)
