"""What every registered method must do, whatever its paper says."""

import copy

import pytest
import torch
from oracles.networks import batch, normed, plain

from wsol.maps import min_max
from wsol.method import METHODS
from wsol.settings import options_of

EVERY = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def make(method, backbone, classes: int = 5):
    torch.manual_seed(0)
    return method(backbone, classes, **{"head_width": 8} if "head_width" in options_of(method) else {})


@EVERY
def test_loss_is_named_finite_and_reaches_every_parameter(method) -> None:
    network = make(method, normed()).train()
    terms = network.loss(*batch(64))
    assert all(term.dim() == 0 and torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


@EVERY
def test_training_on_one_batch_learns_it(method) -> None:
    network = make(method, plain()).train()
    images, labels = batch()
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    first = network.loss(images, labels)
    for _ in range(120):
        terms = network.loss(images, labels)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    assert sum(terms.values()) < sum(first.values())
    intact = next(iter(terms))  # the others may pull against each other
    assert terms[intact] < 0.5 * first[intact]
    assert (network.eval().predict(images).logits.argmax(1) == labels).all()


@EVERY
def test_heatmaps_answer_for_any_classes_in_any_order(method) -> None:
    network = make(method, plain()).eval()
    images, _ = batch()
    with torch.no_grad():
        prediction = network.predict(images)
        several = network.heatmaps(prediction, torch.tensor([[0, 3, 0]] * 4))
        one = network.heatmaps(prediction, torch.tensor([[3]] * 4))
    assert several.shape[:2] == (4, 3) and prediction.logits.shape == (4, 5)
    torch.testing.assert_close(several[:, 1], one[:, 0])
    torch.testing.assert_close(several[:, 0], several[:, 2])
    assert torch.allclose(min_max(several[:, 0]), min_max(several[:, 1])) == method.class_agnostic


@EVERY
def test_a_photo_is_judged_alone_and_prediction_changes_nothing(method) -> None:
    network = make(method, normed()).eval()
    before = copy.deepcopy(network.state_dict())
    images, _ = batch(64)
    with torch.no_grad():
        together, alone = network.predict(images), network.predict(images[2:3])
        maps = network.heatmaps(together, torch.tensor([[1]] * 4))
        map_alone = network.heatmaps(alone, torch.tensor([[1]]))
    torch.testing.assert_close(together.logits[2:3], alone.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps[2:3], map_alone, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@EVERY
def test_soft_and_many_labels_train_too(method) -> None:
    network = make(method, plain()).train()
    images, labels = batch()
    hard = torch.nn.functional.one_hot(labels, 5)
    torch.manual_seed(0)
    plain_loss = network.loss(images, labels)
    torch.manual_seed(0)
    soft_loss = network.loss(images, hard.float())
    for name, term in plain_loss.items():
        torch.testing.assert_close(term, soft_loss[name])
    several = hard.bool() | hard.roll(1, 1).bool()  # two classes a photo
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    sum(network.loss(images, several).values()).backward()
    optimiser.step()
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    many = network.loss(images, several)
    assert all(torch.isfinite(term) for term in many.values())
    assert any(not torch.isclose(many[name], plain_loss[name]) for name in many)


@EVERY
def test_the_running_statistics_are_those_of_one_intact_pass(method) -> None:
    """Erased and other streams leave batch norm's running statistics alone."""
    network = make(method, normed()).train()
    images, labels = batch(64)
    other = copy.deepcopy(network.backbone)
    network.loss(images, labels)
    other(images)
    for (name, one), two in zip(network.backbone.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=name)


@EVERY
def test_training_does_not_read_what_counts_at_test(method) -> None:
    other = {"averaged": 2, "heads": "a"}
    images, labels = batch()
    for name in method.at_test:
        losses = []
        for given in ({}, {name: other[name]}):
            torch.manual_seed(0)
            network = method(plain(), 5, head_width=8, **given).train()
            torch.manual_seed(1)
            losses.append(network.loss(images, labels))
        assert losses[0] == losses[1]
        assert options_of(method)[name].default != other[name]
