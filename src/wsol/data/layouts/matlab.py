"""Whole numbers from MATLAB files of version 5 to 7, https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.

A file is a header of 128 bytes, then elements: a type, a size and that many bytes. A matrix is an element that holds
others: flags, dimensions, name and values. Every size is checked, so a damaged file raises an error.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from wsol.errors import WsolError
from wsol.system.files import unreadable

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
NUMERIC = range(6, 16)  # classes of matrices: double to uint64
LARGEST = 1 << 26  # bytes of a decompressed element
ORDERS = {b"IM": "<", b"MI": ">"}  # of the bytes of a number


def read_matrix(path: Path, name: str) -> Int[np.ndarray, " n"]:
    """The whole numbers of a named matrix, column by column.

    path: The file.
    name: The name of the matrix.

    Raises WsolError, naming the file, when it is damaged or has no such matrix.
    """
    try:
        data = path.read_bytes()
        if (order := ORDERS.get(data[126:128])) is None:
            raise ValueError("it is not of version 5 to 7")
        for kind, content in _elements(data[128:], order):
            if kind == COMPRESSED:
                kind, content = next(_elements(zlib.decompressobj().decompress(content, LARGEST), order))
            if kind == MATRIX and (values := _values(content, name, order)) is not None:
                return values
    except (OSError, ValueError, StopIteration, struct.error, zlib.error) as error:
        said = str(error) or "it ends too early"
        raise unreadable(path, error, f"cannot be read as a MATLAB file ({said}); fetch it again") from error
    raise WsolError(f"{path}: holds no matrix {name}; fetch it again")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of the elements one after another; ValueError or struct.error for one that is cut short."""
    start = 0
    while start < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, start)
        start += 8
        if kind >> 16:  # a small element: type and size share four bytes, and four bytes of content follow
            kind, size, start = kind & 0xFFFF, kind >> 16, start - 4
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes is cut short")
        yield kind, data[start : start + size]
        start += size
        start += 0 if kind == COMPRESSED else -start % 8


def _values(matrix: bytes, name: str, order: str) -> Int[np.ndarray, " n"] | None:
    """The values of a matrix if it has that name; ValueError where they are no whole numbers."""
    (_, flags), (_, shape), (_, title), *contents = _elements(matrix, order)
    if title != name.encode():
        return None
    (kind, content), *_ = contents
    if struct.unpack_from(f"{order}I", flags)[0] & 0xFF not in NUMERIC or kind not in NUMBERS:
        raise ValueError(f"{name} is no matrix of numbers")
    values = np.frombuffer(content, order + NUMBERS[kind])
    if math.prod(np.frombuffer(shape, order + "i4").tolist()) != len(values):
        raise ValueError(f"{name} has another number of values than its dimensions say")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    if (whole != values).any():
        raise ValueError(f"{name} holds values that are no whole numbers")
    return whole
