"""Lists of photos: a text file with a path a line, or a Parquet file with a column `path`."""

import os
from pathlib import Path

from wsol.errors import WsolError
from wsol.system.arrow import read_column
from wsol.system.files import unreadable

LISTS = (".txt", ".parquet")


def listed_in(path: Path) -> list[tuple[Path, str]]:
    """The photos of a list, in its order, as (path, name); names are paths within the folder that holds them all.

    Whether they are there is seen when they are opened. Paths may be relative to the list's folder.

    Raises WsolError, naming the list, where it cannot be read, and where a row has no path.
    """
    if path.suffix.lower() == ".parquet":
        words = read_column(path, "path", "name the column with the photos' paths so")
        if wrong := [place for place, word in enumerate(words) if not isinstance(word, str) or not word]:
            raise WsolError(f"{path}: row {wrong[0]} has no path; remove it")
    else:
        try:
            lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
        except OSError as error:
            raise unreadable(path, error, f"cannot be read ({error.strerror})") from error
        words = [os.fsdecode(line) for line in lines if line.strip()]  # names need not be UTF-8
    paths = [Path(os.path.abspath(path.parent / word)) for word in words]
    root = os.path.commonpath([photo.parent for photo in paths]) if paths else ""
    return [(photo, photo.relative_to(root).as_posix()) for photo in paths]
