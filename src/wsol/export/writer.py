"""What every writer does."""

import json
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, ClassVar

from wsol.data.images import orientation
from wsol.data.stored import File, Stored
from wsol.errors import WsolError
from wsol.locating.result import Result
from wsol.locating.results import Unread
from wsol.system.ahead import ahead
from wsol.system.files import begin, write_picture
from wsol.system.names import within

MARK = ".wsol"  # stands in folders that `wsol locate` made, so that it may remove them
WAITING = 64  # results that wait to be written


class Writer(ABC):
    """Takes results one by one; its files stand complete once the `with` block ends without an error.

    about: one line for lists and help.
    owns: the name of its folder within the output folder, where it writes a file a photo; see `clear`.
    """

    about: ClassVar[str] = ""
    owns: ClassVar[str] = ""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        self.folder, self.classes = folder, classes
        self.taken: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Writer":
        return self

    @property
    def root(self) -> Path:
        """The folder that it owns, made and marked as ours."""
        root = self.folder / self.owns
        if not root.is_dir():
            root.mkdir(parents=True)
            (root / MARK).touch()
        return root

    @abstractmethod
    def add(self, result: Result) -> None:
        """Writes one result."""

    def add_unread(self, photo: Unread) -> None:  # most formats have no place for it
        """Writes that a photo could not be read."""

    def close(self) -> None:
        """Completes the files."""

    def stem(self, name: str) -> str:
        """A photo's name without its suffix; with it, or numbered, where an earlier photo's file is called so."""
        path = PurePosixPath(name)
        bare = str(path.with_suffix("") if path.name else path)
        return self.free(chain([bare, name], (f"{bare}_{number}" for number in count(2))))

    def free(self, names: Iterable[str]) -> str:
        """The first name that no earlier photo's file has; capitals make no difference, as on many systems' disks."""
        name = next(name for name in names if name.casefold() not in self.taken)
        self.taken.add(name.casefold())
        return name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def write_to(writers: Sequence[Writer], outcomes: Iterable[Result | Unread]) -> int:
    """Gives each writer all of them, in a thread beside the one that makes them, and says how many were located."""

    def write(outcome: Result | Unread) -> bool:
        for writer in writers:
            if isinstance(outcome, Unread):
                writer.add_unread(outcome)
            else:
                writer.add(outcome)
        return isinstance(outcome, Result)

    return sum(ahead(write, outcomes, threads=1, waiting=WAITING))


def clear(folders: Iterable[Path], overwrite: bool) -> None:
    """Removes folders of earlier results, so that none of their files is taken for one of these.

    folders: each belongs to one format, and is marked as ours where it is there.
    overwrite: remove earlier results.

    Raises WsolError, before anything is removed, for a folder with earlier results, or with files of somebody else.
    """
    full = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    for folder in full:
        if not (folder / MARK).is_file():
            raise WsolError(f"{folder}: holds files that wsol did not write there; give another --output")
        if not overwrite:
            raise WsolError(f"{folder}: holds earlier results; give another --output, or replace them: --overwrite")
    for folder in full:
        shutil.rmtree(folder)


class Upright:
    """Copies of photos that EXIF turns, without EXIF, for programs that ignore it: boxes refer to the upright photo."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, result: Result, writer: Writer, folder: str = "") -> int:
        """Copies the photo where it is turned, and says how its pixels are stored, see `wsol.data.images.orientation`.

        writer: owns the copies.
        folder: for the copies, within the writer's own.
        """
        photo = result.photo.read() if isinstance(result.photo, Stored) else result.photo
        turned = orientation(photo) if isinstance(photo, File) else 1
        if turned != 1 and (image := result.image) is not None:
            self.count += 1
            write_picture(within(writer.root / folder, result.path), image, quality=95)
        return turned

    def say(self, where: Path) -> None:
        """Warns, once, where there are such photos."""
        if self.count:
            photos = "1 photo is" if self.count == 1 else f"{self.count} photos are"
            warnings.warn(
                f"{photos} turned by EXIF, and boxes refer to the upright photo: "
                f"for programs that ignore EXIF, upright copies are in {where}",
                stacklevel=2,
            )


class OneFile(Writer):
    """A format of one file, written under a temporary name and renamed when it is whole."""

    name: str
    binary: ClassVar[bool] = False

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.file = begin(folder / self.name, self.binary)

    def close(self) -> None:
        self.file.close()
        Path(self.file.name).replace(self.folder / self.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            discard(self.file)


def add_entry(file: IO[str], entry: dict[str, Any], before: int) -> None:
    """Writes an entry of a JSON list, on a line of its own, behind a comma where there are entries before it."""
    file.write((",\n" if before else "\n") + json.dumps(entry, ensure_ascii=False))


def discard(file: IO[Any]) -> None:
    """Closes and removes a file, also when its last lines find no room."""
    with suppress(OSError):
        file.close()
    Path(file.name).unlink(missing_ok=True)
