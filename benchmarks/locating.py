"""How fast photos are located, beside what bounds it: opening them alone, and the network alone.

    python benchmarks/locating.py PHOTOS --output docs/results/locating.md

Each round measures everything once, one after the other, so that a busy machine slows all alike; seconds and ratios are
medians over rounds. The network is torchvision's ResNet-18 without weights, asked by CAM. torch-cam and
pytorch-grad-cam are measured, on the same network and photos, where they are installed. They give heatmaps alone, wsol
boxes as well; pytorch-grad-cam has no CAM, but Grad-CAM, which gives the same heatmap of such a network.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from cyclopts import App
from PIL import Image
from torchvision.models import resnet18
from torchvision.transforms import v2

import wsol
from wsol.answer import Answer
from wsol.backbones.contract import IMAGENET
from wsol.data.finding import find_images
from wsol.data.inputs import open_reduced, view_of
from wsol.system.ahead import ahead

app = App(help=__doc__)
SIDE, BATCH = 224, 16
OPENING, NETWORK, NULL, WHOLE = "opening photos", "the network", "wsol.locate, null network", "wsol.locate"


class Null:
    """A localizer that says the same of every image, at no cost."""

    classes, image_size, several, threshold, threshold_source = ("object",), SIDE, False, 0.5, "recipe"
    name, folder, background, facts, names_classes = "null", None, None, {}, True

    def look(self, images: np.ndarray, classes: None = None, best: int = 1) -> Answer:
        count = len(images)
        ramp = np.add.outer(np.arange(7), np.arange(7)).astype(np.float32)
        scores = np.ones((count, 1), np.float32)
        heatmaps = np.broadcast_to(ramp, (count, 1, 7, 7))
        return Answer(scores, scores, np.zeros((count, 1), np.int64), heatmaps, np.zeros(count, bool))

    def judge(self, images: np.ndarray) -> np.ndarray:
        return np.ones((len(images), 1), np.float32)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        return logits


@app.default
def main(
    photos: Path, *, count: int = 64, rounds: int = 5, workers: int = 2, threads: int = 2, output: Path | None = None
) -> None:
    """
    photos: a folder of photos.
    count: how many of them, spread over it.
    rounds: how often everything is measured.
    workers: of `wsol.locate`, and for opening alone.
    threads: of torch.
    output: a Markdown table.
    """
    torch.set_num_threads(threads)
    listed = [path for path, _ in find_images(photos)]
    paths = listed[:: -(-len(listed) // count)]
    network = resnet18().eval().to("cuda" if torch.cuda.is_available() else "cpu")
    jobs = ours(paths, network, workers) | others(paths, network)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if turn:  # the first prepares kernels
                seconds[name].append(time.perf_counter() - began)
    text = table(seconds, paths, workers, threads)
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def ours(paths: list[Path], network: torch.nn.Module, workers: int) -> dict[str, Callable[[], Any]]:
    localizer = wsol.adopt(network, None)  # asked by CAM, as its logits are linear in the averaged features

    def opened(path: Path) -> np.ndarray:
        return view_of(open_reduced(path, SIDE)[0], SIDE)

    views = np.stack([opened(path) for path in paths])
    batches = [views[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    return {
        OPENING: lambda: list(ahead(opened, paths, workers, 2 * BATCH)),
        NETWORK: lambda: [localizer.look(batch) for batch in batches],
        NULL: lambda: list(wsol.locate(Null(), paths, workers=workers, batch_size=BATCH)),
        WHOLE: lambda: list(wsol.locate(localizer, paths, workers=workers, batch_size=BATCH)),
    }


def others(paths: list[Path], network: torch.nn.Module) -> dict[str, Callable[[], Any]]:
    """Heatmaps by other libraries, with photos opened as their documentation does."""
    scaled = v2.Compose(
        [v2.Resize((SIDE, SIDE)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*IMAGENET)]
    )
    device, jobs = next(network.parameters()).device, {}

    def batches() -> Any:
        for start in range(0, len(paths), BATCH):
            some = (scaled(Image.open(path).convert("RGB")) for path in paths[start : start + BATCH])
            yield torch.stack(list(some)).to(device)

    def torch_cam(method: Any, **given: Any) -> None:
        with method(network, "layer4", **given) as extractor:
            for images in batches():
                logits = network(images)
                extractor(logits.argmax(1).tolist(), logits)

    def pytorch_grad_cam(method: Any) -> None:
        with method(network, [network.layer4]) as extractor:
            for images in batches():
                extractor(images, None)  # of the best class

    with suppress(ImportError):
        from torchcam import methods

        jobs["torch-cam, CAM"] = torch.no_grad()(lambda: torch_cam(methods.CAM, fc_layer="fc"))
        jobs["torch-cam, Grad-CAM"] = lambda: torch_cam(methods.GradCAM)
    with suppress(ImportError):
        from pytorch_grad_cam import GradCAM

        jobs["pytorch-grad-cam, Grad-CAM"] = lambda: pytorch_grad_cam(GradCAM)
    return jobs


def table(seconds: dict[str, list[float]], paths: list[Path], workers: int, threads: int) -> str:
    bound = [max(pair) for pair in zip(seconds[OPENING], seconds[NETWORK], strict=True)]
    against = {NULL: seconds[OPENING], WHOLE: bound}
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    lines = [
        f"{len(paths)} photos, {len(bound)} rounds, {workers} workers, {threads} threads of torch; {busy}.",
        "",
        "| | seconds | times its bound | times `wsol.locate` |",
        "|---|---:|---:|---:|",
    ]
    for name, spent in seconds.items():
        ratios = [
            median(a / b for a, b in zip(spent, base, strict=True))
            for base in (against.get(name), seconds[WHOLE])
            if base
        ]
        cells = [f"{ratio:.2f}" for ratio in ratios] if name in against else ["", f"{ratios[-1]:.2f}"]
        lines.append(f"| {name} | {median(spent):.2f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
