"""What a data set is: photos with labels for training, and a truth that only evaluation reads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wsol.data.images import open_image
from wsol.errors import WsolError

Split = Literal["train", "val", "test"]
T = TypeVar("T")
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Truth:
    """Where the object really is; read by evaluation, never by training.

    boxes: (n, 4) x0 y0 x1 y1 in pixels of the original image; no rows where the set has none for this image.
    mask: true where the object is, in pixels of the original image, or None.
    ignore: true where the mask does not decide, or None.
    part: true on the part of the object that decides its class, or None.
    """

    boxes: Float[np.ndarray, "n 4"] = field(default_factory=lambda: np.zeros((0, 4)))
    mask: Bool[np.ndarray, "H W"] | None = None
    ignore: Bool[np.ndarray, "H W"] | None = None
    part: Bool[np.ndarray, "H W"] | None = None


@dataclass(frozen=True)
class Sample:
    """One labelled photo: its id (a relative path, unique in the split), class index, and where it is stored.

    present: all its classes, `label` among them, in a set whose photos may hold several; else empty.
    """

    id: str
    label: int
    path: Path
    present: tuple[int, ...] = ()


class Dataset(ABC):
    """One split of a data set: `classes` names the labels, `samples` lists the photos.

    Training uses `samples` and `image` alone; `truth` is opened only when somebody asks for it, and `has_boxes` says
    whether it gives boxes.
    """

    name: str
    classes: list[str]
    samples: list[Sample]
    has_boxes: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> Image.Image:
        """The photo as upright RGB. Raises WsolError, naming the file, when it cannot be read."""
        return open_image(self.samples[index].path)

    def size(self, index: int) -> tuple[int, int]:
        """(W, H) of the photo."""
        return self.image(index).size

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        """(W, H) that a photo's boxes are made for, and the file that says so, where one does."""

    @abstractmethod
    def truth(self, index: int) -> Truth:
        """Boxes and masks of one photo's label, in pixels of the original image."""

    def truth_of(self, index: int, label: int) -> Truth:
        """The same for another of the classes that are present."""
        return self.truth(index)

    def photo(self, index: int) -> int:
        """Which photo this is: another index where several samples share one."""
        return index


class Chosen(Dataset):
    """Some photos of another data set, by index."""

    def __init__(self, photos: Dataset, indices: list[int]) -> None:
        self.photos, self.indices = photos, indices
        self.name, self.classes = photos.name, photos.classes
        self.samples = [photos.samples[index] for index in indices]

    @property
    def has_boxes(self) -> bool:  # type: ignore[override]  # asked by evaluation alone
        return self.photos.has_boxes

    def image(self, index: int) -> Image.Image:
        return self.photos.image(self.indices[index])

    def size(self, index: int) -> tuple[int, int]:
        return self.photos.size(self.indices[index])

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        return self.photos.said_size(self.indices[index])

    def truth(self, index: int) -> Truth:
        return self.photos.truth(self.indices[index])

    def truth_of(self, index: int, label: int) -> Truth:
        return self.photos.truth_of(self.indices[index], label)


class Cases(Chosen):
    """What evaluation looks at: one sample for each class that is present in a photo, with the truth of that class.

    Ids of photos with classes to choose from are ID#CLASS. Other data sets stay as they are.
    """

    def __init__(self, photos: Dataset) -> None:
        pairs = [(i, label) for i, each in enumerate(photos.samples) for label in each.present or (each.label,)]
        super().__init__(photos, [index for index, _ in pairs])
        for place, (index, label) in enumerate(pairs):
            if (each := photos.samples[index]).present:
                self.samples[place] = replace(each, id=f"{each.id}#{photos.classes[label]}", label=label)

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def photo(self, index: int) -> int:
        return self.indices[index]


class NoSplit(WsolError):
    """This part of the data set is not there; others may be."""


def held_back(labels: dict[T, Any], count: int) -> set[T]:
    """The last `count` of the training photos of each label, in order: for validation, where nobody chose any."""
    by_label: dict[Any, list[T]] = {}
    for photo, label in labels.items():
        by_label.setdefault(label, []).append(photo)
    return {photo for photos in by_label.values() for photo in photos[max(len(photos) - count, 0) :]}


def class_count(labels: Iterable[int], where: Path) -> int:
    """One more than the highest label.

    Raises WsolError, naming the file, for a label that no data set has: a slip of the pen would fill the memory.
    """
    count = 0
    for label in labels:
        if not 0 <= label < MOST_CLASSES:
            raise WsolError(f"{where}: label {label} is out of range; classes are numbered from 0 without large gaps")
        count = max(count, label + 1)
    return count


def split_of(place: int) -> Split:
    """The rule for a published set without splits, by a photo's place in its class from 0.

    Every fourth is `test`, of the others every fifth place is `val`, the rest is `train`.
    """
    return "test" if place % 4 == 3 else "val" if place % 5 == 0 else "train"


def every_tenth(items: list, split: Split) -> list:
    """The rule where nobody made splits: every tenth item is `val` and also `test`, the others are `train`.

    With fewer than ten items the last one is held back; a single one is on both sides.
    """
    if len(items) < 2:
        return items
    held = set(range(9, len(items), 10)) or {len(items) - 1}
    return [item for index, item in enumerate(items) if (index in held) == (split != "train")]


def check_boxes(boxes: Float[np.ndarray, "n 4"], size: tuple[int, int], where: str) -> Float[np.ndarray, "n 4"]:
    """The boxes, if each lies inside an image of (W, H) and is not inverted. Raises WsolError naming `where`."""
    x0, y0, x1, y1 = boxes.T
    wrong = ~((x0 >= 0) & (y0 >= 0) & (x1 <= size[0]) & (y1 <= size[1]) & (x0 < x1) & (y0 < y1))
    if wrong.any():
        box = " ".join(f"{value:g}" for value in boxes[wrong][0])
        raise WsolError(f"{where}: box {box} (x0 y0 x1 y1) does not lie in its image of {size[0]} x {size[1]}; mend it")
    return boxes
