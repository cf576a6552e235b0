"""What a data set holds, and what must be fixed before it is used."""

import shlex
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from rich.tree import Tree

from wsol.data.box_formats import BoxFormat
from wsol.data.contents import digest
from wsol.data.dataset import Cases, Dataset, NoSplit, Split, Truth, check_boxes
from wsol.data.layouts.folder import Folder
from wsol.data.layouts.metadata import Metadata
from wsol.data.layouts.table import Csv
from wsol.data.recognise import open_data
from wsol.errors import WsolError, listed
from wsol.system.console import bar
from wsol.system.files import keep_apart, write_picture

FEW = 10  # training photos of a class, below which it is named
SHOWN = 24
MOST_CLASSES = 12  # that are drawn


@dataclass
class Part:
    """What one split holds.

    photos: how many.
    classes: how many have a photo.
    boxes: how many.
    masks: how many.
    blank: photos that have neither box nor mask.
    over: files of photos that a box reaches out of.
    by_class: how many photos each class has.
    split_by: how its photos were chosen, where the files leave that open.
    twice: photos that are stored again, by what that means.
    """

    photos: int = 0
    classes: int = 0
    boxes: int = 0
    masks: int = 0
    blank: int = 0
    over: list[str] = field(default_factory=list)
    by_class: dict[str, int] = field(default_factory=dict)
    split_by: str = ""
    twice: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """In one line."""
        counts = {"photo": self.photos, "box": self.boxes, "mask": self.masks}
        said = [_count(number, name) for name, number in counts.items() if number or name == "photo"]
        said[0] += f" of {_count(self.classes, 'class')}"
        return ", ".join(said) + (f" ({self.split_by})" if self.split_by else "")


@dataclass
class Report:
    """What was found.

    data: what was checked.
    layout: what the data set's layout says of itself.
    recipe: the recipe for photos like these, if there is one.
    splits: what each split holds; where two are the same photos they are the same object.
    missing: why there is no such split.
    problems: a line for each thing that must be fixed, with its file.
    notes: what is worth knowing.
    """

    data: str = ""
    layout: str = "cannot be opened"
    recipe: str = ""
    splits: dict[str, Part] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tree(self) -> Tree:
        """The data set as it is understood: its splits, and the photos of each class."""
        tree = Tree(f"{self.data}: {self.layout}")
        for part in {id(part): part for part in self.splits.values()}.values():
            names = [split for split, other in self.splits.items() if other is part]
            branch = tree.add(f"{' and '.join(names)}{' alike' * (len(names) > 1)}: {part}")
            classes = list(part.by_class.items())
            most = MOST_CLASSES if len(classes) > MOST_CLASSES + 1 else len(classes)
            for name, count in classes[:most]:
                branch.add(f"{name}: {count}")
            if rest := [count for _, count in classes[most:]]:
                least, last = min(rest), max(rest)
                photos = _count(last, "photo") if least == last else f"{least} to {last} photos"
                branch.add(f"and {len(rest)} more classes, {photos} each")
        for split in self.missing if self.splits else ():
            tree.add(f"{split}: no photos")
        return tree

    def conclusion(self) -> str:
        """What can be done now, in one line."""
        data, train = shlex.quote(self.data), self.splits.get("train")
        if self.problems:
            return f"{self.data}: {len(self.problems)} to be fixed, see above"
        if not self.missing and len(self.splits) < 3:
            return f"{' and '.join(self.splits)}: nothing to fix"
        lacking = [split for split in ("train", "val") if split not in self.splits]
        why = f"no photos for {' and '.join(lacking)}" if lacking else "training needs at least two classes"
        if lacking or (train and train.classes < 2):
            return f"Nothing to fix. Measure a run on it: wsol evaluate RUN {data} (to train on it: {why})"
        recipe = f" --recipe {self.recipe}" if self.recipe else ""
        return f"Nothing to fix. Train on it: wsol train bas {data}{recipe} --output runs/bas"


def check(
    data: str | Path | Dataset,
    splits: Iterable[Split] = (),
    output: str | Path | None = None,
    box_format: BoxFormat | None = None,
) -> Report:
    """Says which layout a data set has, what it holds and what must be fixed. Every photo, box and mask is read once.

    The report also draws the data set as it is understood, and says what was left out.

    Problems are splits, photos, boxes and masks that cannot be read; inverted boxes and those of which half or more
    lies outside their photo; masks of another size than their photo (those of the evaluator's lists may be scaled);
    wrong sizes in lists; and a photo that is stored twice, in training and in another split, or under two classes.
    Published sets hold boxes that reach a little out of the photo: they count as they are, and are noted.

    data: A folder of class folders, a CSV file, the folder of a published data set, or `creatures`.
    splits: The splits to check: train, val, test. Default: all that are there.
    output: A picture to write: some photos with their true boxes and masks.
    box_format: What the four numbers of a box mean, where the data set leaves it open: xyxy for corners in pixels,
        xywh for a corner, width and height, cxcywh for the centre, width and height, -shares or -percent of the photo,
        -from-1 for pixels counted from 1. Default: what the names of columns say, else xyxy.

    Raises WsolError when the picture cannot be written.
    """
    if output is not None:
        keep_apart(output, data)
    report, opened = Report(str(data) if isinstance(data, str | Path) else data.name), {}
    _open(report, opened, data, tuple(splits), box_format)
    if report.missing and (splits or not ("test" in opened or {"train", "val"} <= opened.keys())):
        report.problems += report.missing.values()
    stored: dict[str, tuple[str, int, Path]] = {}
    for split, photos in opened.items():
        if split == "test" and "val" in opened and opened["val"].samples == photos.samples:
            report.splits[split] = report.splits["val"]
            continue
        part = report.splits[split] = _part(report, photos, split)
        with bar(f"checking {split}") as shown:
            for index in shown.track(range(len(photos))):
                problems = _photo(photos, index, part)
                report.problems += problems or _twice(photos, index, split, stored, part)
        if part.over:
            report.notes.append(f"{split}: boxes reach out of {listed(part.over)}: counted as they are")
        if part.boxes + part.masks and part.blank:
            report.notes.append(f"{split}: {part.blank} photos have neither box nor mask: only their class is measured")
        for said, names in part.twice.items():
            report.notes.append(f"{split}: {_count(len(names), 'photo')} {said}: {listed(names, most=5)}")
        report.notes += photos.notes()
    report.problems = list(dict.fromkeys(report.problems))  # splits may share photos
    report.notes = list(dict.fromkeys(report.notes))
    if output is not None and opened:
        write_picture(Path(output), _sheet(list(opened.values())[-1]))
    return report


