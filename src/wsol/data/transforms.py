"""Views of photos for networks: float32 (3, S, S), RGB in [0, 1]."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wsol.data.dataset import Dataset


def training_view(image: Image.Image, size: int, chance: torch.Generator) -> Float[Tensor, "3 S S"]:
    """Resize to 8/7 of `size` (256 for 224) without regard to aspect, crop at random, mirror every other photo."""
    large = size * 8 // 7
    x, y = torch.randint(0, large - size + 1, (2,), generator=chance).tolist()
    image = image.resize((large, large), Image.Resampling.BILINEAR).crop((x, y, x + size, y + size))
    if torch.rand((), generator=chance) < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return to_tensor(image)


def evaluation_view(image: Image.Image, size: int, crop: bool = False) -> Float[Tensor, "3 S S"]:
    """What `framed` leaves of a photo."""
    return to_tensor(framed(image, size, crop))


def framed(image: Image.Image, size: int, crop: bool = False) -> Image.Image:
    """The photo resized straight to `size`, so that the whole object is seen; Pillow's bilinear.

    crop: resized to 8/7 of `size` (256 for 224) instead, and its centre kept.
    """
    large = size * 8 // 7 if crop else size
    margin = (large - size) // 2
    image = image.resize((large, large), Image.Resampling.BILINEAR)
    return image.crop((margin, margin, margin + size, margin + size))


def ten_crop(image: Image.Image, size: int) -> Float[Tensor, "10 3 S S"]:
    """Four corners and the centre of the photo at 8/7 of `size`, then their mirror images."""
    large = size * 8 // 7
    whole = to_tensor(image.resize((large, large), Image.Resampling.BILINEAR))
    low, middle, high = 0, (large - size) // 2, large - size
    corners = [(low, low), (low, high), (high, low), (high, high), (middle, middle)]
    crops = torch.stack([whole[:, y : y + size, x : x + size] for y, x in corners])
    return torch.cat([crops, crops.flip(-1)])


def to_tensor(image: Image.Image) -> Float[Tensor, "3 H W"]:
    """RGB pixels as float32 in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)


class TrainingImages(torch.utils.data.Dataset):
    """Photos and labels for training: (3, S, S) and an int. It never asks a data set for its truth.

    They are asked for by their place in the whole training, n of epoch 0, then n of epoch 1 ...: crop and mirroring
    depend on (seed, place) alone, so that a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, photos: Dataset, size: int, seed: int = 0) -> None:
        self.photos, self.size, self.seed = photos, size, seed

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        index, chance = place % len(self.photos), torch.Generator().manual_seed(self.seed * 1_000_000_007 + place)
        return training_view(self.photos.image(index), self.size, chance), self.photos.samples[index].label


class Shuffled(torch.utils.data.Sampler[int]):
    """Places in the whole training, shuffled within each epoch; `epoch` is the first one that is iterated over."""

    def __init__(self, photos: int, seed: int, epoch: int = 0) -> None:
        self.photos, self.seed, self.epoch = photos, seed, epoch

    def __len__(self) -> int:
        return self.photos

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.photos, generator=chance) + self.epoch * self.photos
        self.epoch += 1
        return iter(order.tolist())


class EvaluationImages(torch.utils.data.Dataset):
    """Photos, labels, indices and the photos' (W, H) for measuring: (3, S, S), int, int, (2,)."""

    def __init__(self, photos: Dataset, size: int, crop: bool = False) -> None:
        self.photos, self.size, self.crop = photos, size, crop

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int, Tensor]:
        image = self.photos.image(index)
        view = evaluation_view(image, self.size, self.crop)
        return view, self.photos.samples[index].label, index, torch.tensor(image.size)
