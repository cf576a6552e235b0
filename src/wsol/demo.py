"""The main job on the embedded data set: train CAM and EIL on creatures, measure both, show what they found."""

import base64
import html
import io
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import lightning as L
import torch
from PIL import Image
from torch.utils.data import DataLoader

from wsol import draw
from wsol.boxes import normalise
from wsol.data.creatures import Creatures
from wsol.data.dataset import Dataset
from wsol.data.transforms import TrainingImages
from wsol.evaluation import BASELINES, evaluate
from wsol.locating import locate
from wsol.metrics import SIZE
from wsol.progress import console
from wsol.run import Run, build, describe, load
from wsol.settings import method_class, resolve
from wsol.training import fit, use_bf16

METHODS = ("cam", "eil")
FIGURES = {
    "Top1Cls": "names the class",
    "GTKnownLoc": "box right (IoU 50)",
    "Top1Loc": "class and box right",
    "MaxBoxAcc": "box right at the best threshold",
    "MaxBoxAccV2": "the same over IoU 30, 50, 70",
    "PxAP": "pixel precision",
    "PeakOnPart": "share of the peak on the telling part",
}


def demo(output: str | Path, minutes: float = 5.0, seed: int = 0) -> Path:
    """Trains, evaluates and locates on generated creatures within a budget, and writes one page about it.

    output: folder for the runs and the page. minutes: how long it may take, training fitted to it after a short
    timing. seed: of creatures and networks. Returns the path of the page, self-contained HTML.
    """
    began, folder = time.monotonic(), Path(output)
    runs = {name: _fresh(name, folder / name, seed) for name in METHODS}
    size = runs["cam"].settings.image_size * 8 // 7
    splits: dict[str, Dataset] = {split: Creatures(split, size=size, seed=seed) for split in ("train", "val", "test")}

    paces = {name: _seconds_per_epoch(run, splits["train"]) for name, run in runs.items()}
    budget = 0.8 * 60 * minutes - (time.monotonic() - began)
    epochs = max(1, int(budget / sum(paces.values())))
    console.print(
        f"one epoch takes {', '.join(f'{pace:.1f} s ({name.upper()})' for name, pace in paces.items())} here: "
        f"{epochs} epochs each, about {epochs * sum(paces.values()) / 60:.1f} minutes of training",
        highlight=False,
    )
    figures, trained = {}, {}
    for name, run in runs.items():
        console.print(f"[bold]{type(run.method).__name__}[/bold]")
        run.settings = replace(run.settings, epochs=epochs)
        L.seed_everything(seed, workers=True, verbose=False)
        describe(run)
        fit(run, splits["train"], splits["val"])
        trained[name] = load(run.folder, "last")
        figures[type(run.method).__name__] = evaluate(trained[name], splits["test"], folder / f"{name}.json")

    strangers = Creatures("test", images=24, size=size, seed=seed + 1)
    page = folder / "index.html"
    page.write_text(_page(trained, figures, strangers, epochs, time.monotonic() - began), encoding="utf-8")
    return page


def _fresh(name: str, folder: Path, seed: int) -> Run:
    kind = method_class(name)
    settings, options = resolve(kind, "creatures", {"seed": seed, "backbone": None})
    settings = replace(settings, backbone=settings.backbone or "resnet18")
    L.seed_everything(seed, verbose=False)
    return build(folder, kind, settings, options, Creatures("train", images=12).classes, "creatures")


def _seconds_per_epoch(run: Run, photos: Dataset, steps: int = 6) -> float:
    """Timed on a few steps of a network that is thrown away; the first two prepare kernels."""
    settings = run.settings
    method = _fresh(type(run.method).__name__, run.folder, 0).method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = DataLoader(TrainingImages(photos, settings.image_size), batch_size=settings.batch_size)
    began = time.monotonic()
    for step, (images, labels) in zip(range(steps), batches, strict=False):
        if step == 2:
            began = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16(settings.precision)):
            terms = method.loss(images.contiguous(memory_format=torch.channels_last), labels)
        torch.autograd.backward(list(terms.values()))
    return (time.monotonic() - began) / (steps - 2) * (len(photos) // settings.batch_size)


def _page(runs: dict[str, Run], figures: dict[str, Any], photos: Creatures, epochs: int, seconds: float) -> str:
    first = next(iter(figures.values()))
    rows = {**figures, **{name: first[name] for name in BASELINES}}
    table = "".join(
        f"<tr><th>{who}</th>"
        + "".join(f"<td>{_figure(values.get(name))}</td>" for name in FIGURES)
        + f"<td>{_figure(values.get('threshold'), 2)}</td></tr>"
        for who, values in rows.items()
    )
    return Template((files("wsol") / "demo.html").read_text(encoding="utf-8")).substitute(
        head="".join(f"<th>{name}<small>{html.escape(said)}</small></th>" for name, said in FIGURES.items()),
        table=table,
        sheet=_embedded(sheet(runs, photos)),
        curves=_embedded(Image.open(runs["cam"].folder.parent / "curves.png")),
        epochs=epochs,
        minutes=f"{seconds / 60:.1f}",
        photos=first["images"],
    )


def sheet(runs: dict[str, Run], photos: Creatures) -> Image.Image:
    """New creatures, a row each: the photo, the truth, and what each run found."""
    images = [photos.image(index) for index in range(8)]
    rows = [
        [
            (image.resize((SIZE, SIZE)), photos.classes[sample.label]),
            (draw.overlay(image, None, true_boxes=photos.truth(index).boxes).resize((SIZE, SIZE)), "truth"),
        ]
        for index, (image, sample) in enumerate(zip(images, photos.samples, strict=False))
    ]
    for run in runs.values():
        for index, result in enumerate(locate(run, images)):
            heatmap = normalise(result.heatmap, (SIZE, SIZE))
            picture = draw.overlay(images[index].resize((SIZE, SIZE)), heatmap, result.boxes)
            rows[index].append((picture, f"{result.name} {result.score:.0%}"))
    return draw.contact_sheet(rows)


def _figure(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _embedded(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
