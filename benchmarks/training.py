"""How fast a network trains by processes that torchrun starts, beside one process with as many threads.

    python benchmarks/training.py
    python benchmarks/training.py differences
    python benchmarks/training.py plain PHOTOS

The second command compares the losses of the first steps of all methods by one process and by two. The third trains on
a folder of class folders, beside a plain loop that opens its photos by torchvision and has the same network, CAM.

Each round trains in both ways, one after the other, so that a busy machine slows both alike; figures are medians over
rounds. Photos are noise that lies in memory: nothing waits for a disk. The first steps of a training are not counted.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from cyclopts import App
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import wsol
from wsol import registry
from wsol.backbones import build_backbone
from wsol.data import Chosen, Creatures, Dataset, Folder, Sample
from wsol.data.dataset import Truth
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.stack import stack
from wsol.system import processes
from wsol.training.loop import Loop
from wsol.training.pace import use_bf16

app = App(help=__doc__)
SPLITS = ("train", "val")
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
    ways = {
        f"1 process, {count} threads": (1, count),
        f"{count} processes, 1 thread each": (count, 1),
        "1 process, 1 thread": (1, 1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            speeds[name].append(started("train", asked, *way))
    text = table(
        speeds, f"{method} on {backbone}, {side} pixels, batches of {batch_size}, {rounds} rounds of {steps} steps"
    )
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


@app.command
def differences(*, backbone: str = "squeezenet1_1", side: int = 64, batch_size: int = 8, steps: int = 3) -> None:
    """The losses of the first steps by two processes, less those by one, of all methods that the backbone can train."""
    asked = json.dumps({"backbone": backbone, "side": side, "batch": batch_size, "steps": steps})
    one, two = (started("losses", asked, processes, 1) for processes in (1, 2))
    print(
        f"{backbone}, {side} pixels, batches of {batch_size}\n\n| method | loss | largest difference in {steps} steps |"
    )
    print("|---|---:|---:|")
    for method, found in sorted(one.items()):
        difference = max(abs(a - b) for a, b in zip(found, two[method], strict=True))
        print(f"| {method} | {found[0]:.3f} | {difference:.0e} |")


@app.command
def plain(
    photos: Path,
    *,
    backbone: str = "mobilenetv1",
    side: int = 224,
    batch_size: int = 32,
    epochs: int = 3,
    workers: int = 2,
    threads: int = 2,
    rounds: int = 2,
    output: Path | None = None,
) -> None:
    """
    photos: a folder of class folders.
    side: of the network's input, pixels.
    epochs: the first is not counted.
    workers: processes that read photos.
    threads: of torch.
    """
    asked = {"photos": str(photos.absolute()), "backbone": backbone, "side": side, "batch": batch_size}
    asked |= {"epochs": epochs, "workers": workers}
    ways = {
        "a plain loop": ("plain-loop", {}),
        "wsol train": ("train-folder", {"cache_photos": False}),
        "wsol train --cache-photos": ("train-folder", {"cache_photos": True}),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (command, more) in ways.items():
            speeds[name].append(started(command, json.dumps(asked | more), 1, threads))
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{threads} threads"
    about = f"CAM on {backbone}, {side} pixels, batches of {batch_size}, {workers} workers, {where}, {rounds} rounds"
    text = table(speeds, about)
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def started(command: str, asked: str, count: int, threads: int) -> Any:
    """What a command of this file writes, in so many processes."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, *launch, __file__, command, asked, folder]
        subprocess.run(words, env=environment, check=True)
        return json.loads((Path(folder) / "written.json").read_text())


@app.command(show=False)
def losses(asked: str, folder: Path) -> None:
    """The losses of all methods' first steps."""
    given, found, recorded = json.loads(asked), {}, watched()
    photos = tuple(Creatures(split, images=given["batch"] * given["steps"], size=given["side"]) for split in SPLITS)
    boxes, about = folder / "boxes.jsonl", {"width": 4, "height": 4, "findings": [{"boxes": [[1, 1, 3, 3]]}]}
    boxes.write_text("\n".join(json.dumps({"path": sample.id} | about) for sample in photos[0].samples))
    settings = {"backbone": given["backbone"], "weights": "none", "image_size": given["side"], "workers": 0}
    settings |= {"batch_size": given["batch"], "epochs": 1, "precision": "fp32", "sheet_every": 0, "map_stride": 8}
    for method in sorted({entry.name for entry in registry.entries("methods")}):
        recorded.clear()
        more = {"pseudo_boxes": str(boxes)} if "pseudo_boxes" in asked_by(method) else {}
        with suppress(WsolError):  # the backbone is not for this method
            wsol.train(method, photos, folder / method, **settings, **more)
            found[method] = [loss for loss, _ in recorded]
    if processes.place()[0] == 0:
        (folder / "written.json").write_text(json.dumps(found))