def _open(
    report: Report,
    opened: dict[str, Dataset],
    data: str | Path | Dataset,
    splits: tuple[Split, ...],
    box_format: BoxFormat | None,
) -> None:
    """Opens what there is."""
    for split in splits or ("train", "val", "test"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                opened[split] = photos = open_data(data, split, box_format=box_format)
                report.layout = photos.about or photos.name
                report.recipe = "own_photos" if isinstance(photos, Folder | Csv) else ""
            except NoSplit as error:
                report.missing[split] = str(error)
            except WsolError as error:
                report.problems.append(str(error))
        report.notes += [str(warning.message) for warning in said]


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}{'es' if name.endswith(('s', 'x')) else 's'}"


def _part(report: Report, photos: Dataset, split: str) -> Part:
    labels = [sample.label for sample in Cases(photos).samples]
    counts = np.bincount(labels, minlength=len(photos.classes)).tolist()
    few = [f"{name} {count}" for name, count in zip(photos.classes, counts, strict=True) if count < FEW]
    if split == "train" and few:
        report.notes.append(f"train: classes with fewer than {FEW} photos: {listed(few)}")
    by_class = {name: count for name, count in zip(photos.classes, counts, strict=True) if count}
    return Part(len(photos), len(by_class), by_class=by_class, split_by=photos.split_by)


def _photo(photos: Dataset, index: int, part: Part) -> list[str]:
    """What is wrong with one photo and its truth, which are counted."""
    sample, problems, known = photos.samples[index], [], 0
    try:
        size = photos.image(index).size
        said = photos.said_size(index)
    except WsolError as error:
        return [str(error)]
    if said is not None and said[1] != size:
        file, (width, height) = said
        problems.append(
            f"{sample.path}: is {size[0]} x {size[1]}, but {file} says {width} x {height}; fix it or fetch the photo"
        )
    for label in sample.present or (sample.label,):
        try:
            truth = photos.truth_of(index, label)
            inside = np.clip(truth.boxes, 0, (*size, *size))
            half = _areas(inside) > _areas(truth.boxes) / 2
            check_boxes(np.where(half[:, None], inside, truth.boxes), size, str(sample.path))
        except WsolError as error:
            problems.append(str(error))
            continue
        part.over += [str(sample.path)] * bool((np.abs(truth.boxes - inside) > 1).any())
        part.boxes += len(truth.boxes)
        part.masks += truth.mask is not None
        known += len(truth.boxes) + (truth.mask is not None)
        if wrong := _other_size(truth, size, isinstance(photos, Metadata)):
            problems.append(f"{sample.path}: its mask is {wrong}, the photo {size[0]} x {size[1]}; fetch the right one")
    part.blank += known == 0 and not problems
    return problems


def _areas(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """0 where a box is inverted."""
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)


def _other_size(truth: Truth, size: tuple[int, int], scaled: bool) -> str | None:
    """The size of a mask that does not belong to the photo; scaled: the same shape is enough."""
    for mask in (truth.mask, truth.ignore):
        if mask is not None and mask.shape != size[::-1]:
            height, width = mask.shape
            if not (scaled and abs(width * size[1] / (height * size[0]) - 1) < 0.02):
                return f"{width} x {height}"
    return None


def _twice(photos: Dataset, index: int, split: str, stored: dict[str, tuple[str, int, Path]], part: Part) -> list[str]:
    """What to do about a photo that is stored elsewhere too, where that does harm; else it is noted."""
    sample = photos.samples[index]
    content = digest(sample.path)
    if not content:  # generated
        return []
    where, label, path = stored.setdefault(content, (split, sample.label, sample.path))
    if (where, path) == (split, sample.path):
        return []
    if label != sample.label:
        return [f"{sample.path}: the same photo as {path}, under another class; remove one"]
    if path != sample.path and where == "train" != split:
        return [f"{sample.path}: the same photo as {path}, of {where}; remove one"]
    meaning = "stored twice and counted twice" if where == split else f"of {where} too"
    if where == "train" != split:
        meaning += ", as their class holds no other"
    part.twice.setdefault(meaning, []).append(f"{sample.path} (as {path})" if path != sample.path else str(path))
    return []


def _sheet(photos: Dataset) -> Image.Image:
    """Some cases over the whole split, with true boxes and masks."""
    from wsol.show import draw  # imports matplotlib

    cases, cells = Cases(photos), []
    for index in np.unique(np.linspace(0, len(cases) - 1, min(SHOWN, len(cases))).astype(int)).tolist():
        try:
            image, truth = cases.image(index), cases.truth(index)
        except WsolError:
            continue
        mask = None if truth.mask is None else truth.mask.astype(np.float32)
        picture = draw.overlay(image, mask, true_boxes=truth.boxes)
        cells.append((picture, cases.classes[cases.samples[index].label]))
    return draw.contact_sheet([cells[i : i + 6] for i in range(0, len(cells), 6)])
