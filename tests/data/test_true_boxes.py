"""True boxes to learn from: whose they are, what stands in for them, and in which units they come."""

from pathlib import Path

import numpy as np
import pytest
import torch

from wsol.data import Dataset, Sample
from wsol.data.dataset import Truth
from wsol.data.true_boxes import with_true_boxes
from wsol.errors import WsolError

MASK = np.zeros((40, 60), bool)
MASK[10:20, 30:45] = True
BOXES = np.array([[0, 0, 30, 40], [30, 20, 60, 40.0]])
TRUTHS = {
    (0, 0): Truth(BOXES[:1], MASK),  # a box comes before a mask
    (1, 0): Truth(),
    (2, 1): Truth(mask=MASK),
    (3, 0): Truth(BOXES),
    (4, 1): Truth(mask=np.zeros_like(MASK)),
    (5, 0): Truth(BOXES[:1]),
    (5, 1): Truth(BOXES[1:]),
    (5, 2): Truth(),
}


class Told(Dataset):
    """Photos of 60 x 40 pixels that are nowhere, with the truths above."""

    name = "told"

    def __init__(self) -> None:
        self.classes = ["a", "b", "c"]
        labels = [0, 0, 1, 0, 1, 0]
        self.samples = [Sample(str(index), label, Path(str(index))) for index, label in enumerate(labels)]
        self.samples[5] = Sample("5", 0, Path("5"), (0, 1, 2))

    def size(self, index: int) -> tuple[int, int]:
        return 60, 40

    def truth(self, index: int) -> Truth:
        return self.truth_of(index, self.samples[index].label)

    def truth_of(self, index: int, label: int) -> Truth:
        return TRUTHS[index, label]


def test_boxes_of_all_classes_and_around_masks_come_as_shares_of_their_photo() -> None:
    photos, boxes = with_true_boxes(Told())
    assert [sample.id for sample in photos.samples] == ["0", "2", "3", "5"]
    left, right, around = [0, 0, 0.5, 1], [0.5, 0.5, 1, 1], [0.5, 0.25, 0.75, 0.5]
    assert boxes.dtype == torch.float32
    assert boxes.tolist() == [[left, left], [around, around], [left, right], [left, right]]


def test_without_any_box_that_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Told, "truth_of", lambda self, index, label: Truth())
    with pytest.raises(WsolError, match=r"^told: no validation photo has a box; add some, or [^\n]*$"):
        with_true_boxes(Told())