def asked_by(method: str) -> frozenset[str]:
    kind = stack(method).kinds[-1]
    return frozenset(inspect.signature(kind.loss).parameters)


def watched() -> list[tuple[float, float]]:
    """The loss of each step from now on, and when it ended."""
    recorded, step = [], Loop.training_step

    def recording(loop: Loop, batch: Any) -> Any:
        total = step(loop, batch)
        recorded.append((float(total), time.perf_counter()))
        return total

    Loop.training_step = recording  # type: ignore[method-assign]
    return recorded


@app.command(show=False)
def train(asked: str, folder: Path) -> None:
    """The photos a second of one training."""
    given, recorded = json.loads(asked), watched()
    photos = Noise(given["batch"] * given["steps"], given["side"] * 8 // 7), Noise(0, 8)
    settings = {"backbone": given["backbone"], "weights": "none", "image_size": given["side"], "workers": 0}
    settings |= {"batch_size": given["batch"], "epochs": 1, "precision": "fp32", "sheet_every": 0}
    wsol.train(given["method"], photos, folder / "run", **settings)
    if processes.place()[0] == 0:
        (_, begun), (_, ended) = recorded[UNCOUNTED - 1], recorded[-1]
        speed = given["batch"] * (len(recorded) - UNCOUNTED) / (ended - begun)
        (folder / "written.json").write_text(json.dumps(speed))


@app.command(show=False)
def train_folder(asked: str, folder: Path) -> None:
    """The photos a second of `wsol train`, within epochs."""
    given, recorded = json.loads(asked), watched()
    photos = Folder(Path(given["photos"]), split=None)
    settings = {"backbone": given["backbone"], "weights": "none", "image_size": given["side"], "sheet_every": 0}
    settings |= {"batch_size": given["batch"], "epochs": given["epochs"], "workers": given["workers"]}
    settings |= {"cache_photos": given["cache_photos"], "learning_rate": 1e-4}
    wsol.train("cam", (photos, Chosen(photos, [0])), folder / "run", **settings)
    write_speed(folder, [ended for _, ended in recorded], given)


@app.command(show=False)
def plain_loop(asked: str, folder: Path) -> None:
    """The same of a loop as people write it."""
    given, device, ended = json.loads(asked), processes.device(), []
    side = given["side"]
    seen = [v2.Resize((side * 8 // 7,) * 2), v2.RandomCrop(side), v2.RandomHorizontalFlip(), v2.ToImage()]
    seen += [v2.ToDtype(torch.float32, scale=True)]
    photos = ImageFolder(given["photos"], v2.Compose(seen))
    count = {"batch_size": given["batch"], "num_workers": given["workers"], "persistent_workers": given["workers"] > 0}
    batches = DataLoader(photos, shuffle=True, drop_last=True, pin_memory=device.type == "cuda", **count)
    network = CAM(build_backbone(given["backbone"]), classes=len(photos.classes)).to(device)  # it normalises photos
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for _ in range(given["epochs"]):
        for images, labels in batches:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16("auto")):
                loss = cross_entropy(network.predict(images).logits, labels)
            loss.backward()
            optimiser.step()
            float(loss.detach())
            ended.append(time.perf_counter())
    write_speed(folder, ended, given)


def write_speed(folder: Path, ended: list[float], given: dict[str, Any]) -> None:
    """Photos a second between the first and the last step of each epoch but the first."""
    steps = len(ended) // given["epochs"]
    epochs = [ended[start : start + steps] for start in range(steps, len(ended), steps)]
    seconds = sum(epoch[-1] - epoch[0] for epoch in epochs)
    (folder / "written.json").write_text(json.dumps(given["batch"] * len(epochs) * (steps - 1) / seconds))


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
