"""Box accuracy against golden figures, against counting in plain Python, and over several processes' states."""

from pathlib import Path

import numpy as np
import pytest
from oracles import metrics as oracle
from oracles.boxes import at_224, iou

from wsol.boxes.rule import box_iou, evaluator_box, scale_boxes
from wsol.errors import WsolError
from wsol.metrics import CLOVA, BoxAccuracy, BoxScore


def photos(seed: int, count: int = 12) -> list[oracle.Photo]:
    """Blobs on maps of several sizes, one to three true boxes near the blob, ranks 0, 3 and 7."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        side, size = int(rng.choice([7, 14])), (int(rng.integers(50, 600)), int(rng.integers(50, 600)))
        cx, cy = rng.uniform(0.3, 0.7, 2)
        y, x = np.mgrid[:side, :side] / (side - 1)
        heatmap = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.02, 0.2)) + rng.normal(0, 0.05, (side, side))
        half = rng.uniform(0.1, 0.4, (int(rng.integers(1, 4)), 2))
        boxes = np.clip(np.concatenate([[cx, cy] - half, np.add([cx, cy], half)], 1), 0, 1) * [*size, *size]
        made.append(oracle.Photo(heatmap.astype(np.float32), boxes, size, int(rng.choice([0, 0, 3, 7]))))
    return made


def count(metric: BoxAccuracy, some: list[oracle.Photo]) -> BoxAccuracy:
    for photo in some:
        metric.update(metric.score(CLOVA.heatmap(photo.heatmap), photo.boxes, photo.size), photo.rank)
    return metric


def by_hand(ious: list[float], fixed: float = 0.0) -> BoxScore:
    return BoxScore(np.array(ious), np.array(ious), fixed)


def test_equals_the_reference_evaluator_to_the_last_bit(shared: Path) -> None:
    golden = np.load(shared / "golden" / "clova_golden.npz")
    metric = BoxAccuracy()
    for low, side, boxes in zip(golden["low"], golden["size"], golden["gt"], strict=True):
        truth = boxes[boxes[:, 0] >= 0].astype(np.float64)
        metric.update(metric.score(CLOVA.heatmap(low[:side, :side]), truth, (224, 224)), 0)
    found = metric.compute()
    assert found["MaxBoxAcc"] == golden["max_box_acc"]
    assert found["MaxBoxAccV2"] == golden["max_box_acc_v2"]
    assert metric.curves().every.max(1).tolist() == golden["max_box_acc_v2_each"].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_equals_counting_in_plain_python(seed: int) -> None:
    some = photos(seed)
    metric = count(BoxAccuracy(interval=0.04, threshold=0.37), some)
    found = metric.compute()
    best = found.pop("BestThreshold")
    assert found == oracle.box_accuracy(some, metric.tried.tolist(), 0.37)
    assert metric.curves().single[1][metric.tried.tolist().index(best)] == found["MaxBoxAcc"]
    assert 0 < found["Top1Loc"] < found["GTKnownLoc"] < 100  # the photos tell the figures apart


def test_states_of_several_processes_add_up() -> None:
    some = photos(7)
    whole = count(BoxAccuracy(0.04), some)
    parts = [count(BoxAccuracy(0.04), part) for part in (some[:1], some[1:5], some[5:])]
    for other in parts[1:]:
        parts[0].merge_state(other)
    assert parts[0].compute() == whole.compute()
    assert parts[0].curves().every.tolist() == whole.curves().every.tolist()


def test_reset_forgets_everything() -> None:
    metric = count(BoxAccuracy(0.04), photos(1))
    metric.reset()
    assert count(metric, photos(2)).compute() == count(BoxAccuracy(0.04), photos(2)).compute()


def test_each_iou_has_its_own_best_threshold() -> None:
    metric = BoxAccuracy(interval=0.25)
    metric.update(by_hand([0.3, 0.0, 0.0, 0.0]), 0)
    metric.update(by_hand([0.3, 0.5, 0.0, 0.0]), 0)
    metric.update(by_hand([0.0, 0.0, 0.7, 0.69]), 0)
    found = metric.compute()
    third = 100 / 3
    expected = {"MaxBoxAcc30": 2 * third, "MaxBoxAcc50": third, "MaxBoxAcc70": third, "MaxBoxAccV2": 4 * third / 3}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_only_v2_looks_at_every_contour() -> None:
    metric = BoxAccuracy(interval=0.5)
    metric.update(BoxScore(np.array([0.4, 0.0]), np.array([0.4, 0.6]), 0.4), 0)
    found = metric.compute()
    assert (found["MaxBoxAccV2"], found["MaxBoxAcc"], found["MaxTop1Loc"]) == (np.average([100, 100, 0]), 0, 0)


def test_one_threshold_serves_all_images() -> None:
    metric = BoxAccuracy(interval=0.5)
    metric.update(by_hand([0.9, 0.0]), 0)
    metric.update(by_hand([0.0, 0.9]), 0)
    assert metric.compute()["MaxBoxAcc"] == 50


def test_top_k_counts_the_hits_of_well_classified_images_over_all_images() -> None:
    metric = BoxAccuracy(interval=0.5)
    for rank in (0, 1, 4, 5):
        metric.update(by_hand([0.0, 0.6], fixed=0.5), rank)
    metric.update(by_hand([0.6, 0.4], fixed=0.49), 0)
    found = metric.compute()
    assert (found["GTKnownLoc"], found["Top1Loc"], found["Top5Loc"]) == (80, 20, 60)
    assert (found["MaxTop1Loc"], found["MaxTop5Loc"]) == (20, 60)


def test_the_best_threshold_is_the_middle_of_its_plateau() -> None:
    metric = BoxAccuracy(interval=0.1)
    metric.update(by_hand([0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 0]), 0)
    assert metric.compute()["BestThreshold"] == metric.tried[5]


def test_the_fixed_threshold_need_not_be_among_those_tried() -> None:
    photo = photos(3)[0]
    heatmap = CLOVA.heatmap(photo.heatmap)
    score = BoxAccuracy(interval=0.5, threshold=0.3333).score(heatmap, photo.boxes, photo.size)
    truth = scale_boxes(photo.boxes, photo.size, (224, 224), whole=True)
    assert score.iou == box_iou(evaluator_box(heatmap, 0.3333), truth).max()


def test_any_true_box_counts() -> None:
    heatmap = np.zeros((14, 14))
    heatmap[2:6, 2:6] = 1
    heatmap = CLOVA.heatmap(heatmap)
    far, near = [300.0, 300.0, 400.0, 400.0], [57.0, 57.0, 171.0, 171.0]
    metric = BoxAccuracy()
    alone = metric.score(heatmap, np.array([near]), (400, 400)).iou
    assert alone > 0.5
    assert metric.score(heatmap, np.array([far, near]), (400, 400)).iou == alone


def test_a_given_box_scores_the_same_at_every_threshold() -> None:
    photo = photos(4)[0]
    box = [10.6, 20.2, photo.size[0] * 0.8, photo.size[1] * 0.9]
    metric = BoxAccuracy()
    score = metric.score_box(np.array([box]), photo.boxes, photo.size)
    expected = max(iou(at_224(box, *photo.size), at_224(true, *photo.size)) for true in photo.boxes.tolist())
    assert {score.iou, *score.single.tolist(), *score.every.tolist()} == {expected}
    metric.update(score, 0)
    assert metric.compute()["MaxBoxAcc"] == metric.compute()["Top1Loc"] == 100 * (expected >= 0.5)


def test_an_empty_map_answers_with_the_corner() -> None:
    score = BoxAccuracy().score(CLOVA.heatmap(np.full((14, 14), np.nan)), np.array([[0.0, 0.0, 1.0, 0.0]]), (224, 224))
    assert {score.iou, *score.single.tolist(), *score.every.tolist()} == {0.5}


def test_what_cannot_be_scored_is_refused() -> None:
    metric = BoxAccuracy()
    with pytest.raises(WsolError, match="without true boxes"):
        metric.score(np.eye(224), np.zeros((0, 4)), (10, 10))
    with pytest.raises(WsolError, match="from 0 to 1"):
        BoxAccuracy(threshold=20.0)
    with pytest.warns(UserWarning), pytest.raises(WsolError, match="no image"):
        metric.compute()
