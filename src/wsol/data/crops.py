"""Views of photos for networks: float32 (3, S, S), RGB in [0, 1]."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxes

from wsol.data.dataset import Dataset
from wsol.data.inputs import framed
from wsol.errors import WsolError


def training_view(image: Image.Image, size: int, chance: torch.Generator) -> Float[Tensor, "3 S S"]:
    """The photo resized to 8/7 of `size` (256 for 224) without regard to aspect, cropped and, half the time, mirrored.

    image: The photo, RGB.
    size: The side of the view in pixels.
    chance: Decides where it is cropped and whether it is mirrored.
    """
    return to_tensor(_cropped(image, size, chance))


def training_box(box: Float[Tensor, "*m 4"], size: int, chance: torch.Generator) -> Float[Tensor, "*m 4"]:
    """Where one box or several lie in the `training_view` of the same chance: x0 y0 x1 y1 in pixels of the view.

    They are cut at the view's edges; of a box that lies outside, only an edge is left.

    box: (4,) or (m, 4) x0 y0 x1 y1 as shares of the photo.
    size: The side of the view in pixels.
    chance: As that of the view.
    """
    shares = BoundingBoxes(box.view(-1, 4), format="XYXY", canvas_size=(1, 1))  # type: ignore[call-overload]
    return _cropped(shares, size, chance).as_subclass(Tensor).view_as(box)


def _cropped(shown: Any, size: int, chance: torch.Generator) -> Any:
    large = size * 8 // 7
    x, y = torch.randint(0, large - size + 1, (2,), generator=chance).tolist()
    shown = functional.crop(functional.resize(shown, [large, large]), y, x, size, size)
    return functional.horizontal_flip(shown) if torch.rand((), generator=chance) < 0.5 else shown


def evaluation_view(image: Image.Image, size: int, crop: bool = False) -> Float[Tensor, "3 S S"]:
    """`framed` as a tensor."""
    return to_tensor(framed(image, size, crop))


def ten_crop(image: Image.Image, size: int) -> Float[Tensor, "10 3 S S"]:
    """Four corners and the centre of the photo at 8/7 of `size`, then their mirror images.

    image: The photo, RGB.
    size: The side of a view in pixels.
    """
    large = size * 8 // 7
    whole = to_tensor(image.resize((large, large), Image.Resampling.BILINEAR))
    low, middle, high = 0, (large - size) // 2, large - size
    corners = [(low, low), (low, high), (high, low), (high, high), (middle, middle)]
    crops = torch.stack([whole[:, y : y + size, x : x + size] for y, x in corners])
    return torch.cat([crops, crops.flip(-1)])


def to_tensor(image: Image.Image) -> Float[Tensor, "3 H W"]:
    """RGB pixels as float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)


def target(photos: Dataset, index: int) -> int | Bool[Tensor, " k"]:
    """What a network learns to say of a photo: its label, or which classes are present where there may be several.

    photos: The data set.
    index: Which of its photos.
    """
    sample = photos.samples[index]
    if not sample.present:
        return sample.label
    present = torch.zeros(len(photos.classes), dtype=torch.bool)
    present[list(sample.present)] = True
    return present


class TrainingImages(torch.utils.data.Dataset):
    """Views and targets for training: (3, S, S), and an int or (k,) bool. It never asks a data set for its truth.

    They are asked for by their place in the whole training, n of epoch 0, then n of epoch 1 ...: crop and mirroring
    depend on (seed, place) alone, so that a resumed run sees what an uninterrupted one would have seen. One photo at a
    time is in memory, large JPEGs reduced, see `wsol.data.inputs.open_reduced`.

    photos: The data set.
    size: S, the side of a view in pixels.
    seed: Other seeds give other crops.
    boxes: A box or several for each photo, x0 y0 x1 y1 as shares of it. They then come third, in pixels of the view.

    Raises WsolError, naming the file, for a photo that cannot be read.
    """

    def __init__(self, photos: Dataset, size: int, seed: int = 0, boxes: Float[Tensor, "n *m 4"] | None = None) -> None:
        self.photos, self.size, self.seed, self.boxes = photos, size, seed, boxes

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, place: int) -> tuple[Tensor, int | Tensor] | tuple[Tensor, int | Tensor, Tensor]:
        index = place % len(self.photos)
        view, label = self.view(index, place), target(self.photos, index)
        if self.boxes is None:
            return view, label
        return view, label, self.box(self.boxes[index], place)

    def view(self, index: int, place: int) -> Float[Tensor, "3 S S"]:
        return training_view(self.photos.reduced(index, self.size)[0], self.size, self.chance(place))

    def box(self, box: Float[Tensor, "*m 4"], place: int) -> Float[Tensor, "*m 4"]:
        return training_box(box, self.size, self.chance(place))

    def chance(self, place: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed * 1_000_000_007 + place)


