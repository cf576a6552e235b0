"""A plain folder of class folders: all that `wsol train` needs."""

import warnings
from pathlib import Path

from wsol.data.dataset import Dataset, Sample, Split, Truth, every_tenth
from wsol.data.images import photos_in, suffixes
from wsol.errors import WsolError


class Folder(Dataset):
    """ROOT/CLASS/photo.jpg, or ROOT/{train,val,test}/CLASS/photo.jpg.

    Without split folders every tenth photo of a class, by name, is `val` and the others are `train`; `test` is
    then the same as `val`. A missing val folder takes every tenth training photo, a missing test folder is val.
    Photos may lie in folders below their class; hidden files are left out. Classes are those of the training photos.
    There are no boxes.

    root: The folder of class folders, or of split folders.
    split: "train", "val" or "test".

    Raises WsolError, naming the folder, where one holds no class folder, an unknown class or no photo.
    """

    about = "a plain folder of class folders"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if path.is_dir() else None

    def __init__(self, root: str | Path, split: Split) -> None:
        root = Path(root)
        self.name = root.name
        folder = _stored(root, split)
        shared = folder == _stored(root, "train") == _stored(root, "val")  # and so every tenth photo is held back
        names, self.classes = _class_folders(folder), _class_folders(_stored(root, "train"))
        if unknown := set(names) - set(self.classes):
            raise WsolError(f"{folder}: {', '.join(sorted(unknown))} is no class of the training photos; remove it")
        if stray := sum(path.suffix.lower() in suffixes() for path in folder.iterdir()):
            warnings.warn(f"{folder}: {stray} photos lie outside any class folder and are left out", stacklevel=2)
        self.samples = []
        for name in names:
            photos = [path for path, _ in photos_in(folder / name)]
            if not photos:
                raise WsolError(f"{folder / name}: no photos in this class folder; fill it or remove it")
            if shared:
                photos = every_tenth(photos, split)
            label = self.classes.index(name)
            self.samples += [Sample(path.relative_to(root).as_posix(), label, path) for path in photos]

    def truth(self, index: int) -> Truth:
        return Truth()


def _class_folders(folder: Path) -> list[str]:
    paths = folder.iterdir() if folder.is_dir() else ()
    names = sorted(path.name for path in paths if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise WsolError(f"{folder}: no class folders here; put the photos of each class into a folder of its name")
    return names


def _stored(root: Path, split: Split) -> Path:
    """The folder that holds a split's class folders, or those it is taken from."""
    names = {"train": ("train",), "val": ("val", "train"), "test": ("test", "val", "train")}[split]
    return next((root / name for name in names if (root / name).is_dir()), root)
