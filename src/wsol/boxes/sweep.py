"""All thresholds of a heatmap in one pass, level by level from above, equal to contours at each of them.

Hills rise out of the level, their regions widen and join, and union-find keeps the box of each. Which region has the
largest outline is mostly known without walking along any: an outline only grows, and encloses no more than its box.
Compiled, one thread, no interpreter lock held.
"""

from typing import NamedTuple

import numpy as np

from wsol.boxes.compiling import compiled
from wsol.boxes.hills import BEGIN, HEIGHT, HILL, LEVELS, OTHER, OWNER, ROW, STOP, X, Y, find_hills, root

X0, Y0, X1, Y1 = range(4)


class Regions(NamedTuple):
    """What stands above a level, by the hill that owns it.

    owners: (k,) as in union-find.
    standing: (k,) the hills that own a region; the first `count`, which is kept elsewhere.
    boxes: (k, 4) x0 y0 x1 y1, the last pixel inside.
    bounds: (k,) twice the area that the outline can enclose at most; -1 where the box has changed.
    known: (k,) twice the area that it encloses at least, or the number of pixels.
    ious: (k,) of the box with the best true one.
    """

    owners: np.ndarray
    standing: np.ndarray
    boxes: np.ndarray
    bounds: np.ndarray
    known: np.ndarray
    ious: np.ndarray


@compiled
def sweep(levels, true_boxes, offset, by_pixels):
    """Best IoU with any true box where foreground is above each cutoff 0 to 255: of the largest component, and of any.

    levels: (H, W) uint8. true_boxes: (m, 4) in the map's pixels. offset: added to each width and height in IoU.
    by_pixels: the largest component has the most pixels, the first of equal ones; else the largest outline, the last.
    Third, cutoffs at which outlines of equal area may lie inside one another: there the first answer is not decided
    here. -1 where nothing is above the cutoff.
    """
    every, holes = enclosed(levels, true_boxes, offset)
    single, undecided = np.full(LEVELS, -1.0), np.zeros(LEVELS, np.bool_)
    height, width = levels.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1 : height + 1, 1 : width + 1] = levels
    padded = padded.ravel()
    hills = find_hills(levels, 1)
    pixels = counted(levels, hills) if by_pixels else np.zeros((LEVELS, 0), np.int32)
    regions, count = nothing(hills.number), 0
    standing, boxes, bounds, known, ious = regions.standing, regions.boxes, regions.bounds, regions.known, regions.ious
    for level in range(LEVELS - 1, 0, -1):
        cutoff = level - 1
        count = lower(regions, count, hills, level, by_pixels)
        for hill in range(pixels.shape[1]):
            if pixels[level, hill]:
                known[root(regions.owners, hill)] += pixels[level, hill]
        if count == 0:
            continue
        largest = 0
        for n in range(count):
            region = standing[n]
            if bounds[region] < 0:
                x0, y0, x1, y1 = boxes[region, X0], boxes[region, Y0], boxes[region, X1], boxes[region, Y1]
                bounds[region] = 2 * (x1 - x0) * (y1 - y0)
                ious[region] = best_iou(x0, y0, min(x1 + 1, width - 1), min(y1 + 1, height - 1), true_boxes, offset)
            every[cutoff] = max(every[cutoff], ious[region])
            if known[region] > known[standing[largest]]:
                largest = n
        # it goes first, so that it is the first to be walked along
        standing[0], standing[largest] = standing[largest], standing[0]
        best, tied = choose(padded, width, regions, count, hills, cutoff, by_pixels)
        single[cutoff] = ious[best]
        undecided[cutoff] = tied and holes[cutoff] > 0 and not by_pixels
    return single, every, undecided


