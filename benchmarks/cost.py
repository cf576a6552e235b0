"""What training a method costs, as a ratio to CAM: multiply-accumulates of the loss, and seconds of a training step.

    python benchmarks/cost.py --backbone vgg16 --output docs/results/cost_vgg16.md

Steps are interleaved in one process, a round of every method after the other, so that a busy machine slows all alike;
the ratio is the median over rounds. Each method has the recipe's options for CUB on VGG16, on 14x14 maps.
"""

import copy
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from cyclopts import App
from torch.utils.flop_counter import FlopCounterMode

from wsol.backbones import build_backbone
from wsol.method import Method
from wsol.methods import CAM, EIL, MEIL, ACoL
from wsol.training import use_bf16

app = App(help=__doc__)
# method, its options, and the options of the CAM that it is compared with
CASES: dict[str, dict[str, tuple[type[Method], dict[str, Any], dict[str, Any]]]] = {
    "vgg16": {
        "EIL, pool4": (EIL, {"head_depth": 1, "boundary": "pool4"}, {"head_depth": 1}),
        "MEIL, pool3 + pool4": (MEIL, {"head_depth": 1, "boundaries": ("pool3", "pool4")}, {"head_depth": 1}),
        "ACoL": (ACoL, {}, {"head_depth": 2}),
    },
    "mobilenetv1": {
        "EIL, module6": (EIL, {"boundary": "module6"}, {}),
        "MEIL, module6 + module12": (MEIL, {"boundaries": ("module6", "module12")}, {}),
        "ACoL, heads of one 512 layer": (ACoL, {"head_depth": 1, "head_width": 512}, {}),
    },
}


@app.default
def cost(*, backbone: str = "vgg16", output: Path | None = None, rounds: int = 7, batch: int = 8) -> None:
    """Prints the table, and writes it as Markdown where OUTPUT is given."""
    cases = CASES[backbone]
    networks: dict[str, Method] = {}
    for name, (method, options, plain) in cases.items():
        networks[name] = method(build_backbone(backbone, map_stride=16), 200, **options)
        networks[f"CAM for {name}"] = CAM(build_backbone(backbone, map_stride=16), 200, **plain)
    work = {name: macs(network) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds + 1):
        for name, network in networks.items():
            spent = step(network, batch)
            if turn:  # the first prepares kernels
                seconds[name].append(spent)
    lines = [
        f"{backbone}, 224 px, 14x14 maps, batch {batch}, {'bf16' if use_bf16('auto') else 'fp32'}, {rounds} rounds\n",
        "| | GMAC of CAM | GMAC | ratio | seconds a step, CAM | seconds | ratio, median |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in cases:
        cam = f"CAM for {name}"
        ratio = median(a / b for a, b in zip(seconds[name], seconds[cam], strict=True))
        lines.append(
            f"| {name} | {work[cam]:.2f} | {work[name]:.2f} | {work[name] / work[cam]:.3f} "
            f"| {median(seconds[cam]):.2f} | {median(seconds[name]):.2f} | {ratio:.2f} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def macs(network: Method) -> float:
    """Billions of multiply-accumulates of one photo's loss, forward."""
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(network).to("meta").loss(torch.rand(1, 3, 224, 224, device="meta"), labels(1).to("meta"))
    return counter.get_total_flops() / 2e9


def step(network: Method, batch: int) -> float:
    """Seconds of one loss with its gradients."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16("auto")):
        terms = network.loss(images, labels(batch))
    torch.autograd.backward(list(terms.values()))
    spent = time.perf_counter() - began
    network.zero_grad(set_to_none=True)
    return spent


def labels(batch: int) -> torch.Tensor:
    return torch.arange(batch) % 200


if __name__ == "__main__":
    app()
