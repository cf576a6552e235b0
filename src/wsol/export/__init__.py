"""Results to files: one writer a format, each whole or not at all, few results in memory at a time."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from wsol import registry
from wsol.errors import WsolError
from wsol.export.heatmaps import read_heatmaps
from wsol.export.writer import Writer, clear, write_to
from wsol.locating.result import Result
from wsol.locating.results import Unread
from wsol.system.files import unwritable
from wsol.system.locks import locked


def find_formats(names: str) -> dict[str, type[Writer]]:
    """Writers by name, of names separated by commas.

    Raises WsolError, with a suggestion, for an unknown name, and where none is given.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen:
        raise WsolError(f"--format names no format; choose from {', '.join(registry.names('formats'))}")
    return {name: registry.find("formats", name) for name in chosen}


def write_results(
    results: Iterable[Result | Unread],
    folder: str | Path,
    classes: list[str],
    formats: Iterable[type[Writer]],
    overwrite: bool = False,
) -> int:
    """Writes results in every format asked for, and says how many there were, bad photos not counted.

    results: gone through once, few in memory at a time.
    folder: where the files go.
    classes: names, by index.
    formats: see `find_formats`.
    overwrite: remove the folders of these formats that earlier results left there.

    Raises WsolError naming the file when the disk refuses, and the folder where earlier results are or another process
    writes.
    """
    formats = list(formats)
    try:
        with locked(folder), ExitStack() as stack:
            clear([Path(folder) / writer.owns for writer in formats if writer.owns], overwrite)
            writers = [stack.enter_context(writer(Path(folder), classes)) for writer in formats]
            return write_to(writers, results)
    except OSError as error:
        raise unwritable(Path(error.filename or folder), error) from error


__all__ = ["Writer", "find_formats", "read_heatmaps", "write_results"]
