"""Co-localization: where the photos of one class have in common what a network sees (DDT, PSOL's first step)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wsol.boxes.rule import largest_component
from wsol.data import Dataset, open_data
from wsol.data.crops import evaluation_view
from wsol.data.dataset import Split
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.locating.result import Result, find
from wsol.readouts.features import features_at
from wsol.readouts.pc1 import strongest
from wsol.runs.adopt import is_network
from wsol.runs.opening import Network, load
from wsol.system.values import BatchSize, cast


def colocate(
    run: Network,
    data: str | Path | Dataset,
    *,
    split: Split = "train",
    boundary: str | int = -1,
    image_size: int = 448,
    batch_size: int = 16,
    **opened: Any,
) -> "Colocated":
    """Say where the photos of each class show what they have in common, by their labels and without training.

    Deep descriptor transforming (Wei et al., Pattern Recognition 2019, https://arxiv.org/abs/1707.06397), as PSOL makes
    its boxes; for the features F of all photos of a class::

        v = first principal component of all cells of F;  map = v . (F - mean F);  box = largest region of map > 0

    A component has no sign: v is the one that goes with the norm of F. Features of one class are in memory at once:
    0.4 MB a photo with VGG16.

    run: a run folder, or whatever else `wsol.load` opens, such as `torchvision:vgg16`, whose features PSOL takes.
    data: a folder of class folders, or whatever else `wsol train` takes.
    split: which photos, where the data set has splits.
    boundary: where features are read, by name or index.
    image_size: side of the square network input, pixels (paper: 448).
    batch_size: photos a pass.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, weights, names.

    Gives a Result a photo, class by class, made when it is asked for. Raises WsolError where the network is a file that
    has no features to read, or a photo cannot be read.
    """
    if isinstance(run, str | Path) and is_network(run):
        opened = {"readout": "mean"} | opened  # as no class is asked, a file of weights needs no names
    localizer = load(run, **opened)
    if not isinstance(localizer, Localizer):
        raise WsolError(f"{localizer.name}: a file of wsol export has no features to read; give the run it came from")
    cast(batch_size, BatchSize, "batch_size")
    localizer.method.backbone.check_size(image_size, image_size)
    photos = open_data(data, split, size=image_size)
    return Colocated(localizer, photos, boundary, image_size, batch_size)


@dataclass(frozen=True, eq=False)
class Colocated:
    """The results of `colocate`: `len` is how many, going through them makes them.

    localizer: the network.
    photos: the data set.
    boundary, image_size, batch_size: as `colocate` takes them.
    """

    localizer: Localizer
    photos: Dataset
    boundary: str | int
    image_size: int
    batch_size: int

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Result]:
        samples, names = self.photos.samples, self.photos.classes
        for label, name in enumerate(names):
            places = [place for place, sample in enumerate(samples) if sample.label == label]
            if not places:
                continue
            for place, heatmap in zip(places, common(self.features(places)).numpy(), strict=True):
                box = largest_component(heatmap > 0)
                size, sample = self.photos.size(place), samples[place]
                finding = find(label, name, 1.0, heatmap, size, "auto", box=box)
                held = self.photos.image(place) if self.photos.generated else sample.path
                yield Result(sample.id, size, "auto", (finding,), photo=held)

    def features(self, places: list[int]) -> Float[Tensor, "n c h w"]:
        """Features of some photos, on the CPU."""
        side, method = self.image_size, self.localizer.method
        batches = []
        for start in range(0, len(places), self.batch_size):
            opened = (self.photos.reduced(place, side)[0] for place in places[start : start + self.batch_size])
            images = torch.stack([evaluation_view(image, side) for image in opened]).to(self.localizer.device)
            batches.append(features_at(method, images, self.boundary)[0].float().cpu())
        return torch.cat(batches)


def common(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """How far each cell lies along the direction in which the cells of all photos vary most."""
    cells = features.permute(0, 2, 3, 1).flatten(0, 2)
    centred = cells - cells.mean(0)
    along = centred @ strongest((centred.T @ centred)[None])[0]
    norms = cells.norm(dim=1)
    sign = 1.0 if along @ (norms - norms.mean()) >= 0 else -1.0
    return (sign * along).view(features.shape[0], *features.shape[2:])
