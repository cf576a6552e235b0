"""A localizer as one function of tensors, which can be written to a file that other programs run."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.boxes.confidence import CONSTANT, STEP, WEIGHTS
from wsol.boxes.rule import Threshold
from wsol.localizer import Localizer, energy
from wsol.methods.contract import Images

SIDE = 224  # of the grid on which heatmaps are cut, as in locating
OUTPUTS = ("logits", "scores", "classes", "heatmaps", "normalised", "boxes", "confidence", "unsure")
Boxes = Float[Tensor, "b n 4"]


class Graph(nn.Module):
    """What a localizer says of images, and the box around all that lies above its threshold.

    localizer: what it answers like.
    """

    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        self.localizer = localizer
        self.judge, self.regressor = end_of(localizer, "classes_from"), end_of(localizer, "boxes_from")
        self.networks = nn.ModuleList(one.method for one in (localizer, self.judge, self.regressor))
        self.background = -1  # no class
        if localizer.background in localizer.classes:
            self.background = localizer.classes.index(localizer.background)

    def forward(self, images: Images, asked: Int[Tensor, "r n"]) -> tuple[Tensor, ...]:
        """What `OUTPUTS` names.

        images: RGB in [0, 1].
        asked: whose heatmaps: classes, or -1 for the best of the image, -2 for the second ...; one row for each image
            or one for all.
        """
        localizer, method = self.localizer, self.localizer.method
        prediction = method.predict(images)
        logits = prediction.logits if self.judge is localizer else self.judge.predicted(images)[0]
        scores = localizer.scores(logits)
        classes = chosen(scores, asked)
        heatmaps = localizer.readout.heatmaps(method, images, prediction, classes).float()
        box = prediction.boxes if self.regressor is localizer else self.regressor.predicted(images)[1]
        normalised = on_grid(heatmaps)
        boxes, confidence = self.boxes(heatmaps, normalised, box)
        known = (classes != self.background)[:, :, None]
        least = -torch.inf if localizer.least_energy is None else localizer.least_energy
        unsure = energy(logits, localizer.several) < least
        boxes, confidence = boxes * known, confidence * known[:, :, 0]
        return logits, scores, classes, heatmaps, normalised, boxes, confidence, unsure

    def boxes(
        self, heatmaps: Float[Tensor, "b n h w"], normalised: Float[Tensor, "b n s s"], box: Float[Tensor, "b 4"] | None
    ) -> tuple[Boxes, Float[Tensor, "b n"]]:
        """x0 y0 x1 y1 as shares of the image, and the chance that each is right.

        box: regressed: it is taken instead.
        """
        share = shares(normalised, self.localizer.threshold)
        around = surrounding(normalised, share)
        if box is not None:
            given = box[:, None] + torch.zeros_like(around)
            return given, confidences(normalised, SIDE * given, share)
        spread = heatmaps.amax((2, 3)) - heatmaps.amin((2, 3))
        found = ((spread > 0) & (spread < torch.inf) & (around[..., 2] > 0))[..., None]
        boxes = torch.where(found, around / SIDE, torch.tensor([0.0, 0.0, 1.0, 1.0]))
        return boxes, confidences(normalised, around, share) * found[..., 0]


def end_of(localizer: Localizer, source: Literal["classes_from", "boxes_from"]) -> Localizer:
    """The localizer whose own scores or boxes count in the end."""
    other = getattr(localizer, source)
    return localizer if other is None else end_of(other, source)


def chosen(scores: Float[Tensor, "b k"], asked: Int[Tensor, "r n"]) -> Int[Tensor, "b n"]:
    """The classes that are asked for."""
    places = torch.arange(scores.shape[0], device=scores.device)
    asked = asked[torch.minimum(places, torch.ones_like(asked[:, 0]).sum() - 1)]
    ranking = scores.argsort(dim=1, descending=True)
    return torch.where(asked < 0, ranking.gather(1, (-1 - asked).clamp(min=0)), asked)


def on_grid(heatmaps: Float[Tensor, "b n h w"]) -> Float[Tensor, "b n s s"]:
    """`wsol.boxes.rule.normalise` in float32."""
    resized = functional.interpolate(heatmaps, (SIDE, SIDE), mode="bicubic", align_corners=False)
    low, high = resized.amin((2, 3), keepdim=True), resized.amax((2, 3), keepdim=True)
    return (resized - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)


def shares(normalised: Float[Tensor, "b n s s"], threshold: Threshold) -> Float[Tensor, "b n"]:
    """The share of its peak at which each map is cut."""
    return normalised.mean((2, 3)) if threshold == "auto" else torch.full_like(normalised[:, :, 0, 0], threshold)


def surrounding(normalised: Float[Tensor, "b n s s"], share: Float[Tensor, "b n"]) -> Boxes:
    """The box around all that lies above a share of the peak, on the grid; 224 224 0 0 where nothing does."""
    cutoff = (255 * share.double() + 1e-5).floor()  # 0.6 in float32 is less than 0.6
    above = (255 * normalised).floor() > cutoff[:, :, None, None]
    (x0, x1), (y0, y1) = ends(above.any(2)), ends(above.any(3))
    return torch.stack([x0, y0, x1, y1], 2)


def ends(inside: Bool[Tensor, "b n s"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The first cell of a row that is inside, and one past the last."""
    places = torch.arange(SIDE, device=inside.device, dtype=torch.float32)
    return torch.where(inside, places, SIDE).amin(2), torch.where(inside, places + 1, 0).amax(2)


def confidences(normalised: Float[Tensor, "b n s s"], boxes: Boxes, share: Float[Tensor, "b n"]) -> Tensor:
    """`wsol.boxes.confidence` of boxes on the grid, as it is where each map has one region."""
    moved = [surrounding(normalised, share / STEP), surrounding(normalised, (share * STEP).clamp(max=1.0))]
    steady = sum(overlap(boxes, other.clamp(max=SIDE - 1)) * (other[..., 2] > 0) for other in moved) / 2
    central = overlap(boxes, SIDE * torch.tensor([0.15, 0.15, 0.85, 0.85]))
    first, second = WEIGHTS.tolist()
    return (CONSTANT + first * steady + second * central).sigmoid()


def overlap(one: Boxes, other: Tensor) -> Float[Tensor, "b n"]:
    """`wsol.boxes.rule.box_iou` of pairs."""
    sides = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2]) + 1
    shared = sides.clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + 1).prod(-1) for boxes in (one, other)]
    return shared / (areas[0] + areas[1] - shared)
