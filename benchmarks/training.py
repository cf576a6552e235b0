"""How fast a network trains by processes that torchrun starts, beside one process with as many threads.

    python benchmarks/training.py --output docs/results/training.md

Each round trains in both ways, one after the other, so that a busy machine slows both alike; figures are medians over
rounds. Photos are noise that lies in memory: nothing waits for a disk. The first steps of a training are not counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cyclopts import App
from PIL import Image

import wsol
from wsol.data import Dataset, Sample
from wsol.data.dataset import Truth
from wsol.system import processes
from wsol.training.loop import Loop

app = App(help=__doc__)
UNCOUNTED = 3  # steps, in which memory is allotted


class Noise(Dataset):
    """Photos of two classes, drawn once."""

    def __init__(self, count: int, side: int) -> None:
        self.name, self.classes = "noise", ["even", "odd"]
        self.samples = [Sample(f"{index}.png", index % 2, Path(f"{index}.png")) for index in range(count)]
        pixels = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)
        self.drawn = [Image.fromarray(photo) for photo in pixels]

    def image(self, index: int) -> Image.Image:
        return self.drawn[index % len(self.drawn)]

    def truth(self, index: int) -> Truth:
        raise AssertionError("training asks for none")


@app.default
def main(
    *,
    method: str = "cam",
    backbone: str = "resnet18",
    side: int = 128,
    batch_size: int = 16,
    steps: int = 15,
    rounds: int = 3,
    count: int = 2,
    output: Path | None = None,
) -> None:
    """
    side: of the network's input, pixels.
    count: processes of one thread each, and threads of the one process.
    """
    asked = json.dumps({"method": method, "backbone": backbone, "side": side, "batch": batch_size, "steps": steps})
    alone, launched = [sys.executable], [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launched += ["--nproc-per-node", str(count)]
    ways = {
        f"1 process, {count} threads": (alone, count),
        f"{count} processes, 1 thread each": (launched, 1),
        "1 process, 1 thread": (alone, 1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (command, threads) in ways.items():
            environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([*command, __file__, "train", asked, folder], env=environment, check=True)
                speeds[name].append(json.loads((Path(folder) / "speed.json").read_text()))
    text = table(
        speeds, f"{method} on {backbone}, {side} pixels, batches of {batch_size}, {rounds} rounds of {steps} steps"
    )
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


@app.command
def train(asked: str, folder: Path) -> None:
    """One training; its photos a second are written into the folder."""
    given, ends, step = json.loads(asked), [], Loop.training_step

    def timed(loop: Loop, batch: Any) -> Any:
        total = step(loop, batch)
        ends.append(time.perf_counter())
        return total

    Loop.training_step = timed  # type: ignore[method-assign]
    photos = Noise(given["batch"] * given["steps"], given["side"] * 8 // 7), Noise(0, 8)
    settings = {"backbone": given["backbone"], "weights": "none", "image_size": given["side"], "workers": 0}
    settings |= {"batch_size": given["batch"], "epochs": 1, "precision": "fp32", "sheet_every": 0}
    wsol.train(given["method"], photos, folder / "run", **settings)
    if processes.place()[0] == 0:
        seconds = (ends[-1] - ends[UNCOUNTED - 1]) / (len(ends) - UNCOUNTED)
        (folder / "speed.json").write_text(json.dumps(given["batch"] / seconds))


def table(speeds: dict[str, list[float]], about: str) -> str:
    base = next(iter(speeds.values()))
    lines = [f"{about}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.", ""]
    lines += ["| | photos a second | times the first |", "|---|---:|---:|"]
    for name, found in speeds.items():
        ratio = median(one / other for one, other in zip(found, base, strict=True))
        lines.append(f"| {name} | {median(found):.1f} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
