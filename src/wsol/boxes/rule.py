"""From a heatmap to a mask and to boxes, by the integer rule of the field's evaluator; nothing is learnt.

The rule (Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020): the map
is scaled to [0, 1], cut down to 8 bits, and compared with a share of its own maximum. Boxes surround the
contours of what lies strictly above. Locating and evaluating both come here, so a box and its mask never
disagree.
"""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from wsol.boxes import sweep as compiled
from wsol.errors import WsolError

Threshold = float | Literal["auto"]
Largest = Literal["outline", "pixels"]
Empty = Literal["corner", "image"]


def normalise(heatmap: Float[np.ndarray, "h w"], size: tuple[int, int], cubic: bool = True) -> Float[np.ndarray, "H W"]:
    """The heatmap resized to size = (H, W) by cubic (else bilinear) interpolation, then scaled to [0, 1].

    Computed in float64. A map that holds NaN or infinity becomes zeros, and so does one that is constant once
    resized. Cubic weights round: most constant maps come out of resizing with differences of 1e-16, and these
    are scaled up like any others. The evaluator does so too.
    """
    way = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    resized = cv2.resize(heatmap.astype(np.float64), (size[1], size[0]), interpolation=way)
    if not np.isfinite(resized).all() or resized.min() == resized.max():
        return np.zeros(size)
    resized -= resized.min()
    return resized / resized.max()


def thresholds(interval: float = 0.001) -> Float[np.ndarray, " t"]:
    """The evaluator's thresholds (tau): 0, interval, 2 * interval ... below 1."""
    return np.arange(0, 1, interval)


def check_threshold(threshold: Threshold) -> None:
    """Raises WsolError when the threshold is neither in [0, 1] nor "auto"."""
    if threshold != "auto" and not (isinstance(threshold, float | int) and 0 <= threshold <= 1):
        raise WsolError(f"threshold {threshold} is not a share of the heatmap's maximum; give one from 0 to 1, or auto")


def cut(heatmap: Float[np.ndarray, "H W"], threshold: Threshold) -> float:
    """The share of its maximum at which a normalised heatmap is cut: the threshold, or for "auto" the map's own mean.

    The mean needs no box to be chosen, and adapts to each photo: a map that is broad in itself is cut higher.
    Raises WsolError when the threshold is neither in [0, 1] nor "auto".
    """
    check_threshold(threshold)
    return float(heatmap.mean()) if threshold == "auto" else float(threshold)


def foreground(heatmap: Float[np.ndarray, "H W"], threshold: Threshold) -> Bool[np.ndarray, "H W"]:
    """Where a normalised heatmap lies above `threshold`, a share in [0, 1] of its maximum or "auto" (see `cut`).

    Strictly above, in whole steps of 1/255: threshold 0 leaves out the lowest step, 1 leaves nothing.
    Raises WsolError when the threshold is neither in [0, 1] nor "auto".
    """
    levels = _levels(heatmap)
    return levels > int(_cutoffs(levels, np.array([cut(heatmap, threshold)]))[0])


def find_boxes(
    heatmap: Float[np.ndarray, "H W"],
    threshold: Threshold,
    keep: Literal["largest", "all", "union"] = "largest",
) -> Float[np.ndarray, "n 4"]:
    """Boxes x0 y0 x1 y1 around the regions of foreground of a normalised heatmap, in the map's own pixels.

    x1 and y1 are one past the last pixel, so a box has at least one pixel and reaches the border where its region does.
    A region is 8-connected; the border of a hole is none. `evaluator_box` gives the same region as papers count it.

    heatmap: in [0, 1].
    threshold: share in [0, 1] of its maximum or "auto".
    keep: "largest" for the region whose outline encloses most, "all" for a box a region, "union" for one around all.

    Raises WsolError when the threshold is neither in [0, 1] nor "auto".
    """
    boxes, areas, region = _contours(foreground(heatmap, threshold))
    if len(boxes) == 0:
        return boxes
    if keep == "all":
        return boxes[region]
    if keep == "largest":
        return boxes[[areas.argmax()]]
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]


def evaluator_box(
    heatmap: Float[np.ndarray, "H W"], threshold: Threshold, largest: Largest = "outline", empty: Empty = "corner"
) -> Float[np.ndarray, "1 4"]:
    """The one box that a protocol measures: that of the largest region, where x1 and y1 are at most W - 1 and H - 1.

    heatmap: in [0, 1].
    threshold: share in [0, 1] of its maximum or "auto".
    largest: whether that is the region whose outline encloses most or the one with the most pixels.
    empty: the box where the foreground is empty, see `nothing`.

    Raises WsolError when the threshold is neither in [0, 1] nor "auto".
    """
    mask = foreground(heatmap, threshold)
    boxes, areas = _components(mask) if largest == "pixels" else _contours(mask)[:2]
    return _inside(boxes[[areas.argmax()]], mask.shape) if len(boxes) else nothing(empty, mask.shape)


def largest_component(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "1 4"]:
    """The box x0 y0 x1 y1 around the 8-connected region with the most cells, as shares of the map; all where none is.

    x1 and y1 are one past the last cell.
    """
    boxes, cells = _components(mask)
    height, width = mask.shape
    box = boxes[[cells.argmax()]] if len(boxes) else np.array([[0.0, 0.0, width, height]])
    return box / [width, height, width, height]


