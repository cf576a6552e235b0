"""Sums over images: what every metric here is made of."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torchmetrics import Metric

from wsol.errors import WsolError

Sums = dict[str, Int[np.ndarray, "..."]]  # state -> (rows, ...)
Figures = dict[str, Any]  # name -> float, or None where undefined


class Counts(Metric):
    """A metric whose states are whole-number sums over images, one row a class that occurs and one a replicate.

    An image counts once in its class's row and n times in each replicate's, n drawn from the Poisson distribution of
    mean 1 by the image's index alone (the bootstrap for data that are seen once). So rows add up over processes
    however the images were divided, and memory grows neither with the images nor with classes that none of them has.
    States stay on the CPU.

    classes: how many; 1 where they do not matter.
    replicates: of the bootstrap, 0 for none.
    over_classes: figures are averaged within each class first.
    occurring: the classes that images may have, the same in every process; None for all.
    """

    full_state_update = False
    needs = "a label"  # what an image must have to be counted
    images: torch.Tensor

    def __init__(
        self,
        classes: int = 1,
        replicates: int = 0,
        over_classes: bool = False,
        occurring: Collection[int] | None = None,
        **shapes: tuple[int, ...],
    ):
        super().__init__()
        self.classes, self.replicates, self.over_classes = classes, replicates, over_classes
        labels = range(classes) if occurring is None else sorted(set(occurring))
        self.rows = {label: row for row, label in enumerate(labels)}
        self.names = ("images", *shapes)
        for name, shape in {"images": (), **shapes}.items():
            # rows are the last axis: what an image adds to an entry of all replicates lies side by side
            state = torch.zeros((*shape, len(self.rows) + replicates), dtype=torch.int64)
            self.add_state(name, state, dist_reduce_fx="sum")

    def count(self, label: int, index: int, **hits: Any) -> None:
        """Counts one image. label: its class; index: its place in the data set; hits: what each state gains."""
        row, classes = self.rows[label], len(self.rows)
        times = _drawn(index, self.replicates)
        for name, gain in {"images": 1, **hits}.items():
            state, gain = getattr(self, name).numpy(), np.asarray(gain, np.int64).ravel()
            flat, where = state.reshape(-1, state.shape[-1]), np.flatnonzero(gain)  # few entries gain anything
            flat[where, row] += gain[where]
            flat[where, classes:] += np.multiply.outer(gain[where], times)

    def figures(self, sums: Sums) -> Figures:
        """The figures of some rows, averaged over these rows."""
        raise NotImplementedError(f"{type(self).__name__} has no figures")

    def compute(self) -> Figures:
        """The figures over all images of all processes. Raises WsolError when no image was counted."""
        return self.figures(self._whole(self._sums()))

    def per_class(self) -> list[Figures]:
        """The figures of each class alone beside its number of `images`; all None where a class has none.

        Raises WsolError when no image was counted.
        """
        with self.sync_context():
            sums = self._sums()
        nothing = dict.fromkeys(self.figures(self._whole(sums)))
        images = {label: int(sums["images"][row]) for label, row in self.rows.items()}
        found = {label: self.figures(_row(sums, row)) for label, row in self.rows.items() if images[label]}
        return [{"images": images.get(label, 0)} | found.get(label, nothing) for label in range(self.classes)]

    def intervals(self) -> dict[str, list[float]]:
        """From where to where the middle 95 % of the bootstrap replicates lie, for each figure that they all have.

        Empty without replicates, and for averages over classes: a replicate is drawn from all images alike.
        """
        with self.sync_context():
            sums = self._sums()
        rows = [_row(sums, row) for row in range(len(self.rows), len(self.rows) + self.replicates)]
        found = [self.figures(row) for row in rows if row["images"][0] and not self.over_classes]
        return {
            name: np.percentile([each[name] for each in found], (2.5, 97.5)).tolist()
            for name in (found[0] if found else ())
            if None not in (each[name] for each in found)
        }

    def _sums(self) -> Sums:
        return {
            name: np.ascontiguousarray(np.moveaxis(getattr(self, name).cpu().numpy(), -1, 0)) for name in self.names
        }

    def _whole(self, sums: Sums) -> Sums:
        """All images in one row, or one row for each class that has images."""
        classes = len(self.rows)
        images = sums["images"][:classes]
        if not images.any():
            raise WsolError(f"no image with {self.needs} was scored; evaluate a split that has such")
        if self.over_classes:
            return {name: values[:classes][images > 0] for name, values in sums.items()}
        return {name: values[:classes].sum(0, keepdims=True) for name, values in sums.items()}


@lru_cache(maxsize=64)  # several metrics count the same image
def _drawn(index: int, replicates: int) -> Int[np.ndarray, " replicates"]:
    return np.random.default_rng(index).poisson(1.0, replicates)


def _row(sums: Sums, row: int) -> Sums:
    return {name: values[row : row + 1] for name, values in sums.items()}
