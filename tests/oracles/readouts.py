"""The read-outs again: one image, class, channel and cell at a time, on CAM.

`method` is in float64. No boundary is edited: the network is cut in two by hand.
"""

import math

import torch
from oracles.maps import min_max
from oracles.methods import class_map, classify
from torch import Tensor
from torch.nn import functional


def saliency(method, image: Tensor, label: int, step: float = 1e-6) -> Tensor:
    """By central differences, pixel by pixel."""
    heatmap = torch.zeros(image.shape[1:], dtype=image.dtype)
    for colour, y, x in torch.cartesian_prod(*(torch.arange(n) for n in image.shape)).tolist():
        change = torch.zeros_like(image)
        change[colour, y, x] = step
        slope = (score(method, image + change, label) - score(method, image - change, label)) / (2 * step)
        heatmap[y, x] = max(heatmap[y, x], abs(slope))
    return heatmap


def gradcam(method, image: Tensor, label: int, boundary: str) -> Tensor:
    features, gradient = slopes(method, image, label, boundary)
    return combined(features, [sum(cells(channel)) / channel.numel() for channel in gradient])


def gradcam_plus_plus(method, image: Tensor, label: int, boundary: str) -> Tensor:
    """By true second and third derivatives of Y = exp(logit); divided by Y."""
    features = method.backbone(image[None], until=boundary)[0].detach().requires_grad_()
    exponential = classify(method.head, method.backbone(features[None], after=boundary)[0])[label].exp()
    (first,) = torch.autograd.grad(exponential, features, create_graph=True)
    weights = []
    for k, channel in enumerate(features.detach()):
        weight = 0.0
        for y, x in positions(channel):
            second = derivative(first[k, y, x], features)[k, y, x]
            third = derivative(second, features)[k, y, x]
            if second != 0:
                alpha = second / (2 * second + sum(cells(channel)) * third)
                weight += alpha.item() * max(0.0, first[k, y, x].item())
        weights.append(weight)
    return combined(features.detach(), weights) / exponential.item()


def layercam(method, image: Tensor, label: int, boundary: str) -> Tensor:
    features, gradient = slopes(method, image, label, boundary)
    heatmap = torch.zeros_like(features[0])
    for y, x in positions(heatmap):
        products = [max(0.0, float(g[y, x])) * float(a[y, x]) for a, g in zip(features, gradient, strict=True)]
        heatmap[y, x] = max(0.0, sum(products))
    return heatmap


def scorecam(
    method, image: Tensor, label: int, boundary: str, softmax: str = "channels", channels: int | None = None
) -> Tensor:
    features = method.backbone(image[None], until=boundary)[0].detach()
    order = sorted(range(len(features)), key=lambda k: -spread(features[k]))[:channels]
    increases = []
    for k in order:
        upsampled = functional.interpolate(features[k][None, None], image.shape[1:], mode="bilinear")[0, 0]
        masked = score(method, image * min_max(upsampled), label, softmax == "classes")
        increases.append(masked - score(method, torch.zeros_like(image), label, softmax == "classes"))
    if softmax == "channels":
        total = sum(math.exp(increase) for increase in increases)
        increases = [math.exp(increase) / total for increase in increases]
    return combined(features[order], increases)


def ccam(method, image: Tensor, weights: list[float]) -> Tensor:
    """weights: of the most probable class, of the second, and so on."""
    features = method.backbone(image[None])[0]
    logits = classify(method.head, features).tolist()
    heatmap = torch.zeros_like(features[0])
    for rank, label in enumerate(sorted(range(len(logits)), key=lambda label: -logits[label])):
        heatmap = heatmap + weights[rank] * class_map(method.head, features, label)
    return heatmap.detach()


def quadratic(classes: int, best: int) -> list[float]:
    others = classes - best
    positive = [1 - rank / (best - 1) if best > 1 else 1.0 for rank in range(best)]
    negative = [rank / (others - 1) if others > 1 else 0.0 for rank in range(others)]
    return [u * u for u in positive] + [-u * u for u in negative]


def pc1(features: Tensor) -> Tensor:
    """The first component of (c, h, w), of length 1, by power iteration; turned so that its frame is background."""
    centred = features.double() - features.double().mean(0)
    component = torch.ones_like(centred[0]) + torch.linspace(0, 1, centred[0].numel()).view_as(centred[0])
    for _ in range(5_000):
        component = sum((channel * component).sum() * channel for channel in centred)
        component = component / component.square().sum().sqrt()
    if (component * (features.double().mean(0) - features.double().mean())).sum() < 0:
        component = -component
    height, width = component.shape
    frame = [
        bool(component[y, x] > component.mean())
        for y, x in positions(component)
        if y in (0, height - 1) or x in (0, width - 1)
    ]
    return -component if sum(frame) > len(frame) / 2 else component


def score(method, image: Tensor, label: int, probability: bool = False) -> float:
    logits = classify(method.head, method.backbone(image[None])[0]).tolist()
    exponentials = [math.exp(logit) for logit in logits]
    return exponentials[label] / sum(exponentials) if probability else logits[label]


def slopes(method, image: Tensor, label: int, boundary: str) -> tuple[Tensor, Tensor]:
    """Features (c, h, w) of one image, and how one logit changes with each."""
    features = method.backbone(image[None], until=boundary)[0].detach().requires_grad_()
    logit = classify(method.head, method.backbone(features[None], after=boundary)[0])[label]
    return features.detach(), torch.autograd.grad(logit, features)[0]


def derivative(value: Tensor, features: Tensor) -> Tensor:
    return torch.autograd.grad(value, features, create_graph=True)[0]


def combined(features: Tensor, weights: list[float]) -> Tensor:
    """The positive part of the weighted sum of channels."""
    heatmap = torch.zeros_like(features[0])
    for weight, channel in zip(weights, features, strict=True):
        heatmap = heatmap + float(weight) * channel
    return torch.where(heatmap > 0, heatmap, torch.zeros_like(heatmap))


def cells(channel: Tensor) -> list[float]:
    return channel.flatten().tolist()


def spread(channel: Tensor) -> float:
    values = cells(channel)
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def positions(channel: Tensor) -> list[tuple[int, int]]:
    return [(y, x) for y in range(channel.shape[0]) for x in range(channel.shape[1])]
