"""What locating many photos gives: a Result a photo, made when it is asked for.

Threads open photos before the network asks for them, and cut boxes while it looks at the next batch. The network itself
runs in the thread that asks for results, so that no two threads ever use it at once.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from jaxtyping import Float

from wsol.answer import Answer, AnyLocalizer
from wsol.boxes.rule import Threshold
from wsol.data.inputs import Held, Input, reduced, view_of
from wsol.data.stored import Stored
from wsol.errors import WsolError
from wsol.locating.result import Keep, Result, find, frame
from wsol.runs.fingerprint import fingerprint
from wsol.system.ahead import ahead

if TYPE_CHECKING:
    import pandas

BadImage = Literal["raise", "skip"]
AHEAD = 2  # batches of photos that are opened before the network asks for them


@dataclass(frozen=True)
class Unread:
    """A photo that cannot be read.

    path: its name.
    photo: where it lies, for one that was no bytes or pixels.
    error: why, in one line, with the file's name.
    """

    path: str
    photo: Path | Stored | None
    error: str


@dataclass(frozen=True, eq=False)
class Opened:
    """A photo as the network looks at it: its name, what is kept of it, its (W, H), and the view."""

    name: str
    held: Held
    size: tuple[int, int]
    view: Float[np.ndarray, "3 S S"]


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Results in the order of the photos. The network runs when they are asked for, a batch at a time; none is kept.

    `for result in results` runs it anew each time, `results[3]` on that photo alone, and `results[:100]` are again
    results: `list(results)` keeps them. `len(results)` is how many photos were given, known without opening one; fewer
    results come where bad photos are skipped. Those of a generator can be gone through once, without length or index.

    photos: all of them, or a generator's.
    threshold, classes, keep, batch_size, on_bad_image, max_errors, workers: as `wsol.locate` takes them.
    """

    localizer: AnyLocalizer
    photos: list[Input] | Iterator[Input]
    threshold: Threshold
    classes: int
    keep: Keep
    batch_size: int
    on_bad_image: BadImage = "raise"
    max_errors: int | None = None
    workers: int = 0

    def __repr__(self) -> str:
        if not isinstance(self.photos, list):
            return "Results(of a generator)"
        if len(self.photos) == 1:
            return f"Results(1 photo: {self.photos[0].name})"
        ends = " ... ".join(photo.name for photo in self.photos[:: len(self.photos) - 1 or 1])
        return f"Results({len(self.photos)} photos: {ends})"

    def __bool__(self) -> bool:
        return not isinstance(self.photos, list) or bool(self.photos)

    def __len__(self) -> int:
        return len(self._listed)

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> "Results": ...
    def __getitem__(self, place: int | slice) -> "Result | Results":
        if isinstance(place, slice):
            return replace(self, photos=self._listed[place])
        (result,) = replace(self, photos=[self._listed[place]], on_bad_image="raise", max_errors=None)
        return result

    def __iter__(self) -> Iterator[Result]:
        return (outcome for outcome in self.outcomes() if isinstance(outcome, Result))

    @property
    def fingerprint(self) -> str:
        """A hash of the network and of how it is asked, see `wsol.runs.fingerprint`."""
        return fingerprint(self.localizer, threshold=self.threshold, classes=self.classes, keep=self.keep)

    def outcomes(self) -> Iterator[Result | Unread]:
        """The results, and where bad photos are skipped, `Unread` in the place of each."""
        threads = self.workers if isinstance(self.photos, list) and len(self.photos) > 1 else 0
        opened = ahead(self._open, map(_held, self.photos), threads, AHEAD * self.batch_size)
        return ahead(self._cut, self._looked_at(self._counted(opened)), threads, self.batch_size)

    def _open(self, given: tuple[Input, Held | WsolError]) -> Opened | Unread:
        """The view of a photo, whose pixels are let go."""
        photo, held = given
        try:
            if isinstance(held, WsolError):
                raise held
            with reduced(held, self.localizer.image_size, photo.where) as (image, size):
                return Opened(photo.name, held, size, view_of(image, self.localizer.image_size))
        except WsolError as error:
            return Unread(photo.name, held if isinstance(held, Path | Stored) else None, str(error))

    def _counted(self, opened: Iterable[Opened | Unread]) -> Iterator[Opened | Unread]:
        """The same. Raises WsolError where there are more bad photos than there may be."""
        most = self.max_errors if self.max_errors is not None or self.on_bad_image == "skip" else 0
        errors = 0
        for outcome in opened:
            if isinstance(outcome, Unread):
                errors += 1
                if most == 0:
                    raise WsolError(f"{outcome.error}. Or skip such photos: --on-bad-image skip")
                if most is not None and errors > most:
                    raise WsolError(f"{outcome.error}. It is bad photo {errors}, and --max-errors is {most}")
                warnings.warn(f"skipped: {outcome.error}", stacklevel=2)
            yield outcome

    def _looked_at(self, opened: Iterator[Opened | Unread]) -> Iterator[tuple[Opened, Answer] | Unread]:
        """What the network says of each photo, an answer of its own."""
        while batch := list(islice(opened, self.batch_size)):
            views = [outcome.view for outcome in batch if isinstance(outcome, Opened)]
            answers = _each(self.localizer.look(np.stack(views), best=self.classes)) if views else iter(())
            for outcome in batch:
                yield outcome if isinstance(outcome, Unread) else (outcome, next(answers))

    def _cut(self, seen: tuple[Opened, Answer] | Unread) -> Result | Unread:
        if isinstance(seen, Unread):
            return seen
        photo, answer = seen
        labels = answer.classes[0]
        box = None if answer.boxes is None else answer.boxes.astype(np.float64)
        how = (photo.size, self.threshold, self.keep, box, self.localizer.background)
        findings = tuple(
            find(label, self.localizer.classes[label], score, heatmap, *how)
            for label, score, heatmap in zip(
                labels.tolist(), answer.scores[0, labels].tolist(), answer.heatmaps[0], strict=True
            )
        )
        unsure = bool(answer.unsure[0]) and not findings[0].background
        return Result(photo.name, photo.size, self.threshold, findings, self.keep, photo.held, unsure)

    def to_df(self) -> "pandas.DataFrame":
        """`Result.rows` of all, as a data frame. Raises WsolError where pandas is not installed."""
        return frame(row for result in self for row in result.rows())

    @property
    def _listed(self) -> list[Input]:
        if isinstance(self.photos, list):
            return self.photos
        raise TypeError("results of a generator have no length and no index; go through them, or keep list(results)")


def _held(photo: Input) -> tuple[Input, Held | WsolError]:
    """A photo with what is kept of it, taken before the next one is, which may be written into the same memory."""
    try:
        return photo, photo.held()
    except WsolError as error:
        return photo, error


def _each(answer: Answer) -> Iterator[Answer]:
    """What is said of each image of a batch, as batches of one."""
    for place in range(len(answer.scores)):
        image = slice(place, place + 1)
        yield answer.of(itemgetter(image))
