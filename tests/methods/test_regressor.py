"""The regressor of boxes against a slow twin, its units and ends, and what it says where."""

import math

import pytest
import torch
from oracles import maps as oracle
from oracles.networks import batch, plain

from wsol.errors import WsolError
from wsol.methods.regressor import GRID, Regressor

MIDDLE = [0.25, 0.25, 0.75, 0.75]
UNITS = pytest.mark.parametrize("unit", ["grid", "image"])
ENDS = pytest.mark.parametrize("end", ["relu", "sigmoid"])


def made(unit="grid", end="relu", **options) -> Regressor:
    torch.manual_seed(3)
    return Regressor(plain(), 5, box_unit=unit, box_end=end, box_width=16, **options).train()


def boxes_for(images: torch.Tensor) -> torch.Tensor:
    """One box a photo, in pixels."""
    return torch.tensor([[3.0, 5.0, 17.0, 30.0]]).expand(len(images), -1) + torch.arange(float(len(images)))[:, None]


def said(network: Regressor, image: torch.Tensor, whole: float) -> list[float]:
    """What the regressor says of one image, corner by corner."""
    hidden, last = network.box_head.hidden, network.box_head.last
    features = network.backbone(image[None])[0].mean((1, 2))
    raw = last.weight @ (hidden.weight @ features + hidden.bias).clamp(min=0) + last.bias
    if network.box_head.end == "relu":
        return [max(0.0, value + share * whole) for value, share in zip(raw.tolist(), MIDDLE, strict=True)]
    odds = [share / (1 - share) * math.exp(value) for value, share in zip(raw.tolist(), MIDDLE, strict=True)]
    return [whole * value / (1 + value) for value in odds]


@ENDS
@UNITS
def test_the_loss_equals_its_slow_twin(unit, end) -> None:
    images, labels = batch()
    network = made(unit, end, box_weight=3.0)
    torch.nn.init.normal_(network.box_head.last.weight)
    expected = 0.0
    for image, box in zip(images, boxes_for(images).tolist(), strict=True):
        for corner, target in zip(said(network, image, 8 if unit == "grid" else 1), box, strict=True):
            d = abs(corner - target / (4 if unit == "grid" else 32))
            expected += 3 * (0.5 * d * d if d < 1 else d - 0.5) / 4
    terms = network.loss(images, labels, pseudo_boxes=boxes_for(images))
    assert list(terms) == ["box"] and terms["box"].item() == pytest.approx(expected, abs=1e-4)


@ENDS
@UNITS
def test_prediction_is_the_box_that_training_judges(unit, end) -> None:
    """Pulled towards its own prediction a regressor has nothing to learn."""
    images, labels = batch()
    network = made(unit, end)
    torch.nn.init.normal_(network.box_head.last.weight, std=0.3)
    boxes = network.predict(images).boxes
    assert ((boxes > 0) & (boxes < 1)).all() and not torch.allclose(boxes, boxes[:1])
    assert network.loss(images, labels, pseudo_boxes=32 * boxes)["box"] < 1e-10
    assert network.loss(images, labels, pseudo_boxes=32 * boxes + 1)["box"] > 1e-4


def test_psols_loss_is_fifty_times_the_mean_square() -> None:
    images, labels = batch()
    network = made("image", "sigmoid", box_weight=25.0)
    torch.nn.init.normal_(network.box_head.last.weight)
    shares = boxes_for(images) / 32
    expected = 50 * ((network.boxes(images) - shares) ** 2).mean()
    torch.testing.assert_close(network.loss(images, labels, pseudo_boxes=boxes_for(images))["box"], expected)


@ENDS
@UNITS
@pytest.mark.parametrize("side", [32, 64])
def test_it_begins_with_the_middle_of_the_image(unit, end, side: int) -> None:
    boxes = made(unit, end).eval().predict(batch(side)[0]).boxes
    assert boxes is not None and boxes[0].tolist() == pytest.approx(MIDDLE, abs=0.05)


def test_boxes_are_shares_of_the_image_in_order() -> None:
    images, _ = batch()
    for unit, side in (("grid", 8), ("image", 1)):
        network = made(unit).eval()
        torch.nn.init.zeros_(network.box_head.last.weight)
        network.box_head.last.bias.data = (torch.tensor([0.75, 0.5, 0.25, 1.5]) - torch.tensor(MIDDLE)) * side
        boxes = network.predict(images).boxes
        assert boxes is not None and boxes[0].tolist() == pytest.approx([0.25, 0.5, 0.75, 1])


def test_it_learns_the_boxes_of_a_batch() -> None:
    images, labels = batch()
    network, boxes = made(), boxes_for(images)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(300):
        optimiser.zero_grad()
        network.loss(images, labels, pseudo_boxes=boxes)["box"].backward()
        optimiser.step()
    predicted = network.eval().predict(images).boxes
    assert predicted is not None
    torch.testing.assert_close(predicted, boxes / 32, atol=0.05, rtol=0)


def test_of_classes_it_says_nothing_and_the_heatmap_is_the_box() -> None:
    images, _ = batch()
    prediction = made().eval().predict(images)
    assert prediction.boxes is not None and prediction.logits.shape == (4, 5) and not prediction.logits.any()
    heatmaps = made().eval().heatmaps(prediction, torch.tensor([[4, 0]] * 4))
    for box, (one, other) in zip(prediction.boxes.tolist(), heatmaps, strict=True):
        torch.testing.assert_close(one, oracle.drawn(box, GRID))
        assert torch.equal(one, other)


def test_without_boxes_it_says_which_option_gives_them() -> None:
    with pytest.raises(WsolError, match="give --pseudo-boxes"):
        made().loss(*batch())
    assert made().asked == {"pseudo_boxes"}
