"""Map operators: pure, batched, loop-free functions on features, class maps and heatmaps.

Masks come from comparisons: they are computed in float32 even under mixed precision and carry no gradient.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Falling = Literal["quadratic", "linear", "difference", "top"]


def channel_mean(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """Mean over channels, in float32: EIL's class-agnostic attention. Gradient: 1/c to every channel."""
    return features.mean(1, dtype=torch.float32)


def min_max(heatmaps: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """Each map scaled to [0, 1] by its own minimum and maximum, in float32; a constant map becomes zeros.

    Gradient: flows through the values and through the two extremes.
    """
    heatmaps = heatmaps.float()
    low, high = heatmaps.amin((-2, -1), keepdim=True), heatmaps.amax((-2, -1), keepdim=True)
    return (heatmaps - low) / (high - low + 1e-8)


def choose(class_maps: Float[Tensor, "b k h w"], classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
    """The maps of n classes an image. Gradient: 1 on the chosen maps, 0 on the others."""
    index = classes[:, :, None, None].expand(-1, -1, *class_maps.shape[-2:])
    return class_maps.gather(1, index)


def peak(heatmaps: Float[Tensor, "*b h w"], threshold: float, relative: bool = True) -> Bool[Tensor, "*b h w"]:
    """Where a map reaches its strongest region: value >= threshold * maximum, or >= threshold itself.

    A map whose maximum is not positive has no strongest region under the relative rule: nothing is marked.
    Gradient: none.
    """
    heatmaps = heatmaps.detach().float()
    if not relative:
        return heatmaps >= threshold
    highest = heatmaps.amax((-2, -1), keepdim=True)
    return (heatmaps >= threshold * highest) & (highest > 0)


def scattered(mask: Bool[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
    """As many cells of each map at random places: what erasing the strongest region is compared with."""
    places = torch.rand(mask.shape, device=mask.device).flatten(-2).argsort(-1)
    return mask.flatten(-2).gather(-1, places).view_as(mask)


def erase(features: Float[Tensor, "b c h w"], mask: Bool[Tensor, "b h w"]) -> Float[Tensor, "b c h w"]:
    """Features with zeros where the mask is true. Gradient: 1 on what is kept, exactly 0 on what is erased."""
    return features.masked_fill(mask[:, None], 0)


def fuse(one: Float[Tensor, "*b h w"], other: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """The larger of two maps, each scaled to [0, 1] first (ACoL's fused map). Gradient: to the larger one."""
    return torch.maximum(min_max(one), min_max(other))


def pick_class(labels: Int[Tensor, " b"] | Float[Tensor, "b k"] | Bool[Tensor, "b k"]) -> Int[Tensor, " b"]:
    """One class an image: the label itself, the largest of soft labels, one true class drawn at random."""
    if labels.dim() == 1:
        return labels
    if labels.dtype == torch.bool:
        return torch.multinomial(labels.float(), 1).squeeze(1)
    return labels.argmax(1)


def best_mean(class_maps: Float[Tensor, "b k h w"], logits: Float[Tensor, "b k"], best: int) -> Float[Tensor, "b h w"]:
    """Mean of the maps of the classes with the largest logits. Gradient: 1/best on these, none to the logits."""
    return choose(class_maps, logits.topk(best).indices).mean(1)


def rank_weights(classes: int, best: int, form: Falling) -> Float[Tensor, " {classes}"]:
    """CCAM's weight of each rank, of the most probable class first; `best` classes are positive, 0 for half of them."""
    best = best or (classes + 1) // 2
    falling = torch.cat([torch.linspace(1, 0, best), torch.linspace(0, -1, classes - best)])
    ranks = torch.arange(classes)
    first, last = (ranks == 0).float(), (ranks == classes - 1).float()
    return {
        "quadratic": falling * falling.abs(),
        "linear": torch.linspace(1, -1, classes),
        "difference": first - last,
        "top": first,
    }[form]


def likeness(maps: Float[Tensor, "b n h w"]) -> Float[Tensor, ""]:
    """The absolute value of each photo's mean cosine over the pairs of its maps, mean over the photos.

    Gradient: to all maps, as of cosines.
    """
    unit = functional.normalize(maps.float().flatten(2), dim=2)
    cosines = (unit.sum(1).square().sum(1) - unit.square().sum((1, 2))) / 2  # of all pairs together
    return cosines.abs().mean() / (unit.shape[1] * (unit.shape[1] - 1) / 2)


def flip_some(x: Float[Tensor, "b c h w"], flipped: Bool[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Images or maps, mirrored where `flipped`; its own inverse. Gradient: moved along."""
    return torch.where(flipped[:, None, None, None], x.flip(-1), x)


def resize(x: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    """Images or maps at another size (h, w), bilinear; of the same size unchanged. Gradient: as of interpolation."""
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def drawn(boxes: Float[Tensor, "*b 4"], side: int) -> Float[Tensor, "*b {side} {side}"]:
    """Boxes (x0 y0 x1 y1, shares of the image) on a grid: the share of each cell that the box covers.

    Gradient: to the coordinates, through the cells at the edges.
    """
    starts = torch.arange(side, device=boxes.device)
    low, high = side * boxes[..., :2, None], side * boxes[..., 2:, None]
    columns, rows = (torch.minimum(high, starts + 1) - torch.maximum(low, starts)).clamp(min=0).unbind(-2)
    return rows[..., :, None] * columns[..., None, :]
