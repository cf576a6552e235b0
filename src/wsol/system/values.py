"""Values from YAML, JSON, callers and the command line, as annotations want them."""

import math
import os
from contextlib import suppress
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from wsol.errors import WsolError


def cast(value: Any, kind: Any, where: str) -> Any:
    """A value from YAML or a caller as its annotation wants it; raises WsolError when it cannot be."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for choice in choices:
        if choice is type(None) and value is None:
            return None
        if get_origin(choice) is Literal and value in get_args(choice):
            return value
        if get_origin(choice) is tuple and isinstance(value, list | tuple):
            return tuple(cast(each, get_args(choice)[0], where) for each in value)
        if choice is float and isinstance(value, int | float | str) and not isinstance(value, bool):
            with suppress(ValueError, OverflowError):  # YAML takes 1e-3 for text
                if math.isfinite(number := float(value)):
                    return number
        if choice in (int, str, bool, dict) and type(value) is choice:
            return value
        if choice is str and isinstance(value, os.PathLike):
            return os.fspath(value)
    wanted: list[str] = []
    for choice in choices:
        literal = get_origin(choice) is Literal
        name = "list" if get_origin(choice) is tuple else str(getattr(choice, "__name__", choice))
        wanted += map(repr, get_args(choice)) if literal else [name]
    raise WsolError(f"{where} cannot be {value!r}; it must be {' or '.join(wanted)}")
