"""Features of frozen stages, kept on disk: these run once over all photos, and each epoch reads what they gave.

A file holds those of one list of photos and is called after what they depend on: the content of the photos, the frozen
stages with their weights, the image size. The files lie beside the run's folder and stay there, so that the next
training with the same photos and the same frozen stages takes seconds.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from wsol.backbones import Backbone
from wsol.data import Dataset
from wsol.data.contents import digests
from wsol.data.crops import EvaluationImages, WholeImages, collate, target
from wsol.data.loading import Loader
from wsol.errors import WsolError
from wsol.runs.settings import Settings
from wsol.system import processes
from wsol.system.console import bar, console
from wsol.system.files import unreadable, unwritable, write_whole
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
    _rehearse(loop, training, boxes)
    learnt = _features(backbone, training, settings, folder, ways=2)
    checked = _features(backbone, validation, settings, folder, ways=1)
    return (
        CachedTraining(learnt, training, settings.image_size, settings.seed, boxes),
        CachedEvaluation(checked, validation, settings.image_size),
    )


def _rehearse(loop: Loop, photos: Dataset, boxes: Tensor | None) -> None:
    """Runs one photo's features, so that a method that needs more says so before all photos are run."""
    views = WholeImages(photos, loop.settings.image_size, loop.settings.seed, boxes)
    view, label, *box = (torch.as_tensor(value)[None].to(loop.device) for value in views[0])
    loop.eval()
    with loop.shown(loop.method.backbone.frozen_features(view)) as images:
        loop.method.loss(images, label, **loop.asked(box))
        loop.method.predict(images)  # as validation does
    loop.train()


def _features(backbone: Backbone, photos: Dataset, settings: Settings, folder: Path, ways: int) -> np.ndarray:
    """Those of all photos (photos, ways, ...), from the file, which is made where there is none."""
    path = folder / f"{_name(backbone, photos, settings, ways)}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two trainings at once make it once
            if not path.exists() and len(photos):
                _make(path, backbone, EvaluationImages(photos, settings.image_size), settings.workers, ways)
    except OSError as error:
        raise unwritable(path, error) from error
    if not len(photos):
        return np.zeros((0, ways), np.float16)
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, error, "damaged; remove it, and it is made again") from error


def _name(backbone: Backbone, photos: Dataset, settings: Settings, ways: int) -> str:
    """16 hex digits of all that the features depend on."""
    contents = digests(photos)
    if "" in contents:  # drawn, or no simple files: their pixels
        contents = [hashlib.sha256(photos.image(index).tobytes()).hexdigest() for index in range(len(photos))]
    network = [settings.backbone, settings.end, settings.map_stride, settings.kept_strides, backbone.frozen]
    digest = hashlib.sha256(json.dumps([contents, network, settings.image_size, ways]).encode())
    for name, tensor in backbone.frozen_state().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _make(path: Path, backbone: Backbone, views: EvaluationImages, workers: int, ways: int) -> None:
    """Runs the frozen stages over all photos. Raises WsolError where there is no room."""
    device = next(backbone.parameters()).device
    blank = torch.zeros(1, 3, views.size, views.size, device=device)
    shape = len(views), ways, *backbone.frozen_features(blank).shape[1:]
    size = 2 * int(np.prod(shape))
    said = f"{len(views)} photos through {backbone.name} up to {backbone.frozen}: {size / 1e6:.0f} MB in {path}"
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise WsolError(f"{said}, where {free / 1e6:.0f} MB are free; free some space, or leave cache_features out")

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file, bar("features") as shown:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            for batch in shown.track(Loader(views, BATCH, workers, collate=collate)):
                if batch.errors:
                    raise WsolError("; ".join(error for _, error in batch.errors))
                images = batch.images.to(device, memory_format=torch.channels_last)
                both = [images, images.flip(-1)][:ways]
                _append(file, torch.stack([backbone.frozen_features(view) for view in both], 1))

    write_whole(path, write)
    console.print(f"{said}, kept for the next training", highlight=False, soft_wrap=True)


def _append(file: IO[bytes], features: Tensor) -> None:
    values = features.half().cpu().numpy()
    if not np.isfinite(values).all():
        raise WsolError("features beyond 65504 cannot be kept in 16 bits; leave cache_features out")
    file.write(values.tobytes())
