"""Which photos of a data set are measured."""

import warnings
from pathlib import Path
from typing import Any

from wsol.data import Chosen, Dataset, open_data
from wsol.data.contents import digests
from wsol.data.dataset import Split
from wsol.runs.folder import Run


def measured_photos(data: str | Path | Dataset, split: Split, run: Run | None, **opened: Any) -> tuple[Dataset, str]:
    """The photos to measure, and what to call them.

    A split that the data set has is measured as it is. Of a data set without splits all photos are measured, but for
    those that the run was trained on: they are known by what their files hold.

    data: The data set. One that was opened is measured as it is.
    split: Which photos, where it has splits.
    run: What is measured, where it is a run.
    opened: How the data set is opened, as `open_data` takes it.

    Raises WsolError as `open_data` does. Warns where the run was trained on all of the photos.
    """
    photos = open_data(data, split, **opened)
    if not photos.by_rule:
        return photos, split
    if isinstance(data, Dataset):
        return photos, photos.split_by
    given = open_data(data, None, **opened)
    trained_on = run.trained_on() if run else set()
    if run and trained_on is None:  # of an earlier version
        held_back = photos.fingerprint() == run.validation
        return (photos, "every tenth photo, held back from training") if held_back else (given, "all photos given")
    new = [index for index, content in enumerate(digests(given)) if content not in (trained_on or ())]
    if not new:
        warnings.warn(f"{data}: the run was trained on all of these photos: its figures are too good", stacklevel=3)
        return given, "all photos given, all trained on"
    if len(new) == len(given):
        return given, "all photos given"
    return Chosen(given, new), f"those of {len(given)} given that it was not trained on"
