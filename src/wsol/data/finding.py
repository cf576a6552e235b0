"""Finding photos: in folders and behind addresses, by patterns, in lists and within tar files."""

import os
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from itertools import chain, takewhile
from pathlib import Path

from wsol.data.images import suffixes
from wsol.data.lists import LISTS, listed_in, names_within
from wsol.data.remote import files_at, is_address
from wsol.data.shards import is_tar, photos_in_tar, spelled_out
from wsol.data.stored import Stored
from wsol.errors import WsolError

SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def find_images(where: str | Path | Iterable[str | Path]) -> list[tuple[Path | Stored, str]]:
    """Photos as (path, name), each once.

    A photo's name is its path within the folder that was given, or within the part of a pattern before the first
    wildcard, with "/" between folders. The name of a file that was given is its file name. Where two photos would
    share a name, all names are paths within the folder that holds them all. Hidden files are left out.

    where: Files, folders (searched through in sorted order), glob patterns, lists (.txt, .parquet) and tar files, on
        this machine or behind addresses such as s3://bucket/photos; {000..127} in a name means all these numbers.

    Raises WsolError for a path that is missing or gives no photo, and for a name that leads out of its folder.
    """
    given = [where] if isinstance(where, str | Path) else list(where)
    photos: dict[str, tuple[Path | Stored, str]] = {}
    for place in chain.from_iterable(map(spelled_out, given)):
        there = _photos_at(place)
        if not there:
            known = ".jpg, .png, .webp, .tif, .heic and whatever Pillow reads"
            raise WsolError(f"{place}: no image found; looked for {known}. Name tar files themselves, as in *.tar")
        for photo, name in there:
            photos.setdefault(os.path.abspath(photo) if isinstance(photo, Path) else str(photo), (photo, name))
    if not photos:
        raise WsolError("no image given; name files, folders or patterns")
    found, names = [photo for photo, _ in photos.values()], [name for _, name in photos.values()]
    if len(set(names)) < len(names):
        names = names_within(found)
    for photo, name in zip(found, names, strict=True):
        if ".." in name.split("/"):  # results are written under these names
            raise WsolError(f"{photo}: the name {name} leads out of its folder; rename it")
    return list(zip(found, names, strict=True))


def _photos_at(place: str | Path) -> list[tuple[Path | Stored, str]]:
    """What `find_images` finds in one place; empty where it holds no photo."""
    away = is_address(place)
    if Path(place).suffix.lower() in LISTS and (away or Path(place).is_file()):
        return listed_in(Stored(str(place)) if away else Path(place))
    wanted = is_tar if is_tar(place) else _is_photo
    files: list[tuple[Path | Stored, str]] = []
    if away:
        files += [(Stored(address), name) for address, name in files_at(str(place), wanted)]
    else:
        files += photos_in(place, wanted)
    if is_tar(place):
        return [photo for file, _ in files for photo in photos_in_tar(file, _is_photo)]
    return files


def photos_in(place: str | Path, wanted: Callable[[str], bool] | None = None) -> list[tuple[Path, str]]:
    """What `find_images` finds in one place of this machine; empty where it holds no photo.

    place: A file, a folder or a glob pattern.
    wanted: Whether a file of this name counts, in a folder or of a pattern; by default a photo that is not hidden.

    Raises WsolError for a path that is missing.
    """
    root = Path(place)
    if root.is_file():
        return [(root, root.name)]
    if root.is_dir():
        paths = sorted(files_in(root))
    elif has_magic(str(place)):
        root = Path(*takewhile(lambda part: not has_magic(part), root.parts))
        paths = sorted(Path(path) for path in glob(str(place), recursive=True))
    else:
        raise WsolError(f"{place}: there is no such file or folder")
    named = [(path, path.relative_to(root).as_posix()) for path in paths]
    return [(path, name) for path, name in named if (wanted or _is_photo)(name) and path.is_file()]


def files_in(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files below a folder, also behind links to folders, but for a link to a folder that holds it.

    folder: Where to look.
    above: The true paths of the folders that hold it.

    Raises WsolError for a folder that may not be read.
    """
    above = above | {os.path.realpath(folder)}
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise WsolError(f"{folder}: this folder cannot be read ({error.strerror}); change its permissions") from error
    for entry in entries:
        if not (os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()):
            yield Path(entry.path)
        elif not entry.is_symlink() or os.path.realpath(entry.path) not in above:
            yield from files_in(Path(entry.path), above)


def _is_photo(name: str) -> bool:
    return Path(name).suffix.lower() in suffixes() and not is_hidden(Path(name))


def is_hidden(name: Path) -> bool:
    """Whether a path within a folder leads to what systems keep for themselves, such as the thumbnails of a NAS."""
    return any(part.startswith(".") or part in SYSTEM_FOLDERS for part in name.parts)
