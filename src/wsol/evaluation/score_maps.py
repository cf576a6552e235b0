"""Score maps as files, in the layout of the field's evaluator: FOLDER/ID.npy, a map of the true class for each image.

predictions.csv beside them (id and the best classes, the best first) is ours: where it is missing, nothing is known of
the classification.
"""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wsol.data import Dataset
from wsol.data.dataset import check_unique, class_count
from wsol.errors import WsolError, listed
from wsol.metrics import SIZE, Protocol
from wsol.system import processes
from wsol.system.console import bar
from wsol.system.files import read_array, unreadable, write_array, write_bytes
from wsol.system.names import within
from wsol.system.values import whole

PREDICTIONS = "predictions.csv"


class ScoreMaps:
    """Maps of a data set's images, made elsewhere.

    A map of 224 x 224 between 0 and 1 counts as it is; any other one is resized and scaled by the protocol, which is
    said. One that holds NaN counts as zeros, and is named.

    Raises WsolError that names the images whose map is missing, unreadable, no (h, w) array, transposed or of another
    shape than the photo, and warns of maps that belong to no image: all before the first map is used.
    """

    def __init__(self, folder: str | Path, photos: Dataset, protocol: Protocol) -> None:
        self.folder, self.photos, self.protocol = Path(folder), photos, protocol
        if not self.folder.is_dir():
            raise WsolError(f"{folder}: there is no such folder; give the one that holds the maps, ID.npy each")
        self.silent: list[str] = []  # ids of maps with NaN, and of those outside 0 to 1, as they are met
        self.scaled: list[str] = []
        self._check()
        self.best = self._predictions()

    def heatmap(self, index: int) -> Float[np.ndarray, "S S"]:
        """The normalised map of an image."""
        path = self._path(index)
        heatmap = _read(path)
        if not np.isfinite(heatmap).all():
            self.silent.append(self.photos.samples[index].id)
            return np.zeros((SIZE, SIZE))
        if heatmap.shape == (SIZE, SIZE) and heatmap.min() >= 0 and heatmap.max() <= 1:
            return heatmap.astype(np.float64)
        if heatmap.shape == (SIZE, SIZE):
            self.scaled.append(self.photos.samples[index].id)
        return self.protocol.heatmap(heatmap)

    def rank(self, index: int) -> int:
        """How many classes come before the true one; five where it is not among the best five, 0 if nobody knows."""
        best = self.best.get(self.photos.samples[index].id, [])
        label = self.photos.samples[index].label
        return best.index(label) if label in best else 5 * bool(self.best)

    def warn(self) -> None:
        """Names the maps that could not count as they are, once all were read."""
        for ids, said in ((self.silent, "with NaN counted as zeros"), (self.scaled, "scaled to 0 .. 1")):
            if ids := processes.gather(ids):
                warnings.warn(f"{self.folder}: maps {said}: {listed(ids)}", stacklevel=3)

    def _check(self) -> None:
        missing, odd, shapes = [], [], {}
        with bar("checking maps") as shown:
            for index in shown.track(range(len(self.photos))):
                path = self._path(index)
                if not path.is_file():
                    missing.append(self.photos.samples[index].id)
                    continue
                try:
                    shapes[index] = _read(path, mapped=True).shape
                except WsolError as error:
                    odd.append(str(error))
        if missing:
            odd.insert(0, f"{self.folder}: no map for {listed(missing)}; a map is named ID.npy")
        if odd:
            raise WsolError(listed(odd, "; "))
        if self.photos.has_boxes:
            self._check_shapes(shapes)
        known = {self._path(index) for index in range(len(self.photos))}
        if strange := sorted(path for path in self.folder.rglob("*.npy") if path not in known):
            names = listed([path.relative_to(self.folder).as_posix() for path in strange])
            warnings.warn(f"{self.folder}: no image is listed for {names}: not counted", stacklevel=4)
        if resized := Counter(shape for shape in shapes.values() if shape != (SIZE, SIZE)):
            sizes = ", ".join(f"{count} of {h} x {w}" for (h, w), count in sorted(resized.items()))
            warnings.warn(f"{self.folder}: maps resized to {SIZE} x {SIZE} and scaled: {sizes}", stacklevel=4)

    def _check_shapes(self, shapes: dict[int, tuple[int, int]]) -> None:
        """Maps are square, all of one shape, or each shaped as its photo, up to a row and a column."""
        turned, other, fitting = [], [], 0
        for index, (height, width) in shapes.items():
            size = self.photos.size(index)
            if height == width or size[0] == size[1]:
                continue
            if _fits(width, height, *size):
                fitting += 1
            else:
                (turned if _fits(height, width, *size) else other).append(self.photos.samples[index].id)
        if turned and not other and not fitting:
            raise WsolError(
                f"{self.folder}: maps are transposed: those of {listed(turned)} are width x height; "
                "store them as (height, width)"
            )
        if (turned or other) and len(set(shapes.values())) > 1:
            raise WsolError(
                f"{self.folder}: maps that are not shaped as their photos: {listed(turned + other)}; store each as "
                "(height, width) of its own whole photo, or all square"
            )

    def _predictions(self) -> dict[str, list[int]]:
        path = self.folder / PREDICTIONS
        if not path.is_file():
            return {}
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                rows = [(row[0], [whole(label) for label in row[1:]]) for row in csv.reader(file) if row]
        except (OSError, ValueError, csv.Error) as error:
            raise unreadable(path, error, f"a line is ID,label,label ... with whole numbers ({error})") from error
        best = dict(rows)
        check_unique((id for id, _ in rows), path)
        if wrong := [id for id, labels in rows if len(set(labels)) < len(labels)]:
            raise WsolError(f"{path}: {wrong[0]} has a class twice; remove it")
        class_count((label for _, labels in rows for label in labels), path)
        if missing := [sample.id for sample in self.photos.samples if not best.get(sample.id)]:
            raise WsolError(f"{path}: no classes for {listed(missing)}; list them, or remove the file")
        return best

    def _path(self, index: int) -> Path:
        return map_path(self.folder, self.photos.samples[index].id)


def map_path(folder: Path, id: str) -> Path:
    """Where an image's map is stored. Raises WsolError for an id that leads out of the folder."""
    return within(folder, f"{id}.npy")


def write_map(folder: Path, id: str, heatmap: Float[np.ndarray, "S S"]) -> None:
    """Stores a normalised map where the evaluator looks for it."""
    write_array(map_path(folder, id), heatmap)


def write_predictions(folder: Path, best: Iterable[tuple[str, list[int]]]) -> None:
    """Stores the best classes of each image, the best first."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([id, *labels] for id, labels in best)
    write_bytes(folder / PREDICTIONS, lines.getvalue().encode())


def _fits(width: int, height: int, photo_width: int, photo_height: int) -> bool:
    """Whether a map has the photo's aspect, up to a row and a column, which networks round away."""
    return (width - 1) * photo_height <= photo_width * (height + 1) and (width + 1) * photo_height >= photo_width * (
        height - 1
    )


def _read(path: Path, mapped: bool = False) -> np.ndarray:
    """A stored (h, w) array of numbers. Raises WsolError naming the file."""
    heatmap = read_array(path, "a map is one (h, w) array of numbers")
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise WsolError(f"{path}: holds {heatmap.dtype} {heatmap.shape}; a map is one (h, w) array of numbers")
    return heatmap if mapped else np.array(heatmap)
