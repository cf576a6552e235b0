"""Which threshold to take without any box, and what the confidence of a box is worth.

    python benchmarks/without_boxes.py docs/results/without_boxes.md RUN DATA [RUN DATA ...]

RUN is a run folder, or a file of ImageNet weights (NAME.safetensors of a backbone called NAME without its `_100`) whose
own classes the data set has. Neighbouring runs on the same data are each other's second method. Beside the table goes
the reliability curve of the confidence, as a picture.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from cyclopts import App
from matplotlib.figure import Figure
from torch import Tensor, nn

from wsol.backbones import build_backbone
from wsol.boxes.confidence import CONSTANT, WEIGHTS, signs
from wsol.boxes.rule import box_iou, evaluator_box, normalise, scale_boxes
from wsol.data import Dataset, open_data
from wsol.data.crops import EvaluationImages
from wsol.data.dataset import NoSplit
from wsol.methods.cam import CAM
from wsol.runs.folder import Run
from wsol.runs.opening import load
from wsol.training.pace import use_bf16

app = App(help=__doc__)
TRIED = np.arange(0, 1, 0.01)
SIDE = 224
HALF, GRID = 0.5, (SIDE, SIDE)


class Seen(NamedTuple):
    """One run on one data set: maps, and boxes (photos, thresholds, 4) of three views, for n photos."""

    name: str
    data: str
    maps: np.ndarray  # (n, 224, 224)
    plain: np.ndarray
    mirrored: np.ndarray
    smaller: np.ndarray
    right: np.ndarray  # (n, thresholds): whether the plain box hits

    def at(self, thresholds: np.ndarray) -> np.ndarray:
        """Whether each photo's box hits at its own threshold."""
        return self.right[np.arange(len(self.right)), nearest(thresholds)]


@app.default
def without_boxes(output: Path, *runs: str) -> None:
    """Writes the table to OUTPUT and the picture beside it."""
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    seen, columns = [], []
    for run, data in pairs:
        seen.append(look(run, data, "test"))
        print(seen[-1].name, seen[-1].data, flush=True)
    for index, each in enumerate(seen):
        near = [seen[i] for i in (index + 1, index - 1) if 0 <= i < len(seen) and seen[i].data == each.data]
        columns.append(rules(each, near[0] if near else None, validation(*pairs[index])))
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = [
        f"| threshold | {' | '.join(f'{each.name}, {each.data}' for each in seen)} | mean loss | worst |",
        f"|---|{'---:|' * (len(seen) + 2)}",
    ]
    for name in names:
        found = [column.get(name) for column in columns]
        cells = ["" if value is None else f"{value[0]:.1f} ({value[1]:.2f})" for value in found]
        lost = [column["best on the test boxes"][0] - column[name][0] for column in columns if name in column]
        lines.append(f"| {name} | {' | '.join(cells)} | {np.mean(lost):.1f} | {max(lost):.1f} |")
    text = "\n".join([*lines, "", *reliability(seen, output.with_suffix(".png"))]) + "\n"
    print(text)
    output.write_text(text, encoding="utf-8")


@torch.no_grad()
def look(run: str, data: str, split: str) -> Seen:
    """Raises WsolError where the data set has no such split."""
    method, size, name = opened(run)
    photos = open_data(data, split, size=size * 8 // 7)  # type: ignore[arg-type]
    maps, boxes, right = [], {"plain": [], "mirrored": [], "smaller": []}, []
    for images, labels, indices, sizes in torch.utils.data.DataLoader(EvaluationImages(photos, size), batch_size=32):
        small = nn.functional.interpolate(images, scale_factor=0.75, mode="bilinear", antialias=True)
        views = {"plain": images, "mirrored": images.flip(-1), "smaller": small}
        for view, shown in views.items():
            with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16("auto")):
                heatmaps = method.heatmaps(method.predict(shown), labels[:, None])[:, 0].float()
            heatmaps = heatmaps.flip(-1) if view == "mirrored" else heatmaps
            grids = [normalise(each, GRID) for each in heatmaps.numpy()]
            boxes[view] += [at_all(grid) for grid in grids]
            maps += grids if view == "plain" else []
        right += hits(boxes["plain"][len(right) :], photos, indices, sizes)
    return Seen(name, photos.name, np.array(maps, np.float32), *map(np.array, boxes.values()), np.array(right))


def opened(run: str) -> tuple[nn.Module, int, str]:
    if Path(run).suffix == ".safetensors":
        backbone = Path(run).stem.removesuffix("_100")
        return CAM(build_backbone(backbone, run), 1000, head="pretrained").eval(), SIDE, f"CAM on {backbone}"
    trained, settings = load(run), Run.read(run).resolved.settings
    return trained.method.cpu(), trained.image_size, f"{type(trained.method).__name__} on {settings.backbone}"


def at_all(grid: np.ndarray) -> np.ndarray:
    """The box at every threshold; the whole map where nothing is above."""
    return np.concatenate([evaluator_box(grid, threshold, empty="image") for threshold in TRIED])


def hits(boxes: list[np.ndarray], photos: Dataset, indices: Tensor, sizes: Tensor) -> list[np.ndarray]:
    truths = [
        scale_boxes(photos.truth(index).boxes, tuple(size), GRID, whole=True)
        for index, size in zip(indices.tolist(), sizes.tolist(), strict=True)
    ]
    return [box_iou(each, truth).max(1) >= HALF for each, truth in zip(boxes, truths, strict=True)]


def validation(run: str, data: str) -> Seen | None:
    try:
        return look(run, data, "val")
    except NoSplit:
        return None


