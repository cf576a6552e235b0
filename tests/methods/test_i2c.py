"""I2C against its slow twin, its limiting cases, and the pairs that its training gives it."""

import math

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, plain

from wsol.methods.cam import CAM
from wsol.methods.has import HaS
from wsol.methods.i2c import I2C

PAIRS = torch.tensor([1, 1, 4, 4, 2, 0, 1, 1])  # the third pair is none


def make(**options) -> I2C:
    torch.manual_seed(2)
    return loud(I2C(plain(), 5, head_width=8, **{"dropout": 0.0, "classes_first": 0.0} | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seeds": 1, "seed_threshold": 0.95},
        {"seeds": 70},  # more than there are cells: repeated in turn
        {"fading": 3.0, "smooth": True, "global_weight": 2.0},
    ],
)
def test_losses_and_centres_equal_the_slow_twin_over_several_steps(options: dict) -> None:
    method = make(**options)
    centres, visits = list(method.centres.clone()), [0] * 5
    for step in range(3):
        images, _ = batch(b=8)
        images = images.roll(step, 0)
        expected = oracle.i2c(method, images, PAIRS.tolist(), centres, visits)
        terms = method.loss(images, PAIRS)
        assert terms.keys() == expected.keys()
        for name, value in expected.items():
            assert terms[name].item() == pytest.approx(value, abs=1e-5), name
        torch.testing.assert_close(method.centres, torch.stack(centres))
    assert method.visits.tolist() == [0, 6, 0, 0, 3] == visits


def test_a_pair_of_one_photo_is_at_no_distance() -> None:
    """But for the 1e-6 of the norm."""
    images, labels = batch()
    twice = images.repeat_interleave(2, 0), labels.repeat_interleave(2, 0)
    assert make().loss(*twice)["local"].item() < 1e-6 * make().local_weight * 10


def test_the_first_pair_of_a_class_becomes_its_centre_and_later_ones_move_it_less() -> None:
    method, features = make(fading=1.0), torch.arange(30.0).view(3, 10)
    method.remember(torch.tensor([2, 2, 2]), features, torch.tensor([True, False, True]))
    first, rate = features[0], math.exp(-1)
    torch.testing.assert_close(method.centres[2], (1 - rate) * first + rate * features[2])
    assert method.visits.tolist() == [0, 0, 2, 0, 0]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0]])
def test_without_a_pair_classes_alone_are_learnt(labels: list[int]) -> None:
    images = batch(b=len(labels))[0]
    method = make()
    before = method.centres.clone()
    terms = method.loss(images, torch.tensor(labels))
    assert terms["local"] == terms["global"] == 0 and torch.equal(method.centres, before)
    sum(terms.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters())


def test_pairs_count_from_a_share_of_the_training_on() -> None:
    images, _ = batch(b=8)
    method = make(classes_first=0.5)
    early = method.loss(images, PAIRS, progress=0.49)
    assert early["local"] == early["global"] == 0 == method.visits.sum()
    late = method.loss(images, PAIRS, progress=0.5)
    assert late["local"] > 0 and late["global"] > 0 and method.visits.sum() == 3


def test_seeds_are_the_first_strong_places_or_any_of_them() -> None:
    features = torch.arange(64.0).view(1, 1, 8, 8)
    heatmap = torch.zeros(1, 8, 8)
    strong = [9, 12, 20, 33, 54]
    heatmap.view(-1)[strong] = torch.tensor([1.0, 0.8, 0.9, 0.71, 0.75])
    heatmap.view(-1)[40] = 0.69
    assert make().at_seeds(features, heatmap).flatten().tolist() == strong[:3]
    assert make(seeds=7).at_seeds(features, heatmap).flatten().tolist() == [*strong, *strong[:2]]
    torch.manual_seed(0)
    method = make(seed_choice="random")
    drawn = [method.at_seeds(features, heatmap).flatten().int().tolist() for _ in range(60)]
    assert {place for places in drawn for place in places} == set(strong)
    assert all(len(set(places)) == 3 for places in drawn)


def test_what_goes_around_it_asks_for_pairs_too() -> None:
    assert HaS(make()).together == make().together == 2 and HaS(CAM(plain(), 5)).together == 1
