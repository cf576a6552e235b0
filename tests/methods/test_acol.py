"""ACoL against its slow twin, and its limiting cases."""

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, plain

from wsol.methods.acol import ACoL
from wsol.nn.maps import choose, min_max, peak


def make(threshold: float, **options) -> ACoL:
    torch.manual_seed(2)
    return ACoL(plain(), 5, erase_threshold=threshold, head_width=7, **options)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_losses_and_fused_map_equal_the_slow_twin(threshold: float) -> None:
    images, labels = batch()
    method = make(threshold)
    terms = method.loss(images, labels)
    a, b, fused = oracle.acol(method, images, labels.tolist())
    assert terms["a"].item() == pytest.approx(a, abs=1e-5)
    assert terms["b"].item() == pytest.approx(b, abs=1e-5)
    heatmaps = method.heatmaps(method.predict(images), labels[:, None])[:, 0]
    torch.testing.assert_close(heatmaps, torch.stack(fused), rtol=1e-4, atol=1e-5)


def test_nothing_is_erased_beyond_one() -> None:
    images, labels = batch()
    method = make(1.01)
    features = method.features(images)
    logits, _ = method.head_b(features)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(method.loss(images, labels)["b"], expected)


def test_everything_is_erased_at_zero() -> None:
    images, labels = batch()
    method = make(0.0)
    with torch.no_grad():
        for head in (method.head_b.hidden[0], method.head_b.hidden[2]):
            head.bias.normal_()
    features = method.features(images).detach().requires_grad_()
    _, maps_a = method.head_a(features)
    assert method.discriminative(choose(maps_a, labels[:, None])).all()
    prediction = method.predict(images)
    prediction.evidence["features"] = torch.zeros_like(prediction.evidence["features"])
    _, blank = method.head_b(prediction.evidence["features"])
    inner = blank[:, :, 3:-3, 3:-3]  # further in than zero padding reaches
    torch.testing.assert_close(inner, inner[:, :, :1, :1].expand_as(inner))


def test_the_fused_map_is_at_least_each_part() -> None:
    images, labels = batch()
    method = make(0.6)
    prediction = method.predict(images)
    fused = method.heatmaps(prediction, labels[:, None])
    assert (fused >= min_max(choose(prediction.evidence["maps_a"], labels[:, None])) - 1e-6).all()
    assert fused.amax() <= 1 + 1e-6


def test_the_fused_map_is_the_larger_of_the_heads_own() -> None:
    images, labels = batch()
    method = make(0.6)
    prediction = method.predict(images)
    alone, other, fused = (method.heatmaps(prediction, labels[:, None], heads=heads) for heads in ("a", "b", "both"))
    torch.testing.assert_close(alone, choose(prediction.evidence["maps_a"], labels[:, None]))
    erased = prediction.evidence["features"] * ~(min_max(alone) >= 0.6)
    torch.testing.assert_close(other, choose(method.head_b(erased)[1], labels[:, None]))
    torch.testing.assert_close(fused, torch.maximum(min_max(alone), min_max(other)))


def test_b_sends_no_gradient_to_what_was_erased_and_some_to_the_rest(monkeypatch) -> None:
    images, labels = batch()
    method = make(0.5)
    features = method.features(images).detach().requires_grad_()
    monkeypatch.setattr(method, "features", lambda images: features)
    erased = peak(min_max(choose(method.head_a(features)[1], labels[:, None])), 0.5, relative=False)[:, 0]
    method.loss(images, labels)["b"].backward()
    assert erased.any() and not erased.all()
    gradient = features.grad.abs().sum(1)
    assert gradient[erased].abs().max() == 0
    assert gradient[~erased].max() > 0


def test_smoothing_is_a_three_by_three_mean() -> None:
    images, _ = batch()
    method = make(0.6, smooth=True)
    plain_features, smooth = method.backbone(images), method.features(images)
    torch.testing.assert_close(smooth[:, :, 3, 4], plain_features[:, :, 2:5, 3:6].mean((2, 3)))


def test_pooling_is_the_largest_of_three_by_three_and_comes_first() -> None:
    images, _ = batch()
    method, both = make(0.6, pool=True), make(0.6, pool=True, smooth=True)
    pooled = method.features(images)
    torch.testing.assert_close(pooled[:, :, 3, 4], method.backbone(images)[:, :, 2:5, 3:6].amax((2, 3)))
    torch.testing.assert_close(both.features(images)[:, :, 3, 4], pooled[:, :, 2:5, 3:6].mean((2, 3)))


def test_each_class_has_its_own_erased_region() -> None:
    images, _ = batch()
    method = make(0.6)
    prediction = method.predict(images)
    both = method.heatmaps(prediction, torch.tensor([[1, 4]] * 4))
    for place, label in enumerate((1, 4)):
        alone = method.heatmaps(prediction, torch.tensor([[label]] * 4))
        torch.testing.assert_close(both[:, place], alone[:, 0])


def test_the_control_erases_as_many_cells_at_random_in_training_alone(monkeypatch) -> None:
    images, labels = batch()
    erased = []
    monkeypatch.setattr("wsol.methods.acol.erase", lambda features, mask: erased.append(mask) or features)
    for where in ("strongest", "random"):
        torch.manual_seed(0)
        method = ACoL(plain(), 5, erase_threshold=0.8, erase_where=where)
        method.loss(images, labels)
        method.heatmaps(method.predict(images), labels[:, None])
    strongest, at_test, random, control_at_test = erased
    assert strongest.sum((1, 2)).tolist() == random.sum((1, 2)).tolist() and not torch.equal(strongest, random)
    assert torch.equal(at_test, control_at_test)
