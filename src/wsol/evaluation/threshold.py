"""Where heatmaps are cut: what was asked for, the protocol's, the recipe's, or the best on validation photos."""

from pathlib import Path
from typing import Any

from wsol.answer import AnyLocalizer
from wsol.boxes.rule import Threshold, check_threshold
from wsol.data import Cases, Dataset, open_data
from wsol.data.dataset import NoSplit
from wsol.data.pseudo_boxes import PseudoTruth
from wsol.errors import WsolError
from wsol.evaluation.collection import looked_at
from wsol.metrics import CLOVA, BoxAccuracy, Protocol


def choose_threshold(
    localizer: AnyLocalizer, photos: Dataset, batch_size: int = 32, workers: int = 2, skip: bool = False
) -> float:
    """The threshold of the best MaxBoxAcc.

    localizer: the network.
    photos: with true boxes, those for validation.
    batch_size: photos a pass.
    workers: processes that read photos.
    skip: photos that cannot be read are left out with a warning.

    Raises WsolError where no photo has a box.
    """
    metric, cases = BoxAccuracy(), Cases(photos)
    for seen in looked_at(localizer, cases, CLOVA, batch_size, workers, said="choosing the threshold", skip=skip):
        boxes = cases.truth(seen.index).boxes
        if len(boxes):
            metric.update(metric.score(seen.heatmap, boxes, seen.size), seen.rank)
    best = metric.compute()["BestThreshold"]
    if best is None:
        raise WsolError(f"{photos.name}: no photo has a box to choose a threshold by; give --threshold")
    return best


def settled(
    given: Threshold | None, protocol: Protocol, localizer: AnyLocalizer, pseudo_truth: str | Path | None = None
) -> tuple[Threshold, str] | None:
    """The threshold that needs no photo, and who chose it; None where validation photos may choose.

    Raises WsolError where pseudo boxes are to choose it and something else does too.
    """
    if protocol.pseudo and pseudo_truth is None:
        raise WsolError(
            f"protocol {protocol.name} chooses the threshold by pseudo boxes of validation photos; give --pseudo-truth"
        )
    if pseudo_truth is not None:
        if given is not None or protocol.threshold is not None:
            by = f"protocol {protocol.name}" if given is None else "--threshold"
            raise WsolError(f"{by} gives the threshold already; leave --pseudo-truth out")
        return None
    if given is not None:
        check_threshold(given)
        return given, "given"
    if protocol.threshold is not None:
        return protocol.threshold, "protocol"
    return (localizer.threshold, "recipe") if localizer.threshold_source == "recipe" else None


def validation_photos(
    data: str | Path | Dataset, pseudo_truth: str | Path | None = None, **opened: Any
) -> Dataset | None:
    """The photos of a data set by which a threshold can be chosen, if it has such.

    data: The data set.
    pseudo_truth: Boxes that stand for the true ones.
    opened: How it is opened, as `open_data` takes it.

    Raises WsolError for pseudo boxes of photos that are not there.
    """
    if pseudo_truth is not None:
        if isinstance(data, Dataset):
            raise WsolError(f"{data.name}: give the path of the data set, so that its validation photos can be opened")
        return PseudoTruth(open_data(data, "val", **opened), pseudo_truth)
    if isinstance(data, Dataset):
        return None
    try:
        photos = open_data(data, "val", **opened)
    except NoSplit:
        return None
    if not photos.has_boxes:
        return None
    cases = Cases(photos)
    return photos if any(_may_have_box(cases, index) for index in range(len(cases))) else None


def _may_have_box(photos: Dataset, index: int) -> bool:
    """Whether a photo has a box; of one that cannot be read the pass over the photos says so."""
    try:
        return len(photos.truth(index).boxes) > 0
    except WsolError:
        return True
