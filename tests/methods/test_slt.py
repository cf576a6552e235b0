"""SLT-Net against slow twins, its three networks kept apart, and its limiting cases."""

import math

import numpy as np
import pytest
import torch
from oracles import boxes as box_oracle
from oracles.maps import cross_entropy, mean_of_best
from oracles.methods import class_map, classify
from oracles.networks import batch, loud, plain

import wsol
from wsol.boxes import normalise
from wsol.cli import main
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.method import Prediction
from wsol.methods import SLTNet
from wsol.result import find

MIDDLE = [0.25, 0.25, 0.75, 0.75]
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
    assert network.loss(images, labels)["localizer"].item() == pytest.approx(expected, abs=1e-5)
    assert best != 2 or 0 < known < 4


@pytest.mark.parametrize("given", ["best", "averaged"])
@pytest.mark.parametrize("best", [1, 2, 5])
def test_the_heatmap_is_the_mean_over_the_best_classes(best: int, given: str) -> None:
    """One: the predicted class's map. All: the mean of all."""
    images, _ = batch()
    network = made(**{given: best}).eval()
    prediction = network.predict(images)
    found = network.heatmaps(prediction, torch.tensor([[4, 1]] * 4))
    for image, heatmaps in zip(images, found, strict=True):
        maps = maps_of(network, image)
        expected = mean_of_best(maps, maps.mean((1, 2)), best)
        torch.testing.assert_close(heatmaps, torch.stack([expected, expected]))


@pytest.mark.parametrize("given", [{"jitter": (0.1,)}, {"scales": (1.0,)}, {"best": 0}, {"averaged": -1}])
def test_what_cannot_be(given: dict) -> None:
    with pytest.raises(ValueError, match="jitter takes four numbers"):
        made(**given)


def test_equal_scores_do_not_push_each_other_out() -> None:
    network = made(best=1, alpha=0.3)
    weights = network.tolerance(torch.tensor([[1.0, 1, 0, 0, 0], [1, 2, 0, 0, 0]]), torch.tensor([1, 0]))
    assert weights.tolist() == pytest.approx([0.3, 1.0])
    assert network.tolerance(torch.zeros(1, 5), torch.tensor([4])).tolist() == pytest.approx([0.3])


def test_the_changed_photo_may_be_judged_too() -> None:
    images, labels = batch(64)
    changes = {"jitter": (0.0, 0.0, 0.0, 0.0), "flip": 1.0, "scales": (2.0, 2.0)}
    network = made(smt_on_transformed=True, alpha=0.3, **changes)
    large = torch.nn.functional.interpolate(images.flip(-1), (128, 128), mode="bilinear", align_corners=False)
    expected = 0.0
    for shown in (images, large):
        for image, label in zip(shown, labels.tolist(), strict=True):
            logits = maps_of(network, image).mean((1, 2))
            rank = sum(other > logits[label] for other in logits.tolist())
            expected += (0.3 if rank < 2 else 1.0) * cross_entropy(logits, label) / 8
    assert network.loss(images, labels)["localizer"].item() == pytest.approx(expected, abs=1e-4)
    still = [made(smt_on_transformed=on, **STILL).loss(images, labels)["localizer"] for on in (False, True)]
    torch.testing.assert_close(*still)


def test_alpha_one_is_cross_entropy() -> None:
    images, labels = batch()
    network = made(alpha=1.0)
    expected = 0.0
    for image, label in zip(images, labels.tolist(), strict=True):
        expected += cross_entropy(maps_of(network, image).mean((1, 2)), label) / 4
    assert network.loss(images, labels)["localizer"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum_classes"])
@pytest.mark.parametrize("maps", ["raw", "minmax", "relu_max"])
def test_nothing_changed_is_nothing_to_tell(maps, reduction) -> None:
    images, labels = batch()
    options = {"vst_maps": maps, "vst_reduction": reduction}
    assert made(**STILL | options).loss(images, labels)["consistency"] == 0
    assert made(**options).loss(images, labels)["consistency"] > 0


def test_mirror_images_have_mirrored_maps_on_a_network_that_knows_no_side() -> None:
    images, labels = batch()
    network = made(**STILL | {"flip": 1.0})
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(-1)) / 2)
                layer.stride = (1, 1)  # a stride of 2 sees other pixels in the mirror
    assert network.loss(images, labels)["consistency"].item() == pytest.approx(0, abs=1e-9)
    assert network.transformed(images)[1].all()


