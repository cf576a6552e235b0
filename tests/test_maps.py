"""Map operators against their slow twins, and where their gradients go."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import maps as oracle
from torch import Tensor

from wsol.maps import channel_mean, choose, erase, fuse, min_max, peak, pick_class

seeds = st.integers(0, 2**31 - 1)


def features(seed: int, b: int = 2, c: int = 3, h: int = 4, w: int = 5) -> Tensor:
    return torch.randn(b, c, h, w, generator=torch.Generator().manual_seed(seed))


@given(seeds)
def test_channel_mean_equals_its_twin(seed: int) -> None:
    x = features(seed)
    torch.testing.assert_close(channel_mean(x), oracle.channel_mean(x))


@given(seeds)
def test_min_max_equals_its_twin_and_spans_zero_to_one(seed: int) -> None:
    x = features(seed)[:, 0] * 7 - 3
    scaled = min_max(x)
    for one, original in zip(scaled, x, strict=True):
        torch.testing.assert_close(one, oracle.min_max(original))
    assert scaled.amin() == 0 and math.isclose(scaled.amax(), 1, abs_tol=1e-6)


def test_min_max_of_a_constant_map_is_zero() -> None:
    assert min_max(torch.full((1, 3, 3), 5.0)).abs().max() == 0


@given(seeds, st.floats(0, 1.5))
def test_peak_equals_its_twin(seed: int, threshold: float) -> None:
    heatmaps = features(seed)[:, 0]
    for mask, heatmap in zip(peak(heatmaps, threshold), heatmaps, strict=True):
        assert [tuple(p) for p in mask.nonzero().tolist()] == oracle.strongest(heatmap, threshold)


def test_peak_marks_the_maximum_and_nothing_on_a_map_without_a_positive_value() -> None:
    heatmap = torch.tensor([[[0.0, 1.0], [0.69, 0.7]]])
    assert peak(heatmap, 0.7).tolist() == [[[False, True], [False, True]]]
    assert not peak(-heatmap, 0.7).any()
    assert peak(heatmap, 0.69, relative=False).tolist() == [[[False, True], [True, True]]]


def test_peak_is_decided_in_float32() -> None:
    fine = torch.tensor([[[1.0, 0.7001, 0.6999]]])
    assert peak(fine, 0.7).tolist() == [[[True, True, False]]]
    assert not peak(fine.requires_grad_(), 0.7).requires_grad


@given(seeds)
def test_erase_equals_its_twin_and_blocks_the_gradient_exactly_there(seed: int) -> None:
    x = features(seed).requires_grad_()
    mask = features(seed + 1)[:, 0] > 0
    erased = erase(x, mask)
    for one, original, where in zip(erased, x, mask, strict=True):
        torch.testing.assert_close(one, oracle.erase(original, [tuple(p) for p in where.nonzero().tolist()]))
    erased.sum().backward()
    assert torch.equal(x.grad, (~mask)[:, None].expand_as(x).float())


def test_choose_takes_the_asked_maps() -> None:
    class_maps = torch.arange(2 * 4 * 2 * 2).float().view(2, 4, 2, 2)
    chosen = choose(class_maps, torch.tensor([[3, 0], [1, 1]]))
    assert torch.equal(chosen[0, 0], class_maps[0, 3]) and torch.equal(chosen[1, 1], class_maps[1, 1])


@given(seeds)
def test_fused_map_is_at_least_each_part(seed: int) -> None:
    a, b = features(seed)[:, 0], features(seed + 1)[:, 0]
    assert (fuse(a, b) >= min_max(a)).all() and (fuse(a, b) >= min_max(b)).all()
    assert torch.equal(fuse(a, a), min_max(a))


def test_pick_class_from_each_kind_of_label() -> None:
    assert pick_class(torch.tensor([2, 0])).tolist() == [2, 0]
    assert pick_class(torch.tensor([[0.2, 0.7, 0.1]])).tolist() == [1]
    several = torch.tensor([[True, False, True]] * 200)
    assert set(pick_class(several).tolist()) == {0, 2}
