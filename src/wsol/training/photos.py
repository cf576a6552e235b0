"""Photos decoded and resized once and kept on disk, so that no epoch waits for their files.

A file holds those of one list of photos and is called after their content and size. The files lie beside the run's
folder and stay there for the next training.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cached_property
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsol.data import Dataset
from wsol.data.contents import contents
from wsol.data.dataset import Chosen
from wsol.data.inputs import framed, one_large_at_a_time
from wsol.system.console import bar
from wsol.training.kept import kept

FOLDER = "cached_photos"  # beside the run's folder
THREADS = 8
TOGETHER = 256  # photos that are in memory


class Squares(Chosen):
    """Another data set whose photos come as squares that a file holds, for views made of squares of that side.

    photos: The data set.
    path: The file of its squares, see `squares`.
    """

    def __init__(self, photos: Dataset, path: Path) -> None:
        super().__init__(photos, list(range(len(photos))))
        self.path = path

    @cached_property
    def rows(self) -> np.ndarray:
        return np.load(self.path, mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        """Other processes map the file themselves."""
        return {name: value for name, value in self.__dict__.items() if name != "rows"}

    def reduced(self, index: int, side: int) -> tuple[Image.Image, tuple[int, int]]:
        row = self.rows[index]
        return Image.fromarray(row["pixels"]), tuple(row["size"].tolist())


def squares(photos: Dataset, run: Path, view: int, side: int) -> Dataset:
    """The same photos, kept decoded as squares. Makes their file where there is none, and says where it is.

    photos: The data set.
    run: The folder of the run, beside which the file lies.
    view: The side of the network's view in pixels.
    side: That of the square which a view is made of.

    Raises WsolError, naming the file, for a photo that cannot be read, and where the disk is full or a file damaged.
    """
    name = hashlib.sha256(json.dumps([contents(photos), view, side]).encode()).hexdigest()[:16]
    path = run.absolute().parent / FOLDER / f"{name}.npy"
    kind = np.dtype([("size", "<i4", (2,)), ("pixels", "u1", (side, side, 3))])

    def square(index: int) -> np.ndarray:
        with one_large_at_a_time(photos.samples[index].path):
            image, size = photos.reduced(index, view)
            return np.array((size, np.array(framed(image, side))), kind)

    def rows() -> Iterator[np.ndarray]:
        with ThreadPool(min(os.cpu_count() or 1, THREADS)) as threads, bar("photos") as shown:
            for start in shown.track(range(0, len(photos), TOGETHER)):
                yield from threads.map(square, range(start, min(start + TOGETHER, len(photos))))

    kept(path, kind, (len(photos),), rows, holding=f"of {side} x {side} pixels", setting="cache_photos")
    return Squares(photos, path) if len(photos) else photos
