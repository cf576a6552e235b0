"""Webdataset shards: photos in tar files, read where they lie there, and names such as shard-{000..127}.tar."""

import os
import re
import tarfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from wsol.data.remote import open_at
from wsol.data.scaling import say_once
from wsol.data.stored import Stored
from wsol.errors import WsolError
from wsol.system.files import unreadable

TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
MOST = 1_000_000  # numbers in a range


def is_tar(place: str | Path) -> bool:
    """Whether a file, or the files of a pattern, are called as tar files are."""
    return str(place).lower().endswith(TARS)


def spelled_out(place: str | Path) -> list[str | Path]:
    """Each place that a range such as {000..127} means, in its order; a place without a range as it is.

    Raises WsolError for more places than anybody means.
    """
    found = RANGE.search(str(place))
    if found is None or os.path.exists(place):
        return [place]
    first, last = found.groups()
    if abs(int(first) - int(last)) >= MOST:
        raise WsolError(f"{place}: a range of more than {MOST} numbers; give fewer, or a list")
    step = 1 if int(first) <= int(last) else -1
    numbers = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + step, step))
    texts = (str(place)[: found.start()] + number + str(place)[found.end() :] for number in numbers)
    return [one for text in texts for one in spelled_out(text)]


def photos_in_tar(tar: Path | Stored, wanted: Callable[[str], bool]) -> list[tuple[Stored, str]]:
    """The photos of a tar file in its order, as (where they lie in it, name). Links are left out.

    A photo's name is that of its member. 0001.mask.png is none where there is 0001.jpg: members that are called alike
    up to the first dot are one sample. Of two members of one name the last counts, as where tar files are unpacked.

    tar: The file.
    wanted: Whether a member of this name is a photo.

    Raises WsolError where it cannot be read, is cut off, damaged or compressed.
    """
    file = os.path.abspath(tar) if isinstance(tar, Path) else tar.file
    photos: dict[str, Stored] = {}
    with _opened(tar) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as members:
                for member in members:
                    name = PurePosixPath(member.name.lstrip("/")).as_posix()
                    if member.isfile() and wanted(name):
                        photos[name] = Stored(file, name, member.offset_data, member.size)
                stream.seek(end := members.offset)
                block = stream.read(tarfile.BLOCKSIZE)
        except Exception as error:  # damaged headers raise many kinds of errors
            said = f"no whole tar file ({str(error).partition(chr(10))[0] or type(error).__name__})"
            raise unreadable(tar, error, f"{said}; copy it again, and unpack a compressed one to .tar") from error
    if block.strip(b"\0"):
        raise WsolError(f"{tar}: no whole tar file (damaged at byte {end}); copy it again")
    if not block:
        warnings.warn(f"{tar}: has no end mark, as a tar file that was cut off between two photos", stacklevel=2)
    return [(photo, name) for name, photo in _one_a_sample(photos, file).items()]


def _one_a_sample(photos: dict[str, Stored], file: str) -> dict[str, Stored]:
    """Without what belongs to another photo, as 0001.mask.png does to 0001.jpg."""
    plain = {_sample(name) for name in photos if _is_plain(name)}
    kept = {name: photo for name, photo in photos.items() if _is_plain(name) or _sample(name) not in plain}
    if len(kept) < len(photos):
        name = next(name for name in photos if name not in kept)
        say_once("sample", f"{file}: {name} and the like belong to another photo of their sample and are left out")
    return kept


def _sample(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _is_plain(name: str) -> bool:
    return name.rpartition("/")[2].count(".") == 1


def _opened(tar: Path | Stored) -> AbstractContextManager[IO[bytes]]:
    if isinstance(tar, Stored):
        return open_at(tar.file)
    try:
        return tar.open("rb")
    except OSError as error:
        raise unreadable(tar, error, f"cannot be read ({error.strerror})") from error
