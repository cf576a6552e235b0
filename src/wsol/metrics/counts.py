"""Sums over images: what every metric here is made of."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torchmetrics import Metric

from wsol.errors import WsolError

Sums = dict[str, Int[np.ndarray, "..."]]  # state -> (rows, ...)
Figures = dict[str, Any]  # name -> float, or None where undefined
TOGETHER = 32  # images that are counted in the replicates at once


class Counts(Metric):
    """A metric whose states are whole-number sums over images, one row a class that occurs and one a replicate.

    An image counts once in its class's row and n times in each replicate's, n drawn from the Poisson distribution of
    mean 1 by the image's index alone (the bootstrap for data that are seen once). So rows add up over processes
    however the images were divided, and memory grows neither with the images nor with classes that none of them has.

    classes: how many; 1 where they do not matter, whatever the labels.
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
        labels = range(classes) if occurring is None or classes == 1 else sorted(set(occurring))
        self.rows = {label: row for row, label in enumerate(labels)}
        self.names = ("images", *shapes)
        self.waiting: list[tuple[int, dict[str, np.ndarray]]] = []  # index and gains of images for the replicates
        self.shapes = {name: (len(self.rows) + replicates, *shape) for name, shape in {"images": (), **shapes}.items()}
        for name in self.names:
            # torchmetrics would keep what a state begins with: here it is one number
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self._forget()

    def reset(self) -> None:
        """Forgets all images."""
        super().reset()
        self._forget()

    def _forget(self) -> None:
        """Pages in which nothing is counted take no memory."""
        self.waiting.clear()
        for name, shape in self.shapes.items():
            setattr(self, name, torch.from_numpy(np.zeros(shape, np.int64)).to(self.device))

    def count(self, label: int, index: int, **hits: Any) -> None:
        """Counts one image. label: its class; index: its place in the data set; hits: what each state gains."""
        row = self.rows[label if self.classes > 1 else 0]
        gains = {name: np.asarray(gain, np.int64).ravel() for name, gain in {"images": 1, **hits}.items()}
        for name, gain in gains.items():
            state = getattr(self, name)[row].view(-1)
            state += torch.from_numpy(gain).to(state.device)
        if self.replicates:
            self.waiting.append((index, gains))
            if len(self.waiting) == TOGETHER:
                self._replicate()

    def _replicate(self) -> None:
        """Counts what waits in the replicates: one product of matrices, exact as no sum comes near 2^53."""
        if not self.waiting:
            return
        drawn = np.stack([_drawn(index, self.replicates) for index, _ in self.waiting], 1)
        for name in self.names:
            gains = np.stack([gain[name] for _, gain in self.waiting])
            where = np.flatnonzero(gains.any(0))  # few entries gain anything
            gained = torch.from_numpy((drawn @ gains[:, where].astype(np.float64)).astype(np.int64))
            state = getattr(self, name)[len(self.rows) :].view(self.replicates, -1)
            state.index_add_(1, torch.from_numpy(where).to(state.device), gained.to(state.device))
        self.waiting.clear()

    @contextmanager
    def sync_context(self, *_: Any, should_sync: bool = True, **__: Any) -> Iterator[None]:
        """Within, the states are sums over all processes; afterwards the first process keeps them, others have none.

        So the sums stay those of all images, however often they are asked for, and no process holds several copies, as
        torchmetrics would. Contexts may be nested: the outer one adds up.
        """
        self._replicate()
        if not should_sync or self._is_synced or not dist.is_initialized() or dist.get_world_size() == 1:
            yield
            return
        for name in self.names:
            dist.all_reduce(getattr(self, name))
        self._is_synced = True
        try:
            yield
        finally:
            self._is_synced = False
            if dist.get_rank():
                self._forget()

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
        return {name: getattr(self, name).cpu().numpy() for name in self.names}

    def _whole(self, sums: Sums) -> Sums:
        """All images in one row, or one row for each class that has images."""
        classes = len(self.rows)
        images = sums["images"][:classes]
        if not images.any():
            raise WsolError(f"no image with {self.needs} was scored; evaluate a split that has such")
        if self.over_classes:
            return {name: values[:classes][images > 0] for name, values in sums.items()}
        return {name: values[:classes].sum(0, keepdims=True) for name, values in sums.items()}


@lru_cache(4 * TOGETHER)  # several metrics count one image
def _drawn(index: int, replicates: int) -> Float[np.ndarray, " r"]:
    """How often an image counts in each replicate."""
    return np.random.default_rng(index).poisson(1.0, replicates).astype(np.float64)


def _row(sums: Sums, row: int) -> Sums:
    return {name: values[row : row + 1] for name, values in sums.items()}
