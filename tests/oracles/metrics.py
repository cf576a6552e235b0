"""The metrics the slow way: every image, every threshold, every pixel counted in plain Python."""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from oracles.boxes import at_224, best_iou


class Photo(NamedTuple):
    """One image to score: its map, true boxes in original pixels, (W, H) and the true class's rank."""

    heatmap: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]
    rank: int


def scale_to_one(heatmap: np.ndarray) -> np.ndarray:
    """A map of 224 x 224 between 0 and 1."""
    values = cv2.resize(heatmap.astype(np.float64), (224, 224), interpolation=cv2.INTER_CUBIC)
    if np.isnan(values).any() or values.min() == values.max():
        return np.zeros((224, 224))
    values = values - values.min()
    return values / values.max()


def box_accuracy(photos: list[Photo], taus: list[float], threshold: float) -> dict[str, float]:
    """All figures but BestThreshold."""
    maps = [scale_to_one(photo.heatmap) for photo in photos]
    truths = [[at_224(box, *photo.size) for box in photo.boxes.tolist()] for photo in photos]

    @cache
    def ious(tau: float, multi: bool) -> list[float]:
        return [best_iou(heatmap, truth, tau, multi) for heatmap, truth in zip(maps, truths, strict=True)]

    def share(tau: float, delta: int, multi: bool = False, best: int = 10**9) -> float:
        right = 0
        for photo, iou in zip(photos, ious(tau, multi), strict=True):
            right += photo.rank < best and iou >= delta / 100
        return right * 100.0 / len(photos)

    return {
        "MaxBoxAcc": max(share(tau, 50) for tau in taus),
        "MaxBoxAcc30": max(share(tau, 30) for tau in taus),
        "MaxBoxAcc50": max(share(tau, 50) for tau in taus),
        "MaxBoxAcc70": max(share(tau, 70) for tau in taus),
        "MaxBoxAccV2": float(np.average([max(share(t, delta, multi=True) for t in taus) for delta in (30, 50, 70)])),
        "GTKnownLoc": share(threshold, 50),
        "Top1Loc": share(threshold, 50, best=1),
        "Top5Loc": share(threshold, 50, best=5),
        "MaxTop1Loc": max(share(tau, 50, best=1) for tau in taus),
        "MaxTop5Loc": max(share(tau, 50, best=5) for tau in taus),
        # in whole millionths
        "MeanBoxIoU": sum(round(10**6 * iou) for iou in ious(threshold, False)) * 100.0 / len(photos) / 10**6,
    }


def pixel_precision(
    maps: list[np.ndarray], masks: list[np.ndarray], ignores: list[np.ndarray | None], taus: list[float]
) -> tuple[float, float]:
    """PxAP and PIoU, counting all pixels anew at every threshold, from the highest down."""
    values, truth = [], []
    for heatmap, mask, ignore in zip(maps, masks, ignores, strict=True):
        scaled = scale_to_one(heatmap)
        # nearest neighbour: the pixel of the original under this one's upper left corner, in OpenCV's arithmetic
        rows, columns = ([int(i * (1 / (224 / length))) for i in range(224)] for length in mask.shape)
        for y in range(224):
            for x in range(224):
                there = (rows[y], columns[x])
                if mask[there] or ignore is None or not ignore[there]:
                    values.append(scaled[y, x])
                    truth.append(mask[there])
    scores, inside = np.array(values), np.array(truth)
    area, overlap, before = 0.0, 0.0, 0.0
    for tau in sorted([*taus, 1.0], reverse=True):
        above = scores >= tau
        right, marked = int((above & inside).sum()), int(above.sum())
        recall = right / int(inside.sum())
        if marked:
            area += right / marked * (recall - before)
        overlap = max(overlap, right / int((above | inside).sum()))
        before = recall
    return area * 100, overlap * 100


def rank(logits: list[float], label: int) -> int:
    """Place of the label when classes are sorted from the best down, equals by index."""
    return sorted(range(len(logits)), key=lambda each: (-logits[each], each)).index(label)


def mean_precision(logits: list[list[float]], present: list[list[bool]]) -> float:
    """mAP: for each class go down the images by logit, equals together, and add precision x gain in recall."""
    found = []
    for label in range(len(logits[0])):
        column = [(row[label], right[label]) for row, right in zip(logits, present, strict=True)]
        every = sum(right for _, right in column)
        if every == 0:
            continue
        area, before = 0.0, 0
        for value in sorted({value for value, _ in column}, reverse=True):
            above = [right for other, right in column if other >= value]
            area += sum(above) / len(above) * (sum(above) - before) / every
            before = sum(above)
        found.append(area)
    return 100 * sum(found) / len(found)


def mean_iou(
    maps: list[np.ndarray], masks: list[np.ndarray], ignores: list[np.ndarray], labels: list[int], taus: list[float]
) -> float:
    """MeanIoU of maps and masks on the grid: a class's pixels at each threshold, then the mean; the best of these."""
    best = 0.0
    for tau in taus:
        ious = []
        for label in sorted(set(labels)):
            shared = either = 0
            for heatmap, mask, ignore, own in zip(maps, masks, ignores, labels, strict=True):
                if own == label:
                    counts = mask | ~ignore
                    shared += int(((heatmap >= tau) & mask).sum())
                    either += int((((heatmap >= tau) | mask) & counts).sum())
            ious.append(shared / either)
        best = max(best, sum(ious) / len(ious))
    return 100 * best
