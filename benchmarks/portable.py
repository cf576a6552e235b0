"""How an exported network's boxes differ from those of its run, photo by photo.

    python benchmarks/portable.py                                    # every method, trained on creatures for an epoch
    python benchmarks/portable.py runs/cam runs/bas --data CUB_200_2011

The first run is asked by every read-out that needs no gradient (others cannot be exported), the rest by their own.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from cyclopts import App

import wsol
from wsol import registry
from wsol.cli.demo import WEIGHTS
from wsol.data import Creatures
from wsol.data.finding import find_images

app = App(help=__doc__)
READOUTS: dict[str, dict[str, Any]] = {"own": {}, "ccam": {}, "mean": {}, "pc1": {}, "scorecam": {"channels": 16}}


@app.default
def main(*runs: Path, data: str = "creatures", photos: int = 500, output: Path | None = None) -> None:
    """
    runs: run folders; without any each method is trained.
    data: a folder of photos, or `creatures`.
    photos: at most so many, spread over it.
    output: a Markdown table.
    """
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        compare(runs or trained(Path(folder)), data, photos, output)


def trained(folder: Path) -> Iterator[Path]:
    """A run of each method, an epoch on the demo's network; TS-CAM on a transformer that has learnt nothing."""
    settings: dict[str, Any] = {"backbone": "test_resnet", "weights": WEIGHTS, "map_stride": 8, "image_size": 112}
    train, val = (Creatures(split, images=192, size=128) for split in ("train", "val"))
    transformer = {"backbone": "deit_tiny_patch16_224", "weights": "none", "map_stride": "own"}
    for name in registry.names("methods"):
        given = settings | (transformer if name == "tscam" else {})
        yield wsol.train(name, (train, val), folder / name, epochs=1, workers=0, **given).folder


def compare(runs: Iterable[Path], data: str, photos: int, output: Path | None) -> None:
    given = chosen(data, photos)
    lines = [
        f"{len(given)} photos of {Path(data).name}. Distance: of the farthest corner, pixels of the photo. Made by"
    ]
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    lines += [f"`python benchmarks/portable.py`, see there; seconds a photo on one thread, {busy}.", ""]
    lines += ["| run | read-out | other class | within 1 pixel | largest distance | s, run | s, file |"]
    lines += ["|---|---|" + "---:|" * 5]
    for place, run in enumerate(runs):
        for readout, settings in list(READOUTS.items())[: None if place == 0 else 1]:
            lines.append(row(run, given, readout, settings))
            print(lines[-1], flush=True)
    if output is not None:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def chosen(data: str, most: int) -> list[Any]:
    if data == "creatures":
        shown = Creatures("test", images=most)
        return [shown.image(index) for index in range(most)]
    paths = [path for path, _ in find_images(data)]
    return paths[:: -(-len(paths) // most)]


def row(run: Path, photos: list[Any], readout: str, settings: dict[str, Any]) -> str:
    asked: dict[str, Any] = {"readout": readout, "settings": settings or None}
    with TemporaryDirectory() as folder:
        file = wsol.export_network(run, Path(folder) / "network.onnx", **asked)
        spent, results = [], []
        for network in (wsol.load(run, **asked), wsol.load(file)):
            began = time.perf_counter()
            results.append(list(wsol.locate(network, photos)))
            spent.append((time.perf_counter() - began) / len(photos))
    pairs = list(zip(*results, strict=True))
    others = sum(here.name != there.name for here, there in pairs)
    distances = np.array([abs(here.boxes - there.boxes).max() for here, there in pairs])
    within = (distances <= 1).mean()
    return (
        f"| {run.name} | {readout} | {others} | {within:.1%} | {distances.max():.3f} | "
        f"{spent[0]:.3f} | {spent[1]:.3f} |"
    )


if __name__ == "__main__":
    app()
