"""The threshold that needs no boxes, and the chance that a box is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import boxes as oracle

from wsol.boxes.confidence import confidence
from wsol.boxes.rule import cut, evaluator_box, find_boxes, foreground, normalise
from wsol.errors import WsolError


def bump(x: float, y: float, spread: float, side: int = 60) -> np.ndarray:
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    return normalise(np.exp(-(((across - x) ** 2 + (down - y) ** 2) / (2 * spread**2))), (side, side))


def slow(heatmap: np.ndarray, box: np.ndarray, threshold: float) -> float:
    """The formula, step by step, with boxes from contours."""
    side = len(heatmap)
    stays = 0.0
    for moved in (threshold / 1.5, min(threshold * 1.5, 1.0)):
        found = oracle.contour_boxes(heatmap, moved, multi=True)
        if oracle.mask_above(heatmap, moved).any():
            stays += max(oracle.iou(tuple(map(int, box)), each) for each in found) / 2
    low, high = 0.15 * side, 0.85 * side
    width, height = min(box[2], high) - max(box[0], low) + 1, min(box[3], high) - max(box[1], low) + 1
    shared = max(width, 0) * max(height, 0)
    joint = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) + (high - low + 1) ** 2 - shared
    return 1 / (1 + np.exp(3.11 - 1.67 * stays - 3.89 * shared / joint))


@settings(deadline=None, max_examples=40)
@given(st.floats(5, 55), st.floats(5, 55), st.floats(1, 30), st.floats(0.05, 0.95))
def test_confidence_equals_its_twin(x: float, y: float, spread: float, threshold: float) -> None:
    heatmap = bump(x, y, spread)
    boxes = evaluator_box(heatmap, threshold)
    chance = confidence(heatmap, boxes, threshold)
    assert chance == pytest.approx([slow(heatmap, box, threshold) for box in boxes])
    assert ((chance > 0) & (chance < 1)).all()


def test_a_steady_box_in_the_middle_is_trusted_more() -> None:
    steady, soft = np.zeros((60, 60)), bump(30, 30, 12)
    steady[9:51, 9:51] = 1
    aside = np.roll(steady, (-9, -9), (0, 1))
    chances = [confidence(each, find_boxes(each, 0.3), 0.3)[0] for each in (steady, soft, aside)]
    assert chances[0] > 0.9 and chances[0] > max(chances[1:])


def test_every_box_of_a_map_has_its_own_chance() -> None:
    heatmap = np.maximum(bump(30, 30, 8), bump(6, 6, 2))
    boxes = find_boxes(heatmap, 0.5, "all")
    assert len(boxes) == len(confidence(heatmap, boxes, 0.5)) == 2
    large = boxes[:, 2] - boxes[:, 0] > 10
    assert confidence(heatmap, boxes, 0.5)[large] > confidence(heatmap, boxes, 0.5)[~large]


def test_auto_is_the_map_s_own_mean() -> None:
    heatmap = bump(20, 30, 10)
    assert cut(heatmap, "auto") == heatmap.sum() / heatmap.size
    assert cut(heatmap, 0.3) == 0.3
    assert np.array_equal(foreground(heatmap, "auto"), foreground(heatmap, float(heatmap.mean())))
    assert find_boxes(heatmap, "auto").tolist() == find_boxes(heatmap, float(heatmap.mean())).tolist()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_threshold(wrong: float) -> None:
    with pytest.raises(WsolError, match="or auto"):
        cut(np.eye(3), wrong)
