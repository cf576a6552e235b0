"""A method around a method: it edits what the inner one is given, or runs the inner loss its own way."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from wsol.methods.contract import Backbone, Images, Labels, Method, Prediction, Terms
from wsol.nn.heads import Head


class Around(Method):
    """A method that is built around another: everything that it does not say is the inner method's.

    On the command line `has+eil`; the name alone, `has`, stands for `has+cam`. Most say one of two things: `edit`, what
    the inner loss is given, and `meanwhile`, what holds while it runs. Prediction is the inner method's.

    method: the inner method.
    inside: hyper-parameters of CAM that its paper sets where the name stands alone.
    """

    inside: ClassVar[dict[str, Any]] = {}

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    @property
    def backbone(self) -> Backbone:  # type: ignore[override]
        return self.method.backbone

    @property
    def names_classes(self) -> bool:  # type: ignore[override]
        return self.method.names_classes

    @property
    def together(self) -> int:  # type: ignore[override]
        return self.method.together

    @property
    def all_learn_from(self) -> float:  # type: ignore[override]
        return self.method.all_learn_from

    @property
    def asked(self) -> frozenset[str]:
        return self.method.asked

    def edit(self, images: Images, labels: Labels) -> tuple[Images, Labels]:
        """The images and labels from which the inner method learns."""
        return images, labels

    def meanwhile(self) -> AbstractContextManager:
        """A context for as long as the inner loss runs."""
        return nullcontext()

    def loss(self, images: Images, labels: Labels, **asked: Any) -> Terms:
        with self.meanwhile():
            return self.method.loss(*self.edit(images, labels), **asked)

    def loss_parts(self, images: Images, labels: Labels, **asked: Any) -> Iterator[Terms]:
        with self.meanwhile():
            yield from self.method.loss_parts(*self.edit(images, labels), **asked)

    def predict(self, images: Images) -> Prediction:
        return self.method.predict(images)

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"], **at_test: Any) -> Float[Tensor, "b n h w"]:
        return self.method.heatmaps(prediction, classes, **at_test)

    def freeze(self, boundary: str | int) -> None:
        self.method.freeze(boundary)

    def new_layers(self) -> list[nn.Module]:
        return self.method.new_layers()

    def class_head(self) -> Head | None:
        """The inner method's class head, the first where it has several; None where it has none."""
        return next((module for module in self.method.modules() if isinstance(module, Head)), None)

    def without_classes(self, why: str) -> ValueError:
        """An error for an inner method without a head of class maps."""
        innermost = self.method
        while isinstance(innermost, Around):
            innermost = innermost.method
        return ValueError(f"{why}, and {type(innermost).__name__} has no head of class maps")
