"""Values as annotations want them: kinds, ranges, records, and the numbers of lists."""

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import WsolError
from wsol.system.values import Corners, Count, Cut, Range, Share, cast, real, record, whole


@dataclass(frozen=True)
class Found:
    name: str
    score: Share
    boxes: tuple[Corners, ...] = ()


@dataclass(frozen=True)
class Photo:
    path: str
    width: Annotated[int, Range(1)]
    found: tuple[Found, ...]
    kind: Literal["a", "b"] = "a"
    about: dict[str, Count] | None = None

    def __post_init__(self) -> None:
        if self.path == "no":
            raise ValueError("path must not be no")


GOOD = {"path": "a.jpg", "width": 3, "found": [{"name": "cat", "score": 1, "boxes": [[0, 1, 2.5, 3]]}]}


def test_a_record_is_made_of_its_entries_and_of_no_others() -> None:
    photo = record(GOOD | {"later": 1}, Photo)
    assert photo == Photo("a.jpg", 3, (Found("cat", 1.0, ((0.0, 1.0, 2.5, 3.0),)),))
    assert type(photo.found[0].score) is float


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"path": None}, "f: path cannot be None; it must be str"),
        ({"width": 0}, "f: width cannot be 0; it must be at least 1"),
        ({"width": True}, "f: width cannot be True; it must be int"),
        ({"width": 2.0}, "f: width cannot be 2.0; it must be int"),
        ({"kind": "c"}, "f: kind cannot be 'c'; it must be 'a' or 'b'"),
        ({"kind": []}, "f: kind cannot be []; it must be 'a' or 'b'"),
        ({"found": {}}, "f: found cannot be {}; it must be list"),
        ({"found": [1]}, "f: found[0].1 is no object"),
        ({"found": [{"score": 1}]}, "f: found[0].name is missing"),
        ({"found": [{"name": "x", "score": math.nan}]}, "f: found[0].score cannot be nan; it must be float"),
        ({"found": [{"name": "x", "score": 2}]}, "f: found[0].score cannot be 2; it must be from 0 to 1"),
        ({"found": [GOOD["found"][0] | {"boxes": [[1, 2]]}]}, "boxes[0] cannot be [1, 2]; it must be list of 4"),
        ({"about": {"x": -1}}, "f: about.x cannot be -1; it must be from 0"),
        ({"about": 3}, "f: about cannot be 3; it must be dict or NoneType"),
        ({"path": "no"}, "f: path must not be no"),
        ({"width": 10**5000}, "f: width cannot be what is too long to show"),
    ],
)
def test_a_wrong_entry_is_named(changed: dict[str, Any], said: str) -> None:
    limit = Photo if "width" not in changed or changed["width"] != 10**5000 else Narrow
    with pytest.raises(WsolError) as error:
        record(GOOD | changed, limit, "f: ")
    assert said in str(error.value)


@dataclass(frozen=True)
class Narrow:
    width: Count


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_a_record_or_an_error_of_one_line(value: Any) -> None:
    for name in GOOD:
        try:
            photo = record(GOOD | {name: json.loads(json.dumps(value))}, Photo)
        except WsolError as error:
            assert len(str(error)) <= 500 and str(error).isprintable()
        else:
            assert type(photo.path) is str and photo.width >= 1 and all(0 <= one.score <= 1 for one in photo.found)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [("1e-3", float, 0.001), (1, float, 1.0), ("auto", Cut, "auto"), (0, Cut, 0.0), ([1], tuple[Count, ...], (1,))],
)
def test_what_fits(value: Any, kind: Any, expected: Any) -> None:
    assert cast(value, kind, "x") == expected and type(cast(value, kind, "x")) is type(expected)


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "1e999", "1_000", "0x10", "٣", "1,5", "9" * 400, "--1", "1e", ".", "1 2"]
)
def test_what_is_no_number_of_a_list(text: str) -> None:
    for read in (whole, real):
        with pytest.raises(ValueError, match=r"is no|too large"):
            read(text)


@given(st.integers(-(10**18) + 1, 10**18 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_of_a_list(number: int, other: float) -> None:
    assert whole(f" {number}\t") == number and real(str(number)) == float(number) and real(repr(other)) == other
