"""What a data set is: photos with labels for training, and a truth that only evaluation reads."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wsol.data.images import image_size, open_image
from wsol.data.inputs import open_reduced
from wsol.errors import WsolError, repeated
from wsol.system.values import Corners

Split = Literal["train", "val", "test"]
T = TypeVar("T")
MOST_CLASSES = 100_000
ROUNDED = 0.01  # pixels, in files of boxes
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}  # how people spell a split, in any capitals


@dataclass(frozen=True)
class Truth:
    """Where the object really is; read by evaluation. Training reads it to watch, if asked to, and for `learns_from`.

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
    """One labelled photo.

    id: its name, unique in the split: a path relative to the data set's folder.
    label: its class, an index into the data set's `classes`.
    path: where it is stored.
    present: all its classes, `label` among them, in a set whose photos may hold several; else empty.
    """

    id: str
    label: int
    path: Path
    present: tuple[int, ...] = ()


class Dataset(ABC):
    """One split of a data set, and the contract of its layout.

    A layout is a subclass. It must provide:

    about: one line for lists, help and errors, such as "the folder of CUB-200-2011".
    found: a classmethod that recognises its files. It gets a path, which may not exist, and returns the root to open,
        or None.
    __init__: takes those of `root` (what `found` returned), `split`, `val_per_class` (training photos of each class
        to hold back for validation), `size` (side in pixels of generated photos) and `box_format` (what the four
        numbers of a box mean, or None) that it needs, by these names.
        It sets `name`, `classes` and `samples`, and `has_boxes` where there are boxes. It raises WsolError, naming
        the file, for files that are wrong, and NoSplit for a split that is not there.
    truth: boxes and masks of one photo. Few ask for it, see `Truth`: open their files here, not in `__init__`.

    It may override `image` and `size` where a photo is not simply a file, `truth_of` where photos hold several
    classes, `said_size` and `notes`. `image` is called from several threads and processes.

    name: the data set's name in results.
    classes: the names of the classes; a label is an index into them.
    samples: the photos of the split, in a fixed order.
    has_boxes: whether `truth` gives boxes.
    numbered: whether the files know classes by number alone, as the evaluator's lists do: label i is class i of
        whatever network it is measured with. Else classes are matched by name.
    generated: whether photos are made, not stored, so that their files are not checked.
    by_rule: whether photos of a set without such a split are held back by a rule; `split=None` then opens all photos.
    split_by: in a few words, how the photos of the split were chosen, where the files leave that open.

    A package offers a layout by an entry point in the group `wsol.layouts`.
    """

    about: str = ""
    name: str
    classes: list[str]
    samples: list[Sample]
    has_boxes: bool = False
    numbered: bool = False
    generated: bool = False
    by_rule: bool = False
    split_by: str = ""

    @classmethod
    def found(cls, path: Path) -> Path | None:
        """The root to open where `path` holds this layout, else None."""
        return None

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> Image.Image:
        """The photo as upright RGB. Raises WsolError, naming the file, when it cannot be read."""
        return open_image(self.samples[index].path)

    def reduced(self, index: int, side: int) -> tuple[Image.Image, tuple[int, int]]:
        """The photo, large enough for a view of `side` pixels, and (W, H) of the whole one, see `open_reduced`.

        Raises WsolError, naming the file, when it cannot be read.
        """
        if type(self).image is not Dataset.image:
            image = self.image(index)
            return image, image.size
        return open_reduced(self.samples[index].path, side)

    def size(self, index: int) -> tuple[int, int]:
        """(W, H) of the upright photo, from its file's header, or from `image` where a layout overrides that.

        Raises WsolError, naming the file, when that cannot be read.
        """
        if type(self).image is not Dataset.image:
            return self.image(index).size
        return image_size(self.samples[index].path)

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        """The file that says for which (W, H) a photo's boxes are made, and that size, where there is such a file."""

    def notes(self) -> list[str]:
        """What `wsol data check` should say of how the files are written. It may read every photo's size."""
        return []

    @abstractmethod
    def truth(self, index: int) -> Truth:
        """Boxes and masks of one photo's label, in pixels of the original image."""

    def truth_of(self, index: int, label: int) -> Truth:
        """The same for another of the classes that are present."""
        return self.truth(index)

    def photo(self, index: int) -> int:
        """Which photo this is: another index where several samples share one."""
        return index

    def fingerprint(self) -> str:
        """16 hex digits of the names of the classes and of all samples' ids and labels, in order.

        Two data sets with equal fingerprints list the same photos, wherever their folders are. Pixels do not count.
        """
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for sample in self.samples:
            digest.update(json.dumps([sample.id, sample.label, sample.present]).encode())
        return digest.hexdigest()[:16]


class Chosen(Dataset):
    """Some photos of another data set.

    photos: The data set.
    indices: Which of its photos, in this order.
    """

    def __init__(self, photos: Dataset, indices: list[int]) -> None:
        self.photos, self.indices = photos, indices
        self.about, self.name, self.classes = photos.about, photos.name, photos.classes
        self.numbered, self.generated = photos.numbered, photos.generated
        self.by_rule, self.split_by = photos.by_rule, photos.split_by
        self.samples = [photos.samples[index] for index in indices]

    @property
    def has_boxes(self) -> bool:  # type: ignore[override]  # only evaluation asks
        return self.photos.has_boxes

    def image(self, index: int) -> Image.Image:
        return self.photos.image(self.indices[index])

    def reduced(self, index: int, side: int) -> tuple[Image.Image, tuple[int, int]]:
        return self.photos.reduced(self.indices[index], side)

    def size(self, index: int) -> tuple[int, int]:
        return self.photos.size(self.indices[index])

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        return self.photos.said_size(self.indices[index])

    def notes(self) -> list[str]:
        return self.photos.notes()

    def truth(self, index: int) -> Truth:
        return self.photos.truth(self.indices[index])

    def truth_of(self, index: int, label: int) -> Truth:
        return self.photos.truth_of(self.indices[index], label)


