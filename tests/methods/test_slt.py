"""SLT-Net's localizer against slow twins, and its limiting cases."""

import pytest
import torch
from oracles.maps import cross_entropy, mean_of_best
from oracles.methods import class_map, classify
from oracles.networks import batch, loud, plain

from wsol.errors import WsolError
from wsol.methods.slt import SLTNet

STILL = {"jitter": (0.0, 0.0, 0.0, 0.0), "flip": 0.0, "scales": (1.0, 1.0)}


def made(**options) -> SLTNet:
    torch.manual_seed(3)
    return loud(SLTNet(plain(), 5, **{"head_depth": 1, "head_width": 8, "best": 2} | options)).train()


def maps_of(network: SLTNet, image: torch.Tensor) -> torch.Tensor:
    features = network.backbone(image[None])[0]
    return torch.stack([class_map(network.head, features, k) for k in range(5)])


@pytest.mark.parametrize("best", [1, 2, 5])
def test_a_class_among_the_best_counts_less(best: int) -> None:
    images, labels = batch()
    network = made(best=best, alpha=0.3)
    expected, known = 0.0, 0
    for image, label in zip(images, labels.tolist(), strict=True):
        logits = classify(network.head, network.backbone(image[None])[0]).detach()
        rank = sum(other > logits[label] for other in logits.tolist())
        expected += (0.3 if rank < best else 1.0) * cross_entropy(logits, label) / 4
        known += rank < best
    assert network.loss(images, labels)["classification"].item() == pytest.approx(expected, abs=1e-5)
    assert best != 2 or 0 < known < 4


@pytest.mark.parametrize("best", [1, 2, 5])
def test_the_heatmap_is_the_mean_over_the_best_classes(best: int) -> None:
    """One: the predicted class's map. All: the mean of all."""
    images, _ = batch()
    network = made(best=best).eval()
    prediction = network.predict(images)
    found = network.heatmaps(prediction, torch.tensor([[4, 1]] * 4))
    for image, heatmaps in zip(images, found, strict=True):
        maps = maps_of(network, image)
        expected = mean_of_best(maps, maps.mean((1, 2)), best)
        torch.testing.assert_close(heatmaps, torch.stack([expected, expected]))


def test_one_map_is_the_asked_classs_and_several_are_the_best() -> None:
    images, _ = batch()
    network = made(best=2).eval()
    prediction = network.predict(images)
    asked = torch.tensor([[4, 1]] * 4)
    ones, threes, fives = (network.heatmaps(prediction, asked, averaged=n) for n in (1, 3, 5))
    for image, one, three, five in zip(images, ones, threes, fives, strict=True):
        maps = maps_of(network, image)
        torch.testing.assert_close(one, maps[[4, 1]])
        torch.testing.assert_close(three, mean_of_best(maps, maps.mean((1, 2)), 3).expand(2, -1, -1))
        torch.testing.assert_close(five, maps.mean(0).expand(2, -1, -1))
    for averaged in (6, -1):
        with pytest.raises(WsolError, match="there are 5 classes"):
            network.heatmaps(prediction, asked, averaged=averaged)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jitter": (0.1,)}, "jitter takes four numbers"),
        ({"scales": (1.0,)}, "scales two"),
        ({"best": 0}, "best 0 must be at least 1"),
        ({"scales": (1.2, 0.8)}, "scales 0.8 must be at least 1.2"),
    ],
)
def test_what_cannot_be(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**given)


def test_equal_scores_do_not_push_each_other_out() -> None:
    network = made(best=1, alpha=0.3)
    weights = network.tolerance(torch.tensor([[1.0, 1, 0, 0, 0], [1, 2, 0, 0, 0]]), torch.tensor([1, 0]))
    assert weights.tolist() == pytest.approx([0.3, 1.0])
    assert network.tolerance(torch.zeros(1, 5), torch.tensor([4])).tolist() == pytest.approx([0.3])


