"""The methods' losses and heatmaps again, image by image, on a network without batch norm."""

import math

import torch
from oracles.maps import channel_mean, cross_entropy, erase, min_max, strongest
from torch import Tensor


def classify(head, features: Tensor) -> Tensor:
    """Logits (k,) of one feature (c, h, w), the slow way: class maps, then their mean."""
    return torch.stack([class_map(head, features, k).mean() for k in range(len(head.classifier.bias))])


def class_map(head, features: Tensor, label: int) -> Tensor:
    maps = head.hidden(features[None])[0]
    own = (head.classifier.weight[label, :, 0, 0, None, None] * maps).sum(0) + head.classifier.bias[label]
    return own.clamp(min=0) if head.rectify else own


def cam(method, images: Tensor, labels: list[int]) -> float:
    losses = [
        cross_entropy(classify(method.head, method.backbone(image[None])[0]), label)
        for image, label in zip(images, labels, strict=True)
    ]
    return sum(losses) / len(losses)


def eil(method, images: Tensor, labels: list[int], boundaries: list[str], variant: str) -> list[float]:
    """Unweighted cross-entropies: intact, then one a boundary; each erased stream is run from scratch."""
    sums = [0.0] * (1 + len(boundaries))
    for image, label in zip(images, labels, strict=True):
        sums[0] += cross_entropy(classify(method.head, method.backbone(image[None])[0]), label)
        for i, boundary in enumerate(boundaries):
            if variant == "I":
                feature = method.backbone(image[None], until=boundary)
                feature = _erased(feature, method.erase_threshold)
            else:
                feature, before = image[None], None
                for each in boundaries[: i + 1]:
                    feature = method.backbone(feature, after=before, until=each)
                    feature, before = _erased(feature, method.erase_threshold), each
            sums[1 + i] += cross_entropy(classify(method.head, method.backbone(feature, after=boundary)[0]), label)
    return [each / len(labels) for each in sums]


def _erased(features: Tensor, threshold: float) -> Tensor:
    return erase(features[0], strongest(channel_mean(features)[0], threshold))[None]


def acol(method, images: Tensor, labels: list[int]) -> tuple[float, float, list[Tensor]]:
    """Losses of A and B, and the fused map of each image's label."""
    loss_a = loss_b = 0.0
    fused = []
    for image, label in zip(images, labels, strict=True):
        features = method.backbone(image[None])[0]
        map_a = min_max(class_map(method.head_a, features, label))
        where = [(int(y), int(x)) for y, x in (map_a >= method.erase_threshold).nonzero()]
        erased = erase(features, where)
        map_b = min_max(class_map(method.head_b, erased, label))
        loss_a += cross_entropy(classify(method.head_a, features), label)
        loss_b += cross_entropy(classify(method.head_b, erased), label)
        fused.append(torch.where(map_a > map_b, map_a, map_b))
    return loss_a / len(labels), loss_b / len(labels), fused


def bas(method, images: Tensor, labels: list[int]) -> dict[str, float]:
    """BAS's four terms without their weights, and what AEPL needs of them, on a network without batch norm."""
    sums = dict.fromkeys(("classification", "foreground", "background", "area", "erased", "erased_mask", "pseudo"), 0.0)
    for image, label in zip(images, labels, strict=True):
        feature = method.backbone(image[None], until=method.boundary)
        weight, bias = method.head_mask.weight[label], method.head_mask.bias[label]
        mask = torch.sigmoid(torch.nn.functional.conv2d(feature, weight[None], bias[None], padding=1))[0, 0]
        last = method.backbone(feature, after=method.boundary)[0]
        class_maps = torch.stack([class_map(method.head, last, k) for k in range(len(method.head.classifier.bias))])
        logits = class_maps.mean((1, 2))

        def under(some: Tensor, class_maps: Tensor = class_maps, label: int = label) -> float:
            step = len(some) // class_maps.shape[-1]
            rows, columns = class_maps.shape[-2:]
            small = torch.zeros(rows, columns)
            for y in range(rows):
                for x in range(columns):
                    small[y, x] = some[step * y : step * y + step, step * x : step * x + step].mean()
            return cross_entropy((class_maps * small).mean((1, 2)), label)

        left = classify(method.head, method.backbone(feature * (1 - mask), after=method.boundary)[0])[label].clamp(
            min=0
        )
        whole = logits[label].clamp(min=0)
        sums["classification"] += cross_entropy(logits, label)
        sums["foreground"] += under(mask)
        sums["background"] += 1.0 if left > whole else (left / (whole + 1e-8)).item()
        sums["area"] += mask.mean().item()
        if hasattr(method, "erase_threshold"):
            own = min_max(class_maps[label])
            kept = torch.tensor([[float(value < method.erase_threshold) for value in row] for row in own.tolist()])
            sums["erased"] += cross_entropy((class_maps * kept).mean((1, 2)), label)
            if method.mask_erased_by == "map":
                finer = torch.nn.functional.interpolate(own[None, None], mask.shape, mode="bilinear")[0, 0]
                weak = mask * (finer < method.mask_threshold)
            else:
                strong = method.mask_threshold * (mask.max().item() if method.relative else 1.0)
                weak = torch.tensor([[v if v <= strong else 0.0 for v in row] for row in mask.tolist()])
            sums["erased_mask"] += under(weak)
            values = [v for row in mask.tolist() for v in row]
            above = [1 - v for v in values if v > method.foreground_above]
            below = [v for v in values if v < method.background_below]
            if method.balanced:
                sums["pseudo"] += sum(sum(some) / max(1, len(some)) for some in (above, below)) / 2
            else:
                sums["pseudo"] += sum(above + below) / max(1, len(above + below))
    return {name: value / len(labels) for name, value in sums.items()}


def hidden(image: Tensor, mean: list[float], side: int, drawn: list[list[float]], rate: float) -> Tensor:
    """HaS, pixel by pixel: the mean colour in the patches whose drawn number is below the rate."""
    out = image.clone()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            if side and drawn[y // side][x // side] < rate:
                for channel in range(3):
                    out[channel, y, x] = mean[channel]
    return out


def mixed(
    images: Tensor, labels: list[int], order: list[int], kept: float, centre: tuple[int, int], classes: int
) -> tuple[Tensor, Tensor]:
    """CutMix, pixel by pixel: photos with a box of another one, and soft labels by what was really pasted."""
    height, width = images.shape[-2:]
    half = [int(side * math.sqrt(1 - kept)) // 2 for side in (height, width)]
    out, soft = images.clone(), torch.zeros(len(images), classes)
    for i, (label, other) in enumerate(zip(labels, order, strict=True)):
        pasted = 0
        for y in range(height):
            for x in range(width):
                if centre[0] - half[0] <= y < centre[0] + half[0] and centre[1] - half[1] <= x < centre[1] + half[1]:
                    out[i, :, y, x] = images[other, :, y, x]
                    pasted += 1
        soft[i, label] += 1 - pasted / (height * width)
        soft[i, labels[other]] += pasted / (height * width)
    return out, soft


def attended(features: Tensor, threshold: float, dropped: bool) -> Tensor:
    """ADL at one boundary, image by image: the strongest region dropped, or all weighted by its attention."""
    out = features.clone()
    for i, attention in enumerate(channel_mean(features)):
        highest = max(attention.flatten().tolist())
        for y in range(attention.shape[0]):
            for x in range(attention.shape[1]):
                value = attention[y, x].item()
                kept = float(value < threshold * highest) if dropped else 1 / (1 + math.exp(-value))
                out[i, :, y, x] = kept * features[i, :, y, x]
    return out
