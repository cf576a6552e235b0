"""A table of photos: path,label[,x0,y0,x1,y1][,split]."""

import os
import re
import warnings
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import get_args
from unicodedata import normalize

import numpy as np
from jaxtyping import Float

from wsol.data.box_formats import BoxFormat, from_1, percent, to_corners, with_sizes, wrong_format
from wsol.data.classes import folded, in_order
from wsol.data.dataset import Dataset, NoSplit, Sample, Split, Truth, check_boxes, every_tenth, split_named
from wsol.data.layouts.table_columns import WANTED, find_columns, is_header
from wsol.data.layouts.table_text import Table, read_table
from wsol.errors import WsolError, listed
from wsol.registry import check_key
from wsol.system.values import real

NOTHING = {"nan", "NaN", "NAN", "<NA>", "NaT", "None", "null", "NULL", "#N/A"}  # what programs write for no value
NUMBER = re.compile(r"([+-]?[0-9]{1,18})(?:[.,]0+)?")  # whole, also as 1.0


@dataclass
class Photo:
    """What a table says of one photo.

    id: its path from the table's folder.
    line: where it is listed first.
    split: None where there is no such column.
    size: width and height as written, or none.
    boxes: line and numbers of each, as written.
    """

    id: str
    line: int
    label: str
    split: Split | None
    size: list[str]
    boxes: list[tuple[int, list[str]]] = field(default_factory=list)


