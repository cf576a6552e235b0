"""Values from YAML, JSON, lists, callers and the command line, as annotations want them."""

import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from wsol.errors import WsolError

NOT = object()  # what a value is that does not fit
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Range:
    """Between which numbers an annotated one lies, both included: `Annotated[int, Range(0)]`."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        return f"at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:.10g}"


Count = Annotated[int, Range(0, 10**9)]
BatchSize = Annotated[int, Range(1, 10**9)]
Workers = Annotated[int, Range(0, 1024)]
Pixels = Annotated[int, Range(1, 10**6)]
Share = Annotated[float, Range(0, 1)]
Corners = tuple[float, float, float, float]  # x0 y0 x1 y1
Cut = Share | Literal["auto"]  # of a heatmap, see `wsol.boxes.rule.Threshold`


def cast(value: Any, kind: Any, where: str) -> Any:
    """A value as its annotation wants it: of its kind, in its `Range`, and finite; text may stand for a float.

    kind: of numbers, text, `Literal`, tuples, dictionaries or dataclasses, see `record`, and unions of these.
    where: what the error calls it.

    Raises WsolError for a value that cannot be one.
    """
    beyond: list[Range] = []
    for choice, allowed in _choices(kind):
        if (fitting := _fitted(value, choice, where)) is NOT:
            continue
        if allowed is None or allowed.low <= fitting <= allowed.high:
            return fitting
        beyond.append(allowed)
    wanted = map(str, beyond) if beyond else (name for choice, _ in _choices(kind) for name in _names(choice))
    raise WsolError(f"{where} cannot be {_shown(value)}; it must be {' or '.join(wanted)}")


def record(entries: Any, kind: type[Any], where: str = "") -> Any:
    """A dataclass from a dictionary, each entry as its field's annotation wants it; entries that it lacks are left out.

    where: what an error puts before the names of entries, such as "run.json: ".

    Raises WsolError, naming the entry, for one that is missing or wrong. ValueError of the dataclass itself, which
    compares its fields, become such errors too.
    """
    if not isinstance(entries, dict):
        raise WsolError(f"{where}{_shown(entries)} is no object")
    values = {}
    for field in fields(kind):
        if field.name in entries:
            values[field.name] = cast(entries[field.name], field.type, where + field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise WsolError(f"{where}{field.name} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise WsolError(f"{where}{error}") from error


def whole(text: str) -> int:
    """A whole number of a list. Raises ValueError for other text."""
    return int(_matched(WHOLE, text, "whole number"))


def real(text: str) -> float:
    """A finite number of a list. Raises ValueError for other text."""
    if math.isfinite(number := float(_matched(REAL, text, "number"))):
        return number
    raise ValueError(f"{_shown(text)} is too large")


def _matched(form: re.Pattern[str], text: str, name: str) -> str:
    if form.fullmatch(text := text.strip()):
        return text
    raise ValueError(f"{_shown(text)} is no {name}")


@cache
def _choices(kind: Any, allowed: Range | None = None) -> list[tuple[Any, Range | None]]:
    """The kinds of a union, each with its range."""
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        return _choices(kind, next((one for one in more if isinstance(one, Range)), allowed))
    if get_origin(kind) in (Union, UnionType):
        return [choice for each in get_args(kind) for choice in _choices(each, allowed)]
    return [(kind, allowed if kind in (int, float) else None)]


def _fitted(value: Any, kind: Any, where: str) -> Any:
    """The value as a kind that is no union, or NOT."""
    if kind is Any or (kind is NoneType and value is None):
        return value
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):  # YAML takes 1e-3 for text
            if math.isfinite(number := float(value)):
                return number
    elif kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    elif kind in (int, str, bool):
        return value if type(value) is kind else NOT
    elif is_dataclass(kind) and isinstance(kind, type):
        return record(value, kind, f"{where}.")
    elif (inner := CONTAINERS.get(get_origin(kind) or kind)) is not None:
        return inner(value, get_args(kind), where)
    return NOT


def _one_of(value: Any, names: tuple[Any, ...], where: str) -> Any:
    return next((name for name in names if type(name) is type(value) and name == value), NOT)


def _tuple(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, list | tuple) or (kinds[-1] is not ... and len(kinds) != len(value)):
        return NOT
    several = kinds[-1] is ...
    return tuple(cast(one, kinds[0 if several else i], f"{where}[{i}]") for i, one in enumerate(value))


def _dict(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, dict):
        return NOT
    kind = kinds[1] if kinds else Any
    return {str(key): cast(one, kind, f"{where}.{key}") for key, one in value.items()}


CONTAINERS: dict[Any, Callable[[Any, tuple[Any, ...], str], Any]] = {Literal: _one_of, tuple: _tuple, dict: _dict}


def _names(kind: Any) -> list[str]:
    """What an error says of a kind."""
    if get_origin(kind) is Literal:
        return list(map(repr, get_args(kind)))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        return ["list" if kinds[-1] is ... else f"list of {len(kinds)}"]
    return [str(getattr(get_origin(kind) or kind, "__name__", kind))]


def _shown(value: Any) -> str:
    """A value in an error: its beginning, where it is long."""
    try:
        said = repr(value)
    except (ValueError, RecursionError):
        return "what is too long to show"
    return said if len(said) <= 80 else f"{said[:80]}…"
