"""What an evaluation shows: a table of figures, curves, and the photos with the best and the worst boxes."""

from pathlib import Path
from typing import Any

from PIL import Image
from rich.table import Table

from wsol.data import Dataset
from wsol.data.crops import framed
from wsol.errors import WsolError
from wsol.evaluation.tally import BASELINES, BOXES, CLASSIFICATION, MASKS, SHOWN, Shown
from wsol.metrics import SIZE, Protocol
from wsol.show import draw


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


def pictures(
    photos: Dataset, figures: dict[str, Any], protocol: Protocol, shown: dict[str, list[Shown]], output: Path
) -> None:
    """Curves, and the photos with the best and worst boxes, beside the JSON file."""
    if figures["Curves"]:
        draw.curves({figures["method"]: figures}).save(output.with_suffix(".curves.png"))
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
            rows = [cells[i : i + 4] for i in range(0, len(cells), 4)]
            draw.contact_sheet(rows).save(output.with_suffix(f".{name}.png"))
