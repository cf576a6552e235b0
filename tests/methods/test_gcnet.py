"""GC-Net: shapes as drawn masks and as boxes, and a detector that learns from a classifier which it cannot change."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import methods as oracle
from oracles.networks import batch, loud, normed, plain
from torch import nn

import wsol
from wsol.data import Creatures
from wsol.methods.cam import CAM
from wsol.methods.gcnet import GCNet, certainty
from wsol.nn.maps import drawn

IMAGES, LABELS = batch()
SHAPES = [{"shape": shape, "rotated": rotated} for shape in ("ellipse", "rectangle") for rotated in (True, False)]


def made(**options) -> GCNet:
    torch.manual_seed(2)
    method = loud(GCNet(plain(), 5, **options))
    nn.init.normal_(method.shape_head.weight)
    return method


@pytest.mark.parametrize("options", SHAPES)
def test_each_loss_equals_the_slow_twin(options: dict) -> None:
    method = made(**options, softness=0.2)
    terms, expected = method.loss(IMAGES, LABELS), oracle.gcnet(method, IMAGES, LABELS.tolist())
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value * (2.5 if name == "area" else 1), rel=2e-3, abs=1e-5), name


@given(
    st.tuples(*[st.floats(0.3, 0.7)] * 2, *[st.floats(0.1, 0.5)] * 2, st.floats(-1.5, 1.5)),
    st.sampled_from(SHAPES),
)
def test_the_box_surrounds_what_the_mask_covers(shape: tuple[float, ...], options: dict) -> None:
    method = made(**options)
    shapes = torch.tensor([shape if options["rotated"] else shape[:4]])
    side = 200
    covered = method.masks(shapes, side)[0] > 0.5
    rows, columns = (covered.any(axis).nonzero()[:, 0] for axis in (1, 0))
    found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    expected = side * method.boxes(shapes)[0]
    torch.testing.assert_close(
        found.float(), expected, rtol=0, atol=8
    )  # the tip of a slim ellipse is less than a pixel
    assert (found[:2] >= expected[:2] - 1).all() and (found[2:] <= expected[2:] + 1).all()


def test_a_rectangle_that_is_not_turned_is_its_box_drawn() -> None:
    method = made(shape="rectangle", rotated=False, softness=1e-3)
    shapes = torch.tensor([[0.5, 0.4, 0.5, 0.25]])
    torch.testing.assert_close(method.boxes(shapes), torch.tensor([[0.25, 0.275, 0.75, 0.525]]))
    mask = drawn(method.boxes(shapes), 40)
    sure = (mask == 0) | (mask == 1)
    assert sure.float().mean() > 0.9
    torch.testing.assert_close(method.masks(shapes, 40)[sure], mask[sure])


def test_boxes_end_at_the_photos_edge() -> None:
    method = made(shape="rectangle", rotated=False)
    assert method.boxes(torch.tensor([[0.1, 0.9, 0.6, 0.6]]))[0].tolist() == pytest.approx([0, 0.6, 0.4, 1])


def test_a_quarter_turn_exchanges_width_and_height() -> None:
    for shape in ("ellipse", "rectangle"):
        method = made(shape=shape)
        turned, upright = torch.tensor([[0.5, 0.5, 0.6, 0.2, math.pi / 2], [0.5, 0.5, 0.2, 0.6, 0.0]])[:, None]
        torch.testing.assert_close(method.masks(turned, 30), method.masks(upright, 30), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(method.boxes(turned), method.boxes(upright))


def test_before_its_time_the_detector_learns_nothing_and_the_rest_is_cam() -> None:
    method = made(classes_first=0.5)
    terms = method.loss(IMAGES, LABELS, progress=0.49)
    cam = CAM(method.backbone, 5)
    cam.head.load_state_dict(method.head.state_dict())
    assert terms["classification"] == cam.loss(IMAGES, LABELS)["classification"]
    assert [terms[name].item() for name in ("object", "background", "area")] == [0, 0, 0]
    later = method.loss(IMAGES, LABELS, progress=0.5)
    assert later.keys() == terms.keys() and all(later[name] > 0 for name in ("object", "background", "area"))


@pytest.mark.parametrize("name", ["gcnet", "has+gcnet"])
def test_no_epoch_counts_as_the_best_before_the_detector_learns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = iter([0, 0, 8, 4, 8])  # of 8 validation photos, epoch by epoch
    monkeypatch.setattr("wsol.training.loop.ranks", lambda logits, _: (torch.arange(len(logits)) < next(wrong)).int())
    photos = Creatures("train", images=8, size=36)
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0}
    run = wsol.train(
        name, (photos, photos), tmp_path / "run", epochs=5, classes_first=0.5, precision="fp32", sheet_every=0, **small
    )
    assert json.loads((run.folder / "best.json").read_text())["epoch"] == 4


def test_a_mask_of_the_whole_photo_leaves_the_class_and_its_rest_the_mean_colour() -> None:
    method = made()
    method.masks = lambda shapes, side: torch.ones(len(shapes), side, side)  # type: ignore[method-assign]
    terms = method.loss(IMAGES, LABELS)
    torch.testing.assert_close(terms["object"], terms["classification"])
    blank = method.backbone.mean.expand(4, 3, 32, 32)
    torch.testing.assert_close(terms["background"], certainty(method.head(method.backbone(blank))[0]))


def test_certainty_is_nothing_for_even_scores_and_log_k_for_one_class() -> None:
    assert certainty(torch.full((2, 7), 3.0)).item() == pytest.approx(0, abs=1e-6)
    assert certainty(torch.tensor([[100.0, 0, 0, 0]])).item() == pytest.approx(math.log(4))


def test_covered_photos_leave_the_classifiers_statistics_alone_and_use_them() -> None:
    torch.manual_seed(0)
    method = GCNet(normed(), 5).train()
    images = batch(64)[0]
    method.loss(images, LABELS)
    before = {name: value.clone() for name, value in method.backbone.named_buffers()}
    mask = torch.rand(4, 1, 64, 64)
    together = method.judged(images, mask)
    torch.testing.assert_close(together[:1], method.judged(images[:1], mask[:1]), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in method.backbone.named_buffers())
    assert method.backbone.training


def test_the_detector_finds_a_square_of_which_the_classifier_tells_the_class() -> None:
    """Photos are grey but for a red or a green square; a fixed classifier reads its colour."""
    torch.manual_seed(0)
    method = GCNet(plain(), 2, shape="rectangle", rotated=False, area_weight=0.3)
    images, labels = torch.full((8, 3, 32, 32), 0.45), torch.arange(8) % 2
    for image, label in zip(images, labels, strict=True):
        image[label, 4:14, 16:28] = 1.0

    class Colours(nn.Module):
        def forward(self, features):
            return 60 * features[:, :2].mean((2, 3)), features

    method.backbone = nn.Identity()
    method.backbone.mean = torch.full((3, 1, 1), 0.45)
    method.head = Colours()
    optimiser = torch.optim.Adam([*method.detector.parameters(), *method.shape_head.parameters()], 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        sum(method.loss(images, labels).values()).backward()
        optimiser.step()
    boxes = method.boxes(method.shapes(images))
    torch.testing.assert_close(boxes, torch.tensor([[16.0, 4, 28, 14]]).expand(8, -1) / 32, rtol=0, atol=0.08)
