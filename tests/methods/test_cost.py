"""Training cost in multiply-accumulates counted exactly, and its ratio to CAM; the papers' arithmetic within 1 %."""

import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wsol.backbones import Backbone, build_backbone
from wsol.methods.acol import ACoL
from wsol.methods.aepl import AEPL
from wsol.methods.bas import BAS
from wsol.methods.cam import CAM
from wsol.methods.eil import EIL, MEIL
from wsol.methods.fewshot import FewShot
from wsol.methods.gcnet import GCNet
from wsol.methods.i2c import I2C
from wsol.methods.slt import SLTNet
from wsol.methods.spg import SPG
from wsol.methods.stack import stack
from wsol.nn.heads import Head
from wsol.nn.maps import choose

COST, MEMORY = (
    runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / name)) for name in ("cost.py", "memory.py")
)


@cache
def backbone(name: str = "vgg16", map_stride: int = 16, kept_strides: int = 0, end: str | None = None) -> Backbone:
    return build_backbone(name, end=end, map_stride=map_stride, kept_strides=kept_strides).to("meta")


def macs(method, options: dict, classes: int = 200, **architecture) -> float:
    """Billions of multiply-accumulates of a training step on one image of 224 pixels, without any arithmetic done."""
    stages = backbone(**architecture)
    with torch.device("meta"):
        network = method(stages, classes, **options)
    return COST["macs"](network, "meta")


def named(name: str):
    """A method by its name, as a constructor."""
    return stack(name).build


class GivenBoxes(FewShot):
    """The few-shot baseline where nobody gives it boxes."""

    def loss(self, images, labels):
        return super().loss(images, labels, images.new_zeros(len(images), 1, 4))


CAM1, CAM2 = {"head_depth": 1}, {"head_depth": 2}
V1 = {"name": "mobilenetv1", "kept_strides": 1}
INCEPTION = {"name": "inception_v3", "end": "Mixed_6e", "map_stride": 8}


def forward(module, *arguments, **named) -> tuple[Tensor, float]:
    """What a module gives, and its billions of multiply-accumulates."""
    with COST["Counter"]() as counter, torch.no_grad():
        out = module(*arguments, **named)
    return out, counter.total / 1e9


@pytest.mark.parametrize(
    ("architecture", "depth", "classes", "parts", "total"),
    [
        ({}, 1, 200, {"pool1": 1.936, "pool2": 2.775, "pool3": 4.624, "pool4": 4.624, "conv5_3": 1.387}, 16.27),
        ({}, 2, 200, {"conv5_3": 15.35, "head": 2.815}, 18.2),
        ({}, 2, 1000, {"conv5_3": 15.35, "head": 2.975}, 18.3),
        ({"map_stride": 8}, 2, 200, {"pool4": 13.96, "conv5_3": 5.549, "head": 11.26}, 30.8),
        ({"map_stride": 8}, 2, 1000, {"pool4": 13.96, "conv5_3": 5.549, "head": 11.90}, 31.4),
        (
            {"name": "inception_v3", "end": "Mixed_6e", "map_stride": 8},
            2,
            200,
            {"maxpool2": 0.764, "Mixed_5d": 0.639, "Mixed_6e": 6.24, "head": 13.1},
            20.7,
        ),
        (
            {"name": "inception_v3", "end": "Mixed_6e"},
            2,
            200,
            {"maxpool2": 0.764, "Mixed_5d": 0.639, "Mixed_6e": 1.56, "head": 3.28},
            6.2,
        ),
        (
            {"name": "inception_v3", "kept_strides": 1},
            2,
            200,
            {"Mixed_6e": 7.64, "Mixed_7c": 2.99, "head": 5.59},
            16.2,
        ),
        (
            {"name": "inception_v3", "kept_strides": 1},
            2,
            1000,
            {"Mixed_6e": 7.64, "Mixed_7c": 2.99, "head": 5.75},
            16.4,
        ),
        (V1, 2, 200, {"module12": 1.353, "module14": 0.311, "head": 3.74}, 5.40),
        (V1, 2, 1000, {"module12": 1.353, "module14": 0.311, "head": 3.90}, 5.56),
        (
            {"name": "resnet50"},
            None,
            200,
            {"stem": 0.118, "layer1": 0.668, "layer2": 1.028, "layer3": 1.464, "layer4": 2.929},
            6.21,
        ),
        ({"name": "resnet50", "kept_strides": 1}, None, 200, {}, 10.3),
        ({"name": "resnet50", "map_stride": 8}, None, 200, {}, 19.1),
    ],
)
def test_a_forward_pass_costs_what_is_known(
    architecture: dict, depth: int | None, classes: int, parts: dict, total: float
) -> None:
    """Each part from the boundary before it; depth None leaves the head out."""
    network, before, spent = backbone(**architecture), None, {}
    x = torch.rand(1, 3, 224, 224, device="meta")
    for boundary in [each for each in parts if each != "head"] or [network.boundary(-1)]:
        x, spent[boundary] = forward(network, x, after=before, until=boundary)
        before = boundary
    if depth is not None:
        _, spent["head"] = forward(Head(network.channels(-1), classes, depth).to("meta"), x)
    for part, known in parts.items():
        assert spent[part] == pytest.approx(known, rel=0.01), part
    assert sum(spent.values()) == pytest.approx(total, rel=0.01)


