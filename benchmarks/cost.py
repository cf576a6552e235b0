"""What training a method costs, as a ratio to CAM: multiply-accumulates and seconds of a training step.

    python benchmarks/cost.py --backbone vgg16 --output docs/results/cost_vgg16.md

Steps are interleaved in one process, a round of every method after the other, so that a busy machine slows all alike;
the ratio is the median over rounds. Maps are 14x14; each method is compared with CAM on the same network and head.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from cyclopts import App
from torch.utils._python_dispatch import TorchDispatchMode

from wsol.backbones import build_backbone
from wsol.methods.contract import Method
from wsol.methods.stack import stack
from wsol.training.pace import step_seconds, use_bf16

app = App(help=__doc__)
CAM1, CAM2, SAME_SIZE = {"head_depth": 1}, {"head_depth": 2}, {"scales": (1.0, 1.0)}


@dataclass
class Case:
    """A method with its options, the options of the CAM that it is compared with, and the backbone of both."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    backbone: str = "vgg16"
    kept_strides: int = 0
    classes: int = 200

    @property
    def cam(self) -> "Case":
        return Case("cam", self.plain, self.plain, self.backbone, self.kept_strides, self.classes)

    def build(self) -> Method:
        backbone = build_backbone(self.backbone, kept_strides=self.kept_strides)
        return stack(self.method).build(backbone, self.classes, **self.options)


V1 = "mobilenetv1"
CASES = {
    "vgg16": {
        "EIL, pool4": Case("eil", CAM1 | {"boundary": "pool4"}, CAM1),
        "MEIL, pool3 + pool4": Case("meil", CAM1 | {"boundaries": ("pool3", "pool4")}, CAM1),
        "ACoL": Case("acol", {}, CAM2),
        "SLTNet, scale 1": Case("sltnet", CAM1 | SAME_SIZE, CAM1),
        "EGA, vgg16_bn": Case("ega", CAM2, CAM2, "vgg16_bn"),
        "BAS, relu4_3": Case("bas", CAM2 | {"boundary": "relu4_3"}, CAM2),
        "AEPL, relu4_3": Case("aepl", CAM2 | {"boundary": "relu4_3"}, CAM2),
    },
    V1: {
        "EIL, module6": Case("eil", {"boundary": "module6"}, {}, V1),
        "MEIL, module6 + module12": Case("meil", {"boundaries": ("module6", "module12")}, {}, V1),
        "ACoL, heads of one 512 layer": Case("acol", {"head_depth": 1, "head_width": 512}, {}, V1),
        "SLTNet, scale 1": Case("sltnet", CAM1 | SAME_SIZE, CAM1, V1),
        "EGA": Case("ega", CAM2, CAM2, V1),
        "BAS, module12 at 28x28": Case("bas", CAM2 | {"boundary": "module12"}, CAM2, V1, kept_strides=1),
        "AEPL, module12 at 28x28": Case("aepl", CAM2 | {"boundary": "module12"}, CAM2, V1, kept_strides=1),
    },
}


@app.default
def cost(*, backbone: str = "vgg16", output: Path | None = None, rounds: int = 7, batch: int = 8) -> None:
    """Prints the table, and writes it as Markdown where OUTPUT is given."""
    cases = CASES[backbone]
    networks = {str(case): case.build() for each in cases.values() for case in (each, each.cam)}
    work = {name: macs(network) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds + 1):
        for name, network in networks.items():
            images = torch.rand(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
            spent = step_seconds(network.to(memory_format=torch.channels_last), images, labels(batch))  # type: ignore[call-overload]
            if turn:  # the first prepares kernels
                seconds[name].append(spent)
    lines = [
        f"{backbone}, 224 px, 14x14 maps, batch {batch}, {'bf16' if use_bf16('auto') else 'fp32'}, {rounds} rounds\n",
        "| | GMAC a step, CAM | GMAC | ratio | seconds a step, CAM | seconds | ratio, median |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, case in cases.items():
        own, cam = str(case), str(case.cam)
        ratio = median(a / b for a, b in zip(seconds[own], seconds[cam], strict=True))
        lines.append(
            f"| {name} | {work[cam]:.2f} | {work[own]:.2f} | {work[own] / work[cam]:.3f} "
            f"| {median(seconds[cam]):.2f} | {median(seconds[own]):.2f} | {ratio:.2f} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


class Counter(TorchDispatchMode):
    """Multiply-accumulates of convolutions and linear layers; each gradient that is computed costs as much again."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        out = operator(*arguments, **(named or {}))
        if operator is torch.ops.aten.convolution.default:
            self.total += out.numel() * arguments[1][0].numel()
        elif operator is torch.ops.aten.convolution_backward.default:
            self.total += arguments[0].numel() * arguments[2][0].numel() * sum(arguments[-1][:2])
        elif operator in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.total += out.numel() * arguments[-1].shape[0]
        return out


def macs(network: Method, device: str = "cpu") -> float:
    """Billions of multiply-accumulates of one photo's loss and its gradients; on device "meta" nothing is computed."""
    network = copy.deepcopy(network).to(device)
    with Counter() as counter:
        terms = network.loss(torch.rand(1, 3, 224, 224, device=device), labels(1).to(device))
        torch.autograd.backward(list(terms.values()))
    return counter.total / 1e9


def labels(batch: int) -> torch.Tensor:
    return torch.arange(batch) % 200


if __name__ == "__main__":
    app()
