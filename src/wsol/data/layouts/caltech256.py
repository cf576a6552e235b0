"""Caltech-256 in its native layout (Griffin, Holub and Perona, 2007)."""

import re
from pathlib import Path

from wsol.data.dataset import Dataset, Sample, Split, Truth, folder_with, split_of
from wsol.data.finding import photos_in
from wsol.errors import WsolError

CLUTTER = "clutter"


class Caltech256(Dataset):
    """256_ObjectCategories/NUMBER.NAME/ with NUMBER_PLACE.jpg; no boxes.

    257.clutter is left out, as it shows no object. The set has no splits: ours go by a photo's place in its class, see
    `split_of`.

    root: The folder that holds 256_ObjectCategories/.
    split: "train", "val" or "test".
    """

    about = "the folder of Caltech-256"
    name = "caltech256"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["256_ObjectCategories"], ["", "caltech256"])

    def __init__(self, root: str | Path, split: Split) -> None:
        root = Path(root) / "256_ObjectCategories"
        folders = [path for path in sorted(root.iterdir()) if path.is_dir() and re.fullmatch(r"\d{3}\..+", path.name)]
        names = {folder: folder.name.split(".", 1)[1] for folder in folders}
        kept = [folder for folder in folders if names[folder] != CLUTTER]
        if not kept:
            raise WsolError(f"{root}: no class folders like 001.ak47 here; unpack the archive again")
        self.classes = [names[folder] for folder in kept]
        self.samples = [
            Sample(path.relative_to(root).as_posix(), label, path)
            for label, folder in enumerate(kept)
            for place, (path, _) in enumerate(photos_in(folder))
            if split_of(place) == split
        ]

    def truth(self, index: int) -> Truth:
        return Truth()
