"""The contract of a method, and what it predicts."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from wsol.backbones import Backbone
from wsol.nn.losses import Labels, cross_entropy
from wsol.registry import register

Images = Float[Tensor, "b 3 H W"]
Terms = dict[str, Tensor]
LearnsFrom = Literal["labels", "validation boxes"]
ASKED = frozenset({"progress", "pseudo_boxes", "true_boxes"})  # what a loss may declare beside images and labels


@dataclass
class Prediction:
    """What one pass of the network says about a batch.

    logits: (b, k).
    evidence: named tensors from which `heatmaps` reads; plain tensors, so that they may leave the context they were
        made in.
    boxes: (b, 4) x0 y0 x1 y1 as shares of the image, for methods that regress them.
    """

    logits: Float[Tensor, "b k"]
    evidence: dict[str, Tensor] = field(default_factory=dict)
    boxes: Float[Tensor, "b 4"] | None = None


class Method(nn.Module):
    """A paper's network: three verbs, no device, loop, logger, data set or file name.

    Constructors take the backbone and the number of classes, then the paper's hyper-parameters: what training reads.
    Keyword arguments of `heatmaps` are what counts at test alone. The command line, recipes and run folders are
    derived from these two signatures and the class's docstring. Images are RGB in [0, 1]; the backbone normalises them.

    backbone: the network whose weights were trained before.
    learns_from: "labels" of the training photos; no true box is then opened. Or "validation boxes": the true boxes of
        the validation photos that have some, and no training photo. Such a method's loss declares `true_boxes`.
    names_classes: False where its logits are zero; figures then say nothing of names.
    settings: defaults of training settings, where its paper needs others than most.
    together: how many photos of one class stand side by side in each training batch; 1 for any order.
    all_learn_from: share of the training after which all of the network learns; no epoch before it counts as the best.
    """

    backbone: Backbone
    learns_from: ClassVar[LearnsFrom] = "labels"
    names_classes: bool = True
    settings: ClassVar[dict[str, Any]] = {}
    together: int = 1
    all_learn_from: float = 0.0

    def loss(self, images: Images, labels: Labels) -> Terms:
        """Named terms, already weighted: training minimises their sum and logs each.

        May declare `progress: float = 1.0` too, the share of the training that is done, for ramps; and boxes, x0 y0 x1
        y1 in pixels of the images: `pseudo_boxes: Float[Tensor, "b 4"] | None = None`, which another run gave, or with
        `learns_from = "validation boxes"` true ones, `true_boxes: Float[Tensor, "b m 4"] | None = None`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    def loss_parts(self, images: Images, labels: Labels, **asked: Any) -> Iterator[Terms]:
        """The terms of `loss`, in parts that have only weights in common.

        Training takes the gradients of each part before it asks for the next: one part's activations are in memory.
        """
        yield self.loss(images, labels, **asked)

    def predict(self, images: Images) -> Prediction:
        """Runs the network once."""
        raise NotImplementedError(f"{type(self).__name__} has no predict")

    def heatmaps(self, prediction: Prediction, classes: Int[Tensor, "b n"]) -> Float[Tensor, "b n h w"]:
        """Heatmaps of n classes an image, of any range; higher is more."""
        raise NotImplementedError(f"{type(self).__name__} has no heatmaps")

    def freeze(self, boundary: str | int) -> None:
        """From here on the backbone's stages up to a boundary, or "all", learn nothing: see `Backbone.freeze`.

        Raises WsolError for a method that cannot be trained so.
        """
        self.backbone.freeze(boundary)

    def new_layers(self) -> list[nn.Module]:
        """The modules that learn at `head_rate` times the backbone's rate: all that is not the backbone."""
        return [child for child in self.children() if child is not self.backbone]

    @property
    def asked(self) -> frozenset[str]:
        """Which of `progress`, `pseudo_boxes` and `true_boxes` the loss declares."""
        return ASKED & set(inspect.signature(self.loss).parameters)


__all__ = ["Backbone", "Images", "Labels", "LearnsFrom", "Method", "Prediction", "Terms", "cross_entropy", "register"]