def scaled(heatmap: torch.Tensor, how: str) -> torch.Tensor:
    values = heatmap.flatten().tolist()
    low, high = min(values), max(values)
    if how == "minmax":
        values = [(value - low) / (high - low) for value in values]
    elif how == "relu_max":
        values = [max(value, 0) / high if high > 0 else 0.0 for value in values]
    return torch.tensor(values).view_as(heatmap)


@pytest.mark.parametrize("reduction", ["mean", "sum_classes"])
@pytest.mark.parametrize("maps", ["raw", "minmax", "relu_max"])
def test_consistency_is_the_mean_square_over_maps_brought_back(maps, reduction) -> None:
    images, labels = batch(64)
    network = made(
        jitter=(0.0, 0.0, 0.0, 0.0), flip=1.0, scales=(2.0, 2.0), beta=7.0, vst_maps=maps, vst_reduction=reduction
    )
    large = torch.nn.functional.interpolate(images.flip(-1), (128, 128), mode="bilinear", align_corners=False)
    square, count = 0.0, 0
    for image, other in zip(images, large, strict=True):
        one, two = maps_of(network, image), maps_of(network, other).flip(-1)
        back = torch.nn.functional.interpolate(two[None], one.shape[1:], mode="bilinear", align_corners=False)[0]
        one, back = (torch.stack([scaled(each, maps) for each in some]) for some in (one, back))
        square, count = square + ((one - back) ** 2).sum().item(), count + one.numel()
    count /= 5 if reduction == "sum_classes" else 1
    assert network.loss(images, labels)["consistency"].item() == pytest.approx(7 * square / count, rel=1e-4)


def test_gradient_reaches_the_unchanged_photos_maps_unless_detached() -> None:
    images, labels = batch(64)
    found = []
    for detach in (False, True):
        network = made(detach_target=detach, jitter=(0.0, 0.0, 0.0, 0.0), flip=1.0, scales=(1.0, 1.0))
        term = network.loss(images, labels)["consistency"]
        own = network.head(network.backbone(images))[1]
        other = network.head(network.backbone(images.flip(-1)))[1].flip(-1)
        expected = network.beta * ((other - (own.detach() if detach else own)) ** 2).mean()
        grads = [torch.autograd.grad(each, network.head.classifier.weight)[0] for each in (term, expected)]
        torch.testing.assert_close(*grads)
        found.append((term.item(), grads[0]))
    (value, both), (same, one) = found
    assert value == pytest.approx(same) and not torch.allclose(both, one, rtol=1e-2)


def said(network: SLTNet, image: torch.Tensor, whole: float) -> list[float]:
    """What the regressor says of one image, corner by corner."""
    hidden, last = network.head_box.hidden, network.head_box.last
    features = network.regressor_backbone(image[None])[0].mean((1, 2))
    raw = last.weight @ (hidden.weight @ features + hidden.bias).clamp(min=0) + last.bias
    if network.head_box.end == "relu":
        return [max(0.0, value + share * whole) for value, share in zip(raw.tolist(), MIDDLE, strict=True)]
    odds = [share / (1 - share) * math.exp(value) for value, share in zip(raw.tolist(), MIDDLE, strict=True)]
    return [whole * each / (1 + each) for each in odds]


