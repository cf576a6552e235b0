"""EIL and MEIL against their slow twins, and their limiting cases."""

import copy

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, normed, plain

from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.eil import EIL, MEIL
from wsol.nn.maps import channel_mean, peak


def like(method, other):
    """The same weights under another method."""
    method.load_state_dict(other.state_dict())
    return method


@pytest.mark.parametrize("boundary", ["a", "b", "c"])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_eil_equals_its_slow_twin(boundary: str, threshold: float) -> None:
    images, labels = batch()
    method = loud(EIL(plain(), 5, boundary=boundary, erase_threshold=threshold, sigma=2.0))
    terms = method.loss(images, labels)
    intact, erased = oracle.eil(method, images, labels.tolist(), [boundary], "I")
    assert terms["intact"].item() == pytest.approx(intact, abs=1e-5)
    assert terms["erased"].item() == pytest.approx(2 * erased, abs=1e-5)
    assert terms["intact"].item() != pytest.approx(erased, abs=1e-5)


@pytest.mark.parametrize("variant", ["I", "II"])
@pytest.mark.parametrize("boundaries", [("a", "b"), ("a", "c"), ("a", "b", "c"), ("b",)])
def test_meil_equals_its_slow_twin(boundaries: tuple[str, ...], variant) -> None:
    images, labels = batch()
    weights = (0.5, 1.5, 3.0)[: len(boundaries)]
    method = MEIL(plain(), 5, boundaries=boundaries[::-1], variant=variant, sigmas=weights[::-1], erase_threshold=0.8)
    loud(method)
    terms = method.loss(images, labels)
    expected = oracle.eil(method, images, labels.tolist(), list(boundaries), variant)
    assert list(terms) == ["intact", *(f"erased_{boundary}" for boundary in boundaries)]
    for term, weight, value in zip(terms.values(), (1.0, *weights), expected, strict=True):
        assert term.item() == pytest.approx(weight * value, abs=1e-5)


def test_the_two_variants_differ_with_two_sites() -> None:
    images, labels = batch()
    one = loud(MEIL(plain(), 5, boundaries=("a", "b"), variant="I", erase_threshold=0.5))
    two = like(MEIL(plain(), 5, boundaries=("a", "b"), variant="II", erase_threshold=0.5), one)
    assert not torch.isclose(one.loss(images, labels)["erased_b"], two.loss(images, labels)["erased_b"])
    torch.testing.assert_close(one.loss(images, labels)["erased_a"], two.loss(images, labels)["erased_a"])


def test_nothing_is_erased_beyond_one() -> None:
    images, labels = batch(64)
    method = EIL(normed(), 5, erase_threshold=1.01, sigma=1.0).train()
    terms = method.loss(images, labels)
    assert torch.equal(terms["intact"], terms["erased"])


def test_nothing_erased_is_one_control_whatever_the_boundaries() -> None:
    """EIL at sigma 2 and MEIL at twice 1 then ask for three times the same cross-entropy."""
    images, labels = batch(64)
    networks = [
        EIL(normed(), 5, boundary="layer2", erase_threshold=1.01),
        EIL(normed(), 5, boundary="layer4", erase_threshold=1.01),
        MEIL(normed(), 5, boundaries=("layer2", "layer3"), erase_threshold=1.01),
    ]
    losses = [sum(like(network, networks[0]).train().loss(images, labels).values()) for network in networks]
    plain_loss = like(CAM(normed(), 5), networks[0]).train().loss(images, labels)["classification"]
    torch.testing.assert_close(torch.stack(losses), plain_loss.expand(3) * 3)


def test_the_control_erases_as_many_cells_at_random() -> None:
    images, _ = batch(64)
    strongest = EIL(plain(), 5, erase_threshold=0.7)
    control = like(EIL(plain(), 5, erase_threshold=0.7, erase_where="random"), strongest)
    features = strongest.backbone(images, until="b").abs() + 1e-3  # no zero of its own
    counts, places = zip(
        *(
            ((erased == 0).all(1).sum((1, 2)).tolist(), (erased == 0).all(1))
            for erased in (strongest.erased(features, "b"), control.erased(features, "b"))
        ),
        strict=True,
    )
    assert counts[0] == counts[1] and min(counts[0]) > 0 and not torch.equal(*places)


def test_sigma_zero_gives_cams_gradients() -> None:
    images, labels = batch(64)
    eil, cam = EIL(normed(), 5, sigma=0.0).train(), CAM(normed(), 5).train()
    like(cam, eil)
    for method in (eil, cam):
        sum(method.loss(images, labels).values()).backward()
    for (name, one), two in zip(eil.named_parameters(), cam.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, msg=name)


def test_at_test_it_is_cam_whatever_the_threshold() -> None:
    images, labels = batch(64)
    one = EIL(normed(), 5, erase_threshold=0.1).eval()
    two, cam = like(MEIL(normed(), 5, erase_threshold=0.9).eval(), one), like(CAM(normed(), 5).eval(), one)
    with torch.no_grad():
        predictions = [method.predict(images) for method in (one, two, cam)]
        maps = [m.heatmaps(p, labels[:, None]) for m, p in zip((one, two, cam), predictions, strict=True)]
    for prediction, each in zip(predictions[1:], maps[1:], strict=True):
        assert torch.equal(prediction.logits, predictions[0].logits) and torch.equal(each, maps[0])