class Csv(Dataset):
    """One line a photo, or several for several boxes; paths are relative to the table's folder.

    Values are separated by commas, semicolons, tabs or bars. Columns may have the names that other programs give them,
    such as `filename,class,xmin,ymin,xmax,ymax`, in any order. Labels are names; where all are numbers they stand in
    the order of numbers. Boxes (pixels of the original image) may be left empty. Without a `split` column every tenth
    photo of a class is `val` and also `test`. Boxes are parsed when a truth is asked for.

    root: The file.
    split: "train", "val" or "test"; None for all photos where there is no split column.
    box_format: What the four numbers of a box mean. Default: what the names of their columns say.

    Raises WsolError naming the file and line: missing columns or photos, empty labels, a photo with two labels or in
    two splits, a split that is none, boxes that cannot be of their format. Warns of photos that are listed again.
    """

    about = "a CSV file of path,label[,x0,y0,x1,y1][,split]"

    @classmethod
    def found(cls, path: Path) -> Path | None:
        suffix = path.suffix.lower()
        table = suffix in (".csv", ".tsv") or (suffix in (".txt", ".tab", ".psv") and _is_table(path))
        return path if table and path.is_file() else None

    def __init__(self, root: str | Path, split: Split | None, box_format: BoxFormat | None = None) -> None:
        self.file = Path(root)
        self.name = self.file.stem
        if box_format is not None:
            check_key(box_format, get_args(BoxFormat), "there is no box format")
        table = read_table(self.file, is_header)
        if not is_header(table.columns):
            raise self._no_header(table)
        self.columns = find_columns(table.columns, str(self.file))
        self.box_columns = [table.columns[place] for place in self.columns.box]
        self.box_format: BoxFormat | None = box_format or self.columns.box_format
        self.asked = box_format is not None
        self.photos = self._photos(table)
        self.has_boxes = any(photo.boxes for photo in self.photos.values())
        names = self._names({photo.label for photo in self.photos.values()})
        self.classes = in_order(set(names.values()))
        by_class: dict[str, list[Photo]] = defaultdict(list)
        for photo in self.photos.values():
            if photo.split in (None, split):
                by_class[names[photo.label]].append(photo)
        self.by_rule = self.columns.split is None and split in ("val", "test")
        if self.columns.split is None and split is not None:
            self.split_by = f"{'all but ' * (split == 'train')}every tenth of a class"
        self.samples = []
        for index, name in enumerate(self.classes):
            photos = by_class[name]
            for photo in every_tenth(photos, split) if self.columns.split is None else photos:
                self.samples.append(Sample(photo.id, index, self._existing(photo)))
        if not self.samples:
            raise NoSplit(f"{self.file}: no photo belongs to the split {split}")

    def truth(self, index: int) -> Truth:
        photo = self.photos[self.samples[index].id]
        if not photo.boxes:
            return Truth()
        if self.box_format is None:
            raise WsolError(
                f"{self.file}: the column {self.box_columns[0]} does not say what its numbers mean; "
                f"add --box-format, such as xywh for x, y, width, height"
            )
        if self._wrong_format is not None:
            raise self._wrong_format
        boxes = []
        for line, values in photo.boxes:
            numbers, size = self._numbers(line, values), self.size(index)
            box = to_corners(numbers, np.array([size], np.float64), self.box_format)
            boxes.append(check_boxes(box, size, f"{self.file}, line {line}: {photo.id}"))
        return Truth(np.concatenate(boxes))

    def said_size(self, index: int) -> tuple[Path, tuple[int, int]] | None:
        photo = self.photos[self.samples[index].id]
        if not photo.size or not all(photo.size):
            return None
        try:
            width, height = (int(real(_point(value))) for value in photo.size)
        except ValueError as error:
            raise self._error(photo.line, f"width and height must be numbers, not {', '.join(photo.size)}") from error
        return self.file, (width, height)

    def notes(self) -> list[str]:
        notes = [f"{self.file}: columns that are not read: {listed(self.columns.others)}"] * bool(self.columns.others)
        if self.split_by:
            notes.append(f"{self.file}: no split column: every tenth photo of a class is held back")
        if self.asked or self.box_format is None or self._wrong_format is not None:
            return notes
        boxes, sizes = with_sizes(self._boxes, self, len(self))
        if self.box_format == "xyxy" and from_1(boxes, sizes):
            notes.append(
                f"{self.file}: boxes reach the last pixel of photos but never the first, 0: if they count pixels from "
                f"1, as PASCAL VOC does, add --box-format xyxy-from-1"
            )
        if percent(boxes, sizes):
            notes.append(
                f"{self.file}: no number of a box is over 100, though all photos are larger than 200: if they are "
                f"percent of the photo, add --box-format {self.box_format}-percent"
            )
        return notes

    def _photos(self, table: Table) -> dict[str, Photo]:
        """What each line says, by the photo's id. Warns of lines that say nothing new."""
        rows, columns = list(table.rows()), self.columns
        labels = self._label_column(table, rows)
        photos: dict[str, Photo] = {}
        alike: dict[str, str] = {}
        splits: dict[Split, str] = {}
        again, comments = [], []
        for line, values in rows:
            written, label = values[columns.path], values[labels]
            if values[0].startswith("#") and not (self.file.parent / written).is_file():
                comments.append(f"line {line}")
                continue
            self._check_filled(line, written, label)
            split = None if columns.split is None else self._split(line, values[columns.split], splits)
            id = self._known(alike, _plain_path(self.file.parent, written))
            known = id in photos
            photo = photos.setdefault(id, Photo(id, line, label, split, [values[place] for place in columns.size]))
            if photo.label != label:
                raise self._error(line, f"{written} has two labels, {photo.label} and {label}{_first(photo, written)}")
            if photo.split != split:
                raise self._error(
                    line,
                    f"split {split!r} must be train, val or test, the same in all lines of a photo: {written} is "
                    f"{photo.split} in line {photo.line}{_first(photo, written)}",
                )
            box = [values[place] for place in columns.box]
            if empty := all(not value or value in NOTHING for value in box):
                box = []
            if known and (empty or any(box == earlier for _, earlier in photo.boxes)):
                again.append(f"line {line} ({written}, first in line {photo.line})")
            if box:
                photo.boxes.append((line, box))
        if again:
            _warn(f"{self.file}: photos are listed again in {listed(again, most=5)}: each counts once; remove one")
        if comments:
            _warn(f"{self.file}: left out as comments, as they begin with #: {listed(comments, most=5)}")
        return photos

    def _label_column(self, table: Table, rows: list[tuple[int, list[str]]]) -> int:
        """The column of the class; of several the one of names, where the others are their numbers."""
        places = self.columns.labels
        if len(places) == 1:
            return places[0]
        named = [place for place in places if not all(NUMBER.fullmatch(values[place]) for _, values in rows)]
        pairs = {tuple(values[place] for place in places) for _, values in rows}
        if len(named) == 1 and all(len({values[place] for _, values in rows}) == len(pairs) for place in places):
            return named[0]
        columns = listed([table.columns[place] for place in places])
        raise WsolError(
            f"{self.file}: the class is given by the columns {columns}, which are not a name and its number; keep one"
        )

    def _check_filled(self, line: int, *values: str) -> None:
        if not all(values):
            raise self._error(line, "path and label must both be filled")
        if nothing := [value for value in values if value in NOTHING]:
            raise self._error(
                line,
                f"path and label must both be filled, and {nothing[0]} is what programs write for no value; fix it",
            )

    def _split(self, line: int, text: str, written: dict[Split, str]) -> Split:
        split = split_named(text)
        if split is None:
            raise self._error(line, f"split {text!r} must be train, val or test, the same in all lines of a photo")
        if (other := written.setdefault(split, text)).lower() != text.lower():
            raise self._error(line, f"the splits {other} and {text} would both be {split}; write one name for both")
        return split

    def _known(self, alike: dict[str, str], id: str) -> str:
        """The id by which a photo is known already, where two spellings are one file."""
        first = alike.setdefault(normalize("NFC", id).casefold(), id)
        if first != id:
            try:
                return first if os.path.samefile(self.file.parent / first, self.file.parent / id) else id
            except OSError:  # not there: said where the photo is looked for
                return id
        return id

    def _names(self, labels: set[str]) -> dict[str, str]:
        """The class of each label: as written, but for whole numbers that a program wrote as 1.0."""
        numbers = {label: NUMBER.fullmatch(label) for label in labels}
        names = {label: number[1] if number and all(numbers.values()) else label for label, number in numbers.items()}
        alike: dict[str, str] = {}
        for name in sorted(set(names.values())):
            other = alike.setdefault(folded(name), name)
            if other != name and other.isdecimal():
                raise WsolError(f"{self.file}: the labels {other} and {name} are one number; write one of them")
            if other != name:
                _warn(f"{self.file}: the labels {other} and {name} are two classes, though they look alike")
        return names

    @cached_property
    def _wrong_format(self) -> WsolError | None:
        return wrong_format(self._boxes, self, self.box_format or "xyxy", str(self.file))

    @cached_property
    def _boxes(self) -> dict[int, np.ndarray]:
        """The numbers of each photo of the split, without lines that cannot be read: its own truth says so."""
        boxes = {}
        for index, sample in enumerate(self.samples):
            with suppress(WsolError):
                if of_photo := self.photos[sample.id].boxes:
                    boxes[index] = np.concatenate([self._numbers(line, values) for line, values in of_photo])
        return boxes

    def _numbers(self, line: int, values: list[str]) -> Float[np.ndarray, "1 4"]:
        numbers = re.findall(r"[^\s,;()\[\]]+", values[0]) if len(values) == 1 else [_point(value) for value in values]
        try:
            return np.array([real(number) for number in numbers], np.float64).reshape(1, 4)
        except ValueError as error:
            said = f"{', '.join(self.box_columns)} must be four numbers, not {', '.join(values)}"
            raise self._error(line, said) from error

    def _existing(self, photo: Photo) -> Path:
        folder = self.file.parent
        for id in (photo.id, normalize("NFC", photo.id), normalize("NFD", photo.id)):
            if (folder / id).is_file():
                return folder / id
        fix = "paths count from there"
        if "://" in photo.id or re.match(r"https?:/", photo.id):
            fix = "it is a web address: fetch the photo and list its path"
        elif PureWindowsPath(photo.id).drive or photo.id.startswith("/"):
            fix = "write paths as they count from there, not those of another machine"
        raise self._error(photo.line, f"{photo.id} is listed but there is no such file in {folder}; {fix}")

    def _no_header(self, table: Table) -> WsolError:
        said = f"it reads {table.header[:80]!r}" if table.header else "it is empty"
        if any((self.file.parent / value).is_file() for value in table.columns if value):
            said += ", which is a photo already: put a line of names above it"
        return WsolError(f"{self.file}: its first line must name the columns: {WANTED}; {said}")

    def _error(self, line: int, what: str) -> WsolError:
        return WsolError(f"{self.file}, line {line}: {what}")


def _is_table(path: Path) -> bool:
    try:
        return is_header(read_table(path, is_header).columns)
    except WsolError:
        return False


def _plain_path(folder: Path, written: str) -> str:
    """A photo's path from the table's folder, however it is spelled; outside of the folder an absolute one stays so."""
    if "\\" in written and not (folder / written).is_file():
        written = written.replace("\\", "/")
    path = os.path.normpath(written)
    if path.startswith("..") or os.path.isabs(path):
        home = os.path.abspath(folder)
        full = os.path.normpath(os.path.join(home, path))
        inside = os.path.commonpath([home, full]) == home
        path = os.path.relpath(full, home) if inside else path
    return Path(path).as_posix()


def _first(photo: Photo, written: str) -> str:
    return "" if photo.id == written else f" (as {photo.id} in line {photo.line})"


def _point(value: str) -> str:
    """A number with a decimal point, where it was written with a comma."""
    return value.replace(",", ".") if value.count(",") == 1 and "." not in value else value


def _warn(said: str) -> None:
    warnings.warn(said, stacklevel=5)
