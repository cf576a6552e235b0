"""Arrays of a row a photo, kept on disk beside the run's folder, where the next training finds them."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from filelock import FileLock

from wsol.errors import WsolError
from wsol.system.console import console
from wsol.system.files import unreadable, unwritable, write_whole


def kept(
    path: Path,
    kind: np.dtype | type,
    shape: tuple[int, ...],
    rows: Callable[[], Iterable[np.ndarray]],
    *,
    holding: str,
    setting: str,
) -> np.ndarray:
    """The array of a file, mapped into memory. Makes the file where there is none, one process at a time.

    path: .npy file, called after all that its values depend on.
    kind: of its values.
    shape: (photos, ...).
    rows: gives the rows in order, one or several at a time; called where the file has to be made.
    holding: what the file holds, to say when it is made.
    setting: what asks for the file, to leave out where there is no room.

    Raises WsolError where the disk is full or the file damaged.
    """
    if not shape[0]:
        return np.zeros(shape, kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two trainings at once make it once
            if not path.exists():
                _make(path, np.dtype(kind), shape, rows, holding, setting)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, error, "damaged; remove it, and it is made again") from error


def _make(
    path: Path,
    kind: np.dtype,
    shape: tuple[int, ...],
    rows: Callable[[], Iterable[np.ndarray]],
    holding: str,
    setting: str,
) -> None:
    size = kind.itemsize * int(np.prod(shape))
    said = f"{shape[0]} photos {holding}: {size / 1e6:.0f} MB in {path}"
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise WsolError(f"{said}, where {free / 1e6:.0f} MB are free; free some space, or leave {setting} out")

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            descr = np.lib.format.dtype_to_descr(kind)
            np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            for some in rows():
                file.write(some.tobytes())

    write_whole(path, write)
    console.print(f"{said}, kept for the next training")
