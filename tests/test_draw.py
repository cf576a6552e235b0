"""Pictures: the photo is seen where there is no heat, and boxes and captions on any photo."""

import numpy as np
import pytest
from PIL import Image

from wsol.show.draw import FOUND, overlay


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (240, 170, 20)])
def test_a_box_stands_out_on_any_photo(colour: tuple[int, int, int]) -> None:
    """An orange line of two pixels on the box's edge, a black one on each side of it."""
    drawn = np.asarray(overlay(Image.new("RGB", (224, 224), colour), boxes=np.array([[50.0, 60.0, 150.0, 160.0]])))
    edge = [tuple(pixel) for pixel in drawn[100, 48:54].tolist()]
    assert edge == [colour, (0, 0, 0), FOUND, FOUND, (0, 0, 0), colour]


def test_heat_is_transparent_where_it_is_low() -> None:
    heatmap = np.array([[0.0, 0.1], [0.5, 1.0]])
    photo = Image.new("RGB", (100, 100), (90, 120, 150))
    drawn = np.asarray(overlay(photo, heatmap)).astype(int)
    change = np.abs(drawn - (90, 120, 150)).max(2)[[0, 0, 99, 99], [0, 99, 0, 99]]
    assert change[0] == 0 and change[1] <= 2 and change[3] > 60


def test_a_caption_is_white_on_black() -> None:
    drawn = np.asarray(overlay(Image.new("RGB", (300, 200), (255, 255, 255)), caption="finch 90%"))
    corner = drawn[:8, :40].reshape(-1, 3)
    assert tuple(drawn[0, 0]) == (0, 0, 0) and corner.max() > 240 and tuple(drawn[199, 299]) == (255, 255, 255)
