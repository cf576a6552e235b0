"""The review queue: located photos, the least sure first, and what a person decided of them."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wsol.errors import WsolError
from wsol.export import find_formats, read_heatmaps, write_results
from wsol.export.heatmaps import HeatmapWriter, read_maps
from wsol.locating.result import Finding, Result
from wsol.serve.journal import Answer, Drawn, Journal, parsed_boxes

PERSON = "person"
LIKELY = 0.5  # the score of a class that is shown where a photo may hold several
AHEAD = 4  # photos whose numbers the page hears of before it needs them
UNREAD = np.zeros((1, 1), np.float32)  # stands for heatmaps, which wait on the disk
Said = Literal["boxes", "none", "skipped"]


@dataclass(frozen=True, eq=False)
class Queue:
    """Located photos in the order of doubt, with a person's answers.

    folder: that `wsol locate` wrote.
    classes: names, by index.
    results: in the order in which they were located, without heatmaps.
    several: whether a photo may hold several classes.
    order: numbers of the photos, the least sure first.
    journal: where answers are kept.
    answers: the last one of each photo, by its name.
    """

    folder: Path
    classes: tuple[str, ...]
    results: list[Result]
    several: bool
    order: list[int]
    journal: Journal
    answers: dict[str, Answer]

    @classmethod
    def open(cls, folder: Path, classes: tuple[str, ...], several: bool = False, photos: Path | None = None) -> "Queue":
        """Reads located photos and the answers of earlier reviews.

        classes: of the run.
        photos: the folder that they lie in now, where they have moved.

        Raises WsolError where the folder holds none, a photo is gone, or they were located by a run of other classes.
        """
        if not (folder / HeatmapWriter.name).is_file():
            make = f"wsol locate RUN PHOTOS --output {folder} --format json,heatmap"
            raise WsolError(f"{folder}: holds no located photos with heatmaps; make it: {make}")
        known, stored = read_heatmaps(folder)
        if tuple(known) != classes:
            raise WsolError(f"{folder}: was located by a run that knows other classes; give that run, or locate again")
        results = [_light(result, photos) for result in stored]
        if gone := [result.path for result in results if result.photo is None]:
            raise WsolError(
                f"{folder}: {len(gone)} of {len(results)} photos are not where they were located, such as {gone[0]}; "
                f"give the folder that was located: --photos FOLDER"
            )
        journal = Journal(folder)
        order = sorted(range(len(results)), key=lambda number: doubt(results[number]))
        return cls(folder, classes, results, several, order, journal, _read(journal, results, classes))

    def result(self, number: int) -> Result:
        """What the network said of a photo, with its heatmaps."""
        light = self.results[number]
        maps = read_maps(self.folder, number, len(light.findings))
        findings = zip(light.findings, maps, strict=True)
        return replace(light, findings=tuple(replace(finding, heatmap=heatmap) for finding, heatmap in findings))

    def file(self, number: int) -> Path:
        """Where a photo lies."""
        photo = self.results[number].photo
        assert isinstance(photo, Path), "the queue holds files alone"
        return photo

    def proposed(self, number: int) -> tuple[Drawn, ...]:
        """The network's boxes: of the best class, or where a photo may hold several, of all that are likely."""
        findings = self.results[number].findings
        likely = [finding for finding in findings[1:] if self.several and finding.score >= LIKELY]
        return tuple(
            Drawn(finding.name, tuple(round(value, 2) for value in box))
            for finding in (findings[0], *likely)
            for box in finding.boxes.tolist()
        )

    def answer(self, number: int, photo: str, said: Said, boxes: Any = ()) -> Answer:
        """Keeps what a person says of a photo; the disk has it when this returns.

        number, photo: its place and its name, which must belong together.
        said: that these boxes are right, that there is no object, or to skip it for now.
        boxes: as the page sends them, a `name` and a `box` each.

        Raises WsolError for another photo, boxes that lie outside of it, and classes that the run does not know.
        """
        result = self.results[number]
        if result.path != photo:
            raise WsolError(f"{photo}: is not photo {number} of {self.folder}; load the page again")
        try:
            drawn = parsed_boxes(boxes) if said == "boxes" else ()
        except WsolError as error:
            raise WsolError(f"{photo}: a box is not x0 y0 x1 y1 with x0 < x1 and y0 < y1; draw it again") from error
        _check(drawn, result, self.classes)
        if said == "boxes":
            kind = "none" if not drawn else "accepted" if drawn == self.proposed(number) else "changed"
        else:
            kind = said
        answer = Answer(photo, kind, drawn)
        self.journal.append(answer)
        self.answers.pop(photo, None)
        self.answers[photo] = answer
        return answer

    def after(self, number: int | None = None) -> list[int]:
        """The next photos without an answer: those behind this one, then those before it, then skipped ones."""
        place = -1 if number is None else self.order.index(number)
        around = self.order[place + 1 :] + self.order[: place + 1]
        given = [(other, self.answers.get(self.results[other].path)) for other in around if other != number]
        waiting = [other for other, answer in given if answer is None]
        skipped = [other for other, answer in given if answer is not None and not answer.decided]
        return (waiting or skipped)[:AHEAD]

    def progress(self) -> dict[str, int]:
        """How many photos there are, and how many of them have which answer."""
        kinds = [self.answers[result.path].kind for result in self.results if result.path in self.answers]
        counts = {kind: kinds.count(kind) for kind in ("accepted", "changed", "none", "skipped")}
        return {"photos": len(self.results), "left": len(self.results) - len(kinds), **counts}

    def history(self) -> list[int]:
        """Numbers of the photos with an answer, in the order of the answers."""
        numbers = {result.path: number for number, result in enumerate(self.results)}
        return [numbers[photo] for photo in self.answers if photo in numbers]

    def reviewed(self, only: bool = False) -> Iterator[Result]:
        """The results as a person left them, in the order in which they were located.

        only: leave out photos that nobody decided on; else they stand there as the network gave them.
        """
        answers = _read(self.journal, self.results, self.classes)  # another server may have kept some
        for number, light in enumerate(self.results):
            answer = answers.get(light.path)
            if answer is not None and answer.decided:
                yield self.decided(self.result(number), answer)
            elif not only:
                yield self.result(number)

    def decided(self, result: Result, answer: Answer) -> Result:
        """A result with a person's answer in place of the network's, scores and confidence 1."""
        by_name = {finding.name: finding for finding in result.findings}
        names = dict.fromkeys(drawn.name for drawn in answer.boxes) or {result.name: None}
        findings = []
        for name in names:
            known = by_name.get(name, result.findings[0])
            boxes = np.array([drawn.box for drawn in answer.boxes if drawn.name == name], np.float64).reshape(-1, 4)
            label, certain = self.classes.index(name), np.ones(len(boxes))
            findings.append(Finding(label, name, 1.0, boxes, certain, known.heatmap, decided=PERSON))
        return replace(result, findings=tuple(findings), unsure=False)

    def write(self, formats: str, only: bool = False) -> str:
        """Writes the reviewed photos into FOLDER/reviewed, and says so in one line.

        formats: names, separated by commas.
        only: as `reviewed` takes it.
        """
        writers, output = find_formats(formats), self.folder / "reviewed"
        classes = list(self.classes)
        count = write_results(self.reviewed(only), output, classes, writers.values(), overwrite=True)
        progress = self.progress()
        decided = progress["accepted"] + progress["changed"] + progress["none"]
        return f"{output}: {count} photos written as {', '.join(writers)}, {decided} of them decided by a person"


