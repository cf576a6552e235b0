"""The main job on the embedded data set: train CAM and EIL on creatures, measure both, show what they found."""

import html
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from PIL import Image
from torch.utils.data import DataLoader

from wsol import draw, processes
from wsol.data.creatures import Creatures
from wsol.data.dataset import Dataset
from wsol.data.transforms import TrainingImages
from wsol.evaluation import choose_threshold, evaluate, table
from wsol.page import embedded, sheet, write_page
from wsol.progress import console
from wsol.run import Run, build, describe, load
from wsol.settings import method_class, resolve
from wsol.tally import BASELINES
from wsol.training import fit, step_seconds

METHODS = ("cam", "eil")
TRAINING = 0.7  # share of the budget; the rest draws, measures and writes
EPOCH = 1.6  # an epoch's seconds as a multiple of its steps': it also reads, validates and saves
FIGURES = {
    "Top1Cls": "class right",
    "PeakOnPart": "share of the heatmap's peak on the head",
    "PxAP": "pixels found, average precision",
    "MaxBoxAcc": "box right (IoU 50) at its best threshold",
    "MaxBoxAccV2": "mean over IoU 30, 50, 70",
    "GTKnownLoc": "box right at the threshold in use",
    "Top1Loc": "class and box right",
}


def demo(output: str | Path, minutes: float = 5.0, seed: int = 0) -> Path:
    """Trains, evaluates and locates on generated creatures within a budget, and writes one page about it.

    output: folder for the runs and the page. minutes: how long it may take in all, training fitted to it after a
    short timing. seed: of creatures and networks. Returns the path of the page, self-contained HTML.
    """
    began, folder = time.monotonic(), Path(output)
    runs = {name: _fresh(name, folder / name, seed) for name in METHODS}
    size = runs["cam"].settings.image_size * 8 // 7
    splits: dict[str, Dataset] = {split: Creatures(split, size=size, seed=seed) for split in ("train", "val", "test")}
    paces = {name: _seconds_per_epoch(run, splits["train"]) for name, run in runs.items()}
    left = TRAINING * 60 * minutes - (time.monotonic() - began)
    epochs = max(1, int(left / sum(paces.values())))
    console.print(
        f"one epoch takes {', '.join(f'{pace:.1f} s ({name.upper()})' for name, pace in paces.items())} here: "
        f"{epochs} epochs each, about {epochs * sum(paces.values()) / 60:.1f} minutes of training",
        highlight=False,
    )
    trained, figures = {}, {}
    for name, run in runs.items():
        title = type(run.method).__name__
        console.print(f"[bold]{title}[/bold]")
        run.settings = replace(run.settings, epochs=epochs)
        L.seed_everything(seed, workers=True, verbose=False)
        describe(run)
        fit(run, splits["train"], splits["val"])
        trained[name] = load(run.folder)
        choose_threshold(trained[name], splits["val"])
        figures[title] = evaluate(trained[name], splits["test"], folder / f"{name}.json")
        console.print(table(figures[title]))

    page = folder / "index.html"
    strangers = Creatures("test", images=5, size=2 * size, seed=seed + 1)
    shown = sheet({type(run.method).__name__: run for run in trained.values()}, strangers)
    shown.save(folder / "sheet.jpg", quality=90)
    facts = {
        "epochs": epochs,
        "minutes": f"{(time.monotonic() - began) / 60:.0f}",
        "classes": len(strangers.classes),
        **{split: len(photos) for split, photos in splits.items()},
    }
    write_page(page, "demo", "wsol: where is it, without a single box", **_parts(figures, shown), **facts)
    return page


def _fresh(name: str, folder: Path, seed: int) -> Run:
    kind = method_class(name)
    settings, options = resolve(kind, "creatures", {"seed": seed})
    L.seed_everything(seed, verbose=False)
    return build(folder, kind, settings, options, Creatures(images=0).classes, "creatures")


def _seconds_per_epoch(run: Run, photos: Dataset, steps: int = 8) -> float:
    """From a few steps of a network that is thrown away; their median, as the machine may have other work."""
    settings, device = run.settings, processes.device()
    method = deepcopy(run.method).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = next(iter(DataLoader(TrainingImages(photos, settings.image_size), settings.batch_size)))
    images, labels = images.to(device).contiguous(memory_format=torch.channels_last), labels.to(device)
    spent = median(step_seconds(method, images, labels, settings.precision) for _ in range(steps))
    return EPOCH * spent * (len(photos) // settings.batch_size)


def _parts(figures: dict[str, Any], shown: Image.Image) -> dict[str, str]:
    first = next(iter(figures.values()))
    rows = {**figures, **{name: first[name] for name in BASELINES}}
    return {
        "head": "".join(f"<th>{name}<small>{html.escape(said)}</small></th>" for name, said in FIGURES.items()),
        "table": "\n".join(f"<tr><th>{who}</th>{_cells(values)}</tr>" for who, values in rows.items()),
        "sheet": embedded(shown),
        "curves": embedded(draw.curves(figures)),
    }


def _cells(values: dict[str, Any]) -> str:
    found = (values.get(name) for name in FIGURES)
    return "".join("<td></td>" if value is None else f"<td>{value:.1f}</td>" for value in found)
