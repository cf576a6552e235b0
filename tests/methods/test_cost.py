"""Training cost as a ratio to CAM, in multiply-accumulates counted exactly; the papers' arithmetic within 1 %."""

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from wsol.backbones import Backbone, build_backbone
from wsol.methods import CAM, EIL, MEIL, ACoL


@cache
def backbone(map_stride: int) -> Backbone:
    return build_backbone("vgg16", map_stride=map_stride)


def macs(method, options: dict, map_stride: int = 16) -> float:
    """Multiply-accumulates of one loss on one image of 224 pixels, forward, without any arithmetic done."""
    network = method(backbone(map_stride), 200, **options).to("meta")
    with FlopCounterMode(display=False) as counter:
        network.loss(torch.rand(1, 3, 224, 224, device="meta"), torch.zeros(1, dtype=torch.long, device="meta"))
    return counter.get_total_flops() / 2


CAM1 = {"head_depth": 1}


def test_the_plain_network_costs_what_is_known() -> None:
    assert macs(CAM, CAM1) / 1e9 == pytest.approx(16.27, rel=0.01)
    assert macs(CAM, {"head_depth": 2}, map_stride=8) / 1e9 == pytest.approx(30.8, rel=0.01)


@pytest.mark.parametrize(
    ("method", "options", "baseline", "map_stride", "ratio"),
    [
        (EIL, CAM1 | {"boundary": "pool4"}, CAM1, 16, 1.142),
        (EIL, CAM1 | {"boundary": "pool1"}, CAM1, 16, 1.881),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4")}, CAM1, 16, 1.568),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4"), "variant": "II"}, CAM1, 16, 1.568),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4", "conv5_3")}, CAM1, 16, 1.625),
        (ACoL, {}, {"head_depth": 2}, 8, 1.366),
        (ACoL, {}, {"head_depth": 2}, 16, 1.155),
    ],
)
def test_the_ratio_to_cam_is_the_papers(method, options, baseline, map_stride, ratio) -> None:
    assert macs(method, options, map_stride) / macs(CAM, baseline, map_stride) == pytest.approx(ratio, rel=0.01)
