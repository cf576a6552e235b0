"""Which layout a data set has, and which of its photos can be read."""

import difflib
import os
import warnings
from inspect import signature
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Literal

from wsol.data.box_formats import BoxFormat
from wsol.data.dataset import Chosen, Dataset, Split
from wsol.data.inputs import one_large_at_a_time
from wsol.errors import WsolError, listed
from wsol.registry import Entry, entries, entry
from wsol.system.console import bar

THREADS = 16
VIEW = 224  # pixels; large photos are decoded to what such a view needs
Stamp = tuple[str, int, int]
_checked: dict[Stamp, str | None] = {}  # what is wrong with a file of this path, size and time


def layout_entries() -> list[Entry]:
    """All layouts as `open_data` asks them: ours, then those of other packages, and last the plain folder.

    A plain folder could be many of the others, so it comes last.
    """
    return sorted(entries("layouts"), key=_is_folder)


def _is_folder(layout: Entry) -> bool:
    return (layout.name, layout.package) == ("folder", "wsol")


def known_layouts() -> dict[str, str]:
    """What each layout says of itself, by name; those that cannot be loaded are left out."""
    lines = {}
    for layout in layout_entries():
        try:
            lines[layout.name] = layout.load().about
        except (WsolError, AttributeError):
            continue
    return lines


def open_data(
    data: str | Path | Dataset,
    split: Split | None,
    *,
    size: int = 128,
    val_per_class: int = 5,
    box_format: BoxFormat | None = None,
) -> Dataset:
    """One split of a data set, its layout recognised.

    data: A path, "creatures", or a data set, which is returned as it is.
    split: "train", "val" or "test"; None for all photos of a set whose splits are `by_rule`.
    size: The side of generated photos in pixels.
    val_per_class: Training photos of each class to hold back for validation, where the set has no such split.
    box_format: What the four numbers of a box mean, for layouts that leave it open, see `wsol.data.box_formats`.

    Raises WsolError when nothing is there, when no layout recognises it, when two packages offer the layout that does,
    and for a `box_format` where the layout leaves nothing open. A layout of another package that fails is named in a
    warning, only if no special one recognises the data.
    """
    if isinstance(data, Dataset):
        if box_format is not None:
            raise _settled(data.name)
        return data
    path, failed = Path(data), []
    for layout in layout_entries():
        try:
            kind = layout.load()
            root = kind.found(path)
        except Exception as error:  # other packages may raise anything
            failed.append(str(error) if isinstance(error, WsolError) else _failure(layout, error))
            continue
        if root is None:
            continue
        entry("layouts", layout.name)  # refuses a name that two packages take
        if _is_folder(layout):
            _warn(failed)
        given = {"root": root, "split": split, "size": size, "val_per_class": val_per_class, "box_format": box_format}
        taken = signature(kind).parameters
        if box_format is not None and "box_format" not in taken:
            raise _settled(str(data))
        return kind(**{name: given[name] for name in taken if name in given})
    _warn(failed)
    hint = " did you mean creatures?" if difflib.get_close_matches(str(data), ["creatures"]) else ""
    said = "no layout recognises this file" if path.exists() else "there is no such data"
    raise WsolError(f"{data}: {said};{hint} give {_offered()}")


def _offered() -> str:
    """What all layouts open, known data sets together."""
    lines, known = known_layouts().values(), "the folder of "
    sets = [about.removeprefix(known) for about in lines if about.startswith(known)]
    return "; ".join([*(about for about in lines if not about.startswith(known)), known + ", ".join(sets)])


def _settled(data: str) -> WsolError:
    return WsolError(f"{data}: this data set says itself what the numbers of a box mean; leave --box-format out")


def _failure(layout: Entry, error: Exception) -> str:
    said = str(error).partition("\n")[0] or type(error).__name__
    return f"the layout {layout.name!r} of the package {layout.source} fails ({said}); fix or remove that package"


def _warn(failed: list[str]) -> None:
    for said in failed:
        warnings.warn(said, stacklevel=3)


def readable(photos: Dataset, on_bad_image: Literal["raise", "skip"]) -> Dataset:
    """The data set without the photos that cannot be read.

    Every file is decoded once, so that a damaged one does not end a training hours later: several at a time, but of
    those above 24 megapixels only one. What was found is remembered for files that do not change, as long as the
    program runs. Generated photos are not checked.

    photos: The data set.
    on_bad_image: "raise" for a WsolError that counts and names them, "skip" for a warning and a data set without them.
    """
    if photos.generated:
        return photos
    with ThreadPool(min(os.cpu_count() or 1, THREADS)) as threads, bar("checking photos") as shown:
        problems = threads.imap(lambda index: _problem(photos, index), range(len(photos)), chunksize=8)
        bad = {index: said for index, said in enumerate(shown.track(problems, total=len(photos))) if said is not None}
    if not bad:
        return photos
    named = listed(list(bad.values()), "; ", most=5)
    if on_bad_image == "raise":
        raise WsolError(
            f"{len(bad)} of {len(photos)} photos cannot be used: {named}. Or skip them: --on-bad-image skip"
        )
    warnings.warn(f"{len(bad)} of {len(photos)} photos are skipped: {named}", stacklevel=2)
    return Chosen(photos, [index for index in range(len(photos)) if index not in bad])


def _problem(photos: Dataset, index: int) -> str | None:
    """Why a photo cannot be read; None where it can."""
    stamp = _stamp(photos.samples[index].path)
    if stamp in _checked:
        return _checked[stamp]
    try:
        with one_large_at_a_time(photos.samples[index].path):
            photos.reduced(index, VIEW)
        said = None
    except WsolError as error:
        said = str(error)
    if stamp is not None:
        _checked[stamp] = said
    return said


def _stamp(path: Path) -> Stamp | None:
    """What changes when a file does; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return os.path.abspath(path), status.st_size, status.st_mtime_ns
