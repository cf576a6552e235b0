"""What the columns of a table mean, by their names: ours, and those that other programs write."""

import re
from dataclasses import dataclass

from wsol.data.box_formats import BoxFormat
from wsol.errors import WsolError, listed

WANTED = "path,label[,x0,y0,x1,y1][,split]"
PATHS = "path file filename filepath image imagename imagepath imagefile imagefilename img imgname imgpath photo "
PATHS += "photoname photopath relativepath"
IDS = "id imageid photoid"  # name a photo where no other column does
LABELS = "label labels labelname labelid class classname classid classindex classidx category categoryname categoryid "
LABELS += "target species"
SPLITS = "split set subset partition usage"
BOXES = "bbox box boundingbox"
BOX_COLUMNS: list[tuple[str, BoxFormat]] = [
    ("x0 y0 x1 y1", "xyxy"),
    ("xmin ymin xmax ymax", "xyxy"),
    ("x1 y1 x2 y2", "xyxy"),
    ("left top right bottom", "xyxy"),
    ("x y w h", "xywh"),
    ("x y width height", "xywh"),
    ("xmin ymin w h", "xywh"),
    ("xmin ymin width height", "xywh"),
    ("left top width height", "xywh"),
    ("cx cy w h", "cxcywh"),
    ("cx cy width height", "cxcywh"),
    ("xcenter ycenter w h", "cxcywh"),
    ("xcenter ycenter width height", "cxcywh"),
    ("centerx centery width height", "cxcywh"),
]
OF_BOXES = "x0 y0 x1 y1 x2 y2 xmin ymin xmax ymax cx cy xcenter ycenter"  # have no other meaning


@dataclass(frozen=True)
class Columns:
    """Where a table's columns stand.

    path: the photo's.
    labels: those of its class: one, or several that must say the same.
    split: the split's, if there is one.
    box: four of a box's numbers, one that holds all four, or none.
    box_format: what the names say of the numbers; None where they say nothing.
    size: the two of the photo's width and height, or none.
    others: names of those that are not read.
    """

    path: int
    labels: list[int]
    split: int | None
    box: list[int]
    box_format: BoxFormat | None
    size: list[int]
    others: list[str]


def is_header(names: list[str]) -> bool:
    """Whether there are columns of photos and of their classes."""
    plain = [_plain(name) for name in names]
    return bool(_places(plain, f"{PATHS} {IDS}") and _places(plain, LABELS))


def find_columns(names: list[str], where: str) -> Columns:
    """Which columns are read, by their names in any capitals.

    names: As the header has them, a header by `is_header`.
    where: The file to name in an error.

    Raises WsolError, naming the columns, where two could be meant and where a box is not complete.
    """
    plain = [_plain(name) for name in names]
    path = _places(plain, PATHS) or _places(plain, IDS)
    labels, split, box = (_places(plain, words) for words in (LABELS, SPLITS, BOXES))
    for what, places in (("the photo", path), ("the split", split), ("the box", box)):
        if len(places) > 1:
            raise _two(where, what, [names[place] for place in places])
    if len({plain[place] for place in labels}) < len(labels):
        raise _two(where, "the class", [names[place] for place in labels])
    sets: list[tuple[list[int], BoxFormat | None]] = [(box, None)] if box else []
    left = {name: place for place, name in enumerate(plain)}
    left |= {name.removeprefix("b").removeprefix("box"): left[name] for name in plain if re.match("b?box.", name)}
    for words, of_columns in BOX_COLUMNS:
        if set(words.split()) <= left.keys():
            sets.append(([left.pop(word) for word in words.split()], of_columns))
    if len(sets) > 1:
        raise _two(where, "the box", [names[place] for places, _ in sets for place in places])
    if not sets and (some := [names[place] for name, place in left.items() if name in OF_BOXES.split()]):
        raise WsolError(
            f"{where}: boxes need all four columns x0,y0,x1,y1 (or xmin,ymin,xmax,ymax, x,y,w,h, or cx,cy,w,h); "
            f"found {listed(some)}"
        )
    box, box_format = sets[0] if sets else ([], None)
    if box:
        read_names = {plain[place] for place in box}
        if repeated := [
            names[place] for place, name in enumerate(plain) if name in read_names and plain.count(name) > 1
        ]:
            raise _two(where, "the box", repeated)
    size = [left[side] for side in ("width", "height") if side in left]
    size = size if len(size) == 2 else []
    read = {*path, *labels, *split, *box, *size}
    others = [name for place, name in enumerate(names) if place not in read and name]
    return Columns(path[0], labels, split[0] if split else None, box, box_format, size, others)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _places(plain: list[str], words: str) -> list[int]:
    return [place for place, name in enumerate(plain) if name in words.split()]


def _two(where: str, what: str, names: list[str]) -> WsolError:
    return WsolError(f"{where}: {what} is given by the columns {listed(names)}; keep one, or rename the others")
