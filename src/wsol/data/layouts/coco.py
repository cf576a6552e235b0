"""COCO's annotation file (Lin et al., 2014): several classes in a photo."""

import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, check_boxes, every_tenth
from wsol.errors import WsolError, listed
from wsol.system.files import read_json
from wsol.system.values import Corners, cast

FIX = "give a file of COCO's detection format"
KINDS = dict.fromkeys(("id", "image_id", "category_id"), int | str) | {"file_name": str, "name": str}
NEAR = ("", "images", "..", "../images")  # folders in which photos may lie, from the file's


class Coco(Dataset):
    """A JSON file with `images`, `annotations` and `categories`; crowds count as present and have no box.

    Photos are looked for in the file's folder, in `images` there or beside it, and where `info.photos` says, as what
    `wsol locate` and `wsol serve` write does. Of a file of `wsol serve` only what a person decided counts: what a
    network located is no truth. Photos without an annotation are left out. Every tenth photo of a class is `val` and
    also `test`; a photo goes by its first class.

    root: The file.
    split: "train", "val" or "test"; None for all photos.

    Raises WsolError, naming the file and entry, for what is no such file, photos that are not there, unknown
    categories and boxes outside their photo. Warns of what is left out.
    """

    about = "a JSON file of COCO's detection format"
    has_boxes = True

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if path.suffix.lower() == ".json" and path.is_file() else None

    def __init__(self, root: str | Path, split: Split | None) -> None:
        self.file = Path(root)
        self.name = self.file.parent.name if self.file.stem == "coco" else self.file.stem
        about = read_json(self.file, FIX)
        images, categories = self._by_id(about, "images", "file_name"), self._by_id(about, "categories", "name")
        numbers = sorted(categories, key=lambda number: (isinstance(number, str), number))
        self.classes = [str(categories[number]["name"]) for number in numbers]
        labels = {number: label for label, number in enumerate(numbers)}
        self.annotations: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for annotation in self._decided(self._entries(about, "annotations", "image_id", "category_id")):
            image, category = images.get(annotation["image_id"]), annotation["category_id"]
            if image is None or category not in labels:
                raise self._error(annotation, f"there is no image {annotation['image_id']} or category {category}")
            self.annotations[str(image["file_name"])].append((labels[category], annotation))
        for image in images.values():
            for side in ("width", "height"):
                cast(image.get(side), int | float | None, f"{self.file}: image {image['id']}.{side}")
        self.sizes = {str(image["file_name"]): (image.get("width"), image.get("height")) for image in images.values()}
        if without := [name for name in self.sizes if name not in self.annotations]:
            said = f"{len(without)} of {len(self.sizes)} photos have no annotation that counts and are left out"
            warnings.warn(f"{self.file}: {said}: {listed(without, most=3)}", stacklevel=3)
        by_class: dict[int, list[Sample]] = defaultdict(list)
        folders = [self.file.parent / near for near in NEAR]
        if isinstance(info := about.get("info"), dict) and isinstance(info.get("photos"), str):
            folders.append(Path(info["photos"]))
        for name, annotations in self.annotations.items():
            present = tuple(sorted({label for label, _ in annotations}))
            by_class[present[0]].append(Sample(name, present[0], self._existing(name, folders), present))
        self.by_rule = split in ("val", "test")
        self.split_by = "" if split is None else f"{'all but ' * (split == 'train')}every tenth of a class"
        self.samples = [sample for label in sorted(by_class) for sample in every_tenth(by_class[label], split)]
        if not self.samples:
            raise NoSplit(f"{self.file}: no photo has an annotation; {FIX}")

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        width, height = self.sizes[self.samples[index].id]
        return (self.file, (width, height)) if type(width) is int and type(height) is int else None

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def truth_of(self, index: int, label: int) -> Truth:
        boxes = []
        for known, annotation in self.annotations[self.samples[index].id]:
            if known == label and not annotation.get("iscrowd"):
                try:
                    x, y, width, height = cast(annotation.get("bbox"), Corners, "bbox")
                except WsolError as error:
                    raise self._error(annotation, f"{error} of x, y, width, height") from error
                where = f"{self.file}, annotation {annotation.get('id')}"
                boxes.append(check_boxes(np.array([[x, y, x + width, y + height]]), self.size(index), where))
        return Truth(np.concatenate(boxes)) if boxes else Truth()

    def _entries(self, about: dict[str, Any], part: str, *keys: str) -> list[dict[str, Any]]:
        entries = about.get(part)
        if not isinstance(entries, list):
            raise WsolError(f"{self.file}: has no list {part!r}; {FIX}")
        for place, entry in enumerate(entries):
            where = f"{self.file}: {part}[{place}]"
            for key in keys:
                if cast(cast(entry, dict, where).get(key), KINDS[key], f"{where}.{key}") == "":
                    raise WsolError(f"{where}.{key} is empty; {FIX}")
        return entries

    def _by_id(self, about: dict[str, Any], part: str, name: str) -> dict[int | str, dict[str, Any]]:
        by_id: dict[int | str, dict[str, Any]] = {}
        names = set()
        for entry in self._entries(about, part, "id", name):
            if entry["id"] in by_id or entry[name] in names:
                raise WsolError(f"{self.file}: {part} has {entry['id']} ({entry[name]}) twice; keep one")
            by_id[entry["id"]] = entry
            names.add(entry[name])
        return by_id

    def _decided(self, annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Without what a network located."""
        by_person = [annotation for annotation in annotations if annotation.get("decided", "person") == "person"]
        if annotations and not by_person:
            raise WsolError(
                f"{self.file}: holds what a network located, which is no truth; check it first: wsol serve RUN FOUND"
            )
        return by_person

    def _existing(self, name: str, folders: list[Path]) -> Path:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        raise WsolError(f"{self.file}: {name} is not in {folders[-1]}; put the file beside its photos")

    def _error(self, annotation: dict[str, Any], said: str) -> WsolError:
        return WsolError(f"{self.file}: annotation {annotation.get('id')}: {said}; fix it")
