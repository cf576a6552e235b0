"""Map operators again, one number at a time."""

import math

import numpy as np
import torch
from torch import Tensor


def channel_mean(features: Tensor) -> Tensor:
    b, c, h, w = features.shape
    out = torch.zeros(b, h, w)
    for i in range(b):
        for y in range(h):
            for x in range(w):
                out[i, y, x] = sum(features[i, k, y, x].item() for k in range(c)) / c
    return out


def min_max(heatmap: Tensor) -> Tensor:
    values = heatmap.detach().flatten().tolist()
    low, high = min(values), max(values)
    return torch.tensor([(v - low) / (high - low + 1e-8) for v in values]).view(heatmap.shape)


def strongest(heatmap: Tensor, threshold: float) -> list[tuple[int, int]]:
    highest = max(float(v) for v in heatmap.flatten())
    if highest <= 0:
        return []
    limit = np.float32(threshold) * np.float32(highest)
    return [
        (y, x) for y in range(heatmap.shape[0]) for x in range(heatmap.shape[1]) if np.float32(heatmap[y, x]) >= limit
    ]


def erase(features: Tensor, where: list[tuple[int, int]]) -> Tensor:
    out = features.clone()
    for y, x in where:
        out[:, y, x] = 0
    return out


def cross_entropy(logits: Tensor, label: int) -> float:
    """-log softmax(logits)[label] of one image."""
    values = logits.tolist()
    return -math.log(math.exp(values[label]) / sum(math.exp(v) for v in values))


def mean_of_best(class_maps, logits, best: int):
    """Mean of the maps (k, h, w) of the classes with the largest logits, one image."""
    values = logits.tolist()
    order = sorted(range(len(values)), key=lambda k: -values[k])
    return sum(class_maps[k] for k in order[:best]) / best


def drawn(box: list[float], side: int) -> Tensor:
    """The share of each cell that a box (shares of the image) covers, cell by cell."""
    x0, y0, x1, y1 = (side * value for value in box)
    out = torch.zeros(side, side)
    for y in range(side):
        for x in range(side):
            wide = min(x1, x + 1) - max(x0, x)
            high = min(y1, y + 1) - max(y0, y)
            out[y, x] = wide * high if wide > 0 and high > 0 else 0.0
    return out


def upsampled(heatmap: Tensor, side: int) -> Tensor:
    """A map at another size, each pixel between the four cells whose middles surround its own."""
    rows, columns = heatmap.shape
    out = torch.zeros(side, side)
    for y in range(side):
        for x in range(side):
            down = min(max((y + 0.5) * rows / side - 0.5, 0), rows - 1)
            across = min(max((x + 0.5) * columns / side - 0.5, 0), columns - 1)
            top, left = int(down), int(across)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            above = heatmap[top, left] * (left + 1 - across) + heatmap[top, right] * (across - left)
            below = heatmap[bottom, left] * (left + 1 - across) + heatmap[bottom, right] * (across - left)
            out[y, x] = above * (top + 1 - down) + below * (down - top)
    return out


def ddt(features: Tensor) -> Tensor:
    """Projections (n, h, w) of the cells of one class's photos onto the direction of their greatest variance."""
    n, c, h, w = features.shape
    cells = [features[i, :, y, x].double().numpy() for i in range(n) for y in range(h) for x in range(w)]
    mean = sum(cells) / len(cells)
    covariance = sum(np.outer(cell - mean, cell - mean) for cell in cells) / len(cells)
    direction = np.ones(c)
    for _ in range(3000):  # power iteration
        direction = covariance @ direction
        direction /= np.sqrt((direction**2).sum())
    along = [float(direction @ (cell - mean)) for cell in cells]
    norms = [math.sqrt((cell**2).sum()) for cell in cells]
    if np.corrcoef(along, norms)[0, 1] < 0:
        along = [-value for value in along]
    return torch.tensor(along).view(n, h, w)
