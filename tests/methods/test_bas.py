"""BAS and AEPL against their slow twin, where their gradients may go, and their limiting cases."""

from dataclasses import replace

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, normed, plain

from wsol.errors import WsolError
from wsol.methods.aepl import AEPL
from wsol.methods.bas import BAS
from wsol.nn.views import frozen

BOTH = pytest.mark.parametrize("method", [BAS, AEPL])


def made(method, boundary: str = "b", **options):
    """Masks from nearly 0 to nearly 1, and class scores that differ."""
    torch.manual_seed(3)
    network = loud(method(plain(), 5, boundary=boundary, head_depth=1, head_width=8, **options)).train()
    torch.nn.init.normal_(network.head_mask.weight, std=2.0)
    return network


def set_masks(network, value: float) -> None:
    torch.nn.init.zeros_(network.head_mask.weight)
    torch.nn.init.constant_(network.head_mask.bias, value)


@pytest.mark.parametrize("boundary", ["a", "b"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (BAS, {}),
        (BAS, {"rectify": True}),
        (AEPL, {}),
        (AEPL, {"relative": True}),
        (AEPL, {"mask_erased_by": "map", "mask_threshold": 0.4}),
        (AEPL, {"balanced": True}),
    ],
)
def test_equals_its_slow_twin(method, boundary: str, options: dict) -> None:
    """From boundary a the masks are twice as fine as the class maps."""
    images, labels = batch()
    network = made(method, boundary, foreground_weight=0.3, background_weight=0.7, area_weight=1.7, **options)
    terms = network.loss(images, labels)
    expected = oracle.bas(network, images, labels.tolist())
    weights = {"foreground": 0.3, "background": 0.7, "area": 1.7, "erased": 0.5, "erased_mask": 0.5, "pseudo": 0.5}
    for name, term in terms.items():
        assert term.item() == pytest.approx(weights.get(name, 1.0) * expected[name], abs=1e-5), name
    assert 0 < terms["background"].item() < 0.7


def test_of_several_classes_the_mask_is_one_drawn_and_stands_for_it_alone() -> None:
    images, labels = batch()
    network = made(AEPL)
    several = torch.zeros(4, 5, dtype=torch.bool).scatter(1, torch.stack([labels, (labels + 1) % 5], 1), True)
    torch.manual_seed(0)
    drawn = network.streams(images, several).classes
    assert not torch.equal(drawn, labels) and several.gather(1, drawn[:, None]).all()
    torch.manual_seed(0)
    terms, expected = network.loss(images, several), network.loss(images, drawn)
    assert terms["classification"] != expected["classification"]
    assert all(torch.equal(terms[name], expected[name]) for name in terms.keys() - {"classification"})


@BOTH
def test_an_empty_mask_leaves_the_background_everything(method) -> None:
    images, labels = batch()
    network = made(method)
    set_masks(network, -200.0)
    streams = network.streams(images, labels)
    positive = streams.logits.gather(1, labels[:, None])[:, 0] > 0
    assert positive.any()
    assert network.activation(streams)[positive].tolist() == pytest.approx([1.0] * int(positive.sum()))
    doubled = replace(streams, logits=2 * streams.logits)  # so that a background above the whole would show
    assert network.activation(doubled)[positive].tolist() == pytest.approx([0.5] * int(positive.sum()))
    assert network.loss(images, labels)["area"] == 0


def test_a_full_mask_leaves_the_background_nothing() -> None:
    images, labels = batch()
    network = made(BAS, area_weight=1.5)
    set_masks(network, 200.0)
    streams = network.streams(images, labels)
    silent, _ = network.head(network.backbone(torch.zeros_like(streams.features), after="b"))
    left, whole = (scores.gather(1, labels[:, None])[:, 0].relu() for scores in (silent, streams.logits))
    expected = torch.where(left > whole, torch.ones(4), left / (whole + 1e-8))
    torch.testing.assert_close(network.activation(streams), expected)
    assert network.loss(images, labels)["area"] == 1.5


def test_where_the_background_scores_more_nothing_is_learnt() -> None:
    images, _ = batch()
    network = made(BAS)
    with torch.no_grad():  # of class 0 every feature is a sign against it
        network.head.classifier.weight[0].abs_().neg_()
        network.head.classifier.bias[0] = 100
    against, telling = (network.activation(network.streams(images, torch.full((4,), label))) for label in (0, 1))
    assert (against == 1).all() and (telling < 1).all()
    against.sum().backward()
    assert not network.head_mask.weight.grad.any()


