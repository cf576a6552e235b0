"""A CSV of photos: path,label[,x0,y0,x1,y1][,split]."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, Sample, Split, Truth, check_boxes, every_tenth
from wsol.errors import WsolError

CORNERS = ("x0", "y0", "x1", "y1")


class Csv(Dataset):
    """One line a photo, or several for several boxes; paths are relative to the file's folder.

    A label is a name, or a number from 0 when all are. Boxes (pixels of the original image) may be left empty. Without
    a `split` column every tenth photo of a class is `val` and also `test`. Boxes are parsed when a truth is asked for.

    Raises WsolError naming the file and line: missing columns or photos, empty labels, a photo with two labels, a split
    that is none, a box that is no box.
    """

    def __init__(self, path: str | Path, split: Split) -> None:
        self.file = Path(path)
        self.name = self.file.stem
        labels: dict[str, str] = {}
        splits: dict[str, str] = {}
        self._corners: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        columns, rows = self._rows()
        for line, row in rows:
            photo, label = row["path"], row["label"]
            if not photo or not label:
                raise self._error(line, "path and label must both be filled")
            if labels.setdefault(photo, label) != label:
                raise self._error(line, f"{photo} has two labels, {labels[photo]} and {label}")
            own = row.get("split") or split if "split" in columns else split
            if own not in ("train", "val", "test") or splits.setdefault(photo, own) != own:
                raise self._error(line, f"split {own!r} must be train, val or test, the same in all lines of a photo")
            if any(row.get(corner) for corner in CORNERS):
                self._corners.setdefault(photo, []).append((line, tuple(row.get(corner) or "" for corner in CORNERS)))
        self.has_boxes = bool(self._corners)
        self.classes = self._classes(set(labels.values()))
        by_class: dict[str, list[str]] = {}
        for photo, label in labels.items():
            if splits[photo] == split:
                by_class.setdefault(label, []).append(photo)
        self.samples = []
        for index, name in enumerate(self.classes):
            photos = by_class.get(name, [])
            for photo in photos if "split" in columns else every_tenth(photos, split):
                self.samples.append(Sample(photo, index, self._existing(photo)))
        if not self.samples:
            raise WsolError(f"{self.file}: no photo belongs to the split {split}")

    def truth(self, index: int) -> Truth:
        sample, boxes = self.samples[index], []
        for line, corners in self._corners.get(sample.id, []):
            try:
                boxes.append([float(value) for value in corners])
            except ValueError as error:
                raise self._error(line, f"x0, y0, x1, y1 must be four numbers, not {', '.join(corners)}") from error
        if not boxes:
            return Truth()
        return Truth(check_boxes(np.array(boxes), self.image(index).size, f"{self.file}: {sample.id}"))

    def _rows(self) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
        try:
            lines = self.file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WsolError(f"{self.file}: not readable as text ({error}); save it as UTF-8 CSV") from error
        reader = csv.DictReader(lines, skipinitialspace=True)
        columns = [column.strip() for column in reader.fieldnames or []]
        if not {"path", "label"} <= set(columns):
            raise WsolError(f"{self.file}: its first line must name the columns: path,label[,x0,y0,x1,y1][,split]")
        if any(corner in columns for corner in CORNERS) and not all(corner in columns for corner in CORNERS):
            raise WsolError(f"{self.file}: boxes need all four columns x0,y0,x1,y1")
        reader.fieldnames = columns
        return columns, ((reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader)

    def _classes(self, names: set[str]) -> list[str]:
        if all(name.isdecimal() for name in names):
            return [str(number) for number in range(max(map(int, names), default=-1) + 1)]
        return sorted(names)

    def _existing(self, photo: str) -> Path:
        path = self.file.parent / photo
        if not path.is_file():
            raise WsolError(f"{self.file}: {photo} is listed but there is no such file in {self.file.parent}")
        return path

    def _error(self, line: int, what: str) -> WsolError:
        return WsolError(f"{self.file}, line {line}: {what}")
