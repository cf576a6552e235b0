"""Files of our own: one way in, which names the file that cannot be read, and one way out, whole or not at all."""

import csv
import errno
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any, TypeVar

import yaml

from wsol.errors import WsolError
from wsol.system.names import in_table
from wsol.system.values import record

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
Kind = TypeVar("Kind")
LONGEST_SIDE = 65500  # pixels, of a JPEG


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


def read_record(path: Path, kind: type[Kind], fix: str) -> Kind:
    """A JSON object as a dataclass, see `wsol.system.values.record`.

    fix: what the error advises.

    Raises WsolError naming the file, and the entry that is missing or wrong.
    """
    entries = read_json(path, fix)
    try:
        return record(entries, kind)
    except WsolError as error:
        raise WsolError(f"{path}: {error}; {fix}") from error


def read_records(path: Path, kind: type[Kind], fix: str) -> Iterator[Kind]:
    """The lines of a file, a JSON object each, as `read_record` reads one; none is kept in memory.

    Raises WsolError naming the file, the line, and the entry that is missing or wrong.
    """
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield record(json.loads(line), kind)
                except (ValueError, RecursionError, WsolError) as error:
                    raise WsolError(f"{path}, line {number}: {error}; {fix}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, f"cannot be read ({error}); {fix}") from error


def write_json(path: Path, entries: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all. Raises WsolError naming the file when the disk refuses."""
    write_text(path, json.dumps(entries, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a small text file, whole or not at all; names that are no UTF-8 become escapes, as in JSON."""
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_array(path: Path, array: "np.ndarray") -> None:
    """Writes an array as .npy, whole or not at all."""
    from numpy.lib.format import write_array as write

    content = io.BytesIO()
    write(content, array, allow_pickle=False)
    write_bytes(path, content.getvalue())


def write_picture(path: Path, image: "Image.Image", **options: Any) -> None:
    """Writes a picture, whole or not at all, in the format of its name; smaller where a JPEG cannot be so large.

    Raises WsolError where the name is that of no format.
    """
    from PIL import Image

    content = io.BytesIO()  # encoders of libraries say nothing of a full disk
    if (kind := Image.registered_extensions().get(path.suffix.lower())) not in Image.SAVE:
        raise WsolError(f"{path}: pictures cannot be written as {path.suffix or 'files without suffix'}; choose .png")
    if kind == "JPEG" and max(image.size) > LONGEST_SIDE:
        image = image.copy()
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.save(content, kind, **options)
    write_bytes(path, content.getvalue())


def write_csv(path: Path, names: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Writes a table, whole or not at all; what a row does not have stays empty, and no text is a formula."""
    lines = io.StringIO(newline="")
    table = csv.DictWriter(lines, names)
    table.writeheader()
    for row in rows:
        table.writerow({name: in_table(value) if isinstance(value, str) else value for name, value in row.items()})
    write_bytes(path, lines.getvalue().encode("utf-8", "backslashreplace"))


def read_array(path: Path, fix: str) -> "np.ndarray":
    """An array of numbers from a .npy file, as a view of the file: nothing is read before it is used.

    fix: what the error advises.

    Raises WsolError, naming the file, where it is damaged, holds something else, or less than its header says.
    """
    import numpy as np

    try:
        array = np.load(path, "r", allow_pickle=False)
    except Exception as error:  # NumPy's parser of headers lets many kinds through
        raise unreadable(path, error, f"cannot be read as a NumPy array ({error}); {fix}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":  # an archive, text
        raise WsolError(f"{path}: holds no array of real numbers; {fix}")
    return array


def read_yaml(path: Any, what: str) -> dict[str, Any]:
    """The entries of a YAML file. Raises WsolError, naming the file, where it holds none."""
    try:
        entries = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error, f"not readable as YAML ({error})") from error
    if not isinstance(entries, dict):
        raise WsolError(f"{path}: a {what} is a list of `key: value` lines")
    return {str(key): value for key, value in entries.items()}


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ValueError where it has none, and for aliases: a few can fill the memory."""
    try:
        return yaml.load(text, _WithoutAliases)
    except Exception as error:  # what tags stand for lets many kinds through
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class _WithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias, *name; write the value out")
        return super().compose_node(parent, index)


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


def begin(path: Path, binary: bool = False) -> IO[Any]:
    """Opens a file that is to be `path` once it is whole; names that are no UTF-8 become escapes in text, as in JSON.

    Raises WsolError, naming `path`, where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if binary:
            return open(beside(path), "wb")
        return open(beside(path), "w+", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise unwritable(path, error) from error


def left_by(process: int) -> str:
    """A pattern of the temporary names that a process gives."""
    return f"*.{process}-*.part"


def unwritable(path: Path, error: OSError) -> WsolError:
    """What to raise where a file or folder cannot be written, with what helps."""
    fix = "free some space" if error.errno in NO_ROOM else "choose another --output, or allow writing there"
    return WsolError(f"{path}: could not be written ({error.strerror or error}); {fix}")


def keep_apart(output: str | Path, *inputs: Any) -> None:
    """Raises WsolError where results would be written into a folder of photos, and be taken for photos next time."""
    for place in (Path(place) for place in inputs if isinstance(place, str | Path)):
        if place.is_dir() and Path(output).resolve().is_relative_to(place.resolve()):
            raise WsolError(f"{output}: lies in {place}, which is searched for photos; give an --output outside of it")
