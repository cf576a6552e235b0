"""What locating many photos gives: a Result a photo, made when it is asked for."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from jaxtyping import Float

from wsol.answer import AnyLocalizer
from wsol.boxes.rule import Threshold
from wsol.data.inputs import Held, Input, open_reduced, view_of
from wsol.errors import WsolError
from wsol.locating.result import Keep, Result, find, frame

if TYPE_CHECKING:
    import pandas

BadImage = Literal["raise", "skip"]
View = Float[np.ndarray, "3 S S"]


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Results in the order of the photos. The network runs when they are asked for, a batch at a time; none is kept.

    `for result in results` runs it anew each time, `results[3]` on that photo alone, and `results[:100]` are again
    results: `list(results)` keeps them. `len(results)` is how many photos were given, known without opening one; fewer
    results come where bad photos are skipped. Those of a generator can be gone through once, without length or index.

    photos: all of them, or a generator's.
    threshold, classes, keep, batch_size, on_bad_image: as `wsol.locate` takes them.
    """

    localizer: AnyLocalizer
    photos: list[Input] | Iterator[Input]
    threshold: Threshold
    classes: int
    keep: Keep
    batch_size: int
    on_bad_image: BadImage

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
        (result,) = replace(self, photos=[self._listed[place]], on_bad_image="raise")
        return result

    def __iter__(self) -> Iterator[Result]:
        localizer, opened = self.localizer, _opened(self.photos, self.localizer.image_size, self.on_bad_image)
        while batch := list(islice(opened, self.batch_size)):
            answer = localizer.look(np.stack([view for *_, view in batch]), best=self.classes)
            boxes = [None] * len(batch) if answer.boxes is None else answer.boxes.astype(np.float64)[:, None]
            scores = np.take_along_axis(answer.scores, answer.classes, 1).tolist()
            unsure = answer.unsure.tolist()
            rows = zip(batch, scores, answer.classes.tolist(), answer.heatmaps, boxes, unsure, strict=True)
            for (name, held, size, _), row_scores, labels, heatmaps, box, unknown in rows:
                how = (size, self.threshold, self.keep, box, localizer.background)
                findings = tuple(
                    find(label, localizer.classes[label], score, heatmap, *how)
                    for score, label, heatmap in zip(row_scores, labels, heatmaps, strict=True)
                )
                unknown &= not findings[0].background
                yield Result(name, size, self.threshold, findings, self.keep, held, unknown)

    def to_df(self) -> "pandas.DataFrame":
        """`Result.rows` of all, as a data frame. Raises WsolError where pandas is not installed."""
        return frame(row for result in self for row in result.rows())

    @property
    def _listed(self) -> list[Input]:
        if isinstance(self.photos, list):
            return self.photos
        raise TypeError("results of a generator have no length and no index; go through them, or keep list(results)")


def _opened(
    photos: Iterable[Input], side: int, on_bad_image: BadImage
) -> Iterator[tuple[str, Held, tuple[int, int], View]]:
    """Name, what is kept of it, (W, H) and view of each photo; pixels are let go before the next one is opened."""
    for given in photos:
        try:
            held = given.held()
            image, size = open_reduced(held, side, given.where)
        except WsolError as error:
            if on_bad_image == "raise":
                raise WsolError(f"{error}. Or skip such photos: --on-bad-image skip") from error
            warnings.warn(f"skipped: {error}", stacklevel=2)
            continue
        view = view_of(image, side)
        del image
        yield given.name, held, size, view
