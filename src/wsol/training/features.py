"""Features of frozen stages, kept on disk: these run once over all photos, and each epoch reads what they gave.

A file holds those of one list of photos and is called after what they depend on: the content of the photos, the frozen
stages with their weights, the image size. The files lie beside the run's folder and stay there, so that the next
training with the same photos and the same frozen stages takes seconds.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsol.backbones import Backbone
from wsol.data import Dataset
from wsol.data.contents import contents
from wsol.data.crops import EvaluationImages, WholeImages, collate, target
from wsol.data.loading import Loader
from wsol.errors import WsolError
from wsol.runs.settings import Settings
from wsol.system import processes
from wsol.system.console import bar
from wsol.training.kept import kept
from wsol.training.loop import Loop

FOLDER = "cached_features"  # beside the run's folder
BATCH = 32  # photos


class CachedTraining(WholeImages):
    """`WholeImages` with features in the place of views.

    features: (photos, 2, ...) float16 of each photo as it is and mirrored.
    views: as `WholeImages` takes them.
    """

    def __init__(self, features: np.ndarray, *views: Any) -> None:
        super().__init__(*views)
        self.features = features

    def view(self, index: int, place: int) -> Tensor:
        return torch.from_numpy(np.array(self.features[index, int(self.mirrored(place))]))


class CachedEvaluation(EvaluationImages):
    """`EvaluationImages` with features in the place of views; it does not open photos, and their sizes are 0.

    features: (photos, 1, ...) float16.
    views: as `EvaluationImages` takes them.
    """

    def __init__(self, features: np.ndarray, *views: Any) -> None:
        super().__init__(*views)
        self.features = features

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor, int, Tensor]:
        view = torch.from_numpy(np.array(self.features[index, 0]))
        return view, target(self.photos, index), index, torch.zeros(2, dtype=torch.long)


def cached(
    loop: Loop, run: Path, training: Dataset, validation: Dataset, boxes: Tensor | None
) -> tuple[CachedTraining, CachedEvaluation]:
    """What training reads in the place of photos. Makes the files that are missing, and says where they are.

    loop: of a network with frozen stages.
    run: the folder of the run, beside which the files lie.
    boxes: of the training photos, for a method that learns from such.

    Raises WsolError where the method needs more than the features, and where the disk is full or a file damaged.
    """
    settings, backbone, folder = loop.settings, loop.method.backbone, run.absolute().parent / FOLDER
    loop.to(processes.device())
    shape = _rehearse(loop, training, boxes)
    learnt = _features(backbone, shape, training, settings, folder, ways=2)
    checked = _features(backbone, shape, validation, settings, folder, ways=1)
    return (
        CachedTraining(learnt, training, settings.image_size, settings.seed, boxes),
        CachedEvaluation(checked, validation, settings.image_size),
    )


def _rehearse(loop: Loop, photos: Dataset, boxes: Tensor | None) -> tuple[int, ...]:
    """Runs one photo's features, so that a method that needs more says so before all photos are run; their shape."""
    views = WholeImages(photos, loop.settings.image_size, loop.settings.seed, boxes)
    view, label, *box = (torch.as_tensor(value)[None].to(loop.device) for value in views[0])
    loop.eval()
    features = loop.method.backbone.frozen_features(view)
    with loop.shown(features) as images:
        loop.method.loss(images, label, **loop.asked(box))
        loop.method.predict(images)  # as validation does
    loop.train()
    return features.shape[1:]


def _features(
    backbone: Backbone, shape: tuple[int, ...], photos: Dataset, settings: Settings, folder: Path, ways: int
) -> np.ndarray:
    """Those of all photos (photos, ways, *shape) float16, from the file, which is made where there is none."""
    return kept(
        folder / f"{_name(backbone, photos, settings, ways)}.npy",
        np.float16,
        (len(photos), ways, *shape),
        lambda: _run(backbone, EvaluationImages(photos, settings.image_size), settings.workers, ways),
        holding=f"through {backbone.name} up to {backbone.frozen}",
        setting="cache_features",
    )


def _name(backbone: Backbone, photos: Dataset, settings: Settings, ways: int) -> str:
    """16 hex digits of all that the features depend on."""
    network = [settings.backbone, settings.end, settings.map_stride, settings.kept_strides, backbone.frozen]
    digest = hashlib.sha256(json.dumps([contents(photos), network, settings.image_size, ways]).encode())
    for name, tensor in backbone.frozen_state().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _run(backbone: Backbone, views: EvaluationImages, workers: int, ways: int) -> Iterator[np.ndarray]:
    """Runs the frozen stages over all photos."""
    device = next(backbone.parameters()).device
    with bar("features") as shown:
        for batch in shown.track(Loader(views, BATCH, workers, collate=collate)):
            if batch.errors:
                raise WsolError("; ".join(error for _, error in batch.errors))
            images = batch.images.to(device, memory_format=torch.channels_last)
            both = [images, images.flip(-1)][:ways]
            values = torch.stack([backbone.frozen_features(view) for view in both], 1).half().cpu().numpy()
            if not np.isfinite(values).all():
                raise WsolError("features beyond 65504 cannot be kept in 16 bits; leave cache_features out")
            yield values
