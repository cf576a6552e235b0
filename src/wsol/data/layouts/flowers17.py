"""Flowers-17 with masks (Nilsback and Zisserman, 2006): labels.csv, images/, masks/."""

import csv
from pathlib import Path

from wsol.data.dataset import Dataset, Sample, Split, Truth, check_unique, class_count, folder_with, split_of
from wsol.data.images import read_mask
from wsol.system.files import unreadable
from wsol.system.values import whole

FLOWER, UNDEFINED = 1, 0


class Flowers17(Dataset):
    """17 flowers, 80 photos each; masks for 846 of them.

    Masks are palette images: 1 is the flower, 0 is undefined (ignored), all else background. Splits go by a photo's
    place in its class, see `split_of`.

    root: The folder that holds labels.csv, images/ and masks/.
    split: "train", "val" or "test".

    Raises WsolError, naming the file, for labels that are wrong.
    """

    about = "the folder of Flowers-17 with labels.csv, images/ and masks/"
    name = "flowers17"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["labels.csv", "masks"])

    def __init__(self, root: str | Path, split: Split) -> None:
        self.root = Path(root)
        try:
            with open(self.root / "labels.csv", encoding="utf-8", newline="") as file:
                rows = [(row["image"], whole(row["class"])) for row in csv.DictReader(file)]
        except (OSError, AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:
            said = f"not readable as image,class,has_mask lines ({error})"
            raise unreadable(self.root / "labels.csv", error, said) from error
        check_unique((name for name, _ in rows), self.root / "labels.csv")
        count = class_count((label for _, label in rows), self.root / "labels.csv")
        self.classes = [f"flower {number}" for number in range(count)]
        self.samples = []
        counts = [0] * len(self.classes)
        for name, label in rows:
            place, counts[label] = counts[label], counts[label] + 1
            if split == split_of(place):
                self.samples.append(Sample(name, label, self.root / name))

    def truth(self, index: int) -> Truth:
        path = self.root / "masks" / f"{Path(self.samples[index].id).stem}.png"
        if not path.is_file():
            return Truth()
        values = read_mask(path)
        return Truth(mask=values == FLOWER, ignore=values == UNDEFINED)
