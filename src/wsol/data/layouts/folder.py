"""A plain folder of class folders: all that `wsol train` needs."""

import os
import warnings
from pathlib import Path

from wsol.data.classes import folded, in_order
from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, every_tenth
from wsol.data.layouts.folder_tree import ClassFolders, read_tree
from wsol.errors import WsolError, listed

FROM: dict[Split | None, tuple[Split, ...]] = {
    "train": ("train",),
    "val": ("val", "train"),
    "test": ("test", "val", "train"),
    None: ("train",),
}  # the split folders that give a split, the first that is there


class Folder(Dataset):
    """ROOT/CLASS/photo.jpg, or ROOT/{train,val,test}/CLASS/photo.jpg.

    Split folders may be called as people do, such as `Training` or `valid` (`SPLIT_NAMES`); `read_tree` says which
    folders are splits and which are classes. Without split folders every tenth photo of a class, by name, is `val` and
    the others are `train`; `test` is then the same as `val`. A missing val folder takes every tenth training photo, a
    missing test folder is val. Photos may lie in folders below their class. Classes are those of the training photos,
    or all where there are none to train on. There are no boxes. Warns of what is left out, and of how a tree was read
    that could be read otherwise.

    root: The folder of class folders, or of split folders.
    split: "train", "val" or "test"; None for all photos of a set without a folder for val or test.

    Raises WsolError, naming the folder, where one holds no class folder, an unknown class or no photo, where two are
    the same split and where one could be split and class; NoSplit where no folder gives the split.
    """

    about = "a plain folder of class folders"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if path.is_dir() else None

    def __init__(self, root: str | Path, split: Split | None) -> None:
        root = Path(root)
        self.name = Path(os.path.abspath(root)).name
        self.tree = tree = read_tree(root)
        for said in (*tree.remarks, *tree.left_out):
            warnings.warn(said, stacklevel=2)
        source = next((name for name in FROM[split] if name in tree.parts), None)
        if source not in tree.parts:
            there = f"there is only {listed(list(tree.spelled.values()))}"
            raise NoSplit(f"{root}: no folder gives the split {split}, {there}; add a folder {FROM[split][-1]}")
        part = tree.parts[source]
        self.classes = self._classes()
        self.by_rule = split in ("val", "test") and source in (None, "train")
        shared = source is None or (source == "train" and "val" not in tree.parts)
        folder = self.tree.spelled[source] if source else ""
        self.split_by = f"the folder {folder}" if folder else ""
        self.rule = []
        if split == "test" and source == "val":
            warnings.warn(f"{root}: no folder for test: the photos of {folder} stand for it", stacklevel=2)
        if shared and split is not None:
            self.split_by = f"{'all but ' * (split == 'train')}every tenth of a class{f' in {folder}' * bool(folder)}"
            without = "no folder for val" if folder else "no split folders"
            self.rule = [f"{root}: {without}: every tenth photo of a class is held back"]
        self._check(part, training=split == "train")
        self.samples = []
        for label, name in enumerate(self.classes):
            photos = part.photos.get(name, [])
            for path in every_tenth(photos, split) if shared else photos:
                self.samples.append(Sample(path.relative_to(root).as_posix(), label, path))

    def truth(self, index: int) -> Truth:
        return Truth()

    def notes(self) -> list[str]:
        return [*self.rule, *self.tree.aside]

    def _classes(self) -> list[str]:
        """Those to train on, or else all."""
        parts = self.tree.parts
        main = [parts[split] for split in (None, "train") if split in parts]
        return in_order({name for part in main or parts.values() for name in part.photos})

    def _check(self, part: ClassFolders, training: bool) -> None:
        if not part.photos:
            raise NoSplit(
                f"{part.folder}: no class folders here; put the photos of each class into a folder of its name"
            )
        if training and part.empty:
            raise WsolError(f"{part.empty[0]}: no photos in this class folder; fill it or remove it")
        if unknown := sorted(set(part.photos) - set(self.classes)):
            alike = {folded(name): name for name in self.classes}
            fix = f"call it {alike[folded(unknown[0])]}" if folded(unknown[0]) in alike else "remove it"
            raise WsolError(f"{part.folder}: {', '.join(unknown)} is no class of the training photos; {fix}")
