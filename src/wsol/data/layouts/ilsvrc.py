"""ILSVRC-2012 in its native layout (Russakovsky et al., 2015), whole or any part of its classes."""

import re
from pathlib import Path

from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, folder_with, held_back
from wsol.data.finding import photos_in
from wsol.data.layouts.voc_xml import boxes_in, names_in, size_in
from wsol.errors import WsolError


class ILSVRC(Dataset):
    """Data/CLS-LOC/ with train/WNID/ and val/, Annotations/CLS-LOC/ likewise; or plainly train/WNID/ and val/WNID/.

    The official validation photos are `test`. `val` is the last `val_per_class` training photos of each class, by
    name, and `train` is the rest. Labels are places among the sorted WNIDs of train/ (of val/, where there is no
    train/). Photos that lie in val/ itself take their class from their XML file. Photos are found on disk, ImageSets/
    is not needed. A photo without an XML file, as many for training are, has no boxes.

    root: The folder that holds Data/ and Annotations/, or train/ and val/.
    split: "train", "val" or "test".
    val_per_class: Training photos of each class for `val`; 0 keeps them all for training.

    Raises WsolError, naming the photo or the file, for a photo of an unknown class and an XML file that is wrong.
    """

    about = "the folder of ILSVRC-2012"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        if root := folder_with(path, ["Data/CLS-LOC"], ["", "ILSVRC"]):
            return root
        plain = wnids_in(path / "train") and (path / "val").is_dir() and not (path / "test").is_dir()
        return path if plain else None

    def __init__(self, root: str | Path, split: Split, val_per_class: int = 5) -> None:
        root = Path(root)
        self.name = root.name
        self.images = root / "Data" / "CLS-LOC" if (root / "Data" / "CLS-LOC").is_dir() else root
        self.annotations = root / "Annotations" / "CLS-LOC"
        folder = self.images / ("val" if split == "test" else "train")
        if not folder.is_dir():
            raise NoSplit(f"{folder}: this folder of photos is missing; fetch it")
        wnids = {path: self._wnid(path) for path, _ in photos_in(folder)}
        self.classes = wnids_in(self.images / "train") or sorted(set(wnids.values()))
        order = {wnid: label for label, wnid in enumerate(self.classes)}
        if unknown := [path for path, wnid in wnids.items() if wnid not in order]:
            raise WsolError(f"{unknown[0]}: its class {wnids[unknown[0]]} has no folder in train/; remove the photo")
        held = held_back(wnids, 0 if split == "test" else val_per_class)
        self.samples = [
            Sample(path.relative_to(self.images).as_posix(), order[wnid], path)
            for path, wnid in wnids.items()
            if (path in held) == (split == "val")
        ]
        self.has_boxes = (self.annotations / folder.name).is_dir()

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        xml = self._xml(self.samples[index].path)
        size = size_in(xml) if xml.is_file() else None
        return None if size is None else (xml, size)

    def truth(self, index: int) -> Truth:
        sample = self.samples[index]
        xml = self._xml(sample.path)
        return Truth(boxes_in(xml, self.classes[sample.label])) if xml.is_file() else Truth()

    def _wnid(self, path: Path) -> str:
        return path.parent.name if WNID.fullmatch(path.parent.name) else names_in(self._xml(path))[0]

    def _xml(self, path: Path) -> Path:
        """Validation photos' files lie in one folder, also where the photos were sorted into classes."""
        place = path.relative_to(self.images).with_suffix(".xml")
        return self.annotations / (place if place.parts[0] == "train" else f"val/{place.name}")


WNID = re.compile(r"n\d{8}")


def wnids_in(folder: Path) -> list[str]:
    """The class folders, sorted; none where a folder has another name."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return names if all(WNID.fullmatch(name) for name in names) else []
