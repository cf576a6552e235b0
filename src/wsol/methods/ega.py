"""EGA: entropy guided adversarial model."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsol.maps import choose, pick_class
from wsol.method import Backbone, Images, Labels, Reference, Terms, cross_entropy, register
from wsol.methods.cam import CAM
from wsol.views import auxiliary, norm_twins, running_statistics

Entropy = Literal["gt_prob", "advent", "sigmoid", "spatial"]


@register
class EGA(CAM):
    """CAM trained on each photo and on its adversarial neighbour, which has batch norms of its own; maps made certain.

    Algorithm, for label y; net_aux shares all weights with net but its batch norms::

        d = 0;  repeat n times: d = clip(d + step sign(grad_d CE(net_aux(x + d), y)), -eps, eps)
        A_c, z_c = net(x);  A_a, z_a = net_aux(x + d)
        L = CE(z_c, y) + CE(z_a, y) + lambda_c H(A_c) + lambda_a H(A_a)

    At test it is CAM: the auxiliary batch norms are not used.

    epsilon: largest change of a pixel, in grey levels of 255; pixels stay in [0, 1].
    step: change of a pixel in one step of the attack, in grey levels.
    iterations: n, steps of the attack (paper: 1 for epsilon 1, epsilon + 1 beyond).
    random_start: begin at a random d within epsilon.
    attack_statistics: the attack's batch norms use their "running" statistics or those of the "batch".
    attack_target: "away" from the photo's label, or towards a "random" other class.
    entropy: what P is in H = - mean P log P over the pixels, which the paper leaves open. "gt_prob": the true class's
        softmax at the pixel; "advent": all classes' softmax, summed, over log k; "sigmoid": of the true class's map,
        both P and 1 - P; "spatial": the true class's softmax over pixels.
    entropy_reduction: "mean" over pixels, or the "sum" that the paper prints.
    clean_entropy: lambda_c, weight of H on the photos.
    adversarial_entropy: lambda_a, weight of H on the adversarial photos.
    save_memory: training takes the clean stream's gradients before it computes the other stream: half the activations.
    """

    reference = Reference(
        "benassou2021ega",
        "Entropy Guided Adversarial Model for Weakly Supervised Object Localization",
        "Neurocomputing",
        2021,
    )

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        epsilon: float = 1.0,
        step: float = 1.0,
        iterations: int = 1,
        random_start: bool = False,
        attack_statistics: Literal["running", "batch"] = "running",
        attack_target: Literal["away", "random"] = "away",
        entropy: Entropy = "gt_prob",
        entropy_reduction: Literal["mean", "sum"] = "mean",
        clean_entropy: float = 1.0,
        adversarial_entropy: float = 0.01,
        save_memory: bool = False,
        head_depth: int = 2,
        head_width: int = 1024,
    ) -> None:
        super().__init__(backbone, classes, head_depth, head_width)
        self.epsilon, self.step, self.iterations = epsilon, step, iterations
        self.random_start, self.attack_statistics, self.attack_target = random_start, attack_statistics, attack_target
        self.kind, self.reduction = entropy, entropy_reduction
        self.clean_entropy, self.adversarial_entropy = clean_entropy, adversarial_entropy
        self.classes, self.save_memory = classes, save_memory
        self.twins = nn.Module()  # what `auxiliary` puts in the place of the backbone's batch norms
        for path, tensor in norm_twins(backbone).items():
            keep = self.twins.register_parameter if isinstance(tensor, nn.Parameter) else self.twins.register_buffer
            keep(path.replace(".", "/"), tensor)  # type: ignore[arg-type]

    def loss(self, images: Images, labels: Labels) -> Terms:
        return {name: term for part in self.streams(images, labels) for name, term in part.items()}

    def loss_parts(self, images: Images, labels: Labels, **asked: Any) -> Iterator[Terms]:
        yield from self.streams(images, labels) if self.save_memory else [self.loss(images, labels)]

    def streams(self, images: Images, labels: Labels) -> Iterator[Terms]:
        """The clean stream's terms, then the adversarial one's."""
        classes, attacked = pick_class(labels), self.attack(images, labels)
        logits, class_maps = self.head(self.backbone(images))
        yield {
            "clean": cross_entropy(logits, labels),
            "clean_entropy": self.clean_entropy * self.entropy(class_maps, classes),
        }
        logits, class_maps = self.head(auxiliary(self.backbone, self.twin_tensors())(attacked))
        yield {
            "adversarial": cross_entropy(logits, labels),
            "adversarial_entropy": self.adversarial_entropy * self.entropy(class_maps, classes),
        }

    def attack(self, images: Images, labels: Labels) -> Images:
        """Photos changed a little so that the auxiliary network names them worse; nothing of it learns from that."""
        limit, step = self.epsilon / 255, self.step / 255
        aim, direction = self.aim(labels)
        change = (2 * torch.rand_like(images) - 1) * limit if self.random_start else torch.zeros_like(images)
        for _ in range(self.iterations):
            attacked = (images + change).clamp(0, 1).requires_grad_()
            with running_statistics(self.backbone) if self.attack_statistics == "running" else nullcontext():
                logits, _ = self.head(auxiliary(self.backbone, self.twin_tensors(snapshot=True))(attacked))
            (uphill,) = torch.autograd.grad(cross_entropy(logits, aim), attacked)
            change = (change + direction * step * uphill.sign()).clamp(-limit, limit)
        return (images + change).clamp(0, 1)

    def aim(self, labels: Labels) -> tuple[Labels, int]:
        """Labels to leave (1), or another class for each photo, drawn at random, to approach (-1)."""
        if self.attack_target == "away":
            return labels, 1
        further = torch.randint(1, self.classes, (len(labels),)).to(labels.device)
        return (pick_class(labels) + further) % self.classes, -1

    def entropy(self, class_maps: Float[Tensor, "b k h w"], classes: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """H of the maps, mean over the batch."""
        maps = class_maps.float()
        if self.kind == "advent":
            uncertain = uncertainty(maps.softmax(1)).sum(1) / math.log(maps.shape[1])
        elif self.kind == "sigmoid":
            own = choose(maps, classes[:, None])[:, 0].sigmoid()
            uncertain = uncertainty(own) + uncertainty(1 - own)
        elif self.kind == "spatial":
            uncertain = uncertainty(choose(maps, classes[:, None])[:, 0].flatten(1).softmax(1)).view_as(maps[:, 0])
        else:
            uncertain = uncertainty(choose(maps.softmax(1), classes[:, None])[:, 0])
        return (uncertain.mean((1, 2)) if self.reduction == "mean" else uncertain.sum((1, 2))).mean()

    def twin_tensors(self, snapshot: bool = False) -> dict[str, Tensor]:
        """The auxiliary batch norms by the names of those they replace; a snapshot's statistics are copies."""
        buffers = {name: tensor.clone() if snapshot else tensor for name, tensor in self.twins.named_buffers()}
        return {name.replace("/", "."): tensor for name, tensor in [*self.twins.named_parameters(), *buffers.items()]}


def uncertainty(p: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """- P log P, and 0 for P = 0: largest at 1/e, so that smaller values fall to 0 and larger ones rise to 1."""
    return -p * p.clamp(min=1e-12).log()  # without the limit a P of 0 has no gradient but NaN
