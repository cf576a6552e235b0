"""Photos that are no files of this machine: their bytes, and where these are."""

import io
from dataclasses import dataclass
from pathlib import Path


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
