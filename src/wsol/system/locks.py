"""Locks: a folder or a file is written by one process at a time."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from wsol.errors import WsolError
from wsol.system.files import left_by


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Keeps other processes from writing into a folder until the `with` block ends.

    The system opens a lock when its process ends, even if it was killed. The next one removes half files that it left;
    those of a block that fails are removed at once.

    folder: made where it is missing, and removed again where it stays empty.

    Raises WsolError, which names the process and its host, where another one writes there.
    """
    folder = Path(folder)
    with _lock(folder / ".wsol.lock", folder, "**/"):
        try:
            yield
        except BaseException:
            _remove(folder, f"**/{left_by(os.getpid())}")
            raise


@contextmanager
def locked_file(path: str | Path | None) -> Iterator[None]:
    """Keeps other processes from writing a file until the `with` block ends, as `locked` does for a folder.

    path: None for no file.

    Raises WsolError also for a path that ends in no name.
    """
    if path is None:
        yield
        return
    path = Path(path)
    if not path.name:
        raise WsolError(f"{str(path)!r} names no file; give the name of one")
    with _lock(path.with_name(f".{path.name}.lock"), path):
        yield


@contextmanager
def _lock(file: Path, place: Path, within: str = "") -> Iterator[None]:
    new, lock = not file.parent.exists(), FileLock(file, blocking=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        said = f"{_holder(file) or 'another process'} is writing there; wait for it, or choose another --output"
        raise WsolError(f"{place}: {said}") from None
    except (OSError, NotImplementedError):
        pass  # what cannot be written here is said when it is
    try:
        if lock.is_locked:
            _note(file, within)
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no file that is open
                file.unlink()
            lock.release()
        if new:
            with suppress(OSError):
                file.parent.rmdir()


def _note(file: Path, within: str) -> None:
    """Says in the lock's file who holds it, and removes what an earlier holder left that was killed."""
    with suppress(OSError):
        if killed := re.match(r"process (\d+) ", _holder(file)):
            _remove(file.parent, within + left_by(int(killed[1])))
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")


def _remove(folder: Path, pattern: str) -> None:
    for half in folder.glob(pattern):
        with suppress(OSError):
            half.unlink()


def _holder(file: Path) -> str:
    """Who wrote the lock's file; "" where that cannot be read."""
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8")[:200]
    return ""
