"""Locating: photos in, results out, one batch in memory at a time."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal

import torch
from jaxtyping import Float

from wsol.boxes.rule import Threshold, check_threshold
from wsol.data.crops import evaluation_view
from wsol.data.inputs import Held, Input, Photo, inputs, open_reduced
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.locating.result import Keep, Result, find
from wsol.runs.opening import Network, load

BadImage = Literal["raise", "skip"]
View = Float[torch.Tensor, "3 S S"]


def locate(
    run: Network,
    images: Photo | Iterable[Photo | None] | None,
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
    images: files, folders (searched through, their structure kept) or glob patterns; in Python also, one or many: PIL
        images, bytes and open files of encoded photos, and arrays or tensors (H, W), (H, W, 3) or (3, H, W) and batches
        of them, uint8, bool or floats from 0 to 1. Channels are RGB: turn the BGR of cv2.imread round first. A
        generator of these is taken a batch at a time. JPEGs of more than 24 megapixels are decoded at a fraction of
        their size, which moves boxes by less than a pixel of the heatmaps' grid of 224.
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
    photos = inputs(images)
    if isinstance(images, Sequence):  # a mistake in a list is said at once; a generator may be endless
        photos = iter(list(photos))
    if (first := next(photos, None)) is None:
        raise WsolError("no image given; name files, folders or patterns")
    return _results(localizer, chain([first], photos), threshold, classes, keep, batch_size, on_bad_image)


def _results(
    localizer: Localizer,
    photos: Iterable[Input],
    threshold: Threshold,
    classes: int,
    keep: Keep,
    batch_size: int,
    on_bad_image: BadImage,
) -> Iterator[Result]:
    opened, known = _opened(photos, localizer.image_size, on_bad_image), localizer.classes
    while batch := list(islice(opened, batch_size)):
        answer = localizer.look(torch.stack([view for *_, view in batch]), best=classes)
        boxes = [None] * len(batch) if answer.boxes is None else answer.boxes.double().numpy()[:, None]
        scores = answer.scores.gather(1, answer.classes).tolist()
        unsure = answer.unsure.tolist()
        rows = zip(batch, scores, answer.classes.tolist(), answer.heatmaps.numpy(), boxes, unsure, strict=True)
        for (name, held, size, _), row_scores, labels, heatmaps, box, unknown in rows:
            findings = tuple(
                find(label, known[label], score, heatmap, size, threshold, keep, box, localizer.background)
                for score, label, heatmap in zip(row_scores, labels, heatmaps, strict=True)
            )
            unknown &= not findings[0].background
            yield Result(name, size, threshold, findings, keep, held, unknown)


def _opened(
    photos: Iterable[Input], side: int, on_bad_image: BadImage
) -> Iterator[tuple[str, Held, tuple[int, int], View]]:
    """Name, what is kept of it, (W, H) and view of each photo; pixels are let go before the next one is opened."""
    for given in photos:
        try:
            held = given.held()
            image, size = open_reduced(held, side, given.where)
        except WsolError as error:
            if on_bad_image == "raise":
                raise WsolError(f"{error}. Or skip such photos: --on-bad-image skip") from error
            warnings.warn(f"skipped: {error}", stacklevel=2)
            continue
        view = evaluation_view(image, side)
        del image
        yield given.name, held, size, view
