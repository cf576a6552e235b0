"""What a person answered, one line of JSON each, on the disk before the page hears of it."""

import json
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from wsol.errors import WsolError
from wsol.system.files import unwritable
from wsol.system.values import Corners, cast, record

Kind = Literal["accepted", "changed", "none", "skipped"]
NAME = "review.jsonl"


@dataclass(frozen=True)
class Drawn:
    """A box that a person accepted or drew.

    name: of its class.
    box: x0 y0 x1 y1 in pixels of the photo.
    """

    name: str
    box: Corners


@dataclass(frozen=True)
class Answer:
    """What a person said of a photo.

    photo: its name.
    kind: the network's boxes accepted, boxes or classes changed, no object, or skipped for now.
    boxes: those that are right; none where there is no object, or nothing was decided.
    """

    photo: str
    kind: Kind
    boxes: tuple[Drawn, ...] = ()

    @property
    def decided(self) -> bool:
        return self.kind != "skipped"


@dataclass(frozen=True)
class StoredAnswer:
    """A line of the journal."""

    photo: str
    answer: Kind
    boxes: tuple[dict, ...]


class Journal:
    """A file of answers that only grows: of a photo's answers the last one counts.

    folder: that it lies in, as review.jsonl.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def append(self, answer: Answer) -> None:
        """Keeps an answer: it is on the disk when this returns. Raises WsolError where the disk refuses."""
        boxes = [{"name": drawn.name, "box": list(drawn.box)} for drawn in answer.boxes]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"photo": answer.photo, "answer": answer.kind, "boxes": boxes, "at": now}
        line = json.dumps(entry).encode() + b"\n"  # in ASCII: names of files may be no UTF-8
        try:
            with open(self.path, "ab+", buffering=0) as file:
                if size := file.seek(0, os.SEEK_END):
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # the line before was cut short
                        line = b"\n" + line
                file.write(line)
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def read(self) -> dict[str, Answer]:
        """The last answer of each photo, in the order in which they were given.

        Lines that cannot be read are left out, the last one silently: its answer was being written when the machine
        stopped. Raises WsolError where the file cannot be opened.
        """
        answers: dict[str, Answer] = {}
        damaged = []
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise WsolError(f"{self.path}: cannot be read ({error.strerror}); allow reading it") from error
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    stored = record(json.loads(line), StoredAnswer)
                    answers.pop(stored.photo, None)  # the order is that of the last answers
                    answers[stored.photo] = Answer(stored.photo, stored.answer, parsed_boxes(stored.boxes))
            except (ValueError, RecursionError, WsolError):
                damaged += [str(number)] * (number < len(lines))
        if damaged:
            warnings.warn(f"{self.path}: left out damaged lines: {', '.join(damaged)}", stacklevel=2)
        return answers


def parsed_boxes(entries: Any) -> tuple[Drawn, ...]:
    """Boxes as the page sends and the journal keeps them, a name and a box each. Raises WsolError for what are none."""
    drawn = []
    for one in cast(entries, tuple[Drawn, ...], "boxes"):
        x0, y0, x1, y1 = (round(value, 2) for value in one.box)
        if not (x0 < x1 and y0 < y1):
            raise WsolError(f"the box {one.box} is not x0 y0 x1 y1")
        drawn.append(Drawn(one.name, (x0, y0, x1, y1)))
    return tuple(drawn)
