"""What each read-out costs an image, and that it keeps nothing: seconds and memory over many images.

    python benchmarks/readouts.py --images 10000

Random weights and random images: a read-out does the same work on them. Memory is the whole process's on Linux, read
after a tenth of the images and after all.
"""

import ctypes
import gc
import time
from pathlib import Path
from typing import Any

import torch
from cyclopts import App

from wsol import registry
from wsol.backbones import build_backbone
from wsol.methods.cam import CAM
from wsol.methods.contract import Method

app = App(help=__doc__)
SETTINGS: dict[str, dict[str, Any]] = {"scorecam": {"channels": 16}}
MEGABYTE = 2**20


@app.default
def main(
    *,
    readouts: list[str] | None = None,
    images: int = 10_000,
    backbone: str = "squeezenet1_1",
    side: int = 64,
    batch: int = 50,
    classes: int = 200,
    output: Path | None = None,
) -> None:
    """Prints the table, and writes it as Markdown where OUTPUT is given.

    readouts: names of those to measure; all by default.
    images: how many, in batches of `batch`.
    backbone: of the CAM that is asked.
    side: pixels of an image.
    classes: how many the network knows; one is asked an image.
    """
    torch.manual_seed(0)
    network = CAM(build_backbone(backbone), classes).eval()
    lines = [
        f"CAM on {backbone}, {side} px, batch {batch}, {classes} classes, {images:,} images, "
        f"{torch.get_num_threads()} threads. Seconds include the prediction that every read-out is given.\n",
        f"| read-out | ms an image | MB after {images // 10:,} | MB after {images:,} | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for name in readouts or registry.names("readouts"):
        lines.append(row(name, network, images, side, batch, classes))
        print(lines[-1], flush=True)
    if output is not None:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(name: str, network: Method, images: int, side: int, batch: int, classes: int) -> str:
    settings = SETTINGS.get(name, {})
    readout = registry.find("readouts", name)(**settings)
    asked = torch.arange(batch)[:, None] % classes
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    early, start = 0, time.perf_counter()
    for done in range(batch, images + 1, batch):
        photos = torch.rand(batch, 3, side, side)
        with torch.no_grad():
            readout.heatmaps(network, photos, network.predict(photos), asked)
        if done <= images // 10:
            early = held()
    seconds = (time.perf_counter() - start) / images
    title = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
    return f"| {title} | {1000 * seconds:.2f} | {early} | {held()} | {peak()} |"


def held() -> int:
    """Megabytes that the process holds, after what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return status("VmRSS")


def peak() -> int:
    """The most megabytes that the process has held since the peak was forgotten."""
    return status("VmHWM")


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024 / MEGABYTE)


if __name__ == "__main__":
    app()
