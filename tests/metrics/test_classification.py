"""Top-k accuracy against sorting, with ties, NaN and several processes' states."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import metrics as oracle

from wsol.errors import WsolError
from wsol.metrics import Classification, ranks

# few values, so that many logits are equal
rows = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=8)


@given(rows, st.data())
def test_rank_is_the_place_after_sorting(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    assert ranks(torch.tensor([logits]), torch.tensor([label])).item() == oracle.rank(logits, label)


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
