"""Boxes that another run gave: their order, where crop and mirror image move them, and what is said of wrong ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from wsol.data import Creatures
from wsol.data.crops import TrainingImages, training_box, training_view
from wsol.data.pseudo_boxes import read_pseudo_boxes
from wsol.errors import WsolError


def entry(path: str, *boxes: list[float], size: tuple[int, int] = (100, 50)) -> dict[str, Any]:
    return {
        "path": path,
        "width": size[0],
        "height": size[1],
        "findings": [{"boxes": list(boxes)}, {"boxes": [[0] * 4]}],
    }


def written(path: Path, *entries: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return path


def test_the_first_box_of_the_best_class_as_shares_in_the_photos_order(tmp_path: Path) -> None:
    first, other = entry("a/1.jpg", [10, 5, 60, 45.5], [0, 0, 1, 1]), entry("b/é.jpg", [0, 0, 30, 8], size=(30, 16))
    path = written(tmp_path / "results.jsonl", other, first, entry("c/not_asked.jpg"))
    found = read_pseudo_boxes(path, ["a/1.jpg", "b/é.jpg"])
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.1, 0.6, 0.91], [0, 0, 1, 0.5]]))


def test_lists_that_leave_out_the_suffix_find_their_photos(tmp_path: Path) -> None:
    """VOC's and Pet's ids have none; a dot within a name stays."""
    path = written(tmp_path / "results.jsonl", entry("2007_1.jpg", [10, 5, 60, 45]), entry("a.b.jpg", [0, 0, 50, 50]))
    found = read_pseudo_boxes(path, ["a.b", "2007_1"])
    torch.testing.assert_close(found, torch.tensor([[0, 0, 0.5, 1], [0.1, 0.1, 0.6, 0.9]]))


def test_photos_without_a_box_are_counted_and_named(tmp_path: Path) -> None:
    path = written(tmp_path / "results.jsonl", entry("a/1.jpg", [10, 5, 60, 45]))
    ids = ["a/1.jpg", *(f"train/{index}.jpg" for index in range(7))]
    with pytest.raises(WsolError, match=r"7 of 8 photos have no box: train/0.jpg, .*train/4.jpg and 2 more; locate"):
        read_pseudo_boxes(path, ids)


@pytest.mark.parametrize("wrong", [entry("a.jpg"), entry("a.jpg", [1, 2, 3]), [], {}, entry("a.jpg", ["x"] * 4)])
def test_a_wrong_line_is_named(tmp_path: Path, wrong: Any) -> None:
    path = written(tmp_path / "results.jsonl", entry("b.jpg"), wrong)
    with pytest.raises(WsolError, match=r"results.jsonl, line 2: .*; give the results.jsonl of wsol locate"):
        read_pseudo_boxes(path, ["a.jpg"])


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    with pytest.raises(WsolError, match=r"coco.json: cannot be read"):
        read_pseudo_boxes(path, ["a.jpg"])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WsolError, match=r"coco.json: cannot be read"):
        read_pseudo_boxes(path, ["a.jpg"])
    path.write_text('{"images": [\n')
    with pytest.raises(WsolError, match=r"coco.json, line 1: "):
        read_pseudo_boxes(path, ["a.jpg"])


def test_a_box_goes_where_its_object_goes() -> None:
    """A white rectangle on black, found again in the view by its pixels."""
    ends, mirrored = set(), 0
    for seed in range(60):
        pixels = np.zeros((64, 64, 3), np.uint8)
        pixels[20:50, 4:30] = 255
        chance = lambda seed=seed: torch.Generator().manual_seed(seed)  # noqa: E731
        view = training_view(Image.fromarray(pixels), 56, chance())[0]
        rows, columns = view.amax(1).nonzero()[:, 0], view.amax(0).nonzero()[:, 0]
        expected = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
        box = training_box(torch.tensor([4, 20, 30, 50]) / 64, 56, chance())
        assert type(box) is torch.Tensor and box.tolist() == pytest.approx(expected, abs=1e-4)
        mirrored += expected[0] > 20
        ends.add(expected[0])
    assert 15 < mirrored < 45 and len(ends) > 4


def test_what_the_crop_cuts_off_is_cut_off() -> None:
    for seed in range(20):
        whole, outside = (
            training_box(torch.tensor(box), 56, torch.Generator().manual_seed(seed)).tolist()
            for box in ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.01, 1.0])
        )
        assert whole == [0, 0, 56, 56]
        assert 0 <= outside[0] <= outside[2] <= 56 and outside[2] - outside[0] < 1


def test_training_images_with_boxes_show_what_they_show_without() -> None:
    photos = Creatures("train", images=6, size=36)
    boxes = torch.rand(6, 4).sort(1).values
    plain, boxed = TrainingImages(photos, 32, 1), TrainingImages(photos, 32, 1, boxes)
    for place in (0, 5, 6, 17):
        view, label, box = boxed[place]
        assert torch.equal(view, plain[place][0]) and label == plain[place][1]
        chance = torch.Generator().manual_seed(1_000_000_007 + place)
        assert torch.equal(box, training_box(boxes[place % 6], 32, chance))


def test_each_of_several_boxes_goes_where_it_would_go_alone() -> None:
    boxes = torch.rand(3, 4).sort(1).values
    for seed in range(5):
        together = training_box(boxes, 56, torch.Generator().manual_seed(seed))
        for box, expected in zip(together, boxes, strict=True):
            assert torch.equal(box, training_box(expected, 56, torch.Generator().manual_seed(seed)))
