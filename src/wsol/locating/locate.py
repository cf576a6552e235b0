"""Locating: photos in, results out, one batch in memory at a time."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from wsol.boxes.rule import Threshold, check_threshold
from wsol.data.inputs import Photo, inputs, several
from wsol.errors import WsolError
from wsol.locating.result import Keep
from wsol.locating.results import BadImage, Results
from wsol.runs.opening import Network, load
from wsol.system.values import BatchSize, Count, Workers, cast

THREADS = 8  # more of them wait for one another in Python


def locate(
    run: Network,
    images: Photo | Iterable[Photo | None] | None,
    *,
    threshold: Threshold | None = None,
    classes: int = 1,
    keep: Keep = "largest",
    batch_size: int = 16,
    on_bad_image: BadImage = "raise",
    max_errors: int | None = None,
    workers: int | None = None,
    **opened: Any,
) -> Results:
    """Say what is in each photo and where.

    run: a run folder, as `wsol train` left it, or whatever else `wsol.load` opens, such as `timm:resnet50`.
    images: files, folders (searched through, their structure kept), glob patterns, lists of files (a .txt with a path a
        line, a .parquet with a column `path`) or tar files of photos; also behind addresses such as
        s3://bucket/photos, where the library of that kind of store is installed; in Python also, one or many: PIL
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
    max_errors: how many of them are skipped before locating stops; by default any number, where they are skipped.
    workers: threads that open photos and cut boxes beside the network, for photos that are no generator's; by default
        as many as there are cores, up to 8.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, readout, settings, classes_from, boxes_from.

    Gives a Result a photo, in order, made when it is asked for, or up to four batches before: go through them, or take
    `[i]`. Raises WsolError when there is no photo.
    """
    results = ready(
        run,
        threshold=threshold,
        classes=classes,
        keep=keep,
        batch_size=batch_size,
        on_bad_image=on_bad_image,
        max_errors=max_errors,
        workers=workers,
        **opened,
    )
    photos = inputs(images)
    if (first := next(photos, None)) is None:
        raise WsolError("no image given; name files, folders or patterns")
    photos = chain([first], photos)
    # a mistake in a list is said at once; a generator may be endless
    endless = several(images) and not isinstance(images, Sequence | np.ndarray)
    return replace(results, photos=photos if endless else list(photos))


def ready(
    run: Network,
    *,
    threshold: Threshold | None = None,
    classes: int = 1,
    keep: Keep = "largest",
    batch_size: int = 16,
    on_bad_image: BadImage = "raise",
    max_errors: int | None = None,
    workers: int | None = None,
    **opened: Any,
) -> Results:
    """The network and how it is asked, without photos yet; as `locate`. Raises WsolError for what makes no sense."""
    localizer = load(run, **opened)
    threshold = localizer.threshold if threshold is None else threshold
    check_threshold(threshold)
    cast(batch_size, BatchSize, "batch_size")
    cast(max_errors, Count | None, "max_errors")
    workers = min(os.cpu_count() or 1, THREADS) if workers is None else workers
    cast(workers, Workers, "workers")
    if not 1 <= classes <= len(localizer.classes):
        known = len(localizer.classes)
        raise WsolError(f"classes {classes}: {localizer.name} knows {known}; ask for 1 to {known}")
    return Results(localizer, [], threshold, classes, keep, batch_size, on_bad_image, max_errors, workers)
