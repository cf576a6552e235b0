"""How numba compiles what visits pixels."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """`njit`, kept on disk between programs where there is a folder for that: read-only images have none."""
    if function is None:
        return lambda function: compiled(function, **options)
    try:
        return njit(function, nogil=True, cache=True, **options)
    except RuntimeError:  # numba found none that can be written
        return njit(function, nogil=True, **options)
