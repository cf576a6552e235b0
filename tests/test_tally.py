"""What one pass counts beside the metrics: kinds of errors, classes, and intervals by bootstrap."""

import numpy as np
import pytest

from wsol.data.dataset import Truth
from wsol.evaluation.tally import Tally
from wsol.metrics import BoxAccuracy, BoxScore, Classification
from wsol.metrics.box import ErrorKind, kind_of_error

SIZE = (224, 224)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([10, 10, 40, 40], "Part"),  # inside the first object
        ([0, 0, 140, 180], "More"),  # the whole first object and much more
        ([0, 0, 223, 110], "Several"),  # much of both objects
        ([110, 110, 150, 150], "Elsewhere"),  # neither
        ([60, 60, 120, 120], "Elsewhere"),  # a corner of the first: less than half of the box
    ],
)
def test_each_kind_of_error(box: list[float], kind: str) -> None:
    objects = np.array([[5.0, 5.0, 80.0, 80.0], [150.0, 5.0, 220.0, 80.0]])
    assert kind_of_error(np.array(box, np.float64), objects) == kind


def test_the_kinds_of_errors_and_what_is_right_make_all() -> None:
    metric, kinds = BoxAccuracy(0.5), ("Part", "Part", "More", "Several", "Elsewhere")
    kinds_of_all: tuple[ErrorKind, ...] = (*kinds, "Part", "Part")
    for number, kind in enumerate(kinds_of_all):
        iou = 0.9 if number == 5 else 0.2
        metric.update(BoxScore(np.full(2, iou), np.full(2, iou), iou, kind), rank=number == 6)
    share = 100 / 7
    expected = {"WrongClass": share, "Several": share, "Part": 2 * share, "More": share, "Elsewhere": share}
    assert metric.errors() == pytest.approx(expected)
    assert metric.compute()["Top1Loc"] == pytest.approx(100 - 6 * share)


def test_intervals_are_those_of_resampled_images() -> None:
    """200 images of which 60 % are right: the binomial interval is 53.2 to 66.8, and the resampled one near it."""
    metric = Classification(replicates=1000)
    for index in range(200):
        metric.update(rank=index % 5 > 2, index=index)
    low, high = metric.intervals()["Top1Cls"]
    assert low == pytest.approx(53.2, abs=1.5) and high == pytest.approx(66.8, abs=1.5)
    assert metric.compute()["Top1Cls"] == 60


def test_replicates_hang_on_the_image_and_not_on_the_order() -> None:
    forwards, backwards = Classification(replicates=50), Classification(replicates=50)
    for index in range(30):
        forwards.update(index % 3, index=index)
        backwards.update((29 - index) % 3, index=29 - index)
    assert forwards.intervals() == backwards.intervals()


def test_replicates_are_those_of_counting_each_image_alone() -> None:
    """70 images: neither all of them are counted at once, nor in whole batches."""
    metric, right = Classification(replicates=40), [index % 3 > 0 for index in range(70)]
    for index, hit in enumerate(right):
        metric.update(rank=0 if hit else 9, index=index)
    drawn = [np.random.default_rng(index).poisson(1.0, 40) for index in range(70)]
    shares = [
        100 * sum(times[n] * hit for times, hit in zip(drawn, right, strict=True)) / sum(times[n] for times in drawn)
        for n in range(40)
    ]
    assert metric.intervals()["Top1Cls"] == pytest.approx(np.percentile(shares, (2.5, 97.5)).tolist())


def test_curves_of_resampled_images_are_whole() -> None:
    """Counts kept as differences give each replicate the figures of the images drawn into it."""
    rng, metric = np.random.default_rng(0), BoxAccuracy(0.1, replicates=3)
    scores = [BoxScore(*rng.uniform(0, 1, (2, 10)), 0.4) for _ in range(12)]
    for index, score in enumerate(scores):
        metric.update(score, 0, index=index)
    drawn = [np.random.default_rng(index).poisson(1.0, 3) for index in range(12)]
    best = []
    for replicate in range(3):
        hits = sum(times[replicate] * (score.single >= 0.5) for times, score in zip(drawn, scores, strict=True))
        best.append(100 * hits.max() / sum(times[replicate] for times in drawn))
    assert metric.intervals()["MaxBoxAcc"] == pytest.approx(np.percentile(best, (2.5, 97.5)).tolist())


