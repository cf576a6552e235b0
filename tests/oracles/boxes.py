"""Boxes the slow way: OpenCV's contours at every threshold, IoU by counting pixels, components by labelling."""

from functools import cache, lru_cache
from itertools import pairwise

import cv2
import numpy as np

Box = tuple[int, int, int, int]


def mask_above(heatmap: np.ndarray, threshold: float) -> np.ndarray:
    """Foreground, pixel by pixel."""
    levels = _levels(heatmap.astype(np.float64).tobytes(), heatmap.shape)
    cutoff = int(threshold * levels.max())
    return np.array([[level > cutoff for level in row] for row in levels.tolist()])


@lru_cache(maxsize=16)  # a map is asked at a thousand thresholds
def _levels(heatmap: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Eight bits, pixel by pixel, cut down."""
    values = np.frombuffer(heatmap, np.float64).reshape(shape).tolist()
    return np.array([[int(value * 255) for value in row] for row in values], np.uint8)


def contour_boxes(heatmap: np.ndarray, threshold: float, multi: bool) -> list[Box]:
    """What the evaluator keeps at one threshold: the box of the largest contour, or of all, or 0 0 0 0."""
    height, width = heatmap.shape
    levels = _levels(heatmap.astype(np.float64).tobytes(), heatmap.shape)
    _, binary = cv2.threshold(levels, int(threshold * levels.max()), 255, cv2.THRESH_BINARY)
    contours = list(cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2])
    if not contours:
        return [(0, 0, 0, 0)]
    kept = contours if multi else [max(contours, key=cv2.contourArea)]
    rectangles = [cv2.boundingRect(contour) for contour in kept]
    return [(x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in rectangles]


@cache
def iou(one: Box, other: Box) -> float:
    """Shared over joint pixels of two boxes whose right and bottom edges are inside."""
    grids = []
    for x0, y0, x1, y1 in (one, other):
        grid = np.zeros((300, 300), bool)  # true boxes may reach beyond the image: nothing clips them
        grid[y0 : y1 + 1, x0 : x1 + 1] = True
        grids.append(grid)
    return int((grids[0] & grids[1]).sum()) / int((grids[0] | grids[1]).sum())


def best_iou(heatmap: np.ndarray, true_boxes: list[Box], threshold: float, multi: bool) -> float:
    found = contour_boxes(heatmap, threshold, multi)
    return max(iou(box, true) for box in found for true in true_boxes)


def at_224(box: list[float], width: int, height: int) -> Box:
    """A box of the original image on the evaluator's grid."""
    x0, y0, x1, y1 = box
    return (
        int(float(x0) * 224.0 / width),
        int(float(y0) * 224.0 / height),
        int(float(x1) * 224.0 / width),
        int(float(y1) * 224.0 / height),
    )


def contours_of(mask: np.ndarray) -> set[Box]:
    """Boxes of 8-connected components, and of 4-connected enclosed holes grown by a pixel; no contours."""
    return {_box(part, mask.shape) for part in _parts(mask, 8)} | {
        _box(cv2.dilate(hole.astype(np.uint8), np.ones((3, 3))) > 0, mask.shape) for hole in _holes(mask)
    }


def region_boxes(mask: np.ndarray) -> list[Box]:
    """Boxes of 8-connected components, x1 and y1 one past the last pixel."""
    places = [np.nonzero(part) for part in _parts(mask, 8)]
    return [(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) for ys, xs in places]


def largest_box(mask: np.ndarray) -> Box:
    """Box of the component that encloses most; of equals, the one whose first pixel comes last."""
    return _box(max(reversed(_parts(mask, 8)), key=_enclosed), mask.shape)


def _enclosed(part: np.ndarray) -> float:
    """Area through pixel centres of a component without its holes: full 2x2 quads, and half of those with 3."""
    filled = np.pad(part | np.any([*_holes(part), np.zeros_like(part)], axis=0), 1).astype(int)
    quads = filled[1:, 1:] + filled[1:, :-1] + filled[:-1, 1:] + filled[:-1, :-1]
    return (quads == 4).sum() + (quads == 3).sum() / 2


def _parts(mask: np.ndarray, connectivity: int) -> list[np.ndarray]:
    """Connected components, in raster order of their first pixel."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)
    return sorted((labels == label for label in range(1, count)), key=lambda part: part.argmax())


def _holes(mask: np.ndarray) -> list[np.ndarray]:
    padded = np.pad(mask, 1)
    return [part[1:-1, 1:-1] for part in _parts(~padded, 4) if not part[0, 0]]


def _box(part: np.ndarray, shape: tuple[int, ...]) -> Box:
    ys, xs = np.nonzero(part)
    x1, y1 = min(xs.max() + 1, shape[1] - 1), min(ys.max() + 1, shape[0] - 1)
    return int(xs.min()), int(ys.min()), int(x1), int(y1)


def most_pixels_box(mask: np.ndarray) -> Box:
    """Box of the component with the most pixels; of equals, the one whose first pixel comes first."""
    return _box(max(_parts(mask, 8), key=lambda part: part.sum()), mask.shape)


def iou_without_offset(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Shared over joint area of two boxes on the real plane, corner by corner."""
    xs, ys = sorted({one[0], one[2], other[0], other[2]}), sorted({one[1], one[3], other[1], other[3]})
    shared = joint = 0.0
    for x0, x1 in pairwise(xs):
        for y0, y1 in pairwise(ys):
            inside = [b[0] <= x0 and x1 <= b[2] and b[1] <= y0 and y1 <= b[3] for b in (one, other)]
            shared += all(inside) * (x1 - x0) * (y1 - y0)
            joint += any(inside) * (x1 - x0) * (y1 - y0)
    return shared / joint if joint else 0.0
