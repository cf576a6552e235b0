"""Photos that are no files of their own on this machine: where their bytes are, and the bytes."""

import io
from dataclasses import dataclass
from pathlib import Path

from wsol.data.remote import is_address, read_at
from wsol.errors import WsolError
from wsol.system.files import unreadable


@dataclass(frozen=True)
class Content:
    """The bytes of an encoded photo, opened as its file would be.

    data: all of them.
    name: what errors call it.
    """

    data: bytes
    name: str

    def __str__(self) -> str:
        return self.name

    def open(self, mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(self.data)

    def read_bytes(self) -> bytes:
        return self.data


File = Path | Content


@dataclass(frozen=True)
class Stored:
    """Where a photo is that lies behind an address, or within a tar file; as text s3://bucket/a.jpg, shard.tar/a.jpg.

    file: the address of the photo, or the address or path of the tar file.
    member: the photo's name in the tar file.
    start: where it begins there, bytes.
    size: of the photo, bytes; None for a file of its own.
    """

    file: str
    member: str = ""
    start: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.file}/{self.member}" if self.member else self.file

    def read(self) -> Content:
        """All its bytes, read anew at each call. Raises WsolError where they cannot be."""
        if self.size is None:
            return Content(read_at(self.file), str(self))
        if is_address(self.file):
            data = read_at(self.file, self.start, self.start + self.size)
        else:
            try:
                with open(self.file, "rb") as file:
                    file.seek(self.start)
                    data = file.read(self.size)
            except OSError as error:
                raise unreadable(self.file, error, f"cannot be read ({error.strerror})") from error
        if len(data) != self.size:
            raise WsolError(f"{self.file}: changed since it was listed; locate it again")
        return Content(data, str(self))
