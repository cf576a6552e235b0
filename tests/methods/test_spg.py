"""SPG against its slow twin, and its limiting cases."""

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, plain, transformer

from wsol.backbones.contract import IMAGENET
from wsol.backbones.tokens import Tokens
from wsol.methods.spg import SPG, guided


def make(**options) -> SPG:
    torch.manual_seed(2)
    return loud(SPG(plain(), 5, head_width=8, **{"dropout": 0.0} | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"guided_at": ("c", "a")},  # given in any order, read shallow to deep
        {"sure_b2": (0.9, 0.3), "sure_b1": (0.6, 0.5), "sure_c": (0.55, 0.45)},
        {"sure_b1": (0.3, 0.6), "sure_c": (0.4, 0.7)},  # where both hold it is background
        {"head_depth": 0},
    ],
)
def test_each_loss_equals_the_slow_twin(options: dict) -> None:
    images, labels = batch()
    method = make(**options)
    expected = oracle.spg(method, images, labels.tolist())
    terms = method.loss(images, labels)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, abs=1e-5), name


def test_dropout_is_for_training_alone() -> None:
    images, _ = batch()
    method = make(dropout=0.5)
    assert torch.equal(method.eval().predict(images).logits, make().eval().predict(images).logits)
    assert not torch.equal(method.train().predict(images).logits, make().predict(images).logits)


def mask_of(*values: float) -> torch.Tensor:
    """One photo's guide of 8x8 pixels: these values, and 0.3 elsewhere."""
    flat = torch.full((64,), 0.3)
    flat[: len(values)] = torch.tensor(values)
    return flat.view(1, 1, 8, 8)


def gradient(guide: torch.Tensor, high: float, low: float) -> torch.Tensor:
    mask = torch.zeros_like(guide, requires_grad=True)
    guided(mask, guide, high, low).backward()
    assert mask.grad is not None
    return mask.grad.flatten(1)


def test_pixels_between_the_thresholds_say_nothing() -> None:
    guide = mask_of(*[0.9] * 30, *[0.05] * 10)
    moved = gradient(guide, 0.7, 0.1)[0]
    torch.testing.assert_close(moved[:30], torch.full((30,), -0.5 / 40))  # drawn up to 1
    torch.testing.assert_close(moved[30:40], torch.full((10,), 0.5 / 40))  # down to 0
    assert not moved[40:].any()


def test_with_few_pixels_of_foreground_a_photos_own_maximum_counts_and_no_other_photos() -> None:
    """The released code lowers the threshold of the photos that follow in the batch too."""
    few, many = mask_of(*[0.8] * 5, *[0.6] * 5), mask_of(*[0.8] * 30, *[0.6] * 5)
    moved = gradient(torch.cat([few, many]), 0.7, 0.0)
    assert (moved[0] < 0).nonzero().flatten().tolist() == list(range(10))  # above 0.7 * 0.8
    assert (moved[1] < 0).nonzero().flatten().tolist() == list(range(30))


def test_nothing_sure_is_no_loss_and_no_gradient() -> None:
    guide = torch.full((1, 1, 8, 8), 0.5)
    mask = torch.randn(1, 1, 8, 8, requires_grad=True)
    loss = guided(mask, guide, 1.0, 0.0)
    loss.backward()
    assert loss.item() == 0 and mask.grad is not None and not mask.grad.any()


def test_guides_get_no_gradient() -> None:
    images, labels = batch()
    method = make()
    method.loss(images, labels)["c"].backward()
    assert all(parameter.grad is None for head in (method.head_b, method.head_b1) for parameter in head.parameters())


def test_it_needs_no_re_entry_and_so_runs_on_transformers() -> None:
    network = transformer("vit_tiny_patch16_224", img_size=32)
    method = SPG(Tokens(network, IMAGENET), 5, guided_at=(-2, -1), head_width=8)
    images, labels = batch()
    assert all(torch.isfinite(term) for term in method.loss(images, labels).values())
