"""Creatures: deterministic, honest about their class, and true in box and mask."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.data import Creatures
from wsol.data.layouts.creatures import FAMILIES, creature, placed, render
from wsol.errors import WsolError


def drawn(seed: int, label: int, size: int = 64, hint: float = 0.0):
    return render(np.random.default_rng(seed), label, size, hint)


def test_a_photo_depends_on_seed_split_and_index_alone() -> None:
    one, two = Creatures("val", size=48), pickle.loads(pickle.dumps(Creatures("val", size=48)))
    forwards = [np.asarray(one.image(index)) for index in (0, 5, 9)]
    backwards = [np.asarray(two.image(index)) for index in (9, 5, 0)][::-1]
    for first, second in zip(forwards, backwards, strict=True):
        assert np.array_equal(first, second)
    others = Creatures("test", size=48), Creatures("val", size=48, seed=1)
    assert not any(np.array_equal(forwards[0], np.asarray(other.image(0))) for other in others)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 11), st.integers(0, 11))
def test_two_classes_differ_in_the_part_alone(seed: int, one: int, two: int) -> None:
    first, second = drawn(seed, one), drawn(seed, two)
    elsewhere = ~_grown(_grown(_grown(first.part | second.part)))
    assert np.array_equal(first.pixels[elsewhere], second.pixels[elsewhere])
    if one != two:
        assert not np.array_equal(first.pixels, second.pixels)


def _grown(mask: np.ndarray) -> np.ndarray:
    """A pixel further: edges are averaged, and a beak's tip is thinner than the half pixel that counts as part."""
    grown = mask.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            grown |= np.roll(mask, (dy, dx), (0, 1))
    return grown


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 71), st.integers(24, 100))
def test_box_mask_and_part_agree(index: int, label: int, size: int) -> None:
    photos = Creatures("train", images=label + 1, size=size, seed=index, classes=72)
    truth = photos.truth(label)
    assert truth.mask is not None and truth.part is not None
    (x0, y0, x1, y1) = truth.boxes[0].astype(int).tolist()
    assert truth.mask[y0:y1, x0:x1].sum() == truth.mask.sum() > 0
    for edge in (truth.mask[y0, :], truth.mask[y1 - 1, :], truth.mask[:, x0], truth.mask[:, x1 - 1]):
        assert edge.any()
    assert (truth.part <= truth.mask).all()
    assert 0 < truth.part.sum() < 0.5 * truth.mask.sum()


def test_a_photo_is_the_same_at_any_size() -> None:
    small, large = (Creatures("test", images=12, size=size) for size in (64, 256))
    for index in range(12):
        one, two = small.truth(index).mask, large.truth(index).mask[2::4, 2::4]
        assert (one & two).sum() > 0.85 * (one | two).sum()


def test_the_body_tells_the_family_as_often_as_it_should() -> None:
    """The body's colour at the hint's two ends, by which family's colour is nearest."""
    for hint, low, high in ((0.0, 0.1, 0.45), (1.0, 0.75, 1.0)):
        right = []
        for label in range(12):
            for seed in range(8):
                scene = drawn(100 * label + seed, label, 48, hint)
                body = scene.pixels[scene.mask & ~scene.part] / 255
                tone = np.median(body, 0) / np.median(body, 0).sum()
                known = np.array([family[0] for family in FAMILIES])
                nearest = np.abs(known / known.sum(1, keepdims=True) - tone).sum(1).argmin()
                right.append(nearest == label // 3 % len(FAMILIES))
        assert low <= np.mean(right) <= high


def test_the_label_chooses_the_family_as_often_as_hinted(monkeypatch: pytest.MonkeyPatch) -> None:
    worn = []

    def seen(rng: np.random.Generator, label: int, family: tuple):
        worn.append(FAMILIES.index(family))
        return creature(rng, label, family)

    monkeypatch.setattr("wsol.data.layouts.creatures.creature", seen)
    for hint, share in ((0.0, 0.25), (0.6, 0.7), (1.0, 1.0)):
        worn.clear()
        for seed in range(25):
            for label in (0, 3, 6, 9):
                drawn(seed, label, 24, hint)
        own = [family == index % 4 for index, family in enumerate(worn)]
        assert np.mean(own) == pytest.approx(share, abs=0.1)
        if hint == 0:
            assert all(len(set(worn[start : start + 4])) == 1 for start in range(0, 100, 4))
            assert min(np.bincount(worn, minlength=4)) > 10


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 71))
def test_the_outline_of_the_body_is_the_same_for_every_class(seed: int, label: int) -> None:
    rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
    bodies = [
        [shape.outline for shape in placed(list(creature(each, of, FAMILIES[0])), each, 64) if not shape.part]
        for each, of in ((rng, 0), (other, label))
    ]
    for one, two in zip(*bodies, strict=True):
        np.testing.assert_array_equal(one, two)


def test_place_and_size_of_the_body_do_not_tell_the_class() -> None:
    for seed in range(5):
        bodies = [scene.mask & ~scene.part for scene in (drawn(seed, label) for label in range(12))]
        union, shared = np.logical_or.reduce(bodies), np.logical_and.reduce(bodies)
        assert shared.sum() > 0.7 * union.sum()


def test_classes_have_limits_and_names() -> None:
    names = Creatures(images=0, classes=72).classes
    assert len(set(names)) == 72
    for wrong in (1, 73):
        with pytest.raises(WsolError, match=f"not {wrong}"):
            Creatures(classes=wrong)
    counts = np.bincount([sample.label for sample in Creatures("train").samples])
    assert counts.tolist() == [100] * 12
