"""Where heatmaps are cut: what was asked for, the protocol's, the recipe's, or the best on validation photos."""

from pathlib import Path
from typing import Any

from wsol.answer import AnyLocalizer
from wsol.boxes.rule import Threshold, check_threshold
from wsol.data import Cases, Dataset, open_data
from wsol.data.dataset import NoSplit
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


def settled(given: Threshold | None, protocol: Protocol, localizer: AnyLocalizer) -> tuple[Threshold, str] | None:
    """The threshold that needs no photo, and who chose it; None where validation photos may choose."""
    if given is not None:
        check_threshold(given)
        return given, "given"
    if protocol.threshold is not None:
        return protocol.threshold, "protocol"
    return (localizer.threshold, "recipe") if localizer.threshold_source == "recipe" else None


def validation_photos(data: str | Path | Dataset, **opened: Any) -> Dataset | None:
    """The photos of a data set by which a threshold can be chosen, if it has such.

    data: The data set.
    opened: How it is opened, as `open_data` takes it.
    """
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
