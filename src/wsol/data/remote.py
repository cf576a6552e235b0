"""Addresses such as s3://bucket/photos: files elsewhere, by fsspec and its library for that kind of store."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import has_magic
from itertools import takewhile
from typing import IO, Any

from wsol.errors import WsolError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter would be a drive of Windows


def is_address(place: Any) -> bool:
    """Whether it is text that begins as s3://, gs://, hf:// and the like do."""
    return isinstance(place, str) and ADDRESS.match(place) is not None


def files_at(address: str, wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Files as (address, name), sorted as those of a local folder are; a name is the path below what was given.

    address: A file, a folder or a pattern.
    wanted: Whether a file of this name counts; one that was given itself does.

    Raises WsolError where nothing is there, or the store cannot be reached.
    """
    with _store(address) as (store, path):
        store.invalidate_cache()  # a program may look twice, with new photos in between
        try:
            kind = store.info(path)["type"]
        except FileNotFoundError:
            if not has_magic(path):
                raise
            kind = "pattern"
        if kind == "file":
            return [(store.unstrip_protocol(path), path.rpartition("/")[2])]
        if kind == "pattern":
            found = [file for file, about in store.glob(path, detail=True).items() if about["type"] == "file"]
            path = "/".join(takewhile(lambda part: not has_magic(part), path.split("/")))
        else:
            found = store.find(path)
        names = {file.removeprefix(path).lstrip("/"): store.unstrip_protocol(file) for file in found}
        return [(names[name], name) for name in sorted(filter(wanted, names), key=lambda name: name.split("/"))]


def read_at(address: str, start: int | None = None, end: int | None = None) -> bytes:
    """The bytes of a file, or those from one place to another. Raises WsolError where they cannot be read."""
    with _store(address) as (store, path):
        return store.cat_file(path, start=start, end=end)


@contextmanager
def open_at(address: str) -> Iterator[IO[bytes]]:
    """A file from which some places are read. Raises WsolError where it cannot be, also while it is used."""
    with _store(address) as (store, path), store.open(path, "rb") as file:
        yield file


@contextmanager
def _store(address: str) -> Iterator[tuple[Any, str]]:
    """The store of an address, and the path in it; whatever is raised while they are used becomes a WsolError."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise WsolError(f"{address}: needs fsspec: pip install fsspec") from error
    try:
        yield url_to_fs(address)
    except WsolError:
        raise
    except FileNotFoundError as error:
        raise WsolError(f"{address}: there is no such file, folder or bucket") from error
    except ImportError as error:
        raise WsolError(f"{address}: needs a library that is not installed ({_line(error)})") from error
    except Exception as error:  # stores raise errors of their own libraries
        said = f"cannot be read ({_line(error)}); check the address, your access and the network"
        raise WsolError(f"{address}: {said}") from error


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