def test_no_parameter_and_no_buffer_is_added() -> None:
    cam = CAM(normed(), 5).state_dict()
    for method in (EIL(normed(), 5), MEIL(normed(), 5)):
        assert {name: value.shape for name, value in method.state_dict().items()} == {
            name: value.shape for name, value in cam.items()
        }


def test_meil_with_one_site_is_eil() -> None:
    images, labels = batch(64)
    eil = EIL(normed(), 5, boundary="layer3", sigma=1.7).train()
    for variant in ("I", "II"):
        meil = like(MEIL(normed(), 5, boundaries=("layer3",), sigmas=(1.7,), variant=variant).train(), eil)
        for one, two in zip(
            copy.deepcopy(eil).loss(images, labels).values(), meil.loss(images, labels).values(), strict=True
        ):
            torch.testing.assert_close(one, two)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_the_strongest_place_is_always_erased(threshold: float) -> None:
    images, _ = batch()
    method = EIL(plain(), 5, boundary="b", erase_threshold=threshold)
    features = method.backbone(images, until="b")
    erased = method.erased(features, "b")
    strongest = channel_mean(features).flatten(1).argmax(1)
    assert (erased.flatten(2)[torch.arange(4), :, strongest] == 0).all()


def test_erased_features_get_no_gradient_and_kept_ones_do() -> None:
    images, labels = batch()
    method = EIL(plain(), 5, boundary="b", erase_threshold=0.7)
    features = method.backbone(images, until="b").detach().requires_grad_()
    where = peak(channel_mean(features), 0.7)
    logits, _ = method.head(method.backbone(method.erased(features, "b"), after="b"))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    gradient = features.grad.abs().sum(1)
    assert gradient[where].max() == 0 and gradient[~where].max() > 0


def test_the_absolute_rule_compares_with_gamma_itself() -> None:
    images, _ = batch()
    method = EIL(plain(), 5, boundary="b", erase_threshold=0.05, absolute=True)
    features = method.backbone(images, until="b")
    gone = method.erased(features, "b").abs().sum(1) == 0
    assert torch.equal(
        gone | (features.abs().sum(1) == 0), (channel_mean(features) >= 0.05) | (features.abs().sum(1) == 0)
    )


def test_statistics_all_lets_the_erased_stream_update_them_too() -> None:
    images, labels = batch(64)
    intact, both = EIL(normed(), 5).train(), EIL(normed(), 5, statistics="all").train()
    like(both, intact)
    for method in (intact, both):
        method.loss(images, labels)
    name = "backbone.layer4.0.bn1.num_batches_tracked"
    assert intact.state_dict()[name] == 1 and both.state_dict()[name] == 2


@pytest.mark.parametrize("variant", ["I", "II"])
@pytest.mark.parametrize(("statistics", "passes"), [("intact", {1}), ("all", {1, 2, 3})])
def test_meils_erased_streams_update_the_statistics_only_if_asked(variant, statistics, passes: set[int]) -> None:
    method = MEIL(normed(), 5, boundaries=("layer2", "layer3"), variant=variant, statistics=statistics).train()
    method.loss(*batch(64))
    counts = {int(value) for name, value in method.state_dict().items() if name.endswith("num_batches_tracked")}
    assert counts == passes


def test_a_weight_stays_with_its_boundary_whatever_the_order() -> None:
    images, labels = batch()
    losses = [
        loud_again(MEIL(plain(), 5, boundaries=boundaries, sigmas=sigmas)).loss(images, labels)
        for boundaries, sigmas in ((("a", "b"), (0.5, 3.0)), (("b", "a"), (3.0, 0.5)))
    ]
    assert losses[0] == losses[1] and losses[0]["erased_a"] != losses[0]["erased_b"]


def loud_again(method):
    torch.manual_seed(5)
    return loud(method)


def test_a_linear_boundary_is_read_from_its_rectified_features() -> None:
    method = EIL(plain(), 5, boundary="b", erase_threshold=0.7)
    method.backbone._rectified["b"] = False
    features = torch.randn(2, 8, 4, 4)
    expected = peak(channel_mean(features.relu()), 0.7)
    assert torch.equal(method.erased(features, "b").abs().sum(1) == 0, expected)


def test_wrong_sites_say_which_there_are() -> None:
    with pytest.raises(WsolError, match="a, b, c"):
        EIL(plain(), 5, boundary="pool4")
    with pytest.raises(WsolError, match="different"):
        MEIL(plain(), 5, boundaries=("a", "a"))
    with pytest.raises(ValueError, match="2 sigmas for 3 boundaries"):
        MEIL(plain(), 5, boundaries=("a", "b", "c"), sigmas=(1.0, 2.0))
