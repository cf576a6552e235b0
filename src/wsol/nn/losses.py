"""Losses that several methods share, and how their weights rise."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Labels = Int[Tensor, " b"] | Float[Tensor, "b k"] | Bool[Tensor, "b k"]


def cross_entropy(
    logits: Float[Tensor, "b k"], labels: Labels, weights: Float[Tensor, " b"] | None = None
) -> Float[Tensor, ""]:
    """Mean over the batch. Int (b,) and soft (b, k) labels: softmax; bool (b, k): binary, mean over the classes.

    weights: factor on each image's term.
    """
    if labels.dtype.is_floating_point or labels.dim() == 1:
        terms = functional.cross_entropy(logits.float(), labels, reduction="none")
    else:
        terms = functional.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none").mean(1)
    return terms.mean() if weights is None else (weights * terms).mean()


def risen(progress: float, share: float) -> float:
    """How far a weight has come that rises from 0 to 1 over the first share of the training."""
    return min(1.0, progress / share) if share else 1.0
