"""Which layout a folder has: `open_data` knows them all."""

import difflib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from wsol.data.caltech256 import Caltech256
from wsol.data.creatures import Creatures
from wsol.data.cub import CUB
from wsol.data.dataset import Chosen, Dataset, Split
from wsol.data.flowers17 import Flowers17
from wsol.data.flowers102 import Flowers102
from wsol.data.folder import Folder
from wsol.data.ilsvrc import ILSVRC, wnids_in
from wsol.data.metadata import Metadata
from wsol.data.metadata import places as lists
from wsol.data.pet import Pet
from wsol.data.table import Csv
from wsol.data.voc import VOC
from wsol.errors import WsolError, listed
from wsol.progress import bar

LAYOUTS = (
    "a folder of class folders, a CSV of path,label[,x0,y0,x1,y1][,split], the folder of CUB-200-2011, ILSVRC, VOC, "
    "Caltech-256, Oxford-IIIT Pet, Flowers-102 or flowers17, the evaluator's metadata folder, or the word creatures"
)
# published sets: where below the folder that is given they may lie, and what tells them
PUBLISHED: dict[Callable[..., Dataset], tuple[tuple[str, ...], tuple[str, ...]]] = {
    CUB: (("", "CUB_200_2011"), ("train_test_split.txt",)),
    VOC: (("", "VOC2012", "VOCdevkit/VOC2012"), ("JPEGImages", "Annotations", "ImageSets")),
    ILSVRC: (("", "ILSVRC"), ("Data/CLS-LOC",)),
    Caltech256: (("", "caltech256"), ("256_ObjectCategories",)),
    Pet: (("", "oxford-iiit-pet"), ("images", "annotations/trainval.txt")),
    Flowers102: (("", "flowers-102"), ("jpg", "imagelabels.mat", "setid.mat")),
    Flowers17: (("",), ("labels.csv", "masks")),
}
HELD_BACK = (CUB, ILSVRC, Pet)  # which have no validation photos of their own


def open_data(data: str | Path | Dataset, split: Split, *, size: int = 128, val_per_class: int = 5) -> Dataset:
    """One split of a data set, its layout recognised.

    data: a path, "creatures", or a data set that is handed back as it is. size: side of generated creatures, pixels.
    val_per_class: photos a class that CUB, ILSVRC and Pet hold back for validation.

    Raises WsolError when nothing is there or the layout is not known.
    """
    if isinstance(data, Dataset):
        return data
    if str(data) == "creatures":
        return Creatures(split, size=size)
    path = Path(data)
    if path.is_file() and path.suffix.lower() == ".csv":
        return Csv(path, split)
    if not path.is_dir():
        hint = " did you mean creatures?" if difflib.get_close_matches(str(data), ["creatures"]) else ""
        raise WsolError(f"{data}: there is no such data;{hint} give {LAYOUTS}")
    for layout, (places, signs) in PUBLISHED.items():
        for root in (path / place for place in places):
            if all((root / sign).exists() for sign in signs):
                return layout(root, split, *(val_per_class,) * (layout in HELD_BACK))
    if any(lists(path)[0].glob("*/image_ids.txt")):
        return Metadata(path, split)
    if wnids_in(path / "train") and (path / "val").is_dir() and not (path / "test").is_dir():
        return ILSVRC(path, split, val_per_class)
    return Folder(path, split)


def readable(photos: Dataset, on_bad_image: Literal["raise", "skip"]) -> Dataset:
    """The data set without the photos that cannot be read.

    Every file is decoded once, so that a truncated one does not end a training hours later; generated sets pass.
    on_bad_image: "raise" for a WsolError that counts and names them, "skip" for a warning and a data set without.
    """
    if isinstance(photos, Creatures):
        return photos
    bad: dict[int, str] = {}
    with bar("checking photos") as shown:
        for index in shown.track(range(len(photos))):
            try:
                photos.image(index)
            except WsolError as error:
                bad[index] = str(error)
    if not bad:
        return photos
    named = listed(list(bad.values()), "; ", most=5)
    if on_bad_image == "raise":
        raise WsolError(
            f"{len(bad)} of {len(photos)} photos cannot be used: {named}. Or skip them: --on-bad-image skip"
        )
    warnings.warn(f"{len(bad)} of {len(photos)} photos are skipped: {named}", stacklevel=2)
    return Chosen(photos, [index for index in range(len(photos)) if index not in bad])
