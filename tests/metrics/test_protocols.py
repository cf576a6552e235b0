"""Each protocol's conventions, one by one, against slow twins; and that locating's box is the one that is scored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import boxes as oracle

from wsol.boxes.rule import evaluator_box, foreground, normalise, sweep, thresholds
from wsol.errors import WsolError
from wsol.evaluation.evaluate import find_protocol
from wsol.metrics import CLOVA, PROTOCOLS, BoxAccuracy, BoxScore, Protocol

SIDE = 12
levels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
maps = arrays(np.float64, (SIDE, SIDE), elements=levels).map(lambda heatmap: normalise(heatmap, heatmap.shape))
TRUTH = np.array([[2.0, 3.0, 9.0, 8.0], [0.0, 0.0, 4.0, 11.0]])


@settings(deadline=None, max_examples=60)
@given(maps)
def test_the_component_with_the_most_pixels(heatmap: np.ndarray) -> None:
    taus = thresholds(0.05)
    single, _ = sweep(heatmap, TRUTH, taus, largest="pixels")
    for tau, found in zip(taus, single, strict=True):
        mask = foreground(heatmap, tau)
        box = oracle.most_pixels_box(mask) if mask.any() else (0, 0, 0, 0)
        assert found == max(oracle.iou(box, tuple(map(int, true))) for true in TRUTH)
        kept = evaluator_box(heatmap, tau, largest="pixels", empty="corner")
        assert tuple(map(int, kept[0])) == box


@settings(deadline=None, max_examples=60)
@given(maps)
def test_iou_without_the_added_pixel(heatmap: np.ndarray) -> None:
    taus = thresholds(0.1)
    single, every = sweep(heatmap, TRUTH, taus, offset=0)
    for tau, one, many in zip(taus, single, every, strict=True):
        for multi, found in ((False, one), (True, many)):
            kept = oracle.contour_boxes(heatmap, tau, multi)
            expected = max(oracle.iou_without_offset(box, tuple(true)) for box in kept for true in TRUTH)
            assert found == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(maps, st.sampled_from(sorted(PROTOCOLS)))
def test_the_sweep_and_the_one_box_agree(heatmap: np.ndarray, name: str) -> None:
    protocol, taus = PROTOCOLS[name], thresholds(0.05)
    single, _ = protocol.sweep(heatmap, TRUTH, taus)
    assert single.tolist() == [protocol.iou(protocol.box(heatmap, tau), TRUTH) for tau in taus]


def test_an_empty_map() -> None:
    nothing, truth = np.zeros((224, 224)), np.array([[0.0, 0.0, 223.0, 223.0]])
    assert CLOVA.box(nothing, 0.2).tolist() == [[0, 0, 0, 0]]
    assert PROTOCOLS["bas"].box(nothing, 0.2).tolist() == [[0, 0, 223, 223]]
    assert PROTOCOLS["bas"].sweep(nothing, truth, thresholds(0.5))[0].tolist() == [1, 1]
    assert CLOVA.sweep(nothing, truth, thresholds(0.5))[0].tolist() == [1 / 224**2] * 2


def test_true_boxes_in_the_view_that_the_network_sees() -> None:
    box = np.array([[100.0, 51.0, 401.0, 200.0]])
    assert CLOVA.boxes(box, (512, 256)).tolist() == [[43, 44, 175, 175]]
    assert PROTOCOLS["psol"].boxes(box, (512, 256)).tolist() == [[34, 35, 184.5, 184]]  # 256 wide, 16 cut off
    assert PROTOCOLS["bas"].boxes(np.array([[0.0, 0.0, 512.0, 256.0]]), (512, 256)).tolist() == [[0, 0, 224, 224]]


def test_masks_in_the_view_that_the_network_sees() -> None:
    mask = np.zeros((256, 512), bool)
    mask[16:20, 32:40] = True  # the first pixels that a centre crop of 256 x 256 keeps
    assert PROTOCOLS["psol"].mask(mask).nonzero()[0].tolist() == np.repeat(range(4), 4).tolist()
    assert PROTOCOLS["psol"].mask(mask).nonzero()[1].max() == 3
    assert CLOVA.mask(mask)[14:17, 14:17].all() and CLOVA.mask(mask).sum() == 16


def test_half_is_a_hit_unless_the_protocol_is_strict() -> None:
    ious = np.array([0.3, 0.5, 0.7])
    assert CLOVA.hits(ious).tolist() == [[True] * 3, [False, True, True], [False, False, True]]
    assert PROTOCOLS["psol"].hits(ious).tolist() == [[False, True, True], [False, False, True], [False] * 3]


def test_averages_over_classes_weigh_each_class_alike() -> None:
    hit, miss = (BoxScore(np.full(2, iou), np.full(2, iou), iou) for iou in (0.9, 0.1))
    for protocol, expected in ((CLOVA, 75.0), (PROTOCOLS["bas"], 50.0)):
        metric = BoxAccuracy(0.5, protocol=protocol, classes=3)
        for score, label in ((hit, 0), (hit, 0), (hit, 0), (miss, 2)):  # class 1 has no image
            metric.update(score, 0, label)
        found = metric.compute()
        assert (found["GTKnownLoc"], found["MaxBoxAcc"], found["MaxBoxAccV2"]) == (expected,) * 3
        assert [row["GTKnownLoc"] for row in metric.per_class()] == [100, None, 0]
        assert metric.curves().single[1].tolist() == [expected] * 2


def test_bilinear_maps_never_overshoot() -> None:
    step = np.repeat([[0.0, 1.0, 0.0, 0.0]], 4, 0)
    assert PROTOCOLS["cvpr16"].heatmap(step)[0, 180] == 0 and CLOVA.heatmap(step)[0, 180] > 0


def test_a_name_that_no_protocol_has() -> None:
    assert find_protocol("bas") is PROTOCOLS["bas"]
    with pytest.raises(WsolError, match="did you mean clova"):
        find_protocol("clvoa")
    assert isinstance(CLOVA, Protocol)
