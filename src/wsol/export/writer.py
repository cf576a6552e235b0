"""What every writer does."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, ClassVar

from wsol.errors import WsolError
from wsol.locating.result import Result

MARK = ".wsol"  # stands in folders that `wsol locate` made, so that it may remove them


class Writer(ABC):
    """Takes results one by one; its files stand complete once the `with` block ends without an error.

    about: one line for lists and help.
    owns: the name of its folder within the output folder, where it writes a file a photo; see `cleared`.
    """

    about: ClassVar[str] = ""
    owns: ClassVar[str] = ""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        self.folder, self.classes = folder, classes
        self.taken: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Writer":
        return self

    @abstractmethod
    def add(self, result: Result) -> None:
        """Writes one result."""

    def close(self) -> None:
        """Completes the files."""

    def stem(self, name: str) -> str:
        """A photo's name without its suffix, or with it where an earlier photo has the same without."""
        bare = str(PurePosixPath(name).with_suffix(""))
        stem = name if bare in self.taken else bare
        self.taken.add(stem)
        return stem

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def cleared(folders: Iterable[Path], overwrite: bool) -> None:
    """Makes folders that hold nothing yet, so that no file of earlier results is taken for one of these.

    folders: each belongs to one format, and is marked as ours.
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
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()


class OneFile(Writer):
    """A format of one file, written under a temporary name and renamed when it is whole."""

    name: str

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.file: IO[str] = open(folder / f"{self.name}.part", "w", encoding="utf-8", newline="")

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


def discard(file: IO[str]) -> None:
    """Closes and removes a file, also when its last lines find no room."""
    with suppress(OSError):
        file.close()
    Path(file.name).unlink(missing_ok=True)
