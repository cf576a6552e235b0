"""True boxes to learn from, for methods that say that they do (`Method.learns_from`)."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsol.data.dataset import Chosen, Dataset
from wsol.errors import WsolError


def with_true_boxes(photos: Dataset) -> tuple[Dataset, Float[Tensor, "n m 4"]]:
    """The photos that have true boxes, and these boxes: x0 y0 x1 y1 as shares of the photo.

    All boxes of all classes that a photo shows count; where it has masks and no boxes, those around the masks. A photo
    with fewer boxes than m has some of its own again.

    photos: The data set.

    Raises WsolError where no photo has a box or a mask.
    """
    boxes = {index: shares for index in range(len(photos)) if len(shares := true_boxes(photos, index))}
    if not boxes:
        raise WsolError(f"{photos.name}: no validation photo has a box; add some, or train a method that needs none")
    most = max(map(len, boxes.values()))
    filled = np.stack([np.resize(shares, (most, 4)) for shares in boxes.values()])
    return Chosen(photos, list(boxes)), torch.from_numpy(filled).float()


def true_boxes(photos: Dataset, index: int) -> Float[np.ndarray, "m 4"]:
    """Those of one photo, as `with_true_boxes` gives them; none where it has neither boxes nor masks."""
    sample = photos.samples[index]
    truths = [photos.truth_of(index, label) for label in sample.present or (sample.label,)]
    boxes = np.concatenate([truth.boxes if len(truth.boxes) else around(truth.mask) for truth in truths])
    return boxes / np.tile(photos.size(index), 2)


def around(mask: Bool[np.ndarray, "H W"] | None) -> Float[np.ndarray, "n 4"]:
    """The box around a mask, x0 y0 x1 y1 in pixels; none where there is no mask, or nothing in it."""
    if mask is None or not mask.any():
        return np.zeros((0, 4))
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float64)
