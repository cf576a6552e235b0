"""HaS, CutMix and ADL against slow twins, and their limiting cases: what they switch off leaves the inner method."""

import copy

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, plain

from wsol.errors import WsolError
from wsol.methods.acol import ACoL
from wsol.methods.adl import ADL
from wsol.methods.bas import BAS
from wsol.methods.cam import CAM
from wsol.methods.contract import cross_entropy
from wsol.methods.cutmix import CutMix
from wsol.methods.eil import EIL
from wsol.methods.has import HaS
from wsol.methods.regressor import Regressor
from wsol.methods.stack import stack


def cam() -> CAM:
    torch.manual_seed(3)
    return loud(CAM(plain(), 5)).train()


def eil(**options) -> EIL:
    torch.manual_seed(3)
    return loud(EIL(plain(), 5, boundary="b", **options)).train()


# HaS


@pytest.mark.parametrize(("patch", "rate"), [(8, 0.5), (7, 0.3), (40, 0.5), (16, 1.0)])
def test_hidden_patches_take_the_mean_colour(patch: int, rate: float) -> None:
    """Patches of 7 and 40 pixels do not fit into 32."""
    images, labels = batch()
    method = HaS(cam(), patch=patch, hide_rate=rate)
    torch.manual_seed(0)
    shown, same = method.edit(images, labels)
    torch.manual_seed(0)
    across = -(-32 // patch)
    mean = method.backbone.mean.flatten().tolist()
    for image, edited in zip(images, shown, strict=True):
        torch.randint(1, ())
        grid = torch.rand(across, across).tolist()
        torch.testing.assert_close(edited, oracle.hidden(image, mean, patch, grid, rate))
    assert same is labels


def test_a_patch_is_hidden_as_often_as_its_rate_says() -> None:
    method = HaS(cam(), patch=8, hide_rate=0.3)
    torch.manual_seed(0)
    hidden = torch.stack([method.hidden(32, 32) for _ in range(500)]).float()
    assert hidden.mean().item() == pytest.approx(0.3, abs=0.02)
    patches = hidden.view(500, 4, 8, 4, 8).transpose(2, 3).flatten(3)
    assert set(patches.mean(-1).unique().tolist()) == {0, 1}  # whole patches
    assert patches.mean((0, 3)).std() < 0.05  # each place alike


def test_hidden_is_nothing_in_normalised_space() -> None:
    method = HaS(cam(), hide_rate=1.0)
    shown, _ = method.edit(*batch())
    assert ((shown - method.backbone.mean) / method.backbone.std).abs().max() < 1e-6


def test_the_mixed_variant_draws_each_of_the_papers_sides_for_each_photo() -> None:
    method = HaS(cam(), patch="mixed", hide_rate=1.0)
    assert sorted(method.sides) == [0, 16, 32, 44, 56]
    torch.manual_seed(0)
    whole = [bool(method.hidden(112, 112).any()) for _ in range(400)]
    assert sum(whole) / 400 == pytest.approx(0.8, abs=0.06)  # a side of 0 hides nothing


def test_nothing_hidden_is_the_inner_methods_loss() -> None:
    images, labels = batch()
    assert HaS(cam(), hide_rate=0.0).loss(images, labels) == cam().loss(images, labels)


# CutMix


def draws(shape: float, photos: int = 4, side: int = 32) -> tuple[list[int], float, tuple[int, int]]:
    """What CutMix draws: the order of the batch, lambda, and the middle of the box."""
    torch.rand(())
    kept = torch.distributions.Beta(shape, shape).sample().item()
    order = torch.randperm(photos).tolist()
    return order, kept, (int(torch.randint(side, ())), int(torch.randint(side, ())))


@pytest.mark.parametrize("shape", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_a_box_of_another_photo_and_its_share_of_the_label(seed: int, shape: float) -> None:
    images, labels = batch()
    method = CutMix(cam(), mix_shape=shape)
    torch.manual_seed(seed)
    shown, soft = method.edit(images, labels)
    torch.manual_seed(seed)
    expected, wanted = oracle.mixed(images, labels.tolist(), *draws(shape), classes=5)
    assert torch.equal(shown, expected)
    torch.testing.assert_close(soft, wanted)


def test_the_share_of_the_label_is_the_share_of_the_pixels() -> None:
    """Photos of one colour each tell what was pasted where."""
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 32, 32) / 4
    method = CutMix(cam())
    shares = []
    for seed in range(40):
        torch.manual_seed(seed)
        shown, soft = method.edit(images, torch.arange(4))
        for i, (photo, label) in enumerate(zip(shown, soft, strict=True)):
            counted = torch.tensor([(photo[0] == k / 4).float().mean() for k in range(4)] + [0.0])
            torch.testing.assert_close(label, counted)
            shares.append(1 - label[i].item())
    assert 0.1 < sum(shares) / len(shares) < 0.5 and max(shares) > 0.5


def test_mixed_labels_weigh_the_two_cross_entropies() -> None:
    images, labels = batch()
    method = CutMix(cam())
    torch.manual_seed(4)
    loss = method.loss(images, labels)["classification"]
    torch.manual_seed(4)
    shown, soft = method.edit(images, labels)
    torch.manual_seed(4)
    order, _, _ = draws(1.0)
    kept = soft.gather(1, labels[:, None])[:, 0]
    kept = torch.where(labels == labels[order], torch.ones(4), kept)
    logits = method.predict(shown).logits
    expected = cross_entropy(logits, labels, kept) + cross_entropy(logits, labels[order], 1 - kept)
    torch.testing.assert_close(loss, expected)
    assert 0 < kept.min() < 1


def test_never_mixed_is_the_inner_methods_loss_and_always_is_not() -> None:
    images, labels = batch()
    never, always = CutMix(cam(), mix_rate=0.0), CutMix(cam(), mix_rate=1.0)
    for seed in range(20):
        torch.manual_seed(seed)
        assert never.edit(images, labels) == (images, labels)
        assert always.edit(images, labels)[1].dim() == 2
    assert never.loss(images, labels) == cam().loss(images, labels)


def test_a_batch_is_mixed_as_often_as_its_rate_says() -> None:
    images, labels = batch(side=8)
    method = CutMix(cam(), mix_rate=0.3)
    torch.manual_seed(0)
    mixed = [method.edit(images, labels)[1] is not labels for _ in range(400)]
    assert sum(mixed) / 400 == pytest.approx(0.3, abs=0.07)


def test_lambda_one_pastes_nothing(monkeypatch) -> None:
    images, labels = batch()
    monkeypatch.setattr("wsol.methods.cutmix.Beta.sample", lambda self: torch.ones(()))
    shown, soft = CutMix(cam()).edit(images, labels)
    assert torch.equal(shown, images) and torch.equal(soft, torch.nn.functional.one_hot(labels, 5).float())
    torch.testing.assert_close(CutMix(cam()).loss(images, labels), cam().loss(images, labels))


def test_the_inner_photos_are_not_changed_in_place() -> None:
    images, labels = batch()
    before = images.clone()
    for method in (CutMix(cam()), HaS(cam()), ADL(cam())):
        method.loss(images, labels)
        assert torch.equal(images, before)


def test_photos_of_several_classes_take_those_of_both() -> None:
    images, labels = batch()
    several = torch.nn.functional.one_hot(labels, 5).bool()
    torch.manual_seed(4)
    _, mixed = CutMix(cam()).edit(images, several)
    torch.manual_seed(4)
    order, _, _ = draws(1.0)
    assert mixed.dtype == torch.bool and torch.equal(mixed, several | several[order])


# ADL


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_each_boundary_drops_or_weights_for_the_whole_batch(rate: float, threshold: float) -> None:
    images, labels = batch()
    method = ADL(cam(), drop_at=("c", "a"), drop_rate=rate, drop_threshold=threshold)
    for seed in range(4):
        torch.manual_seed(seed)
        loss = method.loss(images, labels)["classification"]
        torch.manual_seed(seed)
        features = images
        for start, stop in ((None, "a"), ("a", "c")):
            features = method.backbone(features, after=start, until=stop)
            features = oracle.attended(features, threshold, bool(torch.rand(()) < rate))
        torch.testing.assert_close(loss, cross_entropy(method.method.head(features)[0], labels))


def test_around_eil_each_stream_that_passes_a_boundary_draws_again() -> None:
    images, labels = batch()
    method = ADL(eil(erase_threshold=0.9), drop_at=("a", "c"), drop_rate=0.5)
    backbone, head = method.backbone, method.method.head
    patterns = set()
    for seed in range(12):
        torch.manual_seed(seed)
        terms = method.loss(images, labels)
        torch.manual_seed(seed)
        dropped = [bool(torch.rand(()) < 0.5) for _ in range(3)]
        features = oracle.attended(backbone(images, until="a"), 0.8, dropped[0])
        features = backbone(features, after="a", until="b")
        erased = torch.cat([oracle._erased(feature[None], 0.9) for feature in features])
        for name, stream, drop, weight in (
            ("intact", features, dropped[1], 1.0),
            ("erased", erased, dropped[2], 2.0),
        ):
            last = oracle.attended(backbone(stream, after="b"), 0.8, drop)
            torch.testing.assert_close(terms[name], weight * cross_entropy(head(last)[0], labels))
        patterns.add(tuple(dropped[1:]))
    assert len(patterns) == 4


def test_dropping_nothing_is_the_inner_methods_loss() -> None:
    images, labels = batch()
    assert ADL(cam(), drop_rate=1.0, drop_threshold=1.01).loss(images, labels) == cam().loss(images, labels)


def test_what_equals_the_threshold_is_dropped() -> None:
    """The drop mask keeps what is strictly below."""
    features = torch.tensor([1.0, 0.75, 0.5]).view(1, 1, 1, 3).expand(1, 4, 1, 3)
    method = ADL(cam(), drop_rate=1.0, drop_threshold=0.75)
    assert method.attended(features)[0, 0, 0].tolist() == [0, 0, 0.5]


def test_importance_sends_gradient_through_the_attention_and_drops_send_none() -> None:
    images, _ = batch()
    method = ADL(cam(), drop_rate=0.0)
    features = method.backbone(images).detach().requires_grad_()
    method.attended(features).sum().backward()
    attention = features.detach().mean(1, keepdim=True)
    sigmoid = attention.sigmoid()
    expected = sigmoid + features.detach().sum(1, keepdim=True) * sigmoid * (1 - sigmoid) / features.shape[1]
    torch.testing.assert_close(features.grad, expected.expand_as(features))


def test_the_backbone_is_as_before_after_a_loss_and_after_an_error() -> None:
    images, labels = batch()
    method = ADL(cam())
    before = method.backbone(images)
    method.loss(images, labels)
    assert torch.equal(method.backbone(images), before)
    with pytest.raises((RuntimeError, IndexError)):
        method.loss(images, labels + 100)
    assert torch.equal(method.backbone(images), before)


# all of them


@pytest.mark.parametrize("around", [HaS, CutMix, ADL])
@pytest.mark.parametrize("inner", [cam, eil, lambda: BAS(plain(), 5, head_width=8)])
def test_at_test_it_is_the_inner_method(around, inner) -> None:
    torch.manual_seed(0)
    method = inner()
    outer = around(copy.deepcopy(method))
    images, labels = batch()
    for mode in (True, False):
        one, two = method.train(mode).predict(images), outer.train(mode).predict(images)
        assert torch.equal(one.logits, two.logits)
        torch.manual_seed(1)
        assert torch.equal(method.heatmaps(one, labels[:, None]), outer.heatmaps(two, labels[:, None]))
    assert {name.removeprefix("method."): value.shape for name, value in outer.state_dict().items()} == {
        name: value.shape for name, value in method.state_dict().items()
    }


def test_settings_at_test_reach_the_inner_method() -> None:
    torch.manual_seed(0)
    method = HaS(ACoL(plain(), 5, head_width=8))
    images, labels = batch()
    prediction = method.predict(images)
    a, both = (method.heatmaps(prediction, labels[:, None], heads=heads) for heads in ("a", "both"))
    assert not torch.allclose(a, both)
    assert list(stack("has+acol").at_test) == ["heads"] and list(stack("adl+cutmix+bas").at_test) == ["averaged"]


def test_progress_and_boxes_reach_the_inner_method() -> None:
    images, labels = batch()
    torch.manual_seed(0)
    method = HaS(ADL(BAS(plain(), 5, area_ramp=0.5, head_width=8)), hide_rate=0.0)
    assert method.asked == {"progress"} and HaS(Regressor(plain(), 5)).asked == {"pseudo_boxes"}
    assert method.loss(images, labels, progress=0.0)["area"] == 0 != method.loss(images, labels, progress=1.0)["area"]


def test_a_method_alone_stands_around_cam_with_its_papers_head() -> None:
    assert [kind.__name__ for kind in stack("ega").kinds] == ["EGA", "CAM"]
    assert stack("ega").options["head_depth"].default == 2 and stack("ega+cam").options["head_depth"].default == 0
    assert stack("has").options["head_depth"].default == 0 and stack("ega").key == "ega"
    torch.manual_seed(0)
    assert len(stack("ega").build(plain(), 5).method.head.hidden) == 4
    assert len(stack("ega").build(plain(), 5, head_depth=0).method.head.hidden) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("has+has+cam", "HaS goes around a method once"),
        ("adl+has+adl+eil", "ADL goes around a method once"),
        ("cam+has", "HaS goes around another method; write cam\\+has\\+cam"),
        ("cam+eil", "CAM does not go around another method"),
        ("has+nobody", "there is no method 'nobody'"),
    ],
)
def test_what_cannot_stand_around_what(name: str, message: str) -> None:
    with pytest.raises(WsolError, match=message):
        stack(name)
