"""Top-k accuracy against sorting, with ties, NaN and several processes' states."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import metrics as oracle

from wsol.errors import WsolError
from wsol.metrics import Classification, MeanPrecision, ranks

# few values, so that many logits are equal
rows = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=8)


@given(rows, st.data())
def test_rank_is_the_place_after_sorting(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    assert ranks(torch.tensor([logits]), torch.tensor([label])).item() == oracle.rank(logits, label)


@given(rows, st.data())
def test_the_rank_of_several_classes_is_that_of_the_first_present(logits: list[float], data: st.DataObject) -> None:
    some = data.draw(st.sets(st.integers(0, len(logits) - 1), min_size=1))
    present = torch.tensor([[label in some for label in range(len(logits))]])
    assert ranks(torch.tensor([logits]), present).item() == min(oracle.rank(logits, label) for label in some)


values = st.sampled_from([-80.0, -1.0, 0.0, 0.5, 2.0, 80.0, 81.0])  # some alike after a sigmoid


@given(st.integers(2, 4), st.integers(1, 9), st.data())
def test_mean_precision_is_that_of_counting_down(classes: int, images: int, data: st.DataObject) -> None:
    logits = data.draw(st.lists(st.lists(values, min_size=classes, max_size=classes), min_size=images, max_size=images))
    labels = st.lists(st.booleans(), min_size=classes, max_size=classes).filter(any)
    present = data.draw(st.lists(labels, min_size=images, max_size=images))
    metric = MeanPrecision(classes)
    for row, right in zip(logits, present, strict=True):
        metric.update(torch.tensor(row), torch.tensor(right))
    assert metric.compute()["mAP"] == pytest.approx(oracle.mean_precision(logits, present))


def test_nan_comes_last_in_mean_precision() -> None:
    metric = MeanPrecision(1)
    for value, right in ((math.nan, True), (-math.inf, False), (-5.0, False)):
        metric.update(torch.tensor([value]), torch.tensor([right]))
    assert metric.compute()["mAP"] == pytest.approx(100 / 3)


def test_a_network_that_says_nothing_is_right_for_one_class_only() -> None:
    assert ranks(torch.zeros(7, 7), torch.arange(7)).tolist() == list(range(7))


def test_nan_is_never_right() -> None:
    logits = torch.full((3, 9), math.nan)
    assert (ranks(logits, torch.tensor([0, 4, 8])) >= 5).all()
    assert ranks(torch.tensor([[1.0, math.nan, 0.0]]), torch.tensor([0])).item() == 1


def test_counts_over_several_processes() -> None:
    whole, parts = Classification(), [Classification(), Classification()]
    for metric, found in [(parts[0], [0, 1, 4]), (parts[1], [5, 0, 9, 0]), (whole, [0, 1, 4, 5, 0, 9, 0])]:
        for rank in found:
            metric.update(rank)
    parts[0].merge_state(parts[1])
    assert parts[0].compute() == whole.compute() == {"Top1Cls": 3 * 100.0 / 7, "Top5Cls": 5 * 100.0 / 7}


def test_no_images_are_refused() -> None:
    with pytest.warns(UserWarning), pytest.raises(WsolError, match="no image"):
        Classification().compute()