@pytest.mark.parametrize("end", ["relu", "sigmoid"])
@pytest.mark.parametrize("unit", ["grid", "image"])
def test_the_regressor_learns_the_localizers_boxes(unit, end) -> None:
    images, labels = batch()
    network = made(box_unit=unit, box_threshold=0.5, box_end=end)
    torch.nn.init.normal_(network.head_box.last.weight)
    expected = 0.0
    for image in images:
        maps = maps_of(network, image)
        heatmap = mean_of_best(maps, maps.mean((1, 2)), 2).detach().numpy()
        (box,) = box_oracle.contour_boxes(normalise(heatmap, (32, 32)), 0.5, multi=False)
        for corner, target in zip(said(network, image, 8 if unit == "grid" else 1), box, strict=True):
            d = abs(corner - target / (4 if unit == "grid" else 32))
            expected += (0.5 * d * d if d < 1 else d - 0.5) / 4
    assert network.loss(images, labels)["box"].item() == pytest.approx(expected, abs=1e-4)


def grads(network: SLTNet, term: str) -> set[str]:
    images, labels = batch()
    network.zero_grad(set_to_none=True)
    network.loss(images, labels)[term].backward()
    return {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}


def test_each_network_learns_from_its_own_term() -> None:
    network = made()
    assert grads(network, "box") <= {"regressor_backbone", "head_box"}
    assert grads(network, "class") == {"classifier_backbone", "head_class"}
    assert grads(network, "localizer") == grads(network, "consistency") == {"backbone", "head"}


