"""How likely a box is right, told from its heatmap alone."""

import numpy as np
from jaxtyping import Float

from wsol.boxes.rule import Threshold, box_iou, contour_boxes, cut

STEP = 1.5  # the threshold is moved by this factor, down and up
# logistic regression of "IoU >= 0.5" on the two signs, each run of equal weight: benchmarks/without_boxes.py
CONSTANT, WEIGHTS = -3.11, np.array([1.67, 3.89])


def confidence(
    heatmap: Float[np.ndarray, "H W"], boxes: Float[np.ndarray, "n 4"], threshold: Threshold
) -> Float[np.ndarray, " n"]:
    """The chance, 0 to 1, that each box has an IoU of at least 0.5 with an object of the class.

    heatmap: normalised; boxes: in its pixels, cut at `threshold`. What the chance is worth on other photos:
    docs/metrics.md.
    """
    return 1 / (1 + np.exp(-(CONSTANT + signs(heatmap, boxes, threshold) @ WEIGHTS)))


def signs(
    heatmap: Float[np.ndarray, "H W"], boxes: Float[np.ndarray, "n 4"], threshold: Threshold
) -> Float[np.ndarray, "n 2"]:
    """Two IoUs of each box: with where it would be if the threshold moved, and with where photographers place objects.

    That is about the centre, with 0.7 of each side.
    """
    height, width = heatmap.shape
    share = cut(heatmap, threshold)
    moved = [contour_boxes(heatmap, share) for share in (share / STEP, min(share * STEP, 1.0))]
    steady = np.mean([box_iou(boxes, each).max(1) if len(each) else np.zeros(len(boxes)) for each in moved], axis=0)
    centre = np.array([[0.15 * width, 0.15 * height, 0.85 * width, 0.85 * height]])
    return np.stack([steady, box_iou(boxes, centre)[:, 0]], axis=1)