def contour_boxes(heatmap: Float[np.ndarray, "H W"], threshold: Threshold) -> Float[np.ndarray, "n 4"]:
    """The boxes that MaxBoxAccV2 counts: of all contours, borders of holes among them, as `evaluator_box` ends them."""
    mask = foreground(heatmap, threshold)
    return _inside(_contours(mask)[0], mask.shape)


def nothing(empty: Empty, size: tuple[int, ...]) -> Float[np.ndarray, "1 4"]:
    """The box of an empty foreground on a map of (H, W): the "corner" 0 0 0 0, or the whole "image"."""
    height, width = size if empty == "image" else (1, 1)
    return np.array([[0.0, 0.0, width - 1, height - 1]])


def box_iou(
    boxes: Float[np.ndarray, "n 4"], true_boxes: Float[np.ndarray, "m 4"], offset: int = 1
) -> Float[np.ndarray, "n m"]:
    """Intersection over union in [0, 1] of every box with every true box; 0 where the union has no area.

    offset: added to every width and height; 1 counts x1 and y1 as inside the box (the evaluator's way).
    """
    low = np.maximum(boxes[:, None, :2], true_boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], true_boxes[None, :, 2:])
    shared = np.maximum(high - low + offset, 0).prod(-1)
    areas, true_areas = ((some[:, 2:] - some[:, :2] + offset).prod(1) for some in (boxes, true_boxes))
    united = areas[:, None] + true_areas[None, :] - shared
    return np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)


def scale_boxes(
    boxes: Float[np.ndarray, "n 4"], size_from: tuple[int, int], size_to: tuple[int, int], whole: bool = False
) -> Float[np.ndarray, "n 4"]:
    """Boxes moved from an image of size_from = (W, H) to one of size_to = (W, H).

    whole: cut every coordinate down to a whole pixel, as the evaluator does with true boxes.
    """
    scaled = boxes * np.array(size_to * 2, np.float64) / np.array(size_from * 2, np.float64)
    return np.trunc(scaled) if whole else scaled


def sweep(
    heatmap: Float[np.ndarray, "H W"],
    true_boxes: Float[np.ndarray, "m 4"],
    thresholds: Float[np.ndarray, " t"],
    offset: int = 1,
    largest: Largest = "outline",
    empty: Empty = "corner",
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Best IoU with any true box at every threshold: the largest contour's box, and any contour's box.

    heatmap: normalised; true_boxes: in the map's pixels. offset: of `box_iou`; largest, empty: of `evaluator_box`.
    """
    levels = _levels(heatmap)
    single, every, undecided = compiled.sweep(levels, true_boxes, offset, largest == "pixels")
    # outlines of equal area, perhaps nested: OpenCV's order decides
    for cutoff in np.flatnonzero(undecided):
        boxes, areas, _ = _contours(levels > cutoff)
        single[cutoff] = box_iou(_inside(boxes[[areas.argmax()]], levels.shape), true_boxes, offset).max()
    silent = box_iou(nothing(empty, heatmap.shape), true_boxes, offset).max()
    cutoffs = _cutoffs(levels, thresholds)
    return np.where(single < 0, silent, single)[cutoffs], np.where(every < 0, silent, every)[cutoffs]


def _levels(heatmap: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """A normalised map in 8 bits: truncated, not rounded."""
    return (heatmap * 255).astype(np.uint8)


def _cutoffs(levels: UInt8[np.ndarray, "H W"], thresholds: Float[np.ndarray, " t"]) -> Int[np.ndarray, " t"]:
    """The level that foreground must exceed, for each threshold."""
    return (thresholds * int(levels.max())).astype(int)


def _contours(
    mask: Bool[np.ndarray, "H W"],
) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Box and enclosed area of each contour, and whether a region lies in it, not a hole.

    In OpenCV's order: of equal areas the evaluator takes the first.
    """
    contours, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    boxes = np.array([cv2.boundingRect(contour) for contour in contours], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    areas = np.array([cv2.contourArea(contour) for contour in contours], np.float64)
    region = np.ones(len(contours), np.bool_)
    if len(contours):
        parents = np.asarray(tree, np.int64)[0, :, 3]
        above = parents
        while (above >= 0).any():  # contours alternate: a region, a hole in it, an island in that
            region ^= above >= 0
            above = np.where(above >= 0, parents[above], -1)
    return boxes, areas, region


def _components(mask: Bool[np.ndarray, "H W"]) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
    """Box and number of pixels of each 8-connected component, in raster order of their first pixels."""
    _, labels, found, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    present, first = np.unique(labels.astype(np.int64), return_index=True)
    order = present[first.argsort()]
    found = found[order[order > 0]].astype(np.float64)
    boxes, pixels = found[:, :4], found[:, 4]
    boxes[:, 2:] += boxes[:, :2]
    return boxes, pixels


def _inside(boxes: Float[np.ndarray, "n 4"], size: tuple[int, ...]) -> Float[np.ndarray, "n 4"]:
    """Boxes that end at the last pixel of a map of (H, W) at most."""
    return np.minimum(boxes, [np.inf, np.inf, size[1] - 1, size[0] - 1])
