"""Draws docs/metrics.png: what each metric looks at, on one generated creature.

python benchmarks/metrics_figure.py docs/metrics.png
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cyclopts import App
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wsol.boxes.rule import find_boxes, foreground, normalise
from wsol.data import Creatures
from wsol.metrics import CLOVA, IOUS, BoxAccuracy, PixelPrecision

app = App(help=__doc__)
ORANGE, BLUE, GREY = "#e69f00", "#0072b2", "#777777"


@app.default
def draw(output: Path, *, photo: int = 14) -> None:
    """Writes the figure. The heatmap is made up: a bump on the head and a weaker one on the body."""
    shown = Creatures("test", images=photo + 1, size=224)
    image, truth = shown.image(photo), shown.truth(photo)
    assert truth.mask is not None and truth.part is not None
    near = [cv2.GaussianBlur(each.astype(np.float64), (0, 0), 14) for each in (truth.part, truth.mask)]
    heatmap = normalise(cv2.resize(near[0] / near[0].max() + 0.45 * near[1], (14, 14)), (224, 224))
    figure = Figure(figsize=(13, 7.2), dpi=90, layout="constrained")
    panels = figure.subplots(2, 4)

    for panel, threshold in zip(panels[0], (None, 0.2, 0.4, 0.75), strict=True):
        panel.imshow(image)
        panel.set_axis_off()
        if threshold is None:
            panel.imshow(heatmap, cmap="inferno", alpha=0.55)
            panel.set_title("heatmap of the true class")
            continue
        box = find_boxes(heatmap, threshold)
        panel.imshow(np.dstack([np.ones((224, 224, 3)) * (0.9, 0.62, 0), 0.45 * foreground(heatmap, threshold)]))
        outline(panel, truth.boxes[0], "white", "--")
        outline(panel, box[0], ORANGE, "-")
        panel.set_title(f"threshold {threshold}: IoU {CLOVA.iou(box, truth.boxes):.2f}")

    metric = BoxAccuracy()
    score = metric.score(heatmap, truth.boxes, (224, 224))
    panels[1, 0].plot(metric.tried, score.single, color=ORANGE, label="largest outline (MaxBoxAcc)")
    panels[1, 0].plot(metric.tried, score.every, color=BLUE, linestyle=":", label="best of all outlines (V2)")
    for iou in IOUS:
        panels[1, 0].axhline(iou / 100, color=GREY, linewidth=0.7)
    panels[1, 0].set(title="IoU of this photo's box", xlabel="threshold", ylim=(0, 1), xlim=(0, 1))
    panels[1, 0].legend(frameon=False, fontsize=8)

    for index in range(60):  # the same bump, blurred more or less: photos that differ
        shift = np.roll(heatmap, np.random.default_rng(index).integers(-25, 26, 2), (0, 1))
        metric.update(metric.score(normalise(shift ** (0.6 + 0.03 * index), (224, 224)), truth.boxes, (224, 224)), 0)
    found, curve = metric.compute(), metric.curves()
    panels[1, 1].plot(curve.thresholds, curve.single[1], color=ORANGE)
    panels[1, 1].plot(found["BestThreshold"], found["MaxBoxAcc"], "o", color=ORANGE)
    panels[1, 1].annotate("MaxBoxAcc", (found["BestThreshold"], found["MaxBoxAcc"] + 3), ha="center", fontsize=9)
    panels[1, 1].plot(0.2, curve.single[1][200], "o", color=BLUE)
    panels[1, 1].annotate("GTKnownLoc\nat a fixed 0.2", (0.3, curve.single[1][200]), fontsize=9)
    panels[1, 1].set(title="60 photos: share with IoU ≥ 0.5, %", xlabel="threshold", ylim=(0, 105), xlim=(0, 1))

    pixels = PixelPrecision()
    counted = pixels.score(heatmap, truth.mask)
    inside, outside = (histogram[::-1].cumsum() for histogram in (counted.inside, counted.outside))
    some = inside + outside > 0
    recall, precision = inside[some] / inside[-1], inside[some] / (inside + outside)[some]
    panels[1, 2].fill_between(recall, precision, color=ORANGE, alpha=0.4)
    panels[1, 2].set(title=f"PxAP: this area, {counted.precision:.0f} %", xlabel="recall", ylabel="precision")
    panels[1, 2].set(ylim=(0, 1.02), xlim=(0, 1))

    kinds(panels[1, 3])
    figure.savefig(output)
    print(f"{output}: written")


def outline(panel: Any, box: np.ndarray, colour: str, style: str) -> None:
    x0, y0, x1, y1 = box
    panel.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=style, linewidth=2))


def kinds(panel: Any) -> None:
    """A true box in grey and a wrong one in orange, for each kind of error."""
    examples = {
        "Part": [(10, 10, 80, 60), (20, 15, 45, 40)],
        "More": [(30, 25, 60, 50), (5, 5, 85, 65)],
        "Several": [(10, 15, 40, 55), (50, 15, 80, 55), (8, 10, 84, 60)],
        "Elsewhere": [(10, 10, 45, 40), (50, 38, 85, 65)],
    }
    for number, (name, boxes) in enumerate(examples.items()):
        x, y = 100 * (number % 2), 95 * (number // 2)
        *objects, wrong = [np.array(box) + (x, y, x, y) for box in boxes]
        for each in objects:
            outline(panel, each, GREY, "--")
        outline(panel, wrong, ORANGE, "-")
        panel.text(x + 45, y + 80, name, ha="center", fontsize=10)
    panel.set(xlim=(0, 195), ylim=(185, 0), title="kinds of errors", aspect="equal")
    panel.set_axis_off()


if __name__ == "__main__":
    app()
