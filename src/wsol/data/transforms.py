"""Views of photos for networks: float32 (3, S, S), RGB in [0, 1]."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wsol.data.dataset import Dataset

View = Callable[[Image.Image], Float[Tensor, "3 S S"]]


def training_view(size: int) -> View:
    """Resize to 8/7 of `size` (256 for 224) without regard to aspect, crop at random, mirror every other photo.

    Randomness comes from torch's generator, so that a seeded worker repeats itself.
    """
    large = size * 8 // 7

    def view(image: Image.Image) -> Float[Tensor, "3 S S"]:
        x, y = torch.randint(0, large - size + 1, (2,)).tolist()
        image = image.resize((large, large), Image.Resampling.BILINEAR).crop((x, y, x + size, y + size))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return to_tensor(image)

    return view


def evaluation_view(size: int) -> View:
    """Resize straight to `size`, so that the whole object is seen; Pillow's bilinear."""
    return lambda image: to_tensor(image.resize((size, size), Image.Resampling.BILINEAR))


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
    """Photos and labels for training: (3, S, S) and an int. It never asks a data set for its truth."""

    def __init__(self, photos: Dataset, size: int) -> None:
        self.photos, self.view = photos, training_view(size)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.view(self.photos.image(index)), self.photos.samples[index].label


class EvaluationImages(torch.utils.data.Dataset):
    """Photos, labels and indices for measuring: (3, S, S), int, int."""

    def __init__(self, photos: Dataset, size: int) -> None:
        self.photos, self.view = photos, evaluation_view(size)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.view(self.photos.image(index)), self.photos.samples[index].label, index