def test_a_step_costs_three_forward_passes() -> None:
    """But for the gradient of the image, which nobody asks for."""
    for architecture, first in (({}, 0.0867), (V1, 0.0108)):
        network = CAM(backbone(**architecture), 200, head_depth=2).to("meta")
        features, once = forward(network.backbone, torch.rand(1, 3, 224, 224, device="meta"))
        once += forward(network.head, features)[1]
        assert macs(CAM, CAM2, **architecture) == pytest.approx(3 * once - first, abs=0.001)


@pytest.mark.parametrize(
    ("method", "options", "baseline", "architecture", "ratio"),
    [
        (EIL, CAM1 | {"boundary": "pool4"}, CAM1, {}, 1.142),
        (EIL, CAM1 | {"boundary": "pool1"}, CAM1, {}, 1.881),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4")}, CAM1, {}, 1.568),
        (MEIL, CAM1, CAM1, {}, 1.568),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4"), "variant": "II"}, CAM1, {}, 1.568),
        (MEIL, CAM1 | {"boundaries": ("pool3", "pool4", "conv5_3")}, CAM1, {}, 1.625),
        (ACoL, {}, CAM2, {"map_stride": 8}, 1.366),
        (ACoL, {}, CAM2, {}, 1.155),
        (SLTNet, CAM1 | {"scales": (1.0, 1.0)}, CAM1, {}, 2.0),
        (SLTNet, CAM1 | {"scales": (4 / 7, 4 / 7)}, CAM1, {}, 1 + (4 / 7) ** 2),
        (SLTNet, CAM1 | {"beta": 0.0}, CAM1, {}, 1.0),
        (named("ega"), CAM2, CAM2, {"name": "vgg16_bn"}, 2.67),
        (named("ega"), CAM2 | {"iterations": 3}, CAM2, {"name": "vgg16_bn"}, 4.0),
        (named("ega"), CAM2, CAM2, V1, 2.67),
        (named("has"), CAM1, CAM1, {}, 1.0),
        (named("cutmix"), CAM1, CAM1, {}, 1.0),
        (named("adl"), CAM1, CAM1, {}, 1.0),
        (I2C, {}, CAM2, {}, 1.0),
        (GCNet, {}, {}, {}, 3.33),  # two networks trained, two frozen passes
        (GivenBoxes, {}, {}, {}, 1.0),
        (SPG, {"guided_at": ("Mixed_5d", "Mixed_6d")}, CAM2, INCEPTION, 1.54),  # our count
    ],
)
def test_the_ratio_to_cam_is_the_papers(method, options, baseline, architecture, ratio) -> None:
    assert macs(method, options, **architecture) / macs(CAM, baseline, **architecture) == pytest.approx(ratio, rel=0.01)


def with_every_filter(method):
    """The method with the localizer as BAS has it: all classes' masks are made, then one is taken."""

    class Whole(method):
        def masks(self, features, classes):
            return choose(self.head_mask(features), classes).sigmoid()

    return Whole


@pytest.mark.parametrize("method", [BAS, AEPL])
@pytest.mark.parametrize(
    ("architecture", "boundary", "classes", "papers", "ours"),
    [
        (V1, "module12", 200, 1.63, 1.50),
        (V1, "module12", 1000, 2.15, 1.50),
        ({}, "relu4_3", 200, 1.19, 1.154),
    ],
)
def test_one_filter_instead_of_all_makes_bas_cheaper_than_the_papers(
    method, architecture, boundary, classes, papers, ours
) -> None:
    options = CAM2 | {"boundary": boundary}
    plain = macs(CAM, CAM2, classes, **architecture)
    assert macs(with_every_filter(method), options, classes, **architecture) / plain == pytest.approx(papers, rel=0.01)
    assert macs(method, options, classes, **architecture) / plain == pytest.approx(ours, rel=0.01)


@pytest.mark.parametrize(("classes", "millions"), [(200, 0.92), (1000, 4.61)])
def test_the_localizer_of_bas_has_the_papers_parameters(classes: int, millions: float) -> None:
    network = BAS(backbone(**V1), classes, boundary="module12")
    assert network.head_mask.weight.numel() / 1e6 == pytest.approx(millions, rel=0.01)


class Chain(CAM):
    """A loss that keeps a tensor of the photos' size a link, and two gradients, one made of the other."""

    def __init__(self, links: int) -> None:
        torch.nn.Module.__init__(self)
        self.links, self.weight = links, torch.nn.Parameter(torch.zeros(()))

    def loss_parts(self, images: Tensor, labels: Tensor) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        for _ in range(2):  # the first part's tensors are gone when the second begins
            values = images * self.weight
            for _ in range(self.links):
                values = values.exp()
            yield {"chain": values.mean()}


@pytest.mark.parametrize("links", [2, 3, 5])
def test_the_memory_of_a_step_is_what_its_gradients_need(links: int) -> None:
    photos = 2 * 3 * 32 * 32 * 4
    assert 0 <= MEMORY["peak"](Chain(links), 32, 2) / photos - (links + 2) < 0.1