def test_without_predictions_nothing_is_said_of_classes() -> None:
    heatmap = np.zeros(SIZE)
    heatmap[50:100, 50:100] = 1
    tally = Tally(9, 0.2, classified=False, replicates=5)
    truth = Truth(np.array([[50.0, 50.0, 100.0, 100.0]]))
    tally.update(tally.score(heatmap, truth, SIZE), 0, 3)
    found = tally.figures([str(label) for label in range(9)])
    assert found["GTKnownLoc"] == found["MaxBoxAcc"] == found["Errors"]["Right"] == 100
    for name in ("Top1Cls", "Top5Cls", "Top1Loc", "Top5Loc", "MaxTop1Loc", "MaxTop5Loc"):
        assert found[name] is None and name not in found["Interval95"]
    assert found["Errors"]["WrongClass"] is found["CentreBox"]["Top1Loc"] is None
    known = {"images": 1, "GTKnownLoc": 100, "MeanBoxIoU": pytest.approx(found["MeanBoxIoU"])}
    assert found["PerClass"]["3"] == known | dict.fromkeys(("Top1Cls", "Top1Loc", "PxAP"))
    assert found["Confusion"] is None
    assert found["PerClass"]["4"]["images"] == 0


def test_the_histogram_and_the_mean_of_iou() -> None:
    """Edges belong to the bin above, and 1 to the last; of each class the mean is its own."""
    metric = BoxAccuracy(0.5, classes=2)
    for index, iou in enumerate((0.0, 0.049, 0.05, 0.5, 0.999, 1.0)):
        metric.update(BoxScore(np.zeros(2), np.zeros(2), iou), 0, label=index // 4, index=index)
    expected = dict.fromkeys(range(20), 0.0) | {0: 200 / 6, 1: 100 / 6, 10: 100 / 6, 19: 200 / 6}
    assert metric.histogram() == pytest.approx(list(expected.values()))
    assert metric.compute()["MeanBoxIoU"] == pytest.approx(100 * 2.598 / 6)
    assert [row["MeanBoxIoU"] for row in metric.per_class()] == pytest.approx([100 * 0.599 / 4, 100 * 1.999 / 2])


def test_the_confusion_of_classes_counts_what_was_said_of_each() -> None:
    tally, truth = Tally(3, 0.2, replicates=0), Truth(np.array([[50.0, 50.0, 100.0, 100.0]]))
    scored = tally.score(np.eye(224), truth, SIZE)
    for index, (label, best) in enumerate([(0, 0), (0, 2), (0, 2), (2, 2), (1, None)]):
        tally.update(scored, index, label, rank=int(label != best), best=best)
    assert tally.figures(["a & b", "b", "c"])["Confusion"] == {"a & b": {"a & b": 1, "c": 2}, "c": {"c": 1}}


def test_classes_that_no_image_has_take_no_room_and_change_nothing() -> None:
    """Six images and a label of 9,999: as with the labels 0 and 1 alone, but for the list of classes."""
    rng = np.random.default_rng(1)
    photos = [(rng.random(SIZE), Truth(np.array([[50.0, 50, 120, 150]]), rng.random(SIZE) > 0.5)) for _ in range(6)]
    tallies = [Tally(2, 0.2, replicates=4), Tally(10_000, 0.2, replicates=4, occurring={9_999, 3})]
    for tally, labels in zip(tallies, ((0, 1), (3, 9_999)), strict=True):
        for index, (heatmap, truth) in enumerate(photos):
            tally.update(tally.score(heatmap, truth, SIZE), index, labels[index % 2], rank=index)
    few, many = (tally.figures([str(label) for label in range(tally.classes)]) for tally in tallies)
    assert len(tallies[1].boxes[""].changes) == len(tallies[1].pixels[""].inside) == 2 + 4
    assert many["PerClass"]["9999"] == few["PerClass"]["1"] and many["PerClass"]["9998"]["images"] == 0
    for name in few.keys() - {"PerClass", "Top5Cls", "Top5Loc", "MaxTop5Loc", "Interval95", "CentreBox", "WholeImage"}:
        assert str(many[name]) == str(few[name]), name
    assert many["Interval95"]["MaxBoxAcc"] == few["Interval95"]["MaxBoxAcc"]
