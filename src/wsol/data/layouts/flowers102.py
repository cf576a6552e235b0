"""Flowers-102 in its native layout (Nilsback and Zisserman, 2008)."""

from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, Sample, Split, Truth, class_count, folder_with
from wsol.data.images import open_image
from wsol.data.layouts.matlab import read_matrix
from wsol.errors import WsolError

LISTS = {"train": "trnid", "val": "valid", "test": "tstid"}
BLUE = (0, 0, 254)
FAR = 60  # from blue, in the most different channel; JPEG blurs the edge


class Flowers102(Dataset):
    """jpg/image_00001.jpg ..., imagelabels.mat, setid.mat, and segmim/ where it was fetched; the official splits.

    The mask is where segmim/segmim_00001.jpg ... is not the blue that its makers painted the background with; we had
    no such file to try it on.

    root: The folder that holds these files.
    split: "train", "val" or "test".

    Raises WsolError, naming the file, for one that is missing or damaged.
    """

    about = "the folder of Flowers-102"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["jpg", "imagelabels.mat", "setid.mat"], ["", "flowers-102"])

    def __init__(self, root: str | Path, split: Split) -> None:
        self.root, self.name = Path(root), Path(root).name
        labels = read_matrix(self.root / "imagelabels.mat", "labels") - 1
        numbers = read_matrix(self.root / "setid.mat", LISTS[split])
        if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= len(labels):
            raise WsolError(f"{self.root / 'setid.mat'}: lists photos without a label; fetch both .mat files again")
        count = class_count(labels.tolist(), self.root / "imagelabels.mat")
        self.classes = [f"flower {number}" for number in range(1, count + 1)]
        self.samples = [
            Sample(f"jpg/image_{number:05d}.jpg", int(labels[number - 1]), self.root / f"jpg/image_{number:05d}.jpg")
            for number in numbers.tolist()
        ]

    def truth(self, index: int) -> Truth:
        path = self.root / "segmim" / self.samples[index].path.name.replace("image", "segmim")
        if not path.is_file():
            return Truth()
        away = np.abs(np.array(open_image(path)).astype(int) - BLUE).max(2)
        return Truth(mask=away > FAR)
