"""What tells photos of known classes from photos of other things: AUROC of score, confidence and energy.

python benchmarks/unsure.py runs/bas --known CUB_200_2011 --unknown flowers17 --unknown VOC2012 --output unsure.md
"""

from pathlib import Path

import numpy as np
import torch
from cyclopts import App
from jaxtyping import Float

import wsol
from wsol.data import Dataset, open_data
from wsol.data.crops import evaluation_view
from wsol.data.dataset import Split
from wsol.localizer import Localizer, energy
from wsol.locating.result import find

app = App(help=__doc__)
SIGNS = ("score", "confidence", "energy")
BATCH = 20


@app.default
def main(*runs: Path, known: Path, unknown: tuple[Path, ...], photos: int = 240, output: Path | None = None) -> None:
    """
    runs: run folders, all trained on the known classes.
    known: the data set of these classes; its validation photos set the level of energy.
    unknown: data sets of other things; photos of theirs that show birds are left out.
    photos: at most so many of each split, spread over it.
    output: a Markdown table.
    """
    signs = " | ".join(f"AUROC, {sign}" for sign in SIGNS)
    lines = [
        f"Known: {known.name}. At most {photos} photos of each split. Flagged: less energy than a twentieth of the"
    ]
    lines += ["validation photos. Made by `python benchmarks/unsure.py`, see there.", ""]
    lines += [f"| run | unknown | photos | {signs} | known flagged | unknown flagged |", "|---|---|" + "---:|" * 6]
    for run in runs:
        localizer = wsol.load(run)
        level = np.quantile(facts(localizer, known, ("val",), photos)["energy"], 0.05)
        right = facts(localizer, known, ("test",), photos)
        for other in unknown:
            wrong = facts(localizer, other, ("train", "test"), photos)
            figures = [auroc(right[sign], wrong[sign]) for sign in SIGNS]
            figures += [float((some["energy"] < level).mean()) for some in (right, wrong)]
            cells = " | ".join(f"{100 * value:.1f}" for value in figures)
            lines.append(f"| {run.name} | {other.name} | {len(wrong['score'])} | {cells} |")
            print(lines[-1], flush=True)
    if output is not None:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def facts(localizer: Localizer, data: Path, splits: tuple[Split, ...], most: int) -> dict[str, Float[np.ndarray, " n"]]:
    """The three signs of photos spread over splits of a data set."""
    rows = [row for split in splits for row in _rows(localizer, open_data(data, split), most)]
    return dict(zip(SIGNS, np.array(rows).T, strict=True))


def _rows(localizer: Localizer, images: Dataset, most: int) -> list[tuple[float, float, float]]:
    birds = {label for label, name in enumerate(images.classes) if name == "bird"}
    spread = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)).tolist()
    chosen = [index for index in spread if not birds & set(images.samples[index].present)]
    rows = []
    for start in range(0, len(chosen), BATCH):
        opened = [images.image(index) for index in chosen[start : start + BATCH]]
        answer = localizer.look(torch.stack([evaluation_view(image, localizer.image_size) for image in opened]))
        energies = energy(answer.logits, localizer.several).tolist()
        scores, heatmaps = answer.scores.amax(1).tolist(), answer.heatmaps[:, 0].numpy()
        for image, score, heatmap, value in zip(opened, scores, heatmaps, energies, strict=True):
            finding = find(0, "", score, heatmap, image.size, localizer.threshold)
            rows.append((score, float(finding.confidence[0]), value))
    return rows


def auroc(right: Float[np.ndarray, " n"], wrong: Float[np.ndarray, " m"]) -> float:
    """The chance that a known photo has the larger value, ties counting half."""
    return float((np.sign(right[:, None] - wrong[None]) + 1).mean() / 2)


if __name__ == "__main__":
    app()