def zero(parameters) -> bool:
    return all(each.grad is None or not each.grad.any() for each in parameters)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("name", ["background", "area", "pseudo"])
def test_masks_alone_learn_from_background_area_and_pseudo_labels(name: str, detach: bool) -> None:
    images, labels = batch()
    network = made(AEPL, detach=detach)
    network.loss(images, labels)[name].backward()
    prefix, suffix = ([network.backbone.get_submodule(path) for path in paths] for paths in (["0", "2"], ["4"]))
    assert zero([*network.head.parameters(), *(p for module in suffix for p in module.parameters())])
    assert not zero(network.head_mask.parameters())
    assert zero([p for module in prefix for p in module.parameters()]) == detach


@pytest.mark.parametrize("name", ["classification", "erased"])
def test_masks_learn_nothing_from_scores_without_them(name: str) -> None:
    images, labels = batch()
    network = made(AEPL)
    network.loss(images, labels)[name].backward()
    assert zero(network.head_mask.parameters()) and not zero(network.head.parameters())


def test_masks_learn_from_what_is_left_of_them() -> None:
    images, labels = batch()
    for name in ("foreground", "erased_mask"):
        network = made(AEPL)
        network.loss(images, labels)[name].backward()
        prefix, suffix = (network.backbone.get_submodule(path) for path in ("0", "4"))
        assert not any(zero(module.parameters()) for module in (network.head_mask, network.head, prefix, suffix))


def test_without_its_three_terms_aepl_is_bas() -> None:
    images, labels = batch()
    whole = made(AEPL, erased_weight=0.0, erased_mask_weight=0.0, pseudo_weight=0.0)
    part = made(BAS)
    torch.testing.assert_close(sum(whole.loss(images, labels).values()), sum(part.loss(images, labels).values()))


def test_one_threshold_for_both_labels_leaves_no_pixel_out() -> None:
    images, labels = batch()
    network = made(AEPL, background_below=0.4, foreground_above=0.4, pseudo_weight=1.0)
    masks = network.streams(images, labels).mask.flatten(1).tolist()
    distances = [[1 - value if value > 0.4 else value for value in mask] for mask in masks]
    expected = sum(sum(each) / len(each) for each in distances) / len(masks)
    assert network.loss(images, labels)["pseudo"].item() == pytest.approx(expected, abs=1e-6)


def test_thresholds_out_of_reach_erase_and_label_nothing() -> None:
    images, labels = batch()
    network = made(
        AEPL, erase_threshold=1.01, mask_threshold=1.0, background_below=-0.1, foreground_above=1.1, erased_weight=1.0
    )
    network.foreground_weight = network.erased_mask_weight
    terms = network.loss(images, labels)
    assert terms["erased"] == terms["classification"]
    assert terms["erased_mask"] == terms["foreground"]
    assert terms["pseudo"] == 0
    terms["pseudo"].backward()
    assert zero(network.head_mask.parameters())


def test_the_foreground_may_teach_the_mask_alone() -> None:
    images, labels = batch()
    networks = [made(BAS, detach_maps=detach_maps) for detach_maps in (False, True)]
    terms = [network.loss(images, labels)["foreground"] for network in networks]
    assert terms[0].item() == terms[1].item() > 0
    for term in terms:
        term.backward()
    assert [zero(network.head.parameters()) for network in networks] == [False, True]
    torch.testing.assert_close(*(network.head_mask.weight.grad for network in networks))


@BOTH
def test_the_area_may_count_more_and_more(method) -> None:
    images, labels = batch()
    network = made(method, area_ramp=0.5)
    terms = [network.loss(images, labels, progress=progress)["area"].item() for progress in (0, 0.1, 0.5, 1)]
    assert terms[3] > 0 and [term / terms[3] for term in terms] == pytest.approx([0, 0.2, 1, 1])
    assert made(method).loss(images, labels, progress=0.0)["area"].item() == pytest.approx(terms[3])


def test_pseudo_labels_ramp_up_over_the_first_fifth() -> None:
    images, labels = batch()
    network = made(AEPL)
    full = network.loss(images, labels)["pseudo"].item()
    shares = [network.loss(images, labels, progress=progress)["pseudo"].item() / full for progress in (0, 0.1, 0.2, 1)]
    assert full > 0 and shares == pytest.approx([0, 0.5, 1, 1])


