"""Caltech-256 in its native layout (Griffin, Holub and Perona, 2007)."""

import re
from pathlib import Path

from wsol.data.dataset import Dataset, Sample, Split, Truth, split_of
from wsol.data.images import photos_in
from wsol.errors import WsolError

CLUTTER = "clutter"


class Caltech256(Dataset):
    """256_ObjectCategories/NUMBER.NAME/ with NUMBER_PLACE.jpg; no boxes.

    257.clutter is left out: it shows no object that could be found. The set has no splits of its own; ours go by a
    photo's place in its class, see `split_of`.
    """

    name = "caltech256"

    def __init__(self, root: str | Path, split: Split) -> None:
        root = Path(root) / "256_ObjectCategories"
        folders = [each for each in sorted(root.iterdir()) if each.is_dir() and re.fullmatch(r"\d{3}\..+", each.name)]
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
