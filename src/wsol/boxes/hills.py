"""A map as hills: parts of which all that lies above any one level is connected.

A row is cut into runs that rise and then fall. Two runs that touch as high as the lower one's peak belong to one hill:
at any level they are connected, or the lower one is not there. So few pixels decide the boxes of all levels: those that
widen a hill's box, and those over which one passes from hill to hill. Compiled, see `wsol.boxes.sweep`.
"""

from typing import NamedTuple

import numpy as np

from wsol.boxes.compiling import compiled

LEVELS = 256
ROW, BEGIN, STOP, PEAK, HEIGHT, OWNER = range(6)  # columns of runs
LEVEL, HILL, X, Y, OTHER = range(5)  # columns of events


class Hills(NamedTuple):
    """The hills of a map (H, W).

    number: how many there are.
    runs: (r, 6) row by row: its row, first pixel, one past the last, the highest, the level there; its hill.
    rows: (H + 1,) the first run of each row.
    events: (n, 5) the lowest level first: there a hill's box reaches X and Y, or the hill joins an OTHER, else -1.
    starts: (257,) the first event of each level.
    """

    number: int
    runs: np.ndarray
    rows: np.ndarray
    events: np.ndarray
    starts: np.ndarray


@compiled
def find_hills(levels, diagonal):
    """Of a map (H, W) of uint8, connected along its sides, and by corners where `diagonal`."""
    runs, rows, passes = cut(levels, diagonal)
    count = 0
    for run in range(len(runs)):
        if runs[run, OWNER] == run:
            count += 1
    numbers, summits = np.empty(len(runs), np.int32), np.empty((count, 2), np.int32)
    count = 0
    for run in range(len(runs)):
        if runs[run, OWNER] == run:
            numbers[run], summits[count, 0], summits[count, 1] = count, runs[run, PEAK], runs[run, ROW]
            count += 1
    owners = runs[:, OWNER].copy()
    for run in range(len(runs)):
        runs[run, OWNER] = numbers[root(owners, run)]
    events, starts = by_level(reached(levels, runs, summits, passes))
    return Hills(count, runs, rows, events, starts)


