"""Answers are on the disk at once, and come back whatever happened to the file's end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import WsolError
from wsol.serve.journal import Answer, Drawn, Journal

BOX = Drawn("é <b>", (1.0, 2.0, 30.25, 40.0))


def test_the_last_answer_of_a_photo_counts_and_is_the_latest(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = Answer("a.jpg", "accepted", (BOX,)), Answer("b.jpg", "none")
    changed = Answer("a.jpg", "changed", (BOX, Drawn("c", (0.0, 0.0, 5.0, 6.0))))
    for answer in (first, second, changed):
        journal.append(answer)
    assert list(Journal(tmp_path).read().values()) == [second, changed]


def test_there_are_no_answers_before_the_first(tmp_path: Path) -> None:
    assert Journal(tmp_path).read() == {}


def test_names_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    answer = Answer("caf\udce9.jpg", "accepted", (BOX,))
    Journal(tmp_path).append(answer)
    assert Journal(tmp_path).read() == {"caf\udce9.jpg": answer}


@given(st.data())
def test_a_line_cut_short_anywhere_costs_that_answer_alone(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    journal = Journal(tmp_path_factory.mktemp("cut"))
    journal.append(Answer("a.jpg", "accepted", (BOX,)))
    whole = journal.path.read_bytes()
    journal.append(Answer("b.jpg", "none"))
    line = journal.path.read_bytes()[len(whole) :]
    kept = data.draw(st.integers(0, len(line) - 2))
    journal.path.write_bytes(whole + line[:kept])
    assert list(journal.read()) == ["a.jpg"]
    journal.append(Answer("c.jpg", "skipped"))  # goes on behind it
    if kept:
        with pytest.warns(UserWarning, match="left out damaged lines: 2$"):
            assert list(journal.read()) == ["a.jpg", "c.jpg"]
    else:
        assert list(journal.read()) == ["a.jpg", "c.jpg"]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "null",
        '{"photo": "b.jpg"}',
        '{"photo": "b.jpg", "answer": "maybe", "boxes": []}',
        "\x00\x00",
        "é".encode("latin1"),
    ],
    ids=range(6),
)
def test_a_damaged_line_is_said_and_left_out(tmp_path: Path, line: str | bytes) -> None:
    journal = Journal(tmp_path)
    journal.path.write_bytes((line.encode() if isinstance(line, str) else line) + b"\n")
    journal.append(Answer("a.jpg", "none"))
    with pytest.warns(UserWarning, match="left out damaged lines: 1$"):
        assert list(journal.read()) == ["a.jpg"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match=r"review\.jsonl: could not be written \(No such file"):
        Journal(tmp_path / "gone").append(Answer("a.jpg", "none"))
