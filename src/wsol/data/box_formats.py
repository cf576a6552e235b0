"""What the four numbers of a box mean, and how it shows that they mean something else."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from wsol.data.dataset import Dataset
from wsol.errors import WsolError

BoxFormat = Literal[
    "xyxy",
    "xywh",
    "cxcywh",
    "xyxy-shares",
    "xywh-shares",
    "cxcywh-shares",
    "xyxy-percent",
    "xywh-percent",
    "cxcywh-percent",
    "xyxy-from-1",
    "xywh-from-1",
]
LOOKED_AT = 100  # photos whose boxes are checked before the first is used
MANY = 20  # boxes, from which a tenth of impossible ones is no slip of the pen
Numbers = Float[np.ndarray, "n 4"]
Sizes = Float[np.ndarray, "n 2"]


def to_corners(numbers: Numbers, sizes: Sizes, box_format: BoxFormat) -> Numbers:
    """Boxes as x0 y0 x1 y1 in pixels.

    numbers: (n, 4), as the file has them.
    sizes: (n, 2), W and H of each box's photo.
    box_format: `xyxy` is the corners x0 y0 x1 y1, `xywh` x0 y0 and width, height, `cxcywh` the centre and width,
        height, in pixels. `-shares` are shares of the photo's width and height, `-percent` hundredths of them.
        `-from-1` counts pixels from 1 and the last one as inside, as PASCAL VOC does.

    Shares that reach out of the photo by less than a pixel end at its border, since they were rounded.
    """
    kind, _, unit = box_format.partition("-")
    whole, slack = np.tile(sizes, 2), 1.0 if unit in ("shares", "percent") else 1e-6
    boxes = numbers * {"shares": whole, "percent": whole / 100}.get(unit, 1)
    if kind != "xyxy":
        boxes[:, :2] -= boxes[:, 2:] / 2 if kind == "cxcywh" else 0
        boxes[:, 2:] += boxes[:, :2]
    if unit == "from-1":
        boxes -= [1, 1, 0, 0] if kind == "xyxy" else 1
    inside = boxes.clip(0, whole)
    return boxes if box_format == "xyxy" else np.where(np.abs(boxes - inside) < slack, inside, boxes)


def with_sizes(boxes: Mapping[int, np.ndarray], photos: Dataset, most: int) -> tuple[Numbers, Sizes]:
    """Boxes and the sizes of their photos, without photos whose size cannot be read.

    boxes: (n, 4) for indices of photos, as the file has them.
    photos: The data set.
    most: How many photos, spread over all.
    """
    numbers, sizes = [np.zeros((0, 4))], [np.zeros((0, 2))]
    for index in sorted(boxes)[:: -(-len(boxes) // most) or 1]:
        try:
            size = np.array([photos.size(index)], np.float64)
        except WsolError:  # said where the photo itself is looked at
            continue
        numbers.append(boxes[index])
        sizes.append(size.repeat(len(boxes[index]), 0))
    return np.concatenate(numbers), np.concatenate(sizes)


def wrong_format(
    boxes: Mapping[int, np.ndarray], photos: Dataset, box_format: BoxFormat, where: str
) -> WsolError | None:
    """What `check_format` raises for boxes of some photos, see `with_sizes`; None where it raises nothing."""
    try:
        check_format(*with_sizes(boxes, photos, LOOKED_AT), box_format, where)
    except WsolError as error:
        return error
    return None


def check_format(numbers: Numbers, sizes: Sizes, box_format: BoxFormat, where: str) -> None:
    """Raises WsolError where a set's boxes cannot be of this format, and names those that they can be of.

    They cannot where all lie in 0..1 and some are fractions. Nor can they where a tenth of many boxes are inverted,
    smaller than a pixel, or reach out of their photos by more than one, or all of a few, if another format fits these.

    numbers: (n, 4), as the file has them.
    sizes: (n, 2), W and H of each box's photo.
    box_format: What they are taken for.
    where: The file to name in the error.
    """
    finite = np.isfinite(numbers).all(1)
    numbers, sizes = numbers[finite], sizes[finite]
    near = (numbers > -0.01) & (numbers < 1.01)  # shares may be rounded
    shares = "shares" not in box_format and bool((numbers % 1).any() and near.all())
    wrong = _impossible(numbers, sizes, box_format)
    fitting = _fitting(numbers, sizes, ["shares"] if shares else ["", "from-1", "percent"])
    many = len(wrong) >= MANY and wrong.mean() >= 0.1
    few = len(wrong) and wrong.all() and fitting and "-" not in fitting[0]
    if shares:
        fault = f"all {len(numbers)} boxes lie in 0..1, as shares of the photo do"
    elif many or few:
        example, size = (" ".join(f"{value:g}" for value in numbers[wrong][0]), sizes[wrong][0])
        fault = (
            f"{wrong.sum()} of {len(wrong)} boxes, such as {example} in a photo of {size[0]:g} x {size[1]:g}, "
            f"are impossible as {box_format}"
        )
    else:
        return
    options = " or ".join(fitting) if fitting else f"one of {', '.join(get_args(BoxFormat))}"
    raise WsolError(f"{where}: {fault}; {'' if fitting else 'fix them, or '}say what they mean: --box-format {options}")


def from_1(boxes: Numbers, sizes: Sizes) -> bool:
    """Whether boxes reach the last column and row of their photos, but never the first: pixels may count from 1.

    boxes: (n, 4) x0 y0 x1 y1 in pixels, taken as counted from 0.
    sizes: (n, 2), W and H of each box's photo.
    """
    if not len(boxes) or (boxes % 1).any() or boxes[:, :2].min() < 1:
        return False
    return bool((boxes[:, 2:] == sizes).any(0).all())


def percent(boxes: Numbers, sizes: Sizes) -> bool:
    """Whether no number is over 100 though all photos are more than twice as large: they may be hundredths.

    boxes: (n, 4) x0 y0 x1 y1, taken as pixels.
    sizes: (n, 2), W and H of each box's photo.
    """
    return len(boxes) > 1 and bool(boxes.max() <= 100) and bool(sizes.min() > 200)


def _impossible(numbers: Numbers, sizes: Sizes, box_format: BoxFormat) -> Bool[np.ndarray, " n"]:
    boxes = to_corners(numbers, sizes, box_format)
    sides = boxes[:, 2:] - boxes[:, :2]
    outside = (boxes[:, :2] < -1).any(1) | (boxes[:, 2:] > sizes + 1).any(1)
    tiny = (sides < 1).all(1) & (numbers % 1).any(1)  # published lists have some without extent, in whole pixels
    return np.asarray(outside | (sides < 0).any(1) | tiny)


def _fitting(numbers: Numbers, sizes: Sizes, units: list[str]) -> list[BoxFormat]:
    """Formats in which every box is possible, of the first unit in which there are any."""
    formats: tuple[BoxFormat, ...] = get_args(BoxFormat)
    possible: list[BoxFormat] = [name for name in formats if not _impossible(numbers, sizes, name).any()]
    for unit in units:
        of_unit: list[BoxFormat] = [name for name in possible if name.partition("-")[2] == unit]
        if of_unit:
            return of_unit
    return []
