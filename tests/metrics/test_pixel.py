"""PxAP and PIoU against golden figures and against counting all pixels at every threshold."""

from pathlib import Path

import numpy as np
import pytest
from oracles import metrics as oracle

from wsol.errors import WsolError
from wsol.metrics import CLOVA, PixelPrecision


def photos(seed: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Maps, masks that partly agree with them, and ignored borders that overlap the object (or none)."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        height, width = rng.integers(40, 500, 2)
        y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
        distance = (x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2
        peak = np.exp(-((np.mgrid[:7, :7] / 6 - 0.5) ** 2) / 0.05).prod(0)
        heatmap = np.round(peak + rng.normal(0, 0.1, (7, 7)), 1).astype(np.float32)
        made.append((heatmap, distance < 0.05, None if i == 0 else (distance > 0.04) & (distance < 0.08)))
    return made


def count(metric: PixelPrecision, some: list) -> PixelPrecision:
    for photo in some:
        metric.update(metric.score(CLOVA.heatmap(photo[0]), *photo[1:]))
    return metric


def test_equals_the_reference_evaluator_to_the_last_bit(shared: Path) -> None:
    golden = np.load(shared / "golden" / "clova_golden.npz")
    metric = PixelPrecision()
    for low, side, mask in zip(golden["low"], golden["size"], golden["masks"], strict=True):
        metric.update(metric.score(CLOVA.heatmap(low[:side, :side]), mask == 1, mask == 255))
    assert metric.compute() == {"PxAP": golden["pxap"], "PIoU": golden["piou"]}


@pytest.mark.parametrize("seed", range(2))
def test_equals_counting_at_every_threshold(seed: int) -> None:
    some = photos(seed)
    metric = count(PixelPrecision(interval=0.02), some)
    pxap, piou = oracle.pixel_precision(*map(list, zip(*some, strict=True)), metric.edges[:-3].tolist())
    assert metric.compute() == pytest.approx({"PxAP": pxap, "PIoU": piou}, rel=1e-12)


def test_the_score_of_one_image_is_the_metric_of_that_image() -> None:
    photo = photos(5)[1]
    metric = count(PixelPrecision(), [photo])
    assert metric.score(CLOVA.heatmap(photo[0]), *photo[1:]).precision == metric.compute()["PxAP"]


def test_states_of_several_processes_add_up() -> None:
    some = photos(6, count=5)
    parts = [count(PixelPrecision(), part) for part in (some[:1], some[1:3], some[3:])]
    for other in parts[1:]:
        parts[0].merge_state(other)
    assert parts[0].compute() == count(PixelPrecision(), some).compute()


def test_counts_stay_exact_beyond_what_float32_holds() -> None:
    metric = PixelPrecision(interval=0.5)
    score = metric.score(np.eye(224), np.eye(224, dtype=bool))
    many = score._replace(inside=score.inside * 2**20, outside=score.outside * 2**20)
    for each in (many, score):
        metric.update(each)
    assert metric.inside.sum() == 224 * (2**20 + 1)


def test_a_map_equal_to_its_mask_is_perfect() -> None:
    mask = np.zeros((224, 224), bool)
    mask[50:100, 60:90] = True
    metric = count(PixelPrecision(), [(mask.astype(np.float64), mask)])
    assert metric.compute()["PIoU"] == 100
    # PxAP starts at the second bin, where recall is already 1 only if nothing lies below: the bin of the value 1
    assert metric.compute()["PxAP"] == pytest.approx(100)


def test_ignored_pixels_do_not_count_unless_they_are_the_object() -> None:
    mask, ignore = np.zeros((224, 224), bool), np.zeros((224, 224), bool)
    mask[:100], ignore[50:150] = True, True
    score = PixelPrecision().score(np.eye(224), mask, ignore)
    assert (score.inside.sum(), score.outside.sum()) == (100 * 224, 74 * 224)


def test_without_an_object_nothing_can_be_said() -> None:
    metric = PixelPrecision()
    score = metric.score(np.eye(224), np.zeros((30, 20), bool))
    assert score.precision is None
    metric.update(score)
    assert metric.compute() == {"PxAP": None, "PIoU": None}
    with pytest.warns(UserWarning), pytest.raises(WsolError, match="mask"):
        PixelPrecision().compute()
