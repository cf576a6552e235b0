"""Locating: photos in, results out, one batch in memory at a time."""

import warnings
from collections.abc import Iterable, Iterator
from itertools import count, groupby, islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from wsol.boxes import Threshold, check_threshold
from wsol.data.images import find_images, open_image, to_rgb
from wsol.data.transforms import evaluation_view
from wsol.errors import WsolError
from wsol.result import Keep, Result, find
from wsol.run import Run, load

Photo = str | Path | Image.Image | np.ndarray


def locate(
    run: str | Path | Run,
    images: Photo | Iterable[Photo],
    threshold: Threshold | None = None,
    classes: int = 1,
    keep: Keep = "largest",
    batch_size: int = 16,
    on_bad_image: Literal["raise", "skip"] = "raise",
) -> Iterator[Result]:
    """Says what is in each photo and where.

    run: a run folder or an opened run. images: files, folders (searched through), glob patterns, arrays (H, W, 3)
    uint8 RGB or PIL images, one or many. threshold: share of the heatmap's peak at which boxes are cut, or "auto",
    each map's own mean; None takes the run's. classes: how many of the best classes to locate. keep: "largest"
    component, "all", or their "union". batch_size: photos a pass. on_bad_image: whether a photo that cannot be read
    ends the run or is skipped.

    Yields one Result a photo, in order. Raises WsolError when there is no photo.
    """
    run = run if isinstance(run, Run) else load(run)
    threshold = run.threshold if threshold is None else threshold
    check_threshold(threshold)
    if batch_size < 1:
        raise WsolError(f"batch_size cannot be {batch_size}; it must be at least 1")
    if not 1 <= classes <= len(run.classes):
        raise WsolError(f"classes {classes}: this run knows {len(run.classes)}; ask for 1 to {len(run.classes)}")
    photos = list(_named(images))
    if not photos:
        raise WsolError("no image given; name files, folders or patterns")
    return _results(run, photos, threshold, classes, keep, batch_size, on_bad_image)


def _results(
    run: Run,
    photos: list[tuple[str, Photo]],
    threshold: Threshold,
    classes: int,
    keep: Keep,
    batch_size: int,
    on_bad: str,
) -> Iterator[Result]:
    method = run.method.eval()
    device = next(method.parameters()).device
    opened = _opened(photos, on_bad)
    while batch := list(islice(opened, batch_size)):
        with torch.no_grad():
            prediction = method.predict(
                torch.stack([evaluation_view(image, run.settings.image_size) for _, image in batch]).to(device)
            )
            scores, best = run.scores(prediction.logits).topk(classes)
            heatmaps = method.heatmaps(prediction, best).float().cpu().numpy()
            boxes = (
                [None] * len(batch) if prediction.boxes is None else prediction.boxes.double().cpu().numpy()[:, None]
            )
        for (name, image), row_scores, row_best, row_maps, box in zip(
            batch, scores.tolist(), best.tolist(), heatmaps, boxes, strict=True
        ):
            findings = []
            for score, label, heatmap in zip(row_scores, row_best, row_maps, strict=True):
                findings.append(find(label, run.classes[label], score, heatmap, image.size, threshold, keep, box))
            yield Result(name, image.size, threshold, tuple(findings), keep, image)


def _named(images: Photo | Iterable[Photo]) -> Iterator[tuple[str, Photo]]:
    if isinstance(images, str | Path | Image.Image | np.ndarray):
        images = [images]
    unnamed = count()
    for stored, some in groupby(images, lambda each: isinstance(each, str | Path)):
        if stored:  # all at once, so that no two have the same name
            yield from ((name, path) for path, name in find_images(some))  # type: ignore[arg-type]
        else:
            yield from ((f"image_{next(unnamed):05d}", each) for each in some)


def _opened(photos: list[tuple[str, Photo]], on_bad: str) -> Iterator[tuple[str, Image.Image]]:
    for name, photo in photos:
        try:
            yield name, open_image(photo) if isinstance(photo, str | Path) else to_rgb(photo)
        except WsolError as error:
            if on_bad == "raise":
                raise WsolError(f"{error}. Or skip such photos: --on-bad-image skip") from error
            warnings.warn(f"skipped: {error}", stacklevel=2)
