"""One pass over the photos: what a network, or maps made elsewhere, say of each."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsol.answer import AnyLocalizer
from wsol.data import Dataset, readable
from wsol.data.crops import Batch, EvaluationImages, collate, ten_crop
from wsol.data.layouts.metadata import Metadata
from wsol.data.loading import Loader
from wsol.errors import listed
from wsol.evaluation.score_maps import ScoreMaps, write_map, write_predictions
from wsol.metrics import SIZE, Protocol, ranks
from wsol.system import processes
from wsol.system.console import bar


@dataclass(frozen=True)
class Seen:
    """One image as a pass gives it.

    heatmap: of its true class, normalised.
    size: (W, H).
    rank: of the true class.
    best: classes, the best first.
    box: on the grid, where the method regresses it.
    logits, present: where a photo may have several classes, with the first case of each photo.
    """

    index: int
    heatmap: Float[np.ndarray, "S S"]
    size: tuple[int, int]
    rank: int
    best: list[int]
    box: Float[np.ndarray, "1 4"] | None = None
    logits: Float[Tensor, " k"] | None = None
    present: Bool[Tensor, " k"] | None = None


def looked_at(
    localizer: AnyLocalizer,
    photos: Dataset,
    protocol: Protocol,
    batch_size: int,
    workers: int,
    crops: bool = False,
    said: str = "evaluating",
    skip: bool = False,
) -> Iterator[Seen]:
    """This process's share of the photos, through the network.

    crops: classes by the mean over ten crops.
    skip: photos that cannot be read are left out with a warning.

    Raises WsolError that names the photos that cannot be read, all of them once the first is met.
    """
    views = EvaluationImages(photos, localizer.image_size, protocol.crop)
    mine = processes.share(len(photos))
    batches = Loader(views, batch_size, workers, mine, collate)
    unreadable: list[str] = []
    with bar(said) as shown:
        task = shown.add_task("", total=len(mine))
        for batch in batches:
            unreadable += [error for _, error in batch.errors]
            if unreadable and not skip:
                readable(photos, "raise")
            shown.advance(task, len(batch.indices) + len(batch.errors))
            if len(batch.indices):
                yield from _seen(localizer, photos, protocol, batch, crops)
    if unreadable:
        names = listed(list(dict.fromkeys(unreadable)), "; ", most=5)
        warnings.warn(f"{len(unreadable)} of {len(photos)} photos are skipped: {names}", stacklevel=2)


def _seen(localizer: AnyLocalizer, photos: Dataset, protocol: Protocol, batch: Batch, crops: bool) -> Iterator[Seen]:
    indices = batch.indices.tolist()
    labels = torch.tensor([photos.samples[index].label for index in indices])
    answer = localizer.look(batch.images, labels[:, None])
    logits = answer.logits if not crops else _over_crops(localizer, photos, indices)
    several = batch.targets.dtype == torch.bool
    best = torch.argsort(logits, dim=1, descending=True, stable=True)[:, :5].tolist()
    places = ranks(logits, batch.targets).tolist()
    boxes = None if answer.boxes is None else SIZE * answer.boxes.double().numpy()[:, None]
    for i, index in enumerate(indices):
        heatmap = protocol.heatmap(answer.heatmaps[i, 0].numpy())
        first = several and photos.samples[index].present[0] == labels[i]
        more = (logits[i], batch.targets[i]) if first else ()
        box = None if boxes is None else boxes[i]
        yield Seen(index, heatmap, tuple(batch.sizes[i].tolist()), places[i], best[i], box, *more)


def _over_crops(localizer: AnyLocalizer, photos: Dataset, indices: list[int]) -> Float[Tensor, "b k"]:
    """Scores averaged over four corners, centre and their mirror images (the papers' classification figures)."""
    crops = (ten_crop(photos.image(index), localizer.image_size) for index in indices)
    return torch.stack([localizer.scores(localizer.judge(views)).mean(0) for views in crops])


def stored(maps: ScoreMaps, photos: Metadata) -> Iterator[Seen]:
    """This process's share of maps made elsewhere."""
    with bar("evaluating") as shown:
        for index in shown.track(processes.share(len(photos))):
            size = photos.size(index) if photos.has_boxes else (SIZE, SIZE)
            yield Seen(index, maps.heatmap(index), size, maps.rank(index), [])


def written(seen: Iterable[Seen], photos: Dataset, folder: Path) -> Iterator[Seen]:
    """The same images, their maps and best classes written on the way."""
    best = []
    for image in seen:
        write_map(folder, photos.samples[image.index].id, image.heatmap)
        best.append((photos.samples[image.index].id, image.best))
        yield image
    best = processes.gather(best)
    if processes.place()[0] == 0:
        write_predictions(folder, best)
