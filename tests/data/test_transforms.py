"""Views: what training and evaluation see of a photo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_metadata import Listed
from torch.utils.data import DataLoader

from wsol.data import Creatures, Folder
from wsol.data.crops import (
    EvaluationImages,
    Shuffled,
    Together,
    TrainingImages,
    Unreadable,
    collate,
    evaluation_view,
    ten_crop,
    training_view,
)
from wsol.data.images import decoded
from wsol.errors import WsolError


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


def test_photos_of_a_class_stand_together_and_those_of_a_group_that_is_not_full_come_again() -> None:
    labels = [0, 1, 0, 2, 0, 1, 0, 0]  # five, two and one
    whole = Together(labels, 2, seed=3)
    first, second = list(whole), list(whole)
    assert len(first) == len(second) == len(whole) == 10
    for epoch, places in enumerate((first, second)):
        photos = [place - 8 * epoch for place in places]
        assert set(photos) == set(range(8))
        pairs = list(zip(photos[::2], photos[1::2], strict=True))
        assert all(labels[one] == labels[other] for one, other in pairs)
        assert [pair for pair in pairs if pair[0] == pair[1]] == [(3, 3)]  # the only photo of its class
    assert [place - 8 for place in second] != first
    assert list(Together(labels, 2, seed=3, epoch=1)) == second
    assert list(Together(labels, 2, seed=4)) != first


def test_evaluation_tells_which_photo_it_is() -> None:
    photos = Creatures("test", images=5, size=36)
    images = EvaluationImages(photos, 32)
    view, label, index, size = images[3]
    assert (label, index, size.tolist()) == (photos.samples[3].label, 3, [36, 36])
    assert torch.equal(view, evaluation_view(photos.image(3), 32))


@pytest.fixture
def photos(tmp_path: Path) -> Folder:
    """Six photos of two classes, different in size, of which 1 and 4 are damaged."""
    for index in range(6):
        path = tmp_path / "test" / "ab"[index // 3] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + index, 30), (40 * index, 0, 0)).save(path)
        if index in (1, 4):
            path.write_bytes(path.read_bytes()[:60])
    (tmp_path / "train").symlink_to(tmp_path / "test")
    return Folder(tmp_path, "test")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_holds_what_could_be_read_and_says_what_could_not(photos: Folder, workers: int) -> None:
    loader = DataLoader(EvaluationImages(photos, 32), batch_size=3, collate_fn=collate, num_workers=workers)
    batches = list(loader)
    assert [batch.indices.tolist() for batch in batches] == [[0, 2], [3, 5]]
    assert [batch.targets.tolist() for batch in batches] == [[0, 0], [1, 1]]
    assert [batch.sizes.tolist() for batch in batches] == [[[40, 30], [42, 30]], [[43, 30], [45, 30]]]
    for batch, bad in zip(batches, (1, 4), strict=True):
        ((index, message),) = batch.errors
        assert index == bad and message.startswith(f"{photos.samples[bad].path}: cannot be read (")
        assert "\n" not in message and "Traceback" not in message
        for view, place in zip(batch.images, batch.indices.tolist(), strict=True):
            assert torch.equal(view, evaluation_view(photos.image(place), 32))


def test_a_batch_may_be_empty(photos: Folder) -> None:
    images = EvaluationImages(photos, 32)
    batch = collate([images[1], images[4]])
    assert [index for index, _ in batch.errors] == [1, 4]
    assert [len(batch.images), len(batch.targets), len(batch.indices), len(batch.sizes)] == [0, 0, 0, 0]
    assert isinstance(images[1], Unreadable)


def test_a_batch_of_photos_with_several_classes_says_which_are_present(photos: Folder) -> None:
    several = Listed({"a": (1, (4, 3), []), "b": (2, (3, 5), [])})
    object.__setattr__(several.samples[0], "present", (1, 7))
    object.__setattr__(several.samples[1], "present", (2,))
    batch = collate([EvaluationImages(several, 32)[index] for index in (0, 1)])
    assert batch.targets.dtype == torch.bool and batch.targets.nonzero().tolist() == [[0, 1], [0, 7], [1, 2]]


def test_an_evaluation_decodes_each_photo_once(photos: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def counted(image: Image.Image, path: Path) -> Image.Image:
        names.append(path.name)
        return decoded(image, path)

    monkeypatch.setattr("wsol.data.inputs.decoded", counted)
    batches = list(DataLoader(EvaluationImages(photos, 32), batch_size=4, collate_fn=collate))
    assert sum(len(batch.indices) + len(batch.errors) for batch in batches) == 6
    assert names == [f"{index}.png" for index in range(6)]


def test_training_on_a_photo_that_cannot_be_read_names_it(photos: Folder) -> None:
    with pytest.raises(WsolError, match=r"a/1\.png: cannot be read"):
        TrainingImages(photos, 32)[1]
