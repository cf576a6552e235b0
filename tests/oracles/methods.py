"""The methods' losses and heatmaps again, image by image, on a network without batch norm."""

import torch
from oracles.maps import channel_mean, cross_entropy, erase, min_max, strongest
from torch import Tensor


def classify(head, features: Tensor) -> Tensor:
    """Logits (k,) of one feature (c, h, w), the slow way: class maps, then their mean."""
    maps = head.hidden(features[None])[0]
    weight, bias = head.classifier.weight[:, :, 0, 0], head.classifier.bias
    class_maps = torch.einsum("kc,chw->khw", weight, maps) + bias[:, None, None]
    return class_maps.mean((1, 2))


def class_map(head, features: Tensor, label: int) -> Tensor:
    maps = head.hidden(features[None])[0]
    return (head.classifier.weight[label, :, 0, 0, None, None] * maps).sum(0) + head.classifier.bias[label]


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
                for site in boundaries[: i + 1]:
                    feature = method.backbone(feature, after=before, until=site)
                    feature, before = _erased(feature, method.erase_threshold), site
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
