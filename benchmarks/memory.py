"""What memory a training step takes: that of a grid's methods, beside CAM.

    python benchmarks/memory.py cub50_mobilenetv1 --output docs/results/memory_mobilenetv1.md

The peak of all tensors of one step above weights and photos: what the gradients need and the gradients themselves, by
the allocator's own record. Networks have the grid's settings and no trained weights; float32 on the CPU. A GPU takes
less under bf16, and its libraries some room of their own.
"""

from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from cyclopts import App
from torch.profiler import ProfilerActivity, profile

from wsol.benchmark.grid import Row, read_grid
from wsol.methods.contract import Method
from wsol.runs.folder import Run
from wsol.testing import asked_by

app = App(help=__doc__)


@app.default
def memory(grid: str, *, batch: int = 8, classes: int = 50, output: Path | None = None) -> None:
    """
    grid: name of a grid.
    batch: photos of a step.
    classes: how many.
    output: a Markdown table.
    """
    lines = [f"{grid}, {batch} photos, {classes} classes\n", "| | MB a photo | CAM = 1 |", "|---|---:|---:|"]
    taken: dict[str, float] = {}
    for row in read_grid(grid, weights="none").rows:
        taken[row.name] = peak(built(row, classes), row.resolved.settings.image_size, batch) / batch / 1e6
    for name, each in taken.items():
        lines.append(f"| {name} | {each:.0f} | {each / taken['CAM']:.1f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def built(row: Row, classes: int) -> Method:
    """The network of a row."""
    resolved = row.resolved
    if "families" in resolved.options:  # six classes a family, two families an order
        families, orders = (tuple(label // size for label in range(classes)) for size in (6, 12))
        resolved = replace(resolved, options=resolved.options | {"families": families, "orders": orders})
    return Run(Path(), row.stack, resolved, tuple(map(str, range(classes))), "", False, "").build()


def peak(method: Method, side: int, batch: int) -> int:
    """Bytes at the fullest moment of a step as training does it, when all of the network learns."""
    torch.manual_seed(0)  # SLT-Net draws a scale
    images, labels = torch.rand(batch, 3, side, side), torch.arange(batch) // 2
    asked = asked_by(method, batch)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for part in method.loss_parts(images, labels, **asked):
            torch.stack([term.float() for term in part.values()]).sum().backward()
    recorded: Any = profiler.profiler  # torch offers the order of events nowhere else
    events = [event for event in recorded.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


if __name__ == "__main__":
    app()
