"""Which photos are the same, whatever their files are called."""

import hashlib
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

from wsol.data.dataset import Chosen, Dataset

THREADS = 8


def digest(path: Path) -> str:
    """16 hex digits of what a file holds; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError:
        return ""


def digests(photos: Dataset) -> list[str]:
    """The digest of each photo's file; none where a photo is not simply a file."""
    if not _are_files(photos):
        return [""] * len(photos)
    with ThreadPool(min(os.cpu_count() or 1, THREADS)) as threads:
        return threads.map(digest, [sample.path for sample in photos.samples])


def contents(photos: Dataset) -> list[str]:
    """The digest of each photo's file, or of its pixels where it is not simply a file or cannot be read."""
    known = digests(photos)
    if "" not in known:
        return known
    return [hashlib.sha256(photos.image(index).tobytes()).hexdigest() for index in range(len(photos))]


def in_both(some: Dataset, others: Dataset) -> list[tuple[Path, Path]]:
    """Photos of one data set that are in another too, each with the one there.

    Only files of equal size are read.
    """
    if not (_are_files(some) and _are_files(others)):
        return []
    by_size: dict[int, list[Path]] = {}
    for sample in some.samples:
        by_size.setdefault(_size(sample.path), []).append(sample.path)
    by_size.pop(-1, None)
    suspects = {path: by_size[size] for path in (s.path for s in others.samples) if (size := _size(path)) in by_size}
    known: dict[str, Path] = {}
    for path in {path: None for paths in suspects.values() for path in paths}:
        known.setdefault(digest(path), path)
    known.pop("", None)
    return [(path, known[content]) for path in suspects if (content := digest(path)) in known]


def _are_files(photos: Dataset) -> bool:
    """Whether equal files are equal photos."""
    while isinstance(photos, Chosen):
        photos = photos.photos
    return type(photos).image is Dataset.image and not photos.generated


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
