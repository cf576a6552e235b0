"""What every writer does."""

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, ClassVar

from wsol.locating.result import Result


class Writer(ABC):
    """Takes results one by one; its files stand complete once the `with` block ends without an error.

    about: one line for lists and help.
    """

    about: ClassVar[str] = ""

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
