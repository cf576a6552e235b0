"""Lists of photos: a text file with a path a line, or a Parquet file with a column `path`."""

import os
import posixpath
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from wsol.data.remote import is_address
from wsol.data.stored import Stored
from wsol.errors import WsolError
from wsol.system.arrow import read_column
from wsol.system.files import unreadable

LISTS = (".txt", ".parquet")


def listed_in(path: Path | Stored) -> list[tuple[Path | Stored, str]]:
    """The photos of a list, in its order, as (path, name); names are paths within the folder that holds them all.

    Whether they are there is seen when they are opened. Paths may be addresses, or relative to the list's folder.

    Raises WsolError, naming the list, where it cannot be read, and where a row has no path.
    """
    file = path.read() if isinstance(path, Stored) else path
    if str(path).lower().endswith(".parquet"):
        words = read_column(file, "path", "name the column with the photos' paths so")
        if wrong := [place for place, word in enumerate(words) if not isinstance(word, str) or not word]:
            raise WsolError(f"{path}: row {wrong[0]} has no path; remove it")
    else:
        try:
            lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError as error:
            raise unreadable(path, error, f"cannot be read ({error.strerror})") from error
        words = [os.fsdecode(line) for line in lines if line.strip()]  # names need not be UTF-8
    photos = [_photo(word, path) for word in words]
    return list(zip(photos, names_within(photos), strict=True))


def _photo(word: str, path: Path | Stored) -> Path | Stored:
    """What a path in a list means."""
    if is_address(word):
        return Stored(word)
    if isinstance(path, Stored) and not os.path.isabs(word):
        scheme, _, place = path.file.partition("://")
        return Stored(f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(place), word))}")
    folder = "" if isinstance(path, Stored) else path.parent
    return Path(os.path.abspath(os.path.join(folder, word)))


def names_within(photos: Sequence[Path | Stored]) -> list[str]:
    """Paths within the folder that holds all photos, with "/" between folders."""
    parts = [_parts(photo) for photo in photos]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*(some[:-1] for some in parts), strict=False))
    above = len(list(shared))
    return ["/".join(some[above:]) for some in parts]


def _parts(photo: Path | Stored) -> list[str]:
    if isinstance(photo, Stored):
        return [part for part in str(photo).replace("://", "/").split("/") if part]
    path = Path(os.path.abspath(photo))
    return list(path.relative_to(path.anchor).parts)
