"""Views: what training and evaluation see of a photo."""

import numpy as np
import torch
from PIL import Image

from wsol.data import Creatures
from wsol.data.transforms import EvaluationImages, Shuffled, TrainingImages, evaluation_view, ten_crop, training_view


def ramp(side: int) -> Image.Image:
    """Every pixel says where it is: red its column, green its row."""
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8))


def test_training_crops_lie_inside_and_half_are_mirrored() -> None:
    seen, mirrored = set(), 0
    for seed in range(300):
        view = training_view(ramp(64), 56, torch.Generator().manual_seed(seed)).mul(255).round().int()
        columns, rows = view[0, 0], view[1, :, 0]
        flipped = bool(columns[0] > columns[-1])
        mirrored += flipped
        left = int(columns.flip(0)[0] if flipped else columns[0])
        assert columns.tolist() == list(range(left, left + 56))[:: -1 if flipped else 1]
        assert rows.tolist() == list(range(int(rows[0]), int(rows[0]) + 56))
        seen |= {("x", left), ("y", int(rows[0]))}
    assert seen == {(axis, offset) for axis in "xy" for offset in range(9)}
    assert 110 < mirrored < 190


def test_evaluation_sees_the_whole_photo() -> None:
    view = evaluation_view(ramp(64), 32)
    assert view.min() >= 0 and view.max() <= 63 / 255
    assert view[0, 0].diff().min() > 0
    assert torch.equal(evaluation_view(ramp(64), 64)[1, :, 0], torch.arange(64) / 255)


def test_ten_crops_are_corners_centre_and_mirror_images() -> None:
    crops = ten_crop(ramp(64), 56).mul(255).round().int()
    corners = [(0, 0), (8, 0), (0, 8), (8, 8), (4, 4)]
    for crop, mirror, (x, y) in zip(crops[:5], crops[5:], corners, strict=True):
        assert crop[0, 0].tolist() == list(range(x, x + 56))
        assert crop[1, :, 0].tolist() == list(range(y, y + 56))
        assert torch.equal(mirror, crop.flip(-1))


def test_a_place_in_the_training_always_shows_the_same() -> None:
    photos = Creatures("train", images=6, size=36)
    one, two, other = TrainingImages(photos, 32, 1), TrainingImages(photos, 32, 1), TrainingImages(photos, 32, 2)
    for place in (0, 5, 6, 17):
        assert torch.equal(one[place][0], two[place][0])
        assert one[place][1] == photos.samples[place % 6].label
    assert not torch.equal(one[0][0], one[6][0]) or not torch.equal(one[0][0], one[12][0])
    assert any(not torch.equal(one[place][0], other[place][0]) for place in range(6))


def test_every_epoch_shows_every_photo_once_in_another_order() -> None:
    whole = Shuffled(20, seed=3)
    first, second = list(whole), list(whole)
    assert sorted(first) == list(range(20))
    assert sorted(second) == list(range(20, 40))
    assert [place - 20 for place in second] != first
    assert list(Shuffled(20, seed=3, epoch=1)) == second
    assert list(Shuffled(20, seed=4)) != first


def test_evaluation_tells_which_photo_it_is() -> None:
    photos = Creatures("test", images=5, size=36)
    images = EvaluationImages(photos, 32)
    view, label, index, size = images[3]
    assert (label, index, size.tolist()) == (photos.samples[3].label, 3, [36, 36])
    assert torch.equal(view, evaluation_view(photos.image(3), 32))
