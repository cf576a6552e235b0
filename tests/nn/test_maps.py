"""Map operators against their slow twins, and where their gradients go."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import maps as oracle
from torch import Tensor

from wsol.nn.maps import (
    best_mean,
    channel_mean,
    choose,
    drawn,
    erase,
    flip_some,
    fuse,
    min_max,
    peak,
    pick_class,
    resize,
    scattered,
)

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


def test_half_precision_maps_are_compared_in_float32() -> None:
    """0.7 is 0.69921875 in bf16: a cell of that value would pass a threshold rounded to bf16."""
    half = torch.tensor([[[1.0, 0.7, 0.71]]], dtype=torch.bfloat16)
    assert half[0, 0, 1] == 0.69921875
    for threshold, relative in ((0.7, True), (0.7, False)):
        assert peak(half, threshold, relative).tolist() == [[[True, False, True]]]
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(peak(half, threshold, relative), peak(half.float(), threshold, relative))
    with torch.autocast("cpu", torch.bfloat16):
        assert channel_mean(half[:, None]).dtype == min_max(half).dtype == torch.float32


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


@given(seeds)
def test_the_mean_of_the_best_maps_equals_its_twin(seed: int) -> None:
    class_maps, logits = features(seed).requires_grad_(), features(seed + 1).mean((2, 3))
    best = 1 + seed % class_maps.shape[1]
    found = best_mean(class_maps, logits, best)
    for one, maps, scores in zip(found, class_maps, logits, strict=True):
        torch.testing.assert_close(one, oracle.mean_of_best(maps, scores, best))
    found.sum().backward()
    assert class_maps.grad is not None
    assert set(class_maps.grad.unique().tolist()) <= {0.0, torch.tensor(1 / best).item()}
    assert (class_maps.grad[:, :, 0, 0] > 0).sum(1).tolist() == [best] * len(class_maps)


@given(seeds)
def test_a_flip_undoes_itself_and_touches_nobody_else(seed: int) -> None:
    x = features(seed)
    flipped = torch.tensor([seed % 2 == 0] + [True] * (len(x) - 1))
    once = flip_some(x, flipped)
    assert torch.equal(flip_some(once, flipped), x)
    for one, original, where in zip(once, x, flipped.tolist(), strict=True):
        assert torch.equal(one, torch.flip(original, [2]) if where else original)


def test_resize_leaves_its_own_size_alone() -> None:
    x = features(3)
    assert torch.equal(resize(x, (x.shape[-2], x.shape[-1])), x)
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert resize(ramp, (2, 2))[0, 0].tolist() == [[0.5, 2.5], [0.5, 2.5]]


@given(seeds)
def test_a_box_on_a_grid_is_the_share_of_each_cell_that_it_covers(seed: int) -> None:
    corners = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed))
    boxes = torch.cat([torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])], 1)
    for grid, box in zip(drawn(boxes, 5), boxes.tolist(), strict=True):
        torch.testing.assert_close(grid, oracle.drawn(box, 5))
    assert torch.equal(drawn(boxes.expand(2, 3, 4), 5), drawn(boxes, 5).expand(2, 3, 5, 5))


def test_a_box_along_the_cells_fills_them() -> None:
    grid = drawn(torch.tensor([[0.0, 0.5, 0.75, 1.0]]), 4)[0]
    assert grid.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert not drawn(torch.tensor([[0.3, 0.3, 0.3, 0.3]]), 4).any()


def test_scattered_cells_are_as_many_in_each_map_and_elsewhere() -> None:
    torch.manual_seed(0)
    mask = torch.zeros(6, 9, 9, dtype=torch.bool)
    for count, one in enumerate(mask):
        one.view(-1)[: 10 * count] = True
    moved = scattered(mask)
    assert moved.sum((1, 2)).tolist() == mask.sum((1, 2)).tolist()
    assert not moved[0].any() and not any(
        torch.equal(one, other) for one, other in zip(moved[1:], mask[1:], strict=True)
    )
    often = torch.stack([scattered(mask[2]) for _ in range(400)]).float().mean(0)
    assert (often - 20 / 81).abs().max() < 0.1  # every cell as often


def test_scattering_leaves_full_and_empty_masks_as_they_are() -> None:
    mask = torch.stack([torch.ones(4, 4), torch.zeros(4, 4)]).bool()
    assert torch.equal(scattered(mask), mask)
