"""The threshold that fits the boxes that a person left, chosen as evaluation chooses it on true boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsol.answer import AnyLocalizer
from wsol.boxes.rule import Threshold
from wsol.errors import WsolError
from wsol.locating.locate import locate
from wsol.locating.result import Result
from wsol.metrics import CLOVA, BoxAccuracy
from wsol.runs.folder import Run
from wsol.serve.queue import Queue

Case = tuple[np.ndarray, np.ndarray, tuple[int, int], bool]


@dataclass(frozen=True)
class Choice:
    """A threshold and what it changes, on the photos that chose it.

    old, new: thresholds of the run.
    cases: how many photos with boxes were measured, one for each class of a photo.
    drawn: how many of them have boxes that a person changed; accepted ones lean to the threshold they were cut at.
    max_box_acc: share of photos whose box has IoU 0.5 at the new, best threshold, in percent.
    gt_known_before, gt_known_after: the same at the old and the new threshold.
    kept: whether the run keeps the new one.
    said: so in words, or why not and how to use it.
    """

    old: Threshold
    new: float
    cases: int
    drawn: int
    max_box_acc: float
    gt_known_before: float
    gt_known_after: float
    kept: bool
    said: str


def choose(queue: Queue, localizer: AnyLocalizer, usual: bool = True) -> Choice:
    """Chooses the threshold by the boxes that a person left, and stores it in the run where it is the run's and better.

    usual: whether the run was opened as `wsol.load` opens it by itself, since it keeps one threshold, of its own
        heatmaps.

    Raises WsolError where no photo has a decided box whose heatmap is stored.
    """
    cases = list(_cases(queue))
    if not cases:
        raise WsolError("no checked photo has a box yet; check some photos, then choose the threshold")
    best = _measured(cases, 0.2)["BestThreshold"]
    before, after = (_measured(cases, threshold) for threshold in (localizer.threshold, best))
    better = after["GTKnownLoc"] > before["GTKnownLoc"]
    why_not = _why_not(queue, localizer, usual) if better else "the old one is no worse on these boxes"
    if why_not is None:
        assert localizer.folder is not None
        Run.read(localizer.folder).keep_threshold(best, localizer.facts["checkpoint"], len(cases), "review")
        said = f"kept in {localizer.folder}: wsol locate cuts there from now on"
    else:
        said = f"not kept, as {why_not}; to use it: wsol locate ... --threshold {best:g}"
    return Choice(
        localizer.threshold,
        best,
        len(cases),
        sum(drawn for *_, drawn in cases),
        after["MaxBoxAcc"],
        before["GTKnownLoc"],
        after["GTKnownLoc"],
        why_not is None,
        said,
    )


def _cases(queue: Queue) -> Iterator[Case]:
    """Heatmap on the evaluator's grid, boxes, (W, H) and whether a person changed them, of each class of a photo."""
    for number, light in enumerate(queue.results):
        answer = queue.answers.get(light.path)
        if answer is None or not answer.boxes:
            continue
        result = queue.result(number)
        for finding in result.findings:
            boxes = [drawn.box for drawn in answer.boxes if drawn.name == finding.name]
            if boxes and not finding.regressed:
                heatmap = CLOVA.heatmap(finding.heatmap)
                yield heatmap, np.array(boxes, np.float64), result.size, answer.kind == "changed"


def _measured(cases: list[Case], threshold: Threshold) -> dict[str, Any]:
    metric = BoxAccuracy(threshold=threshold)
    for heatmap, boxes, size, _ in cases:
        metric.update(metric.score(heatmap, boxes, size), 0)
    return metric.compute()


def _why_not(queue: Queue, localizer: AnyLocalizer, usual: bool) -> str | None:
    """Why the run may not keep a threshold that was chosen on these heatmaps; None where it may."""
    if localizer.folder is None:
        return f"{localizer.name or 'this network'} is no run folder"
    if localizer.threshold_source == "recipe":
        return "the run's recipe fixes the threshold"
    if not usual:
        return "the run was opened with another read-out or settings"
    if not _same_heatmaps(queue, localizer):
        return f"{queue.folder} holds heatmaps of another read-out, checkpoint or run"
    return None


def _same_heatmaps(queue: Queue, localizer: AnyLocalizer) -> bool:
    """Whether the network, asked again, gives the heatmap that is stored of the surest photo."""
    stored: Result = queue.result(queue.order[-1])
    (again,) = locate(localizer, stored.photo)
    same = again.label == stored.label and again.heatmap.shape == stored.heatmap.shape
    span = float(np.ptp(stored.heatmap)) or 1.0
    return same and bool(np.allclose(again.heatmap, stored.heatmap, rtol=0, atol=0.01 * span))
