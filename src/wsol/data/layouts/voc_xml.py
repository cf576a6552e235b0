"""Objects in XML files of PASCAL VOC's kind, which ILSVRC uses too."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from wsol.errors import WsolError
from wsol.system.values import real, whole

LARGEST = 10**6  # pixels of a photo's side
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def names_in(path: Path) -> list[str]:
    """The name of each object. Raises WsolError, naming the file, where it cannot be read or holds no object."""
    names = [_name(element) for element in _objects(path)]
    if not names or not all(names):
        raise WsolError(f"{path}: holds no object with a name; fix it, or take the photo out of its list")
    return names


def boxes_in(path: Path, name: str) -> Float[np.ndarray, "n 4"]:
    """Boxes of the objects of one name, (n, 4) x0 y0 x1 y1.

    The files count pixels from 1 and both corners as inside; a corner at 0, which some have, stays there.

    path: The XML file.
    name: The name of the objects.

    Raises WsolError, naming the file, for a box without its numbers or an inverted one.
    """
    try:
        corners = [
            [real(element.findtext(f"bndbox/{corner}") or "") for corner in CORNERS]
            for element in _objects(path)
            if _name(element) == name
        ]
    except ValueError as error:
        raise WsolError(f"{path}: a bndbox must hold the numbers {', '.join(CORNERS)}; fix it") from error
    boxes = np.array(corners, np.float64).reshape(-1, 4)
    boxes[:, :2] = np.maximum(boxes[:, :2] - 1, 0)
    valid = (np.abs(boxes) <= LARGEST).all(1) & (boxes[:, :2] <= boxes[:, 2:]).all(1)
    if not valid.all():
        box = " ".join(f"{value:g}" for value in corners[int(np.argmin(valid))])
        raise WsolError(f"{path}: the box {box} ({' '.join(CORNERS)}) is inverted or no number; fix it")
    return boxes


def size_in(path: Path) -> tuple[int, int] | None:
    """(W, H) of the photo as its XML file says, None where it does not."""
    try:
        size = [whole(_root(path).findtext(f"size/{side}") or "0") for side in ("width", "height")]
    except ValueError as error:
        raise WsolError(f"{path}: size must hold the whole numbers width and height; fix it") from error
    return (size[0], size[1]) if all(size) else None


def _name(element: ElementTree.Element) -> str:
    return (element.findtext("name") or "").strip()


def _objects(path: Path) -> list[ElementTree.Element]:
    return _root(path).findall("object")


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise WsolError(f"{path}: cannot be read as XML ({error}); fetch it again") from error
