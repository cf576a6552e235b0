"""Masks, boxes and the sweep against contours at every threshold, components, counted pixels and golden figures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from oracles import boxes as oracle

from wsol.boxes.rule import (
    box_iou,
    contour_boxes,
    evaluator_box,
    find_boxes,
    foreground,
    normalise,
    scale_boxes,
    sweep,
    thresholds,
)
from wsol.errors import WsolError

SIDE = 12
shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=SIDE)


def onion(ring: int) -> np.ndarray:
    """Rings within rings, falling inwards: holes, islands in holes, and holes in those."""
    y, x = np.mgrid[:SIDE, :SIDE]
    depth = np.minimum.reduce([x, y, SIDE - 1 - x, SIDE - 1 - y])
    return np.where((depth + ring) % 2 == 0, 1.0 - depth / 10, 0.0)


raw_maps = st.one_of(
    arrays(np.float64, shapes, elements=st.floats(-5, 5)),  # noise, negative values
    arrays(np.float64, shapes, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),  # plateaus, ties, borders
    arrays(np.float64, shapes, elements=st.sampled_from([0.0, 1.0])),  # holes
    arrays(np.float64, shapes, elements=st.just(0.0), fill=st.just(0.0)),  # constant
    arrays(np.float64, shapes, elements=st.sampled_from([0.0, float("nan")])),
    arrays(np.float32, shapes, elements=st.floats(-5, 5, width=32)),
    st.integers(0, 1).map(onion),
    st.integers(0, SIDE * SIDE - 1).map(lambda i: np.eye(1, SIDE * SIDE, i).reshape(SIDE, SIDE)),  # one pixel
)
maps = raw_maps.map(lambda heatmap: normalise(heatmap, heatmap.shape))
corners = st.tuples(*[st.integers(0, SIDE)] * 4)
true_boxes = st.lists(
    corners.map(lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))), min_size=1, max_size=4
)
shares = st.floats(0, 1)


def table(boxes: list) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 4)


@settings(deadline=None, max_examples=60)
@given(maps, true_boxes)
def test_sweep_equals_contours_at_every_threshold(heatmap: np.ndarray, truth: list) -> None:
    taus = thresholds()
    single, every = sweep(heatmap, table(truth), taus)
    assert single.tolist() == [oracle.best_iou(heatmap, truth, tau, multi=False) for tau in taus]
    assert every.tolist() == [oracle.best_iou(heatmap, truth, tau, multi=True) for tau in taus]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 40), st.sampled_from([2, 4, 16, 255]))
def test_sweep_of_many_hills_equals_contours(seed: int, cells: int, side: int, levels: int) -> None:
    """Smooth, rough and terraced maps, as large as they come apart in many hills, saddles, rings and equal outlines."""
    rng, truth = np.random.default_rng(seed), [(3, 5, 20, 30), (0, 0, 9, 4)]
    heatmap = normalise(rng.random((cells, cells)), (side, 41 - side // 2))
    heatmap = np.floor(heatmap * levels) / levels
    taus = thresholds(0.1)
    single, every = sweep(heatmap, table(truth), taus)
    assert single.tolist() == [oracle.best_iou(heatmap, truth, tau, multi=False) for tau in taus]
    assert every.tolist() == [oracle.best_iou(heatmap, truth, tau, multi=True) for tau in taus]
    by_pixels, _ = sweep(heatmap, table(truth), taus, largest="pixels")
    for tau, found in zip(taus, by_pixels, strict=True):
        mask = oracle.mask_above(heatmap, tau)
        box = oracle.most_pixels_box(mask) if mask.any() else (0, 0, 0, 0)
        assert found == max(oracle.iou(box, true) for true in truth)


def test_sweep_equals_the_reference_evaluator_to_the_last_bit(shared: Path) -> None:
    golden = np.load(shared / "golden" / "clova_golden.npz")
    assert thresholds().tobytes() == golden["thresholds"].tobytes()
    for i, side in enumerate(golden["size"]):
        truth = golden["gt"][i][golden["gt"][i][:, 0] >= 0].astype(np.float64)
        single, every = sweep(normalise(golden["low"][i, :side, :side], (224, 224)), truth, thresholds())
        assert single.tobytes() == golden["iou_v1"][i].tobytes(), f"map {i}"
        assert every.tobytes() == golden["iou_v2"][i].tobytes(), f"map {i}"


@given(maps, shares)
def test_foreground_equals_its_twin(heatmap: np.ndarray, threshold: float) -> None:
    np.testing.assert_array_equal(foreground(heatmap, threshold), oracle.mask_above(heatmap, threshold))


@given(maps, shares)
def test_all_contours_are_those_of_components_and_holes(heatmap: np.ndarray, threshold: float) -> None:
    boxes = {tuple(map(int, box)) for box in contour_boxes(heatmap, threshold)}
    assert boxes == oracle.contours_of(oracle.mask_above(heatmap, threshold))


@given(maps, shares)
def test_all_boxes_are_those_of_regions_and_none_of_a_hole(heatmap: np.ndarray, threshold: float) -> None:
    boxes = sorted(tuple(map(int, box)) for box in find_boxes(heatmap, threshold, "all"))
    assert boxes == sorted(oracle.region_boxes(oracle.mask_above(heatmap, threshold)))


@given(maps, shares)
def test_the_largest_box_is_the_component_that_encloses_most(heatmap: np.ndarray, threshold: float) -> None:
    mask = oracle.mask_above(heatmap, threshold)
    expected = oracle.largest_box(mask) if mask.any() else (0, 0, 0, 0)
    assert tuple(map(int, evaluator_box(heatmap, threshold)[0])) == expected


@given(maps, shares)
def test_locating_keeps_the_region_that_is_measured(heatmap: np.ndarray, threshold: float) -> None:
    boxes, measured = find_boxes(heatmap, threshold), evaluator_box(heatmap, threshold)
    last = np.array([*heatmap.shape[::-1]] * 2, np.float64) - 1
    last[:2] = np.inf
    assert len(boxes) == foreground(heatmap, threshold).any()
    np.testing.assert_array_equal(np.minimum(boxes, last), measured[: len(boxes)])


@given(maps, shares, st.sampled_from(["largest", "all", "union"]))
def test_every_box_holds_a_pixel_and_lies_in_the_map(heatmap: np.ndarray, threshold: float, keep: str) -> None:
    boxes = find_boxes(heatmap, threshold, keep)
    assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()
    assert (boxes >= 0).all() and (boxes[:, 2:] <= heatmap.shape[::-1]).all()


@given(maps, shares)
def test_the_union_holds_all_foreground_and_no_more(heatmap: np.ndarray, threshold: float) -> None:
    ys, xs = np.nonzero(oracle.mask_above(heatmap, threshold))
    box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else []
    np.testing.assert_array_equal(find_boxes(heatmap, threshold, "union"), table(box))


def test_a_box_of_people_reaches_the_border_and_the_evaluator_s_ends_before_it() -> None:
    heatmap = np.zeros((10, 20))
    heatmap[2:5, 3:8] = 1
    np.testing.assert_array_equal(find_boxes(heatmap, 0.5), [[3, 2, 8, 5]])
    np.testing.assert_array_equal(evaluator_box(heatmap, 0.5), [[3, 2, 8, 5]])
    np.testing.assert_array_equal(find_boxes(np.ones((10, 20)), 0.5), [[0, 0, 20, 10]])
    np.testing.assert_array_equal(evaluator_box(np.ones((10, 20)), 0.5), [[0, 0, 19, 9]])


def test_one_pixel_in_the_corner_is_a_box_of_one_pixel() -> None:
    heatmap = np.zeros((10, 20))
    heatmap[9, 19] = 1
    np.testing.assert_array_equal(find_boxes(heatmap, 0.5, "all"), [[19, 9, 20, 10]])


def test_of_equal_components_the_last_in_raster_order_wins() -> None:
    heatmap = np.zeros((10, 10))
    heatmap[1:4, 1:4] = heatmap[1:4, 6:9] = heatmap[6:9, 1:4] = 1
    np.testing.assert_array_equal(find_boxes(heatmap, 0.5), [[1, 6, 4, 9]])


def test_area_is_that_of_the_outline_not_the_pixel_count() -> None:
    heatmap = np.zeros((12, 12))
    heatmap[0, :] = 1  # twelve pixels that enclose nothing
    heatmap[4:6, 4:6] = 1
    np.testing.assert_array_equal(find_boxes(heatmap, 0.5), [[4, 4, 6, 6]])


def test_thresholds_are_relative_to_the_maximum_strict_and_truncated() -> None:
    heatmap = np.array([[0.0, 0.5 / 255, 1.0 / 255, 100.9 / 255, 200.0 / 255]])
    np.testing.assert_array_equal(foreground(heatmap, 0.0), [[False, False, True, True, True]])
    np.testing.assert_array_equal(foreground(heatmap, 0.5), [[False, False, False, False, True]])
    np.testing.assert_array_equal(foreground(heatmap, 0.499), [[False, False, False, True, True]])
    assert not foreground(heatmap, 1.0).any()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_zero_to_one_is_refused(threshold: float) -> None:
    with pytest.raises(WsolError, match="from 0 to 1"):
        find_boxes(np.ones((3, 3)), threshold)


@given(true_boxes, true_boxes)
def test_iou_equals_counted_pixels(some: list, others: list) -> None:
    expected = [[oracle.iou(one, other) for other in others] for one in some]
    assert box_iou(table(some), table(others)).tolist() == expected


@given(true_boxes, true_boxes)
def test_iou_without_the_offset_is_that_of_boxes_one_shorter(some: list, others: list) -> None:
    longer, others_longer = np.add(table(some), [0, 0, 1, 1]), np.add(table(others), [0, 0, 1, 1])
    assert box_iou(longer, others_longer, offset=0).tolist() == box_iou(table(some), table(others)).tolist()


def test_iou_of_boxes_without_area_is_zero() -> None:
    point = table([5, 5, 5, 5])
    assert box_iou(point, point, offset=0).tolist() == [[0.0]]
    assert box_iou(point - [0, 0, 1, 1], point - [0, 0, 1, 1]).tolist() == [[0.0]]


coordinates = st.floats(0, 5000)


@given(st.tuples(*[coordinates] * 4), st.integers(1, 5000), st.integers(1, 5000))
def test_whole_boxes_are_truncated_as_the_evaluator_does(box: tuple, width: int, height: int) -> None:
    found = scale_boxes(table([box]), (width, height), (224, 224), whole=True)
    assert tuple(found[0]) == oracle.at_224(list(box), width, height)


def test_boxes_scale_by_width_and_height() -> None:
    np.testing.assert_allclose(scale_boxes(table([1, 2, 3, 4]), (10, 20), (25, 30)), [[2.5, 3, 7.5, 6]])


@given(raw_maps)
def test_normalised_maps_span_zero_to_one_or_are_zero(heatmap: np.ndarray) -> None:
    scaled = normalise(heatmap, heatmap.shape)
    values = heatmap.astype(np.float64)
    if np.isnan(values).any() or values.min() == values.max():
        assert not scaled.any()
    else:
        low, high = values.min(), values.max()
        assert scaled.tolist() == [[(v - low) / (high - low) for v in row] for row in values.tolist()]


def test_normalise_resizes_to_height_and_width_in_float64() -> None:
    heatmap = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    assert normalise(heatmap, (20, 30)).shape == (20, 30)
    np.testing.assert_array_equal(normalise(heatmap, (20, 30)), normalise(heatmap.astype(np.float64), (20, 30)))


def test_infinite_values_give_zeros() -> None:
    heatmap = np.eye(5)
    heatmap[2, 2] = np.inf
    assert not normalise(heatmap, (5, 5)).any()
