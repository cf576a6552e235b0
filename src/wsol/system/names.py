"""Names of photos and classes, which may be anything, as they go into paths, tables and XML."""

import re
from pathlib import Path

from wsol.errors import WsolError, printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take a cell for that begins so
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_name(name: str) -> str:
    """The name of a photo: a path within some folder. Raises ValueError where it is none, or leads out of it."""
    path = Path(name)
    if not path.parts or "\0" in name or path.drive or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name[:100]!r} names no file, or leads out of its folder")
    return name


def within(folder: Path, name: str) -> Path:
    """Where a photo's file lies within a folder. Raises WsolError for a name that leads out of it."""
    try:
        return folder / check_name(name)
    except ValueError as error:
        raise WsolError(f"{error}; rename the photo") from error


def in_table(text: str) -> str:
    """A name as a cell of CSV: behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def path_in_table(name: str) -> str:
    """A photo's name as a cell of CSV: it stays a path to the photo."""
    return f"./{name}" if name.startswith(FORMULA) else name


def in_xml(text: str) -> str:
    """A name in XML: characters that no XML may hold become escapes."""
    return NOT_IN_XML.sub(lambda match: printable(match[0]), text)