def _read(journal: Journal, results: list[Result], classes: tuple[str, ...]) -> dict[str, Answer]:
    """The journal's answers, without those that do not fit the photos, which are warned of."""
    by_name, answers = {result.path: result for result in results}, journal.read()
    for photo in by_name.keys() & answers.keys():
        try:
            _check(answers[photo].boxes, by_name[photo], classes)
        except WsolError as error:
            warnings.warn(f"{journal.path}: left out an answer: {error}", stacklevel=3)
            del answers[photo]
    return answers


def _check(boxes: tuple[Drawn, ...], result: Result, classes: tuple[str, ...]) -> None:
    """Raises WsolError for boxes of unknown classes, and outside of their photo."""
    width, height = result.size
    for one in boxes:
        x0, y0, x1, y1 = one.box
        if one.name not in classes:
            raise WsolError(f"{result.path}: the run knows no class {one.name!r}; choose another one")
        if min(x0, y0) < 0 or x1 > width or y1 > height:
            raise WsolError(f"{result.path}: a box reaches out of the photo; draw it again")


def doubt(result: Result) -> tuple[bool, float]:
    """By which the least sure photos come first: those that may show no known class, then by score times confidence.

    A box of the whole photo, since nothing rose above the threshold, has confidence 0.
    """
    best = result.findings[0]
    return not result.unsure, best.score * float(best.confidence.min(initial=1.0))


def _light(result: Result, photos: Path | None) -> Result:
    """Without heatmaps, and with its photo where that lies now."""
    photo = result.photo if photos is None else photos / result.path
    photo = photo if isinstance(photo, Path) and photo.is_file() else None
    findings = tuple(replace(finding, heatmap=UNREAD) for finding in result.findings)
    return replace(result, findings=findings, photo=photo)
