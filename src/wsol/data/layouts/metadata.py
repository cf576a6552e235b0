"""The evaluator's metadata layout (Choe et al., CVPR 2020), read and written.

    SPLIT/image_ids.txt      id
    SPLIT/class_labels.txt   id,label from 0
    SPLIT/image_sizes.txt    id,width,height
    SPLIT/localization.txt   id,x0,y0,x1,y1 (an id may repeat) or id,mask path,ignore path

An id may hold commas: lines are read from their right end. CRLF is tolerated.
"""

import warnings
from functools import cached_property
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from jaxtyping import Float

from wsol.data.box_formats import BoxFormat, to_corners, wrong_format
from wsol.data.dataset import Cases, Dataset, NoSplit, Sample, Truth, check_unique, class_count
from wsol.data.images import image_size
from wsol.errors import WsolError, listed
from wsol.registry import check_key
from wsol.system.files import unreadable, write_text
from wsol.system.values import real, whole

LARGEST = 10**6  # pixels of a photo's side


class Metadata(Dataset):
    """Photos listed in the evaluator's files: ROOT/metadata/SPLIT/ or ROOT/SPLIT/, images under ROOT/images or ROOT.

    As the evaluator's release lays out CUB, ILSVRC and OpenImages30k, ROOT may also be dataset/NAME, with photos and
    masks, beside metadata/NAME, with the lists.

    Truth is read only when it is asked for.

    root: The folder of these lists, or the one that holds it.
    split: The folder of the split's lists: "train", "val", "test".
    masks: The folder that the lists' mask paths are relative to. Default: where the photos are, or ROOT.
    box_format: What the four numbers of a box mean, where they are no corners in pixels.

    Raises WsolError, naming the file and id, for lines that are wrong or contradict each other.
    """

    about = "a folder with the evaluator's metadata lists"
    numbered = True

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if any(places(path)[0].glob("*/image_ids.txt")) else None

    def __init__(
        self, root: str | Path, split: str, masks: str | Path | None = None, box_format: BoxFormat | None = None
    ) -> None:
        root = Path(root)
        self.name = root.name
        lists, images = places(root)
        self.folder = lists / split
        if not self.folder.is_dir():
            raise NoSplit(f"{self.folder / 'image_ids.txt'}: cannot be read, as there is no folder {split}")
        self.masks = Path(masks) if masks is not None else root if images == root / "images" else images
        if box_format is not None:
            check_key(box_format, get_args(BoxFormat), "there is no box format")
        self.box_format: BoxFormat = box_format or "xyxy"
        ids = [line for line in self._lines("image_ids.txt") if line]
        check_unique(ids, self.folder / "image_ids.txt")
        labels: dict[str, int] = {}
        for id, text in self._fields("class_labels.txt", 1):
            label = self._whole(text, id, "class_labels.txt")
            if labels.setdefault(id, label) != label:
                raise WsolError(f"{self.folder / 'class_labels.txt'}: {id} has two labels, {labels[id]} and {label}")
        if missing := [id for id in ids if id not in labels]:
            raise WsolError(f"{self.folder / 'class_labels.txt'}: no label for {listed(missing)}")
        count = class_count(labels.values(), self.folder / "class_labels.txt")
        if count > 1000 and count > 10 * (used := len(set(labels.values()))):
            warnings.warn(
                f"{self.folder / 'class_labels.txt'}: {count} classes, but photos of only {used}: labels are indices "
                f"here; number them from 0 without gaps, unless they are those of a network",
                stacklevel=2,
            )
        self.classes = [str(number) for number in range(count)]
        self.samples = [Sample(id, labels[id], images / id) for id in ids]

    @property
    def has_boxes(self) -> bool:  # type: ignore[override]  # the lists are opened only when it is asked for
        return bool(self._boxes)

    def size(self, index: int) -> tuple[int, int]:
        """(W, H) of a photo, as listed, else as its file says."""
        id = self.samples[index].id
        if id in self._sizes:
            return self._sizes[id]
        if not self.samples[index].path.is_file():
            raise WsolError(f"{self.folder / 'image_sizes.txt'}: no size for {id}, nor the photo to look it up")
        return super().size(index)

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        id = self.samples[index].id
        return (self.folder / "image_sizes.txt", self._sizes[id]) if id in self._sizes else None

    def truth(self, index: int) -> Truth:
        id = self.samples[index].id
        if paths := self._mask_paths.get(id):
            masks = [self._mask(mask) for mask, _ in paths]
            ignores = [self._mask(ignore) for _, ignore in paths if ignore]
            if len({mask.shape for mask in masks + ignores}) > 1:
                raise WsolError(f"{self.masks / paths[0][0]}: the masks of {id} differ in size; fix them")
            return Truth(mask=np.any(masks, axis=0), ignore=np.any(ignores, axis=0) if ignores else None)
        if id not in self._boxes:
            return Truth()
        if self._wrong_format is not None:
            raise self._wrong_format
        # the published lists put x1 = x + width, and a few boxes a pixel outside: they count as they are
        return Truth(self._corners(index))

    def check_all(self) -> None:
        """Raises WsolError that names all images with an inverted box, an unknown size or a missing mask.

        Boxes that reach out of their image count as they are, as in the evaluator, but are warned of.
        """
        wrong, outside = [], []
        for index, sample in enumerate(self.samples):
            for name in sum(self._mask_paths.get(sample.id, []), ()):
                if name and not (self.masks / name).is_file():
                    wrong.append(f"{sample.id}: mask {self.masks / name} is missing")
            if sample.id not in self._boxes:
                continue
            try:
                size, boxes = self.size(index), self._corners(index)
            except WsolError as error:
                wrong.append(str(error))
                continue
            if not (np.isfinite(boxes).all() and (boxes[:, :2] <= boxes[:, 2:]).all()):
                wrong.append(f"{sample.id}: box {boxes.tolist()} is not x0 y0 x1 y1")
            elif (boxes < 0).any() or (boxes[:, 2:] > size).any():
                outside.append(sample.id)
        if wrong:
            raise WsolError(f"{self.folder}: {len(wrong)} cannot be used: {listed(wrong, '; ')}")
        if outside:
            warnings.warn(f"{self.folder}: boxes reach out of {listed(outside)}: counted as they are", stacklevel=3)

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        name = "image_sizes.txt"
        if not (self.folder / name).is_file():
            return {}
        rows = [(id, (self._whole(w, id, name), self._whole(h, id, name))) for id, w, h in self._fields(name, 2)]
        if wrong := [id for id, size in rows if not all(1 <= side <= LARGEST for side in size)]:
            raise WsolError(f"{self.folder / name}: {wrong[0]} has a side that is not from 1 to {LARGEST}; fix it")
        return dict(rows)

    @cached_property
    def _localization(self) -> list[str]:
        return self._lines("localization.txt") if (self.folder / "localization.txt").is_file() else []

    @cached_property
    def _boxes(self) -> dict[str, list[list[float]]]:
        boxes: dict[str, list[list[float]]] = {}
        parsed = [(line, _box(line)) for line in self._localization]
        if any(box for _, box in parsed):
            for line, box in parsed:
                if box is None:
                    raise self._odd(line, "a box is id,x0,y0,x1,y1")
                boxes.setdefault(self._known(line.rsplit(",", 4)[0]), []).append(box)
        return boxes

    @cached_property
    def _wrong_format(self) -> WsolError | None:
        boxes = {
            index: np.array(self._boxes[sample.id], np.float64)
            for index, sample in enumerate(self.samples)
            if sample.id in self._boxes
        }
        return wrong_format(boxes, self, self.box_format, str(self.folder / "localization.txt"))

    def _corners(self, index: int) -> Float[np.ndarray, "n 4"]:
        boxes = np.array(self._boxes[self.samples[index].id], np.float64)
        if self.box_format == "xyxy":
            return boxes
        return to_corners(boxes, np.array([self.size(index)] * len(boxes), np.float64), self.box_format)

    @cached_property
    def _mask_paths(self) -> dict[str, list[tuple[str, str]]]:
        paths: dict[str, list[tuple[str, str]]] = {}
        if not self._boxes:
            for line in self._localization:
                if line.count(",") < 2:
                    raise self._odd(line, "a mask is id,mask,ignore; a box is id,x0,y0,x1,y1")
                id, mask, ignore = line.rsplit(",", 2)
                paths.setdefault(self._known(id), []).append((mask, ignore))
        return paths

    def _known(self, id: str) -> str:
        if id not in self._ids:
            raise self._odd(id, "no photo of this id is in image_ids.txt")
        return id

    @cached_property
    def _ids(self) -> set[str]:
        return {sample.id for sample in self.samples}

    def _odd(self, line: str, hint: str) -> WsolError:
        return WsolError(f"{self.folder / 'localization.txt'}: {line!r} is not understood; {hint}")

    def _mask(self, name: str) -> np.ndarray:
        path = self.masks / name
        # the size is asked for as OpenCV takes any, and PNG may pack 5 GB into some kilobytes
        values = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() and image_size(path) else None
        if values is None:
            raise WsolError(f"{path}: this mask cannot be read; give the folder that holds the masks")
        return values > 0

    def _fields(self, name: str, count: int) -> list[list[str]]:
        rows = [line.rsplit(",", count) for line in self._lines(name)]
        if wrong := [row for row in rows if len(row) != count + 1]:
            raise WsolError(f"{self.folder / name}: {','.join(wrong[0])!r} does not hold an id and {count} values")
        return rows

    def _whole(self, text: str, id: str, name: str) -> int:
        try:
            if (number := whole(text)) >= 0:
                return number
        except ValueError:
            pass
        raise WsolError(f"{self.folder / name}: {id} has {text[:40]!r} where a whole number from 0 must stand")

    def _lines(self, name: str) -> list[str]:
        try:
            return [line for line in (self.folder / name).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(self.folder / name, error, f"cannot be read ({error})") from error


def places(root: Path) -> tuple[Path, Path]:
    """Where a data set's lists and its photos lie: in one folder, or as the evaluator's release has them."""
    for here, there in (("metadata", "dataset"), ("dataset", "metadata")):
        beside = root.parent.parent / there / root.name
        if root.parent.name == here and beside.is_dir():
            return (root, beside) if here == "metadata" else (beside, root)
    lists = root / "metadata" if any((root / "metadata").glob("*/")) else root
    return lists, root / "images" if (root / "images").is_dir() else root


def _box(line: str) -> list[float] | None:
    """x0 y0 x1 y1 of a line `id,x0,y0,x1,y1`, or None."""
    _, *corners = line.rsplit(",", 4)
    try:
        return [real(value) for value in corners] if len(corners) == 4 else None
    except ValueError:
        return None


def write_metadata(photos: Dataset, folder: str | Path) -> None:
    """Writes a data set's ids, labels, sizes and boxes in this layout; boxes as unrounded floats.

    A photo with several classes is listed once for each, as evaluation counts it.

    photos: The data set, one split.
    folder: The folder to write the four lists into.

    Raises WsolError for an id that would break a line, and for a folder that cannot be written.
    """
    folder = Path(folder)
    photos, ids, labels, sizes, boxes = Cases(photos), [], [], [], []
    for index, sample in enumerate(photos.samples):
        if sample.id.splitlines() != [sample.id] or sample.id.encode(errors="replace").decode() != sample.id:
            said = "an id with a line break cannot be listed, nor one that is no UTF-8; rename the photo"
            raise WsolError(f"{sample.id!r}: {said}")
        width, height = photos.size(index)
        ids.append(sample.id)
        labels.append(f"{sample.id},{sample.label}")
        sizes.append(f"{sample.id},{width},{height}")
        boxes += [f"{sample.id},{','.join(map(str, box))}" for box in photos.truth(index).boxes.tolist()]
    files = {"image_ids": ids, "class_labels": labels, "image_sizes": sizes, "localization": boxes}
    for name, lines in files.items():
        write_text(folder / f"{name}.txt", "".join(f"{line}\n" for line in lines))