class Cases(Chosen):
    """What evaluation looks at: one sample for each class that is present in a photo, with the truth of that class.

    Ids of photos with classes to choose from are ID#CLASS. Other data sets stay as they are.

    photos: The data set.
    """

    def __init__(self, photos: Dataset) -> None:
        pairs = [
            (index, label) for index, sample in enumerate(photos.samples) for label in sample.present or (sample.label,)
        ]
        super().__init__(photos, [index for index, _ in pairs])
        for case, (index, label) in enumerate(pairs):
            if (sample := photos.samples[index]).present:
                self.samples[case] = replace(sample, id=f"{sample.id}#{photos.classes[label]}", label=label)

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def photo(self, index: int) -> int:
        return self.indices[index]


class NoSplit(WsolError):
    """This split of the data set is not there; others may be."""


def folder_with(path: Path, files: Iterable[str], folders: Iterable[str] = ("",)) -> Path | None:
    """The first of some folders that holds all of some files, for a layout's `found`.

    path: Where to look.
    files: Files or folders that tell the layout, as paths within the folder.
    folders: Where to look within `path`; "" is `path` itself.
    """
    roots = (path / folder for folder in folders)
    return next((root for root in roots if all((root / file).exists() for file in files)), None)


def held_back(labels: dict[T, Any], count: int) -> set[T]:
    """The last training photos of each label, held back for validation where the set has no such split.

    labels: The label of each photo, in the order of the photos.
    count: How many photos of each label.
    """
    by_label: dict[Any, list[T]] = {}
    for photo, label in labels.items():
        by_label.setdefault(label, []).append(photo)
    return {photo for photos in by_label.values() for photo in photos[max(len(photos) - count, 0) :]}


def class_count(labels: Iterable[int], where: Path) -> int:
    """One more than the highest label.

    labels: Numbers from 0.
    where: The file to name in an error.

    Raises WsolError for a label that no data set has: a mistyped one would fill the memory.
    """
    count = 0
    for label in labels:
        if not 0 <= label < MOST_CLASSES:
            raise WsolError(f"{where}: label {label} is out of range; classes are numbered from 0 without large gaps")
        count = max(count, label + 1)
    return count


def check_unique(names: Iterable[str], where: Path) -> None:
    """Raises WsolError for a name that is listed twice, and would count twice.

    names: Of photos or classes.
    where: The file to name in the error.
    """
    if (twice := repeated(names)) is not None:
        raise WsolError(f"{where}: lists {twice} twice; remove one")


def split_named(text: str) -> Split | None:
    """The split that a name stands for, in any capitals; None where it stands for none.

    text: Such as "Training", "valid" or "holdout", see `SPLIT_NAMES`.
    """
    return SPLIT_NAMES.get(text.strip().lower())


def split_of(place: int) -> Split:
    """The rule for a published set without splits: every fourth photo is `test`, every fifth place of the others `val`.

    place: A photo's place in its class, from 0.
    """
    return "test" if place % 4 == 3 else "val" if place % 5 == 0 else "train"


def every_tenth(items: list, split: Split | None) -> list:
    """The rule for users' photos without splits: every tenth item is `val` and also `test`, the others are `train`.

    With fewer than ten items the last one is held back; a single one belongs to all splits. None stands for all items.
    """
    if len(items) < 2 or split is None:
        return items
    held = set(range(9, len(items), 10)) or {len(items) - 1}
    return [item for index, item in enumerate(items) if (index in held) == (split != "train")]


def check_boxes(boxes: Float[np.ndarray, "n 4"], size: tuple[int, int], where: str) -> Float[np.ndarray, "n 4"]:
    """The boxes, if each lies inside its image, is not inverted and not smaller than a pixel.

    boxes: (n, 4) x0 y0 x1 y1 in pixels.
    size: (W, H) of the image.
    where: What to name in an error.

    Raises WsolError for the first box that is wrong.
    """
    x0, y0, x1, y1 = boxes.T
    wrong = ~((x0 >= 0) & (y0 >= 0) & (x1 <= size[0]) & (y1 <= size[1]) & (x0 < x1) & (y0 < y1))
    tiny = ~wrong & (x1 - x0 < 1) & (y1 - y0 < 1)
    for faulty, fault in ((wrong, "does not lie in"), (tiny, "is smaller than a pixel of")):
        if faulty.any():
            box = " ".join(f"{value:g}" for value in boxes[faulty][0])
            raise WsolError(f"{where}: box {box} (x0 y0 x1 y1) {fault} its image of {size[0]} x {size[1]}; fix it")
    return boxes


def check_within(box: Corners, width: int, height: int) -> None:
    """Raises ValueError for a box x0 y0 x1 y1 that is inverted, or reaches out of its photo by more than rounding."""
    x0, y0, x1, y1 = box
    if not (-ROUNDED <= x0 <= x1 <= width + ROUNDED and -ROUNDED <= y0 <= y1 <= height + ROUNDED):
        raise ValueError(f"the box {x0:g} {y0:g} {x1:g} {y1:g} does not lie in its photo of {width} x {height}")