def test_boxes_are_shares_of_the_image_in_order() -> None:
    images, _ = batch()
    for unit, side in (("grid", 8), ("image", 1)):
        network = made(box_unit=unit).eval()
        torch.nn.init.zeros_(network.head_box.last.weight)
        network.head_box.last.bias.data = (torch.tensor([0.75, 0.5, 0.25, 1.5]) - torch.tensor(MIDDLE)) * side
        boxes = network.predict(images).boxes
        assert boxes is not None and boxes[0].tolist() == pytest.approx([0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("end", ["relu", "sigmoid"])
@pytest.mark.parametrize("unit", ["grid", "image"])
@pytest.mark.parametrize("side", [32, 64])
def test_it_begins_with_the_middle_of_the_image(unit, end, side: int) -> None:
    boxes = made(box_unit=unit, box_end=end).eval().predict(batch(side)[0]).boxes
    assert boxes is not None and boxes[0].tolist() == pytest.approx(MIDDLE, abs=0.05)


def test_the_localizer_alone() -> None:
    images, labels = batch()
    network = made(parts="localizer")
    assert list(network.loss(images, labels)) == ["localizer", "consistency"]
    prediction = network.predict(images)
    assert prediction.boxes is None and not hasattr(network, "head_box")


def test_the_localizer_alone_may_end_earlier() -> None:
    images, labels = batch()
    network = made(boundary="a").eval()
    torch.nn.init.normal_(network.head_box.last.weight)
    prediction = network.predict(images)
    for image, heatmap, logits in zip(images, prediction.evidence["heatmap"], prediction.logits, strict=True):
        early = network.classifier_backbone(image[None], until="a")[0]  # still equal to the localizer's
        maps = torch.stack([class_map(network.head, early, k) for k in range(5)])
        torch.testing.assert_close(heatmap, mean_of_best(maps, maps.mean((1, 2)), 2))
        torch.testing.assert_close(logits, classify(network.head_class, network.classifier_backbone(image[None])[0]))
    expected = torch.tensor([said(network, image, 16) for image in images])
    torch.testing.assert_close(network.regressed(images), expected)
    assert made(boundary="a", **STILL).loss(images, labels)["consistency"] == 0


def test_the_regressor_alone_learns_from_given_boxes() -> None:
    images, labels = batch()
    whole, part = made(), made(parts="regressor")
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    heatmaps = whole.heatmaps(whole.predict(images), torch.zeros(4, 1, dtype=torch.long))[:, 0]
    boxes = whole.boxes_of(heatmaps, 32)
    terms, expected = part.loss(images, labels, pseudo_boxes=boxes), whole.loss(images, labels)
    assert terms.keys() == {"class", "box"} and not hasattr(part, "backbone")
    for name, term in terms.items():
        torch.testing.assert_close(term, expected[name])
    assert part.loss(images, labels, pseudo_boxes=boxes + 8)["box"] != terms["box"]
    prediction = part.eval().predict(images)
    assert torch.equal(prediction.boxes, whole.eval().predict(images).boxes)
    for image, logits, heatmap in zip(images, prediction.logits, prediction.evidence["heatmap"], strict=True):
        features = part.classifier_backbone(image[None])[0]
        maps = torch.stack([class_map(part.head_class, features, k) for k in range(5)])
        torch.testing.assert_close(logits, maps.mean((1, 2)))
        torch.testing.assert_close(heatmap, mean_of_best(maps, maps.mean((1, 2)), 2))


def test_boxes_are_given_to_the_regressor_and_to_nobody_else() -> None:
    images, labels = batch()
    with pytest.raises(WsolError, match="--parts regressor learns from --pseudo-boxes"):
        made(parts="regressor").loss(images, labels)
    for parts in ("all", "localizer"):
        with pytest.raises(WsolError, match="and nothing else does"):
            made(parts=parts).loss(images, labels, pseudo_boxes=torch.ones(4, 4))


def test_in_two_runs_one_localizes_and_another_backbone_regresses(tmp_path) -> None:
    for index in range(12):
        path = tmp_path / "photos" / "train" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Creatures("train", images=12, size=48).image(index).save(path)
    small = {"weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "head_width": 8, "workers": 0}
    small |= {"sheet_every": 1, "precision": "fp32", "best": 2}
    photos, boxes = tmp_path / "photos", tmp_path / "boxes"
    wsol.train("sltnet", photos, tmp_path / "one", parts="localizer", backbone="resnet18", epochs=0, **small)
    main(["locate", str(tmp_path / "one"), str(photos), "--output", str(boxes), "--format", "json"])
    second = {"parts": "regressor", "pseudo_boxes": str(boxes / "results.jsonl"), "backbone": "mobilenetv2"}
    run = wsol.train("sltnet", photos, tmp_path / "two", epochs=1, **second, **small)
    assert not any(name.startswith(("backbone", "head.")) for name in run.method.state_dict())
    (result, *_) = wsol.locate(run, photos)
    assert result.findings[0].regressed and (tmp_path / "two" / "sheets" / "epoch_001.png").exists()


def test_a_regressed_box_is_what_is_measured_and_located(tmp_path, monkeypatch) -> None:
    small = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4}
    photos = Creatures("train", images=12, size=48)
    run = wsol.train("sltnet", photos, tmp_path / "run", epochs=0, workers=0, head_width=8, **small)
    truth = [photos.truth(index).boxes / 48 for index in range(12)]
    predict = run.method.predict

    def knowing(images: torch.Tensor) -> Prediction:
        found = predict(images)
        found.boxes = torch.tensor(np.concatenate([truth[index % 12] for index in range(len(images))])).float()
        return found

    monkeypatch.setattr(run.method, "predict", knowing)
    figures = wsol.evaluate(run, photos, batch_size=12, workers=0)
    assert figures["MaxBoxAcc70"] == figures["GTKnownLoc"] == 100
    (result,) = wsol.locate(run, photos.image(0))
    assert result.boxes[0].tolist() == pytest.approx(photos.truth(0).boxes[0].tolist(), abs=1e-3)
    assert result.at(0.9).boxes.tolist() == result.boxes.tolist()
    assert find(0, "x", 1.0, np.eye(7), (48, 48), 0.5).regressed is False and math.isfinite(result.confidence[0])
