"""What the read-outs share: features at a boundary of any method, and the gradients of class scores there."""

from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from wsol.errors import WsolError
from wsol.methods.contract import Images, Method, Prediction
from wsol.readouts.contract import Readout

Features = Float[Tensor, "b c h w"]


def features_at(
    method: Method, images: Images, boundary: str | int | None, gradients: bool = False
) -> tuple[Features, Float[Tensor, "b k"]]:
    """Features A at a boundary of the backbone, and the logits y that the network makes of them.

    Raises WsolError for an unknown boundary, and where the network does not pass it exactly once.

    boundary: by name or index; None for the images themselves.
    gradients: A is a leaf from which y can be differentiated, whatever the caller's gradient mode. Nothing is
        recorded before the boundary.
    """
    passed: list[Tensor] = []

    def leave(features: Tensor) -> Tensor:
        torch.set_grad_enabled(gradients)
        passed.append(features.detach().requires_grad_(gradients))
        return passed[-1].clone()  # what follows may work in place

    with torch.no_grad(), nullcontext() if boundary is None else method.backbone.edited(boundary, leave):
        logits = method.predict(leave(images) if boundary is None else images).logits
    if len(passed) != 1:
        raise WsolError(
            f"{type(method).__name__} passes boundary {boundary!r} {len(passed)} times in a prediction, not once; "
            f"use another boundary or read-out"
        )
    return passed[0], logits


class GradientReadout(Readout):
    """A read-out made of the features A at a boundary and the gradient dy/dA of the logit of the class asked.

    Images of a batch do not interact in eval mode: one backward pass of the summed logits serves the whole batch.

    boundary: where A is read, by name or index; None for the images themselves.
    """

    boundary: Any

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError where the logits do not depend on A."""
        features, logits = features_at(method, images, self.boundary, gradients=True)
        heatmaps = []
        for chosen in classes.T:
            gradient = gradient_of(logits, chosen, features)
            if gradient is None:
                place = "the image" if self.boundary is None else f"boundary {self.boundary!r} of its backbone"
                raise WsolError(
                    f"the scores of {type(method).__name__} do not depend on {place}; use another boundary or read-out"
                )
            heatmaps.append(self.heatmap(features.detach(), gradient))
        return torch.stack(heatmaps, 1)

    def heatmap(self, features: Features, gradient: Features) -> Float[Tensor, "b h w"]:
        """The heatmap of one class an image, from A and dy/dA."""
        raise NotImplementedError(f"{type(self).__name__} has no heatmap")


def gradient_of(logits: Float[Tensor, "b k"], chosen: Int[Tensor, " b"], features: Features) -> Features | None:
    """The gradient of each image's chosen logit down to the features; None where it does not depend on them."""
    if not logits.requires_grad:
        return None
    picked = one_hot(chosen, logits.shape[1]).to(logits)
    return torch.autograd.grad(logits, features, picked, retain_graph=True, allow_unused=True)[0]
