"""PASCAL VOC 2012 in its native layout (Everingham et al., 2012): several classes in a photo."""

from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, check_unique, every_tenth, folder_with
from wsol.data.images import read_mask
from wsol.data.layouts.voc_xml import boxes_in, names_in, size_in
from wsol.errors import WsolError, listed
from wsol.system.files import unreadable

CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog")
CLASSES += ("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")
UNDECIDED = 255


class VOC(Dataset):
    """JPEGImages/, Annotations/, ImageSets/Main/ (else Segmentation/) and, where there are masks, SegmentationClass/.

    The official `val` list is `test`, as the official test set is not public; every tenth photo of the official `train`
    list is `val`. All objects count, difficult and truncated ones too, as in the masks. A mask is that of a class; 255
    is ignored, other classes are background. Which classes are present is read from the XML files, boxes when a truth
    is asked for.

    root: The folder that holds JPEGImages/, Annotations/ and ImageSets/.
    split: "train", "val" or "test".

    Raises WsolError for a photo without a readable XML file, or with an object of no VOC class.
    """

    about = "the folder of PASCAL VOC 2012"
    has_boxes = True

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return folder_with(path, ["JPEGImages", "Annotations", "ImageSets"], ["", "VOC2012", "VOCdevkit/VOC2012"])

    def __init__(self, root: str | Path, split: Split) -> None:
        self.root, self.name = Path(root), Path(root).name
        self.classes = list(CLASSES)
        ids = self._list("val" if split == "test" else "train")
        self.samples, wrong = [], []
        for id in ids if split == "test" else every_tenth(ids, split):
            try:
                self.samples.append(self._sample(id))
            except WsolError as error:
                wrong.append(str(error))
        if wrong:
            raise WsolError(listed(wrong, "; "))

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        xml = self._xml(self.samples[index].id)
        size = size_in(xml)
        return None if size is None else (xml, size)

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def truth_of(self, index: int, label: int) -> Truth:
        id = self.samples[index].id
        boxes = boxes_in(self._xml(id), self.classes[label])
        path = self.root / "SegmentationClass" / f"{id}.png"
        if not path.is_file():
            return Truth(boxes)
        values = read_mask(path)
        if strange := sorted(set(np.unique(values).tolist()) - {*range(len(CLASSES) + 1), UNDECIDED}):
            raise WsolError(
                f"{path}: holds {strange[0]}, which is no class, 0 to 20 or 255; fetch the palette image again"
            )
        return Truth(boxes, values == label + 1, values == UNDECIDED)

    def _sample(self, id: str) -> Sample:
        names = names_in(self._xml(id))
        if unknown := [name for name in names if name not in self.classes]:
            raise WsolError(f"{self._xml(id)}: {unknown[0]} is no class of VOC; there are {', '.join(self.classes)}")
        present = sorted({self.classes.index(name) for name in names})
        return Sample(id, present[0], self.root / "JPEGImages" / f"{id}.jpg", tuple(present))

    def _xml(self, id: str) -> Path:
        return self.root / "Annotations" / f"{id}.xml"

    def _list(self, name: str) -> list[str]:
        for folder in ("Main", "Segmentation"):
            path = self.root / "ImageSets" / folder / f"{name}.txt"
            if path.is_file():
                try:
                    text = path.read_text(encoding="utf-8-sig")
                except (OSError, UnicodeDecodeError) as error:
                    raise unreadable(path, error, f"cannot be read ({error}); fetch it again") from error
                ids = [line.split()[0] for line in text.splitlines() if line.strip()]
                check_unique(ids, path)
                return ids
        raise NoSplit(f"{self.root / 'ImageSets' / 'Main' / name}.txt: this list of photos is missing; fetch it again")
