"""EGA: entropy guided adversarial model (Benassou et al., Neurocomputing 2021)."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsol.errors import WsolError
from wsol.methods.around import Around
from wsol.methods.contract import Images, Labels, Method, Terms, cross_entropy
from wsol.nn.maps import choose, min_max, pick_class
from wsol.nn.ranges import in_range
from wsol.nn.views import TwinNorms, outputs_of, running_statistics


class EGA(Around):
    """A method trained on each photo and on its adversarial neighbour, which has batch norms of its own.

    Benassou et al., Neurocomputing 2021, https://doi.org/10.1016/j.neucom.2020.11.006. Algorithm, for label y, around
    CAM in the paper; net_aux shares all weights with net but its batch norms, H makes the class maps A certain::

        d = 0;  repeat n times: d = clip(d + step sign(grad_d CE(net_aux(x + d), y)), -eps, eps)
        L = L_method(net, x, y) + L_method(net_aux, x + d, y) + lambda_c H(A_c) + lambda_a H(A_a)

    At test it is the inner method: the auxiliary batch norms are not used.

    epsilon: largest change of a pixel, in grey levels of 255; pixels stay in [0, 1].
    step: change of a pixel in one step of the attack, in grey levels.
    iterations: n, steps of the attack (paper: 1 for epsilon 1, epsilon + 1 beyond).
    clean_entropy: lambda_c, weight of H on the photos.
    adversarial_entropy: lambda_a, weight of H on the adversarial photos.
    save_memory: training takes the clean stream's gradients before it computes the other stream: half the activations.

    Readings of the paper:
    random_start: begin at a random d within epsilon.
    attack_statistics: the attack's batch norms use their "running" statistics or those of the "batch".
    attack_target: "away" from the photo's label, or towards a "random" other class.
    entropy: what P is in H = - mean P log P over the pixels: "gt_prob", the true class's softmax at the pixel, or
        "minmax", its map scaled to [0, 1], as in the released code, where no gradient comes of it.
    entropy_reduction: "mean" over pixels, or the "sum" that the paper prints.
    """

    inside: ClassVar[dict[str, Any]] = {"head_depth": 2, "head_width": 1024}

    def __init__(
        self,
        method: Method,
        epsilon: float = 1.0,
        step: float = 1.0,
        iterations: int = 1,
        random_start: bool = False,
        attack_statistics: Literal["running", "batch"] = "running",
        attack_target: Literal["away", "random"] = "away",
        entropy: Literal["gt_prob", "minmax"] = "gt_prob",
        entropy_reduction: Literal["mean", "sum"] = "mean",
        clean_entropy: float = 1.0,
        adversarial_entropy: float = 0.01,
        save_memory: bool = False,
    ) -> None:
        super().__init__(method)
        in_range(0, epsilon=epsilon, step=step, iterations=iterations)
        in_range(0, clean_entropy=clean_entropy, adversarial_entropy=adversarial_entropy)
        if (head := self.class_head()) is None:
            raise self.without_classes("EGA attacks the scores of classes and makes their maps certain")
        self.epsilon, self.step, self.iterations = epsilon, step, iterations
        self.random_start, self.attack_statistics, self.attack_target = random_start, attack_statistics, attack_target
        self.kind, self.reduction, self.save_memory = entropy, entropy_reduction, save_memory
        self.clean_entropy, self.adversarial_entropy = clean_entropy, adversarial_entropy
        self.classes, self.twins = head.classifier.out_channels, TwinNorms(method)

    def freeze(self, boundary: str | int) -> None:
        raise WsolError("EGA changes photos by gradients through all stages, and none may be frozen; leave freeze out")

    def loss(self, images: Images, labels: Labels, **asked: Any) -> Terms:
        return {name: term for terms in self.streams(images, labels, **asked) for name, term in terms.items()}

    def loss_parts(self, images: Images, labels: Labels, **asked: Any) -> Iterator[Terms]:
        yield from self.streams(images, labels, **asked) if self.save_memory else [self.loss(images, labels, **asked)]

    def streams(self, images: Images, labels: Labels, **asked: Any) -> Iterator[Terms]:
        """The clean stream's terms, then the adversarial one's."""
        classes, attacked = pick_class(labels), self.attack(images, labels)
        adversary = self.twins.under(self.method, "loss")
        for name, loss, shown, weight in (
            ("clean", self.method.loss, images, self.clean_entropy),
            ("adversarial", adversary, attacked, self.adversarial_entropy),
        ):
            with outputs_of(self.class_head()) as outputs:
                terms = loss(shown, labels, **asked)
            _, class_maps = outputs[0]  # the first call is the intact stream's
            yield {f"{name}_{inner}": term for inner, term in terms.items()} | {
                f"{name}_entropy": weight * self.entropy(class_maps, classes)
            }

    def attack(self, images: Images, labels: Labels) -> Images:
        """Photos changed a little so that the auxiliary network names them worse; nothing of it learns from that."""
        limit, step = self.epsilon / 255, self.step / 255
        aim, direction = self.aim(labels)
        change = (2 * torch.rand_like(images) - 1) * limit if self.random_start else torch.zeros_like(images)
        for _ in range(self.iterations):
            attacked = (images + change).clamp(0, 1).requires_grad_()
            with running_statistics(self.method) if self.attack_statistics == "running" else nullcontext():
                logits = self.twins.under(self.method, "predict", statistics=False)(attacked).logits
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
        scaled = min_max(class_maps) if self.kind == "minmax" else class_maps.float().softmax(1)
        uncertain = uncertainty(choose(scaled, classes[:, None])[:, 0])
        return (uncertain.mean((1, 2)) if self.reduction == "mean" else uncertain.sum((1, 2))).mean()


def uncertainty(p: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """- P log P, and 0 for P = 0: largest at 1/e, so that smaller values fall to 0 and larger ones rise to 1."""
    return -p * p.clamp(min=1e-12).log()  # without the limit a P of 0 has no gradient but NaN