@compiled
def cut(levels, diagonal):
    """Runs, which own each other as in union-find; the first of each row; passes (p, 3) from run to run at a level."""
    height, width = levels.shape
    most = height * ((width + 1) // 2)
    runs, rows = np.empty((most, 6), np.int32), np.empty(height + 1, np.int32)
    owners, passes = np.empty(most, np.int32), np.empty((4 * most, 3), np.int32)
    count = passed = 0
    for y in range(height):
        row, rows[y], begin = levels[y], count, 0
        while begin < width:
            peak = begin
            while peak + 1 < width and row[peak + 1] >= row[peak]:
                peak += 1
            stop = peak + 1
            while stop < width and row[stop] <= row[stop - 1]:
                stop += 1
            runs[count, ROW], runs[count, BEGIN], runs[count, STOP] = y, begin, stop
            runs[count, PEAK], runs[count, HEIGHT], owners[count] = peak, row[peak], count
            if begin > 0:
                passed = meet(runs, owners, count - 1, count, row[begin - 1], passes, passed)
            count += 1
            begin = stop
        above = rows[max(y - 1, 0)]
        for run in range(rows[y], count):
            while above < rows[y] and runs[above, STOP] + diagonal <= runs[run, BEGIN]:
                above += 1
            for other in range(above, rows[y]):
                if runs[other, BEGIN] >= runs[run, STOP] + diagonal:
                    break
                level = passing(levels, y, runs[other], runs[run], diagonal)
                passed = meet(runs, owners, other, run, level, passes, passed)
    rows[height] = count
    runs[:count, OWNER] = owners[:count]
    return runs[:count], rows, passes[:passed]


@compiled
def passing(levels, y, upper, lower, diagonal):
    """The level at which a run and one in the row above it connect."""
    begin, stop = max(upper[BEGIN], lower[BEGIN]), min(upper[STOP], lower[STOP])
    level = highest_pair(levels[y - 1, begin:stop], levels[y, begin:stop])
    if diagonal:
        begin, stop = max(upper[BEGIN], lower[BEGIN] - 1), min(upper[STOP], lower[STOP] - 1)
        level = max(level, highest_pair(levels[y - 1, begin:stop], levels[y, begin + 1 : stop + 1]))
        begin, stop = max(upper[BEGIN] - 1, lower[BEGIN]), min(upper[STOP] - 1, lower[STOP])
        level = max(level, highest_pair(levels[y - 1, begin + 1 : stop + 1], levels[y, begin:stop]))
    return level


@compiled
def highest_pair(some, others):
    """The highest of the lower ones of each two."""
    level = np.uint8(0)
    for n in range(len(some)):
        level = max(level, min(some[n], others[n]))
    return level


@compiled
def meet(runs, owners, one, other, level, passes, passed):
    """Makes one hill of those of two runs, or notes at which level they connect."""
    one, other = root(owners, one), root(owners, other)
    if one != other:
        if runs[one, HEIGHT] < runs[other, HEIGHT]:
            one, other = other, one
        if level == runs[other, HEIGHT]:
            owners[other] = one
        elif level > 0:
            passes[passed, 0], passes[passed, 1], passes[passed, 2] = one, other, level
            passed += 1
    return passed


@compiled(inline="always")
def root(owners, label):
    while owners[label] != label:
        owners[label] = owners[owners[label]]
        label = owners[label]
    return label


@compiled
def reached(levels, runs, summits, passes):
    """All events, hill by hill."""
    count, (height, width) = len(summits), levels.shape
    # the highest level in each column and row of a hill, and which these are: X0 X1 Y0 Y1
    columns, sides = np.zeros((count, width), np.uint8), np.zeros((count, height), np.uint8)
    extent = np.empty((count, 4), np.int32)
    extent[:, 0], extent[:, 1], extent[:, 2], extent[:, 3] = width, 0, height, 0
    for run in runs:
        hill, y, begin, stop = run[OWNER], run[ROW], run[BEGIN], run[STOP]
        column, row = columns[hill, begin:stop], levels[y, begin:stop]
        for x in range(len(row)):
            column[x] = max(column[x], row[x])
        sides[hill, y] = max(sides[hill, y], run[HEIGHT])
        extent[hill, 0], extent[hill, 1] = min(extent[hill, 0], begin), max(extent[hill, 1], stop)
        extent[hill, 2], extent[hill, 3] = min(extent[hill, 2], y), max(extent[hill, 3], y + 1)
    most = len(passes)
    for x0, x1, y0, y1 in extent:
        most += 2 * (x1 - x0 + y1 - y0)
    events, found = np.empty((most, 5), np.int32), 0
    for hill in range(count):
        x0, x1, y0, y1 = extent[hill]
        found = rises(columns[hill], x0, x1, events, found, hill, summits[hill], X)
        found = rises(sides[hill], y0, y1, events, found, hill, summits[hill], Y)
    for one, other, level in passes:
        if runs[one, OWNER] != runs[other, OWNER]:
            events[found, LEVEL], events[found, HILL], events[found, OTHER] = (
                level,
                runs[one, OWNER],
                runs[other, OWNER],
            )
            found += 1
    return events[:found]


@compiled
def rises(profile, begin, stop, events, found, hill, summit, axis):
    """Notes where a profile is higher than all before, seen from either end."""
    for back in range(2):
        level = np.uint8(0)
        for n in range(begin, stop):
            place = begin + stop - 1 - n if back else n
            if profile[place] > level:
                level = profile[place]
                events[found, LEVEL], events[found, HILL], events[found, OTHER] = level, hill, -1
                events[found, X], events[found, Y] = summit
                events[found, axis] = place
                found += 1
    return found


@compiled
def by_level(events):
    starts = np.zeros(LEVELS + 1, np.int64)
    for event in events:
        starts[event[LEVEL] + 1] += 1
    starts = np.cumsum(starts)
    places, ordered = starts.copy(), np.empty_like(events)
    for event in events:
        ordered[places[event[LEVEL]]] = event
        places[event[LEVEL]] += 1
    return ordered, starts