def test_alpha_one_is_cross_entropy() -> None:
    images, labels = batch()
    network = made(alpha=1.0)
    expected = 0.0
    for image, label in zip(images, labels.tolist(), strict=True):
        expected += cross_entropy(maps_of(network, image).mean((1, 2)), label) / 4
    assert network.loss(images, labels)["classification"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("maps", ["raw", "minmax"])
def test_nothing_changed_is_nothing_to_tell(maps) -> None:
    images, labels = batch()
    assert made(**STILL | {"vst_maps": maps}).loss(images, labels)["consistency"] == 0
    assert made(vst_maps=maps).loss(images, labels)["consistency"] > 0


def test_without_weight_no_changed_photo_is_run() -> None:
    images, labels = batch()
    network = made(beta=0.0)
    network.changed = None
    assert network.loss(images, labels)["consistency"] == 0


def test_mirror_images_have_mirrored_maps_on_a_network_that_knows_no_side() -> None:
    images, labels = batch()
    network = made(**STILL | {"flip": 1.0})
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(-1)) / 2)
                layer.stride = (1, 1)  # a stride of 2 sees other pixels in the mirror
    assert network.loss(images, labels)["consistency"].item() == pytest.approx(0, abs=1e-9)
    assert network.changed(images)[1].all()


def scaled(heatmap: torch.Tensor, how: str) -> torch.Tensor:
    values = heatmap.flatten().tolist()
    low, high = min(values), max(values)
    if how == "minmax":
        values = [(value - low) / (high - low) for value in values]
    return torch.tensor(values).view_as(heatmap)


@pytest.mark.parametrize("maps", ["raw", "minmax"])
def test_consistency_is_the_mean_square_over_maps_brought_back(maps) -> None:
    images, labels = batch(64)
    network = made(jitter=(0.0, 0.0, 0.0, 0.0), flip=1.0, scales=(2.0, 2.0), beta=7.0, vst_maps=maps)
    large = torch.nn.functional.interpolate(images.flip(-1), (128, 128), mode="bilinear", align_corners=False)
    square, count = 0.0, 0
    for image, other in zip(images, large, strict=True):
        one, two = maps_of(network, image), maps_of(network, other).flip(-1)
        back = torch.nn.functional.interpolate(two[None], one.shape[1:], mode="bilinear", align_corners=False)[0]
        one, back = (torch.stack([scaled(heatmap, maps) for heatmap in some]) for some in (one, back))
        square, count = square + ((one - back) ** 2).sum().item(), count + one.numel()
    assert network.loss(images, labels)["consistency"].item() == pytest.approx(7 * square / count, rel=1e-4)


def test_gradient_reaches_head_and_backbone_through_the_maps_of_both_photos() -> None:
    images, labels = batch(64)
    network = made(jitter=(0.0, 0.0, 0.0, 0.0), flip=1.0, scales=(1.0, 1.0))
    term = network.loss(images, labels)["consistency"]
    maps = network.head(network.backbone(images))[1]
    other = network.head(network.backbone(images.flip(-1)))[1].flip(-1)
    both, one = (network.beta * ((other - target) ** 2).mean() for target in (maps, maps.detach()))
    weights = [network.head.classifier.weight, next(network.backbone.parameters())]
    found, wanted, half = (torch.autograd.grad(loss, weights, retain_graph=True) for loss in (term, both, one))
    for given, whole, part in zip(found, wanted, half, strict=True):
        torch.testing.assert_close(given, whole)
        assert not torch.allclose(given, part, rtol=1e-2)


def test_the_localizer_may_end_earlier() -> None:
    images, labels = batch()
    network = made(boundary="a").eval()
    assert network.backbone.boundaries == ["a"]
    prediction = network.predict(images)
    found = network.heatmaps(prediction, torch.zeros(4, 1, dtype=torch.long))
    whole = plain()
    for image, heatmap, logits in zip(images, found, prediction.logits, strict=True):
        early = whole(image[None], until="a")[0]
        maps = torch.stack([class_map(network.head, early, k) for k in range(5)])
        torch.testing.assert_close(heatmap[0], mean_of_best(maps, maps.mean((1, 2)), 2))
        torch.testing.assert_close(logits, maps.mean((1, 2)))
    assert made(boundary="a", **STILL).loss(images, labels)["consistency"] == 0