def rules(seen: Seen, other: Seen | None, val: Seen | None) -> dict[str, tuple[float, float]]:
    """Rule -> share of photos found, in percent, and its threshold (mean over photos)."""
    share, own = seen.right.mean(0), seen.maps.mean((1, 2))
    chosen = {"0.2": 0.2, "best on the test boxes": TRIED[share.argmax()]}
    if val is not None:
        chosen["best on validation boxes"] = TRIED[val.right.mean(0).argmax()]
    chosen["boxes agree with those of the mirrored photo"] = agreement(seen.plain, seen.mirrored)
    chosen["... of the photo at 3/4 of its size"] = agreement(seen.plain, seen.smaller)
    if other is not None:
        chosen["... of another method"] = agreement(seen.plain, other.plain)
    chosen["... of a threshold 0.1 higher"] = agreement(seen.plain[:, :-10], seen.plain[:, 10:])
    covered = (seen.plain[..., 2:] - seen.plain[..., :2]).prod(-1).mean(0) / SIDE**2
    chosen["boxes cover half of the photo on average"] = TRIED[abs(covered - 0.5).argmin()]
    chosen["mean of all maps"] = own.mean()
    found = {name: np.full(len(own), threshold) for name, threshold in chosen.items()}
    found["each map's Otsu threshold"] = np.array([otsu(each) for each in seen.maps])
    found["each map's mean + 0.2 deviations"] = own + 0.2 * seen.maps.std((1, 2))
    found["each map's mean (auto)"] = own
    return {name: (100 * seen.at(each).mean(), float(each.mean())) for name, each in found.items()}


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The threshold at which boxes of the same photo agree best, beyond what boxes of different photos do (kappa)."""
    agreed = iou(one, other)
    chance = np.mean([iou(one, np.roll(other, shift, 0)) for shift in (1, 7, 31, 101)], axis=0)
    kappa = (agreed - chance) / (1 - chance + 1e-9)
    return TRIED[np.convolve(np.pad(kappa, 3, "edge"), np.full(7, 1 / 7), "valid").argmax()]


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean over photos of the IoU at each threshold."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.maximum(high - low + 1, 0).prod(-1)
    areas = [(each[..., 2:] - each[..., :2] + 1).prod(-1) for each in (one, other)]
    return (shared / (areas[0] + areas[1] - shared)).mean(0)


def otsu(heatmap: np.ndarray) -> float:
    return cv2.threshold((heatmap * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)[0] / 255


def nearest(thresholds: np.ndarray) -> np.ndarray:
    return np.round(thresholds * 100).astype(int).clip(0, 99)


def reliability(seen: list[Seen], picture: Path) -> list[str]:
    """How often boxes of each confidence hit, as lines of Markdown and as a picture; and the fit behind it."""
    facts = [np.array([signs_of(grid) for grid in each.maps]) for each in seen]
    hits = [each.at(each.maps.mean((1, 2))) for each in seen]
    lines = [
        "| | boxes right, % | mean confidence, % | error, points | AUROC | error elsewhere | AUROC elsewhere |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    figure = Figure(figsize=(6, 5), dpi=110, layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color="0.8")
    for index, each in enumerate(seen):
        hit = hits[index]
        others = [i for i, other in enumerate(seen) if other.data != each.data]
        stated = chance(facts[index], np.array([CONSTANT, *WEIGHTS]))
        strange = chance(facts[index], fit([facts[i] for i in others], [hits[i] for i in others]))
        panel.plot(*bins(stated, hit), ".-", linewidth=1, label=f"{each.name}, {each.data}")
        cells = f"{100 * hit.mean():.1f} | {100 * stated.mean():.1f}"
        for known in (stated, strange):
            cells += f" | {calibration_error(known, hit):.1f} | {auroc(known, hit):.2f}"
        lines.append(f"| {each.name}, {each.data} | {cells} |")
    constant, *weights = fit(facts, hits).round(2).tolist()
    lines += ["", f"Fitted on all: constant {constant}, weights {weights}."]
    panel.set(xlabel="confidence", ylabel="share of boxes with IoU ≥ 0.5", xlim=(0, 1), ylim=(0, 1))
    panel.legend(frameon=False, fontsize=7)
    figure.savefig(picture)
    return lines


def signs_of(grid: np.ndarray) -> np.ndarray:
    heatmap = grid.astype(np.float64)
    return signs(heatmap, evaluator_box(heatmap, "auto", empty="image"), "auto")[0]


def fit(facts: list[np.ndarray], hits: list[np.ndarray]) -> np.ndarray:
    """Logistic regression by Newton's method, each run of equal weight: the constant, then a weight a sign."""
    x = np.concatenate([np.insert(each, 0, 1, axis=1) for each in facts])
    y, weight = np.concatenate(hits), np.concatenate([np.full(len(each), 1 / len(each)) for each in hits])
    found = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ found))
        found += np.linalg.solve((x * (weight * p * (1 - p))[:, None]).T @ x, x.T @ (weight * (y - p)))
    return found


def chance(facts: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(fitted[0] + facts @ fitted[1:])))


def bins(stated: np.ndarray, hit: np.ndarray, count: int = 8) -> tuple[list[float], list[float]]:
    """Mean confidence and share of hits in parts of equal size."""
    parts = np.array_split(stated.argsort(), count)
    return [stated[part].mean() for part in parts], [hit[part].mean() for part in parts]


def calibration_error(stated: np.ndarray, hit: np.ndarray) -> float:
    return 100 * float(np.mean([abs(x - y) for x, y in zip(*bins(stated, hit), strict=True)]))


def auroc(stated: np.ndarray, hit: np.ndarray) -> float:
    """Chance that a right box is trusted more than a wrong one."""
    return float((stated[hit][:, None] > stated[~hit][None]).mean())


if __name__ == "__main__":
    app()
