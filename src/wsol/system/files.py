"""Files of our own: one way in, which names the file that cannot be read, and one way out, whole or not at all."""

import csv
import errno
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from wsol.errors import WsolError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def unreadable(path: Any, error: Exception, said: str) -> WsolError:
    """What to raise where a file cannot be read.

    said: what is wrong and how to fix it, unless this account may not read the file.
    """
    if isinstance(error, PermissionError):
        return WsolError(f"{path}: may not be read by this account; change its permissions or those of its folder")
    return WsolError(f"{path}: {said}")


def read_json(path: Path, fix: str = "train or evaluate again") -> dict[str, Any]:
    """A JSON object.

    fix: what the error advises.

    Raises WsolError naming the file when it is missing or damaged.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error, f"not readable as JSON ({error}); {fix}") from error
    if not isinstance(entries, dict):
        raise WsolError(f"{path}: holds no JSON object; {fix}")
    return entries


def write_json(path: Path, entries: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all. Raises WsolError naming the file when the disk refuses."""
    text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Writes a small text file, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_csv(path: Path, names: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Writes a table, whole or not at all; what a row does not have stays empty."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)

    write_whole(path, write)


def read_yaml(path: Any, what: str) -> dict[str, Any]:
    """The entries of a YAML file. Raises WsolError, naming the file, where it holds none."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise unreadable(path, error, f"not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(entries, dict):
        raise WsolError(f"{path}: a {what} is a list of `key: value` lines")
    return {str(key): value for key, value in entries.items()}


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under a temporary name beside it and renames it once it is whole.

    write: fills the temporary file.

    Raises WsolError naming the file and the fix when the disk refuses.
    """
    temporary = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def beside(path: Path) -> Path:
    """A temporary name beside a file that is not whole yet; no two writers get the same one."""
    return path.with_name(f"{path.name[:40]}.{os.getpid()}-{token_hex(4)}.part")


def left_by(process: str) -> str:
    """A pattern of the temporary names that a process gives."""
    return f"*.{process}-*.part"


def unwritable(path: Path, error: OSError) -> WsolError:
    """What to raise where a file or folder cannot be written."""
    return WsolError(f"{path}: could not be written ({error.strerror or error}); {advice(error)}")


def keep_apart(output: str | Path, *inputs: Any) -> None:
    """Raises WsolError where results would be written into a folder of photos, and be taken for photos next time."""
    for place in (Path(place) for place in inputs if isinstance(place, str | Path)):
        if place.is_dir() and Path(output).resolve().is_relative_to(place.resolve()):
            raise WsolError(f"{output}: lies in {place}, which is searched for photos; give an --output outside of it")


def advice(error: OSError) -> str:
    """What helps when a file cannot be written."""
    return "free some space" if error.errno in NO_ROOM else "choose another --output, or allow writing there"
