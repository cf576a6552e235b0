"""What the four numbers of a box mean: read by name, and found out where they mean something else."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.data.box_formats import BoxFormat, check_format, from_1, percent, to_corners
from wsol.errors import WsolError

SIZE = (200, 100)
BOX = (20, 10, 120, 60)
WRITTEN: dict[BoxFormat, tuple[float, ...]] = {
    "xyxy": BOX,
    "xywh": (20, 10, 100, 50),
    "cxcywh": (70, 35, 100, 50),
    "xyxy-shares": (0.1, 0.1, 0.6, 0.6),
    "xywh-shares": (0.1, 0.1, 0.5, 0.5),
    "cxcywh-shares": (0.35, 0.35, 0.5, 0.5),
    "xyxy-percent": (10, 10, 60, 60),
    "xywh-percent": (10, 10, 50, 50),
    "cxcywh-percent": (35, 35, 50, 50),
    "xyxy-from-1": (21, 11, 120, 60),
    "xywh-from-1": (21, 11, 100, 50),
}


def sizes(boxes: np.ndarray) -> np.ndarray:
    return np.array([SIZE] * len(boxes), np.float64)


def said(boxes: list, box_format: BoxFormat = "xyxy") -> str:
    """What is wrong with the format of these boxes; "" where nothing is."""
    numbers = np.array(boxes, np.float64)
    try:
        check_format(numbers, sizes(numbers), box_format, "photos.csv")
    except WsolError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("box_format", get_args(BoxFormat))
def test_every_format_says_the_same_box(box_format: BoxFormat) -> None:
    numbers = np.array([WRITTEN[box_format]], np.float64)
    assert to_corners(numbers, sizes(numbers), box_format) == pytest.approx(np.array([BOX], np.float64), abs=1e-9)
    assert numbers.tolist() == [list(WRITTEN[box_format])]  # what came in is left as it was


def test_rounded_shares_end_at_the_border_and_wrong_ones_do_not() -> None:
    numbers = np.array([[0.3333, 0.5, 0.6667, 1.0], [0.3333, 0.5, 0.68, 1.1]])
    boxes = to_corners(numbers, sizes(numbers), "cxcywh-shares")
    assert boxes[0].tolist() == pytest.approx([0, 0, 133.33, 100]) and boxes[0, 0] == 0
    assert boxes[1].tolist() == pytest.approx([-1.34, -5, 134.66, 105])


@pytest.mark.parametrize("kind", ["xyxy", "xywh", "cxcywh"])
def test_boxes_in_0_to_1_are_shares(kind: str) -> None:
    message = said([WRITTEN[f"{kind}-shares"]] * 3, kind)  # type: ignore[arg-type]
    assert message.startswith("photos.csv: all 3 boxes lie in 0..1, as shares of the photo do")
    assert f"{kind}-shares" in message.split("--box-format ")[1]
    assert said([WRITTEN[f"{kind}-shares"]] * 3, f"{kind}-shares") == ""  # type: ignore[arg-type]


def test_boxes_that_are_impossible_name_the_formats_in_which_they_are_not() -> None:
    message = said([(150, 60, 40, 30), (5, 2, 60, 50)] * 10)
    assert message == (
        "photos.csv: 10 of 20 boxes, such as 150 60 40 30 in a photo of 200 x 100, are impossible as xyxy; "
        "say what they mean: --box-format xywh"
    )
    assert "--box-format xyxy" in said([(150, 60, 190, 90)], "xywh")
    assert "fix them, or say what they mean: --box-format one of" in said([(300, 60, 400, 90)] * 20)


@pytest.mark.parametrize(("wrong", "right", "named"), [(2, 18, True), (2, 19, False), (1, 1, False), (2, 0, True)])
def test_a_slip_of_the_pen_is_no_other_format(wrong: int, right: int, named: bool) -> None:
    assert bool(said([(150, 60, 40, 30)] * wrong + [BOX] * right)) == named


SIDES = st.tuples(st.integers(0, 50), st.integers(1, 50))


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=30))
def test_whole_boxes_inside_their_photo_are_in_order(sides: list) -> None:
    assert said([(x, y, x + width, y + height) for (x, width), (y, height) in sides]) == ""


def test_boxes_that_may_count_from_1_or_be_percent() -> None:
    def of(check: object, *boxes: tuple[float, ...], scale: float = 1) -> bool:
        numbers = np.array(boxes, np.float64)
        return check(numbers, sizes(numbers) * scale)  # type: ignore[operator]

    assert of(from_1, (1, 5, 200, 50), (9, 1, 30, 100))
    assert not of(from_1, (0, 5, 200, 50), (9, 1, 30, 100))
    assert not of(from_1, (1, 5, 199, 50), (9, 1, 30, 100))
    assert not of(from_1, (1.5, 5, 200, 50), (9, 1, 30, 100))
    assert of(percent, (1, 5, 90, 50), (9, 1, 30, 100), scale=3)
    assert not of(percent, (1, 5, 101, 50), (9, 1, 30, 100), scale=3)
    assert not of(percent, (1, 5, 90, 50), (9, 1, 30, 100), scale=2)
