"""A CSV of photos: path,label[,x0,y0,x1,y1][,split]."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, check_boxes, class_count, every_tenth
from wsol.errors import WsolError
from wsol.system.files import unreadable

CORNERS = ("x0", "y0", "x1", "y1")


class Csv(Dataset):
    """One line a photo, or several for several boxes; paths are relative to the file's folder.

    A label is a name, or a number from 0 when all are. Boxes (pixels of the original image) may be left empty. Without
    a `split` column every tenth photo of a class is `val` and also `test`. Boxes are parsed when a truth is asked for.

    root: The CSV file.
    split: "train", "val" or "test".

    Raises WsolError naming the file and line: missing columns or photos, empty labels, a photo with two labels, a split
    that is none, a box that is no box.
    """

    about = "a CSV file of path,label[,x0,y0,x1,y1][,split]"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if path.is_file() and path.suffix.lower() == ".csv" else None

    def __init__(self, root: str | Path, split: Split) -> None:
        self.file = Path(root)
        self.name = self.file.stem
        labels: dict[str, str] = {}
        splits: dict[str, str] = {}
        first: dict[str, int] = {}
        self._corners: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        columns, rows = self._rows()
        for line, row in rows:
            photo, label = row["path"], row["label"]
            if not photo or not label:
                raise self._error(line, "path and label must both be filled")
            first.setdefault(photo, line)
            if labels.setdefault(photo, label) != label:
                raise self._error(line, f"{photo} has two labels, {labels[photo]} and {label}")
            part = row.get("split", split)
            if part not in ("train", "val", "test") or splits.setdefault(photo, part) != part:
                raise self._error(line, f"split {part!r} must be train, val or test, the same in all lines of a photo")
            if any(row.get(corner) for corner in CORNERS):
                self._corners.setdefault(photo, []).append((line, tuple(row.get(corner) or "" for corner in CORNERS)))
        self.has_boxes = bool(self._corners)
        if all(label.isdecimal() for label in labels.values()):
            labels = {photo: str(int(label)) for photo, label in labels.items()}  # 01 is 1
        self.classes = self._classes(set(labels.values()))
        by_class: dict[str, list[str]] = {}
        for photo, label in labels.items():
            if splits[photo] == split:
                by_class.setdefault(label, []).append(photo)
        self.samples = []
        for index, name in enumerate(self.classes):
            photos = by_class.get(name, [])
            for photo in photos if "split" in columns else every_tenth(photos, split):
                self.samples.append(Sample(photo, index, self._existing(photo, first[photo])))
        if not self.samples:
            raise NoSplit(f"{self.file}: no photo belongs to the split {split}")

    def truth(self, index: int) -> Truth:
        sample, boxes = self.samples[index], []
        if sample.id not in self._corners:
            return Truth()
        size = self.size(index)
        for line, corners in self._corners[sample.id]:
            try:
                box = np.array([[float(value) for value in corners]])
            except ValueError as error:
                raise self._error(line, f"x0, y0, x1, y1 must be four numbers, not {', '.join(corners)}") from error
            boxes.append(check_boxes(box, size, f"{self.file}, line {line}: {sample.id}"))
        return Truth(np.concatenate(boxes))

    def _rows(self) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
        try:
            text = self.file.read_text(encoding="utf-8-sig")
            reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
            columns = [column.strip() for column in reader.fieldnames or []]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(self.file, error, f"not readable as text ({error}); save it as UTF-8 CSV") from error
        if not {"path", "label"} <= set(columns):
            raise WsolError(f"{self.file}: its first line must name the columns: path,label[,x0,y0,x1,y1][,split]")
        if any(corner in columns for corner in CORNERS) and not all(corner in columns for corner in CORNERS):
            raise WsolError(f"{self.file}: boxes need all four columns x0,y0,x1,y1")
        reader.fieldnames = columns
        return columns, self._parsed(reader)

    def _parsed(self, reader: csv.DictReader) -> Iterator[tuple[int, dict[str, str]]]:
        try:
            for row in reader:
                if any(row.pop(None, [])):
                    raise self._error(reader.line_num, "more values than columns; put text with commas into quotes")
                yield reader.line_num, {column: (value or "").strip() for column, value in row.items()}
        except csv.Error as error:
            raise self._error(reader.line_num, f"{error}; is a quote left open?") from error

    def _classes(self, names: set[str]) -> list[str]:
        if all(name.isdecimal() for name in names):
            return [str(number) for number in range(class_count(map(int, names), self.file))]
        return sorted(names)

    def _existing(self, photo: str, line: int) -> Path:
        path = self.file.parent / photo
        if not path.is_file():
            raise self._error(line, f"{photo} is listed but there is no such file in {self.file.parent}")
        return path

    def _error(self, line: int, what: str) -> WsolError:
        return WsolError(f"{self.file}, line {line}: {what}")
