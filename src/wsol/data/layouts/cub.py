"""CUB-200-2011 in its native layout (Wah et al., 2011), whole or any part of its classes."""

from functools import cached_property
from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, Sample, Split, Truth, check_unique, folder_with, held_back
from wsol.errors import WsolError
from wsol.system.files import unreadable
from wsol.system.values import real

LARGEST = 10**6  # pixels of a box's side


class CUB(Dataset):
    """images.txt, image_class_labels.txt, train_test_split.txt, classes.txt, bounding_boxes.txt and images/.

    CUB has no validation split: `val` is the last `val_per_class` training photos of each class, in the order of
    images.txt, and `train` is the rest. The file of boxes (x, y, width, height in pixels) is opened only when a truth
    is asked for.

    root: The folder that holds these files.
    split: "train", "val" or "test".
    val_per_class: Training photos of each class for `val`; 0 keeps them all for training.

    Raises WsolError, naming the file, for one that is missing or wrong.
    """

    about = "the folder of CUB-200-2011"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["train_test_split.txt"], ["", "CUB_200_2011"])

    def __init__(self, root: str | Path, split: Split, val_per_class: int = 5) -> None:
        self.root, self.name = Path(root), Path(root).name
        paths, labels, official = (
            self._table(name) for name in ("images.txt", "image_class_labels.txt", "train_test_split.txt")
        )
        names = self._table("classes.txt")
        order = {number: index for index, number in enumerate(names)}
        self.classes = [name.split(".", 1)[-1].replace("_", " ") for name in names.values()]
        check_unique(self.classes, self.root / "classes.txt")
        check_unique(paths.values(), self.root / "images.txt")
        for number in paths:
            if labels.get(number) not in order:
                raise WsolError(f"{self.root / 'image_class_labels.txt'}: photo {number} has no class of classes.txt")
            if official.get(number) not in ("0", "1"):
                raise WsolError(f"{self.root / 'train_test_split.txt'}: photo {number} has neither 0 nor 1")
        held = held_back({number: labels[number] for number in paths if official[number] == "1"}, val_per_class)
        chosen = {
            "test": lambda number: official.get(number) == "0",
            "val": lambda number: number in held,
            "train": lambda number: official.get(number) == "1" and number not in held,
        }[split]
        self.has_boxes = (self.root / "bounding_boxes.txt").is_file()
        self.numbers = [number for number in paths if chosen(number)]
        self.samples = [
            Sample(paths[number], order[labels[number]], self.root / "images" / paths[number])
            for number in self.numbers
        ]

    def truth(self, index: int) -> Truth:
        number = self.numbers[index]
        try:
            x, y, width, height = (real(value) for value in self._boxes[number].split())
        except (KeyError, ValueError) as error:
            raise WsolError(f"{self.root / 'bounding_boxes.txt'}: no box of four numbers for photo {number}") from error
        photo = self.size(index) if self.samples[index].path.is_file() else (LARGEST, LARGEST)
        if not (0 < width <= LARGEST and 0 < height <= LARGEST and -width < x < photo[0] and -height < y < photo[1]):
            raise WsolError(f"{self.root / 'bounding_boxes.txt'}: the box of photo {number} does not lie in it; fix it")
        # a few published ones reach out: they count as they are
        return Truth(np.array([[x, y, x + width, y + height]]))

    @cached_property
    def _boxes(self) -> dict[str, str]:
        return self._table("bounding_boxes.txt")

    def _table(self, name: str) -> dict[str, str]:
        """A file of `number rest` lines."""
        try:
            lines = (self.root / name).read_text(encoding="utf-8").splitlines()
            rows = [line.split(maxsplit=1) for line in lines if line.strip()]
            table = dict(rows)
        except (OSError, ValueError) as error:
            raise unreadable(
                self.root / name, error, f"not readable as CUB's `number value` lines ({error})"
            ) from error
        check_unique((number for number, _ in rows), self.root / name)
        return table