class WholeImages(TrainingImages):
    """As `TrainingImages`, but photos are seen whole: half of them mirrored, none cropped."""

    def view(self, index: int, place: int) -> Float[Tensor, "3 S S"]:
        view = evaluation_view(self.photos.reduced(index, self.size)[0], self.size)
        return view.flip(-1) if self.mirrored(place) else view

    def box(self, box: Float[Tensor, "*m 4"], place: int) -> Float[Tensor, "*m 4"]:
        x0, y0, x1, y1 = (box * self.size).unbind(-1)
        return torch.stack([self.size - x1, y0, self.size - x0, y1] if self.mirrored(place) else [x0, y0, x1, y1], -1)

    def mirrored(self, place: int) -> bool:
        return bool(torch.rand((), generator=self.chance(place)) < 0.5)


class Shuffled(torch.utils.data.Sampler[int]):
    """Places in the whole training, shuffled within each epoch.

    photos: How many photos an epoch has.
    seed: Other seeds give other orders.
    epoch: The first one that is iterated over.
    """

    def __init__(self, photos: int, seed: int, epoch: int = 0) -> None:
        self.photos, self.seed, self.epoch = photos, seed, epoch

    def __len__(self) -> int:
        return self.photos

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.photos, generator=chance) + self.epoch * self.photos
        self.epoch += 1
        return iter(order.tolist())


class Together(Shuffled):
    """The same, photos of one class side by side in groups; photos are repeated where a class does not fill its last.

    labels: The class of each photo.
    size: How many photos a group has.
    seed: Other seeds give other groups.
    epoch: The first one that is iterated over.
    """

    def __init__(self, labels: Sequence[int], size: int, seed: int, epoch: int = 0) -> None:
        super().__init__(len(labels), seed, epoch)
        self.labels, self.size = labels, size

    def __len__(self) -> int:
        return sum(-(-count // self.size) * self.size for count in Counter(self.labels).values())

    def __iter__(self) -> Iterator[int]:
        by_class: dict[int, list[int]] = {}
        for place in super().__iter__():
            by_class.setdefault(self.labels[place % self.photos], []).append(place)
        groups = []
        for places in by_class.values():
            again = cycle(places)
            groups += [list(islice(again, self.size)) for _ in range(0, len(places), self.size)]
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(groups), generator=chance).tolist()
        return iter([place for group in order for place in groups[group]])


@dataclass(frozen=True)
class Unreadable:
    """A photo that cannot be read.

    index: its place in the data set.
    message: why, with the file's name.
    """

    index: int
    message: str


class Batch(NamedTuple):
    """The photos of a batch that could be read, none or more, and why the others could not.

    images: (b, 3, S, S) views; (0, 3, 0, 0) where none could be read.
    targets: (b,) labels, or (b, k) true for the classes that are present.
    indices: (b,) the photos' places in the data set.
    sizes: (b, 2) W, H of the original photos in pixels.
    errors: (index, message) of each photo that cannot be read.
    """

    images: Float[Tensor, "b 3 S S"]
    targets: Int[Tensor, " b"] | Bool[Tensor, "b k"]
    indices: Int[Tensor, " b"]
    sizes: Int[Tensor, "b 2"]
    errors: list[tuple[int, str]]


class EvaluationImages(torch.utils.data.Dataset):
    """Views for measuring: (3, S, S), an int or (k,) bool, the index, and W, H of the photo, which is decoded once.

    One photo at a time is in memory, large JPEGs reduced, see `wsol.data.inputs.open_reduced`.
    A photo that cannot be read is `Unreadable` instead: an error within a loader's process would end all of them.

    photos: The data set.
    size: S, the side of a view in pixels.
    crop: Keep the centre of a larger view, see `framed`.
    """

    def __init__(self, photos: Dataset, size: int, crop: bool = False) -> None:
        self.photos, self.size, self.crop = photos, size, crop

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor, int, Tensor] | Unreadable:
        try:
            image, photo_size = self.photos.reduced(index, self.size)
        except WsolError as error:
            return Unreadable(index, str(error))
        view = evaluation_view(image, self.size, self.crop)
        return view, target(self.photos, index), index, torch.tensor(photo_size)


def collate(items: list[tuple[Tensor, int | Tensor, int, Tensor] | Unreadable]) -> Batch:
    """A batch of `EvaluationImages`: the `collate_fn` of their loader.

    items: What `EvaluationImages` gave.
    """
    errors = [(item.index, item.message) for item in items if isinstance(item, Unreadable)]
    views = [item for item in items if not isinstance(item, Unreadable)]
    if not views:
        none = torch.zeros(0, dtype=torch.long)
        return Batch(torch.zeros(0, 3, 0, 0), none, none, none.view(0, 2), errors)
    images, targets, indices, sizes = zip(*views, strict=True)
    return Batch(
        torch.stack(images),
        torch.stack([torch.as_tensor(target) for target in targets]),
        torch.tensor(indices),
        torch.stack(sizes),
        errors,
    )
