"""Pillow's remarks on odd metadata and on sizes that it still accepts, which nobody needs to see."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

OF_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # as `warnings.filters` holds it
_lock = Lock()
_inside = 0


@contextmanager
def without_remarks() -> Iterator[None]:
    """Meanwhile Pillow says nothing. Any number of threads may be in here, and what others warn of is said.

    `warnings.catch_warnings` would put back the filters that it found, among them those of other threads.
    """
    global _inside
    with _lock:
        _inside += 1
        if OF_PILLOW not in warnings.filters:
            warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                with suppress(ValueError):  # somebody has put back filters meanwhile
                    warnings.filters.remove(OF_PILLOW)  # type: ignore[attr-defined]
