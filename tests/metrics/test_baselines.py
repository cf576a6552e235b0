"""Boxes that look at nothing, and what they score on real birds."""

from pathlib import Path

import numpy as np
import pytest
from oracles.boxes import at_224, iou
from PIL import Image

from wsol.metrics import BoxAccuracy, centre_box, whole_image


def test_the_centre_box_takes_its_share_of_each_side() -> None:
    np.testing.assert_allclose(centre_box((200, 100)), [[30, 15, 170, 85]])
    np.testing.assert_allclose(centre_box((200, 100), share=0.5), [[50, 25, 150, 75]])


def test_the_whole_image_is_exact() -> None:
    assert whole_image((333, 77)).tolist() == [[0, 0, 333, 77]]


def test_the_centre_box_on_fifty_kinds_of_birds(shared: Path) -> None:
    root = shared / "CUB_200_2011"
    paths, training, boxes = (
        dict(line.split(maxsplit=1) for line in (root / name).read_text().splitlines())
        for name in ("images.txt", "train_test_split.txt", "bounding_boxes.txt")
    )
    metric, counted = BoxAccuracy(), []
    for index in (index for index in boxes if training[index] == "0"):
        x, y, w, h = map(float, boxes[index].split())
        size, box = Image.open(root / "images" / paths[index]).size, [x, y, x + w, y + h]
        metric.update(metric.score_box(centre_box(size), np.array([box]), size), 0)
        counted.append(iou(at_224(centre_box(size)[0].tolist(), *size), at_224(box, *size)))
    found = metric.compute()
    for delta, measured in ((30, 85.2), (50, 54.5), (70, 15.2)):
        assert found[f"MaxBoxAcc{delta}"] == sum(each >= delta / 100 for each in counted) * 100.0 / len(counted)
        assert found[f"MaxBoxAcc{delta}"] == pytest.approx(measured, abs=0.6)
    assert found["GTKnownLoc"] == found["MaxBoxAcc"]
