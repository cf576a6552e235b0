"""The Oxford-IIIT Pet data set in its native layout (Parkhi et al., 2012)."""

from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, check_unique, class_count, folder_with, held_back
from wsol.data.images import read_mask
from wsol.errors import WsolError
from wsol.system.files import unreadable
from wsol.system.values import whole

PET, BACKGROUND, BORDER = 1, 2, 3


class Pet(Dataset):
    """images/, and in annotations/: trainval.txt and test.txt (`name class species breed`, from 1), trimaps/.

    `val` is the last `val_per_class` photos of each class in trainval.txt, `train` is the rest. A trimap is 1 on the
    pet, 2 on the background, 3 (ignored) on the border between. The one box is the smallest around pet and border: the
    boxes in annotations/xmls/ are those of heads, and are not read.

    root: The folder that holds images/ and annotations/.
    split: "train", "val" or "test".
    val_per_class: Training photos of each class for `val`; 0 keeps them all for training.

    Raises WsolError, naming the file, for a list that is wrong.
    """

    about = "the folder of Oxford-IIIT Pet"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["images", "annotations/trainval.txt"], ["", "oxford-iiit-pet"])

    def __init__(self, root: str | Path, split: Split, val_per_class: int = 5) -> None:
        self.root, self.name = Path(root), Path(root).name
        trainval, test = self._list("trainval.txt"), self._list("test.txt")
        listed = {(number, _breed(name)) for names in (trainval, test) for name, number in names.items()}
        names = dict(listed)
        check_unique((f"class {number}" for number, _ in listed), self.root / "annotations")
        check_unique(names.values(), self.root / "annotations")
        order = {number: label for label, number in enumerate(sorted(names))}
        self.classes = [names[number] for number in sorted(names)]
        held = held_back(trainval, val_per_class)
        chosen = test if split == "test" else {n: c for n, c in trainval.items() if (n in held) == (split == "val")}
        if not chosen:
            raise NoSplit(
                f"{self.root / 'annotations'}: no photo is listed for the split {split}; fetch the lists again"
            )
        self.samples = [
            Sample(name, order[number], self.root / "images" / f"{name}.jpg") for name, number in chosen.items()
        ]
        self.has_boxes = (self.root / "annotations" / "trimaps").is_dir()

    def truth(self, index: int) -> Truth:
        if not self.has_boxes:
            return Truth()
        path = self.root / "annotations" / "trimaps" / f"{self.samples[index].id}.png"
        values = read_mask(path)
        rows, columns = (np.flatnonzero((values != BACKGROUND).any(axis)) for axis in (1, 0))
        if not len(rows):
            raise WsolError(f"{path}: shows no pet (1) and no border (3); fetch it again")
        box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float64)
        return Truth(box, values == PET, values == BORDER)

    def _list(self, name: str) -> dict[str, int]:
        path = self.root / "annotations" / name
        if not path.is_file():
            return {}
        try:
            rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
            photos = [(row[0], whole(row[1])) for row in rows if row and not row[0].startswith("#")]
        except (OSError, IndexError, ValueError) as error:
            raise unreadable(path, error, f"not readable as `name class species breed` lines ({error})") from error
        check_unique((name for name, _ in photos), path)
        class_count((number for _, number in photos), path)
        return dict(photos)


def _breed(photo: str) -> str:
    return photo.rsplit("_", 1)[0].replace("_", " ")
