"""The main job on the embedded data set: train CAM and BAS on creatures, measure both, show what they found."""

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

from wsol.cli.app import out
from wsol.data.crops import TrainingImages
from wsol.data.dataset import Dataset
from wsol.data.layouts.creatures import Creatures
from wsol.evaluation.evaluate import evaluate
from wsol.evaluation.report import table
from wsol.evaluation.tally import BASELINES
from wsol.evaluation.threshold import choose_threshold
from wsol.locating.locate import locate
from wsol.methods.contract import Method
from wsol.methods.stack import stack
from wsol.runs.folder import Run
from wsol.runs.settings import Settings, resolve
from wsol.show import draw
from wsol.show.pages import embedded, sheet, write_page
from wsol.system import processes
from wsol.system.files import write_picture
from wsol.training.pace import step_seconds
from wsol.training.train import fit

METHODS = ("cam", "bas")
WEIGHTS = Path(__file__).with_name("creatures.safetensors")  # benchmarks/demo_backbone.py made it, on other creatures
CREATURES: dict[str, Any] = {"body_hint": 1.0}  # as with real animals, the body helps to name the kind
MOST = 6  # epochs: more hardly help
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


def demo(*, output: Path = Path("wsol_demo"), minutes: float = 5.0, seed: int = 0) -> None:
    """Train, evaluate and locate on generated creatures within a budget, and write one page about it.

    output: folder for the runs and the page.
    minutes: how long it may take in all; training is fitted to it after a short timing.
    seed: of creatures and networks.
    """
    began = time.monotonic()
    resolved = {name: resolve(stack(name), "demo", {"seed": seed, "weights": str(WEIGHTS)}) for name in METHODS}
    size = resolved["cam"].settings.image_size * 8 // 7
    splits: dict[str, Dataset] = {
        split: Creatures(split, size=size, seed=seed, **CREATURES) for split in ("train", "val", "test")
    }
    classes, chosen_on = tuple(splits["train"].classes), splits["val"].fingerprint()
    runs = {
        name: Run(output / name, stack(name), each, classes, splits["train"].name, validation=chosen_on)
        for name, each in resolved.items()
    }
    networks = {name: _fresh(run, seed) for name, run in runs.items()}
    paces = {
        name: _seconds_per_epoch(network, resolved[name].settings, splits["train"])
        for name, network in networks.items()
    }
    left = TRAINING * 60 * minutes - (time.monotonic() - began)
    epochs = min(MOST, max(1, int(left / sum(paces.values()))))
    out.print(
        f"one epoch takes {', '.join(f'{pace:.1f} s ({name.upper()})' for name, pace in paces.items())} here: "
        f"{_times(epochs, 'epoch')} each, about {epochs * sum(paces.values()) / 60:.1f} minutes of training"
    )
    trained, figures = {}, {}
    for name, network in networks.items():
        settings = replace(resolved[name].settings, epochs=epochs)
        run = replace(runs[name], resolved=replace(resolved[name], settings=settings))
        title = run.stack.title
        out.print(title, style="bold")
        L.seed_everything(seed, workers=True, verbose=False)
        run.describe()
        fit(run, network, splits["train"], splits["val"])
        threshold = choose_threshold(run.open(), splits["val"])
        run.keep_threshold(threshold, "best", len(splits["val"]))
        trained[title] = run.open()
        figures[title] = evaluate(trained[title], splits["test"], output / f"{name}.json", threshold=threshold)
        out.print(table(figures[title]))

    strangers = Creatures("test", images=5, size=2 * size, seed=seed + 1, **CREATURES)
    images = [strangers.image(index) for index in range(len(strangers))]
    shown = sheet(strangers, {title: list(locate(localizer, images)) for title, localizer in trained.items()})
    write_picture(output / "sheet.jpg", shown, quality=90)
    facts = {
        "epochs": _times(epochs, "time"),
        "minutes": _times(max(1, round((time.monotonic() - began) / 60)), "minute"),
        "classes": len(strangers.classes),
        **{split: len(photos) for split, photos in splits.items()},
    }
    page = output / "index.html"
    write_page(page, "demo", "wsol: where is it, without a single box", **_parts(figures, shown), **facts)
    out.print(f"open {page}")


def _fresh(run: Run, seed: int) -> Method:
    L.seed_everything(seed, verbose=False)
    return run.build()


def _seconds_per_epoch(network: Method, settings: Settings, photos: Dataset, steps: int = 8) -> float:
    """From a few steps of a network that is thrown away; their median, as the machine may have other work."""
    device = processes.device()
    method = deepcopy(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = next(iter(DataLoader(TrainingImages(photos, settings.image_size), settings.batch_size)))
    images, labels = images.to(device).contiguous(memory_format=torch.channels_last), labels.to(device)
    spent = median(step_seconds(method, images, labels, settings.precision) for _ in range(steps))
    return EPOCH * spent * (len(photos) // settings.batch_size)


def _parts(figures: dict[str, Any], shown: Image.Image) -> dict[str, str]:
    first = next(iter(figures.values()))
    rows = {**figures, **{name: first[name] for name in BASELINES}}
    return {
        "said": _said(figures),
        "head": "".join(f"<th>{name}<small>{html.escape(said)}</small></th>" for name, said in FIGURES.items()),
        "table": "\n".join(f"<tr><th>{who}</th>{_cells(values)}</tr>" for who, values in rows.items()),
        "sheet": embedded(shown),
        "curves": embedded(draw.curves(figures)),
    }


def _said(figures: dict[str, Any]) -> str:
    """What the figures say, whichever way they fall."""
    ranked = sorted(figures, key=lambda name: figures[name]["GTKnownLoc"], reverse=True)
    right = [
        f"{name} names {figures[name]['Top1Cls']:.0f} % of the creatures and draws a right box around "
        f"{figures[name]['GTKnownLoc']:.0f} %"
        for name in ranked
    ]
    centre = next(iter(figures.values()))["CentreBox"]["GTKnownLoc"]
    below = [name for name in ranked if figures[name]["GTKnownLoc"] <= centre]
    warned = f" {' and '.join(below)} found a part or nothing: give it more --minutes." if below else ""
    return f"{'; '.join(right)}. A box that never moves from the middle is right for {centre:.0f} %.{warned}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cells(values: dict[str, Any]) -> str:
    found = (values.get(name) for name in FIGURES)
    return "".join("<td></td>" if value is None else f"<td>{value:.1f}</td>" for value in found)