@compiled
def enclosed(levels, true_boxes, offset):
    """Best IoU of any hole's border with any true box at each cutoff, -1 where there is none; the number of holes."""
    height, width = levels.shape
    every, holes = np.full(LEVELS, -1.0), np.zeros(LEVELS, np.int64)
    hills = find_hills(np.uint8(LEVELS - 1) - levels, 0)
    regions, count = nothing(hills.number), 0
    standing, boxes, bounds, ious = regions.standing, regions.boxes, regions.bounds, regions.ious
    for level in range(LEVELS - 1, 0, -1):
        cutoff = LEVELS - 1 - level
        count = lower(regions, count, hills, level, False)
        for n in range(count):
            region = standing[n]
            if bounds[region] < 0:
                x0, y0, x1, y1 = boxes[region, X0], boxes[region, Y0], boxes[region, X1], boxes[region, Y1]
                inside = x0 > 0 and y0 > 0 and x1 < width - 1 and y1 < height - 1
                x1, y1 = min(x1 + 2, width - 1), min(y1 + 2, height - 1)
                ious[region] = best_iou(x0 - 1, y0 - 1, x1, y1, true_boxes, offset) if inside else -1.0
                bounds[region] = inside
            every[cutoff] = max(every[cutoff], ious[region])
            holes[cutoff] += bounds[region]
    return every, holes


@compiled
def nothing(count):
    boxes = np.empty((count, 4), np.int64)
    boxes[:, X0] = boxes[:, Y0] = np.iinfo(np.int64).max
    boxes[:, X1] = boxes[:, Y1] = -1
    standing, known = np.empty(count, np.int64), np.zeros(count, np.int64)
    return Regions(np.arange(count), standing, boxes, np.empty(count, np.int64), known, np.empty(count))


@compiled
def lower(regions, count, hills, level, by_pixels):
    """Lets regions widen and join down to a level; how many there are."""
    joined = False
    for n in range(hills.starts[level], hills.starts[level + 1]):
        event = hills.events[n]
        region = root(regions.owners, event[HILL])
        if event[OTHER] < 0:
            if regions.boxes[region, X1] < 0:
                regions.standing[count] = region
                count += 1
            widen(regions, region, event[X], event[Y], event[X], event[Y])
            continue
        other = root(regions.owners, event[OTHER])
        if other != region:
            joined = True
            regions.owners[other] = region
            known = regions.known[region], regions.known[other]
            regions.known[region] = sum(known) if by_pixels else max(known)
            x0, y0, x1, y1 = regions.boxes[other]
            widen(regions, region, x0, y0, x1, y1)
    if joined:
        kept = 0
        for n in range(count):
            region = regions.standing[n]
            if regions.owners[region] == region:
                regions.standing[kept] = region
                kept += 1
        count = kept
    return count


@compiled(inline="always")
def widen(regions, region, x0, y0, x1, y1):
    box = regions.boxes[region]
    box[X0], box[Y0] = min(box[X0], x0), min(box[Y0], y0)
    box[X1], box[Y1] = max(box[X1], x1), max(box[Y1], y1)
    regions.bounds[region] = -1


@compiled
def choose(padded, width, regions, count, hills, cutoff, by_pixels):
    """The largest region, and whether another one is as large."""
    sizes = regions.known if by_pixels else regions.bounds
    best, rivals = regions.standing[0], 0
    least = regions.known[best]
    for n in range(count):
        rivals += sizes[regions.standing[n]] >= least
    if rivals == 1:
        return best, False
    largest, latest, tied = np.int64(-1), 0, False
    for n in range(count):
        region = regions.standing[n]
        if sizes[region] < max(least, largest):
            continue
        first = first_pixel(padded, width, regions, hills, region, cutoff)
        if not by_pixels:
            regions.known[region] = outline(padded, first, cutoff, width + 2) if sizes[region] else 0
        size = regions.known[region]
        if size > largest or (size == largest and (first > latest) != by_pixels):
            best, latest = region, first
        tied = size == largest or (tied and size < largest)
        largest = max(largest, size)
    return best, tied


@compiled
def first_pixel(padded, width, regions, hills, region, cutoff):
    """The region's first pixel in raster order, its place in the padded map."""
    y = regions.boxes[region, Y0]
    for n in range(hills.rows[y], hills.rows[y + 1]):
        run = hills.runs[n]
        if run[HEIGHT] > cutoff and root(regions.owners, run[OWNER]) == region:
            for pixel in range((y + 1) * (width + 2) + run[BEGIN] + 1, (y + 1) * (width + 2) + run[STOP] + 1):
                if padded[pixel] > cutoff:
                    return pixel
    return 0


@compiled
def counted(levels, hills):
    """(256, k) pixels of each level that a hill has."""
    pixels = np.zeros((LEVELS, hills.number), np.int32)
    for run in hills.runs:
        for level in levels[run[ROW], run[BEGIN] : run[STOP]]:
            pixels[level, run[OWNER]] += 1
    return pixels


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
