"""All thresholds of a heatmap in one pass.

Pixels join in order of their level, union-find keeps each connected component's box, and a component stays as it is
until a pixel of another level joins it. So every component of every threshold is met once, with the thresholds between
which it stands. Compiled, one thread, no interpreter lock held.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

LEVELS = 256
UNSEEN = np.int32(2**31 - 1)
# columns of a component: its own level, the level of the pixel that ends it, its box (last pixel inside), first pixel,
# number of pixels
OWN, NEXT, X0, Y0, X1, Y1, FIRST, PIXELS = range(8)


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """`njit`, kept on disk between programs where there is a folder for that: read-only images have none."""
    if function is None:
        return lambda function: compiled(function, **options)
    try:
        return njit(function, nogil=True, cache=True, **options)
    except RuntimeError:  # numba found none that can be written
        return njit(function, nogil=True, **options)


@compiled
def sweep(levels, true_boxes, offset, by_pixels):
    """Best IoU with any true box where foreground is above each cutoff 0 to 255: of the largest component, and of any.

    levels: (H, W) uint8. true_boxes: (m, 4) in the map's pixels. offset: added to each width and height in IoU.
    by_pixels: the largest component has the most pixels, the first of equal ones; else the largest outline, the last.
    Third, cutoffs at which outlines of equal area may lie inside one another: there the first answer is not decided
    here. -1 where nothing is above the cutoff.
    """
    height, width = levels.shape
    shift = 1
    while 1 << shift < width + 2:
        shift += 1
    padded = np.zeros((height + 2, 1 << shift), np.uint8)
    padded[1 : height + 1, 1 : width + 1] = levels
    padded = padded.ravel()
    order = by_level(levels, shift)
    row = 1 << shift
    bright = components(padded, order[::-1], (-1, 1, -row, row, -row - 1, 1 - row, row - 1, row + 1), shift)
    dark = components(padded, order, (-1, 1, -row, row), shift)

    every, single = np.full(LEVELS, -1.0), np.full(LEVELS, -1.0)
    holes = np.zeros(LEVELS, np.int64)
    for hole in dark:
        x0, y0, x1, y1 = hole[X0], hole[Y0], hole[X1], hole[Y1]
        if x0 > 0 and y0 > 0 and x1 < width - 1 and y1 < height - 1:
            iou = best_iou(x0 - 1, y0 - 1, min(x1 + 2, width - 1), min(y1 + 2, height - 1), true_boxes, offset)
            for cutoff in range(hole[OWN], hole[NEXT]):
                every[cutoff] = max(every[cutoff], iou)
                holes[cutoff] += 1

    ious, bounds = np.empty(len(bright)), np.empty(len(bright), np.int64)
    for n, part in enumerate(bright):
        x1, y1 = min(part[X1] + 1, width - 1), min(part[Y1] + 1, height - 1)
        ious[n] = best_iou(part[X0], part[Y0], x1, y1, true_boxes, offset)
        enclosed = 2 * np.int64(part[X1] - part[X0]) * (part[Y1] - part[Y0])
        bounds[n] = part[PIXELS] if by_pixels else enclosed
        for cutoff in range(part[NEXT], part[OWN]):
            every[cutoff] = max(every[cutoff], ious[n])

    # an outline encloses no more than its box: the largest boxes first, and most outlines are never walked
    largest, winner = np.full(LEVELS, np.int64(-1)), np.zeros(LEVELS, np.int64)
    undecided = np.zeros(LEVELS, np.bool_)
    for n in np.argsort(-bounds):
        part = bright[n]
        if part[NEXT] == part[OWN] or bounds[n] < largest[part[NEXT] : part[OWN]].min():
            continue
        area = bounds[n] if by_pixels or not bounds[n] else outline(padded, part[FIRST], part[OWN] - 1, row)
        for cutoff in range(part[NEXT], part[OWN]):
            if area > largest[cutoff]:
                largest[cutoff], winner[cutoff], undecided[cutoff] = area, n, False
            elif area == largest[cutoff]:
                undecided[cutoff] |= holes[cutoff] > 0 and not by_pixels
                if (part[FIRST] > bright[winner[cutoff], FIRST]) != by_pixels:
                    winner[cutoff] = n
    for cutoff in range(LEVELS):
        if largest[cutoff] >= 0:
            single[cutoff] = ious[winner[cutoff]]
    return single, every, undecided


@compiled
def by_level(levels, shift):
    """Places of the pixels in the padded map, the lowest level first, in raster order within a level."""
    height, width = levels.shape
    ends = np.zeros(LEVELS + 1, np.int64)
    for y in range(height):
        for x in range(width):
            ends[levels[y, x] + 1] += 1
    ends = np.cumsum(ends)
    order = np.empty(height * width, np.int32)
    for y in range(height):
        for x in range(width):
            level = levels[y, x]
            order[ends[level]] = ((y + 1) << shift) + x + 1
            ends[level] += 1
    return order


@compiled
def components(padded, order, steps, shift):
    """Every component that stands while pixels join in `order`, connected along `steps`, in the columns above."""
    labels = np.full(len(padded), -1, np.int32)
    # as many as there can ever be: what is not written costs nothing, and growing would cost every pixel
    parents, state = np.empty(len(order), np.int32), np.empty((len(order), 8), np.int32)
    found = np.empty((2 * len(order), 8), np.int32)
    made = count = 0
    for pixel in order:
        level = np.int32(padded[pixel])
        y, x = (pixel >> shift) - 1, (pixel & ((1 << shift) - 1)) - 1
        highest, lowest = np.int32(-1), UNSEEN
        for step in steps:  # no branch here: nearly always one component is near
            label = labels[pixel + step]
            highest, lowest = max(highest, label), min(lowest, label & UNSEEN)
        if highest < 0:
            parents[made] = made
            state[made, OWN], state[made, FIRST], state[made, PIXELS] = level, pixel, 1
            state[made, X0], state[made, Y0], state[made, X1], state[made, Y1] = x, y, x, y
            labels[pixel] = made
            made += 1
            continue
        own = root(parents, highest)
        count = end(state, own, level, found, count)
        if lowest != highest:
            for step in steps:
                other = labels[pixel + step]
                if other >= 0:
                    other = root(parents, other)
                    if other != own:
                        count = end(state, other, level, found, count)
                        parents[other] = own
                        state[own, PIXELS] += state[other, PIXELS]
                        join(state, own, state[other, X0], state[other, Y0], state[other, FIRST])
                        join(state, own, state[other, X1], state[other, Y1], state[other, FIRST])
        join(state, own, x, y, pixel)
        state[own, PIXELS] += 1
        labels[pixel] = own
    # the last one is the whole map: bright, it stands from the first level on; dark, it reaches the border
    found[count] = state[root(parents, labels[order[-1]])]
    found[count, NEXT] = 0
    return found[: count + 1]


@compiled(inline="always")
def end(state, own, level, found, count):
    """Notes a component that a pixel of another level is about to change."""
    if state[own, OWN] != level:
        found[count] = state[own]
        found[count, NEXT] = level
        state[own, OWN] = level
        count += 1
    return count


@compiled(inline="always")
def join(state, own, x, y, first):
    state[own, X0] = min(state[own, X0], x)
    state[own, Y0] = min(state[own, Y0], y)
    state[own, X1] = max(state[own, X1], x)
    state[own, Y1] = max(state[own, Y1], y)
    state[own, FIRST] = min(state[own, FIRST], first)


@compiled(inline="always")
def root(parents, label):
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@compiled(inline="always")
def best_iou(x0, y0, x1, y1, true_boxes, offset):
    """As `wsol.boxes.rule.box_iou`, of one box with the best of the true ones."""
    best, area = 0.0, (x1 - x0 + offset) * (y1 - y0 + offset)
    for box in true_boxes:
        width, height = min(x1, box[2]) - max(x0, box[0]) + offset, min(y1, box[3]) - max(y0, box[1]) + offset
        shared = max(width, 0) * max(height, 0)
        united = area + (box[2] - box[0] + offset) * (box[3] - box[1] + offset) - shared
        if united > 0:
            best = max(best, shared / united)
    return best


@compiled
def outline(padded, first, cutoff, row):
    """Twice the area of the polygon through the border pixels of the component that begins at `first`."""
    steps = (1, row + 1, row, row - 1, -1, -row - 1, -row, 1 - row)  # clockwise from the right
    across, down = (1, 1, 0, -1, -1, -1, 0, 1), (0, 1, 1, 1, 0, -1, -1, -1)
    pixel, begin, started = first, 5, -1  # nothing is left of the first pixel nor above it
    x = y = area = 0
    while True:
        for turn in range(8):
            way = (begin + turn) & 7
            if padded[pixel + steps[way]] > cutoff:
                break
        else:
            return np.int64(0)
        if pixel == first:
            if way == started:
                return np.int64(abs(area))
            if started < 0:
                started = way
        area += x * down[way] - across[way] * y
        x, y, pixel = x + across[way], y + down[way], pixel + steps[way]
        begin = way + 7 - (way & 1)  # what lies before was found empty on the way here
