"""Locating: photos in, results out, one batch in memory at a time."""

import warnings
from collections.abc import Iterable, Iterator
from itertools import count, groupby, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from wsol.boxes.rule import Threshold, check_threshold
from wsol.data.crops import evaluation_view
from wsol.data.images import find_images, open_image, to_rgb
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.locating.result import Keep, Result, find
from wsol.runs.opening import Network, load

Photo = str | Path | Image.Image | np.ndarray
BadImage = Literal["raise", "skip"]


def locate(
    run: Network,
    images: Photo | Iterable[Photo],
    *,
    threshold: Threshold | None = None,
    classes: int = 1,
    keep: Keep = "largest",
    batch_size: int = 16,
    on_bad_image: BadImage = "raise",
    **opened: Any,
) -> Iterator[Result]:
    """Say what is in each photo and where.

    run: a run folder, as `wsol train` left it, or whatever else `wsol.load` opens, such as `timm:resnet50`.
    images: files, folders (searched through, their structure kept) or glob patterns; in Python also arrays
        (H, W, 3) uint8 RGB and PIL images, one or many.
    threshold: share of the heatmap's peak at which boxes are cut, or auto: each heatmap's own mean; by default the
        run's.
    classes: how many of the best classes to locate in each photo.
    keep: the largest connected region above the threshold, all regions, or one box around all (union).
    batch_size: photos a pass.
    on_bad_image: what to do with photos that cannot be read.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, readout, settings, classes_from, boxes_from.

    Yields one Result a photo, in order. Raises WsolError when there is no photo.
    """
    localizer = load(run, **opened)
    threshold = localizer.threshold if threshold is None else threshold
    check_threshold(threshold)
    if batch_size < 1:
        raise WsolError(f"batch_size cannot be {batch_size}; it must be at least 1")
    if not 1 <= classes <= len(localizer.classes):
        known = len(localizer.classes)
        raise WsolError(f"classes {classes}: {localizer.name} knows {known}; ask for 1 to {known}")
    photos = list(_named(images))
    if not photos:
        raise WsolError("no image given; name files, folders or patterns")
    return _results(localizer, photos, threshold, classes, keep, batch_size, on_bad_image)


def _results(
    localizer: Localizer,
    photos: list[tuple[str, Photo]],
    threshold: Threshold,
    classes: int,
    keep: Keep,
    batch_size: int,
    on_bad_image: BadImage,
) -> Iterator[Result]:
    opened, known = _opened(photos, on_bad_image), localizer.classes
    while batch := list(islice(opened, batch_size)):
        views = torch.stack([evaluation_view(image, localizer.image_size) for _, image in batch])
        answer = localizer.look(views, best=classes)
        boxes = [None] * len(batch) if answer.boxes is None else answer.boxes.double().numpy()[:, None]
        scores = answer.scores.gather(1, answer.classes).tolist()
        unsure = answer.unsure.tolist()
        rows = zip(batch, scores, answer.classes.tolist(), answer.heatmaps.numpy(), boxes, unsure, strict=True)
        for (name, image), row_scores, labels, heatmaps, box, unknown in rows:
            findings = tuple(
                find(label, known[label], score, heatmap, image.size, threshold, keep, box, localizer.background)
                for score, label, heatmap in zip(row_scores, labels, heatmaps, strict=True)
            )
            unknown &= not findings[0].background
            yield Result(name, image.size, threshold, findings, keep, image, unknown)


def _named(images: Photo | Iterable[Photo]) -> Iterator[tuple[str, Photo]]:
    if isinstance(images, str | Path | Image.Image | np.ndarray):
        images = [images]
    unnamed = count()
    for stored, some in groupby(images, lambda photo: isinstance(photo, str | Path)):
        if stored:  # all at once, so that no two have the same name
            yield from ((name, path) for path, name in find_images(some))  # type: ignore[arg-type]
        else:
            yield from ((f"image_{next(unnamed):05d}", photo) for photo in some)


def _opened(photos: list[tuple[str, Photo]], on_bad_image: BadImage) -> Iterator[tuple[str, Image.Image]]:
    for name, photo in photos:
        try:
            yield name, open_image(photo) if isinstance(photo, str | Path) else to_rgb(photo)
        except WsolError as error:
            if on_bad_image == "raise":
                raise WsolError(f"{error}. Or skip such photos: --on-bad-image skip") from error
            warnings.warn(f"skipped: {error}", stacklevel=2)