def test_the_erased_losses_may_count_more_and_more() -> None:
    images, labels = batch()
    network = made(AEPL, erased_ramp=0.5)
    for name in ("erased", "erased_mask"):
        terms = [network.loss(images, labels, progress=progress)[name].item() for progress in (0, 0.1, 0.5, 1)]
        assert terms[3] > 0 and [term / terms[3] for term in terms] == pytest.approx([0, 0.2, 1, 1])
        assert made(AEPL).loss(images, labels, progress=0.0)[name].item() == pytest.approx(terms[3])


def test_erased_by_the_map_the_mask_keeps_its_own_strongest_pixels_elsewhere() -> None:
    mask, class_map = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
    mask[..., 0, 0] = mask[..., 3, 3] = 0.95
    class_map[..., 0, 0] = 1
    by_mask, by_map = (made(AEPL, mask_erased_by=name).kept(mask, class_map)[0, 0] for name in ("mask", "map"))
    assert (~by_mask).nonzero().tolist() == [[0, 0], [3, 3]]
    assert (~by_map).nonzero().tolist() == [[0, 0], [0, 1], [1, 0]]  # 1 at the corner, 0.75 beside it, 0.56 below 0.7
    assert made(AEPL, mask_erased_by="map", mask_threshold=1.01).kept(mask, class_map).all()


def test_balanced_few_pixels_of_one_label_weigh_as_much_as_many_of_the_other() -> None:
    network = made(AEPL, balanced=True)
    streams = network.streams(*batch())
    streams.mask = torch.full((4, 1, 8, 8), 0.1)
    streams.mask[0, 0, 0, 0] = 0.9
    assert network.pseudo(streams).tolist() == pytest.approx([0.1, 0.05, 0.05, 0.05])
    streams.mask[0, 0, 0, 0] = 0.81
    assert network.pseudo(streams)[0].item() == pytest.approx((0.19 + 0.1) / 2)
    network.balanced = False
    assert network.pseudo(streams)[0].item() == pytest.approx((0.19 + 63 * 0.1) / 64)


def test_the_frozen_pass_leaves_the_live_network_alone() -> None:
    network = BAS(normed(), 5, head_width=8).train()
    images, _ = batch(64)
    features = network.backbone(images, until=network.boundary).detach()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen(network.backbone)(features, after=network.boundary).sum()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_only_the_masks_asked_for_are_computed_and_the_best_are_averaged() -> None:
    images, _ = batch()
    network = made(BAS).eval()
    with torch.no_grad():
        prediction = network.predict(images)
        every = network.head_mask(prediction.evidence["features"]).sigmoid()
        asked = torch.tensor([[4, 0]] * 4)
        torch.testing.assert_close(network.heatmaps(prediction, asked), every[:, [4, 0]])
        found = network.heatmaps(prediction, asked, averaged=3)
    best = prediction.logits.argsort(1, descending=True)[:, :3]
    expected = torch.stack([every[i, best[i]].mean(0) for i in range(4)])
    torch.testing.assert_close(found, torch.stack([expected, expected], 1))
    with torch.no_grad():
        found = network.heatmaps(prediction, asked, averaged=0)
    torch.testing.assert_close(found, torch.stack([every.mean(1)] * 2, 1))


def test_what_cannot_be() -> None:
    network = BAS(plain(), 5)
    for averaged in (6, -1):
        with pytest.raises(WsolError, match="there are 5 classes"):
            network.heatmaps(network.predict(batch()[0]), torch.zeros(4, 1, dtype=torch.long), averaged=averaged)
    with pytest.raises(ValueError, match="must not exceed"):
        AEPL(plain(), 5, background_below=0.9)


@BOTH
def test_the_mask_filters_may_learn_at_the_backbones_rate(method) -> None:
    network = made(method)
    assert network.new_layers() == [network.head, network.head_mask]
    slow = made(method, mask_rate="backbone")
    assert slow.new_layers() == [slow.head]


def test_new_layers_may_begin_as_in_the_extended_code() -> None:
    """Xavier's uniform spread, whose bound is sqrt(6 / (inputs + outputs)), and biases of zero, the last layer too."""
    method = BAS(plain(), 5, boundary="b", head_depth=1, head_width=16, init="xavier")
    for layer in (method.head.hidden[0], method.head.classifier, method.head_mask):
        cells = layer.kernel_size[0] ** 2
        bound = (6 / (cells * (layer.in_channels + layer.out_channels))) ** 0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()
