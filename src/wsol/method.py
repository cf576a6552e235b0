"""The contract of a method, what it predicts, and the registry of all methods."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.backbones import Backbone

Images = Float[Tensor, "b 3 H W"]
Terms = dict[str, Tensor]
Labels = Int[Tensor, " b"] | Float[Tensor, "b k"] | Bool[Tensor, "b k"]


@dataclass
class Prediction:
    """What one pass of the network says about a batch.

    logits: (b, k). evidence: named tensors from which `heatmaps` reads; plain tensors, so that they may leave
    the context they were made in. boxes: (b, 4) x0 y0 x1 y1 as shares of the image, for methods that regress them.
    """

    logits: Float[Tensor, "b k"]
    evidence: dict[str, Tensor] = field(default_factory=dict)
    boxes: Float[Tensor, "b 4"] | None = None


@dataclass(frozen=True)
class Reference:
    """Where a method was published; `key` is its entry in references.bib, `note` what users must know of ours."""

    key: str
    title: str
    venue: str
    year: int
    note: str = ""

    @property
    def paper(self) -> str:
        """The title, with the note where there is one."""
        return f"{self.title} ({self.note})" if self.note else self.title


class Method(nn.Module):
    """A paper's network: three verbs, no device, loop, logger, data set or file name.

    Constructors take the backbone and the number of classes, then the paper's hyper-parameters: the command
    line, recipes and checkpoints are derived from that signature. Images are RGB in [0, 1]; the backbone
    normalises them.
    """

    reference: ClassVar[Reference]
    class_agnostic: ClassVar[bool] = False  # whether all classes have the same heatmap
    at_test: ClassVar[tuple[str, ...]] = ()  # hyper-parameters that training does not read

    def loss(self, images: Images, labels: Labels) -> Terms:
        """Named terms, already weighted: training minimises their sum and logs each.

        May declare `progress: float = 1.0` too, the share of the training that is done, for ramps; and
        `pseudo_boxes: Float[Tensor, "b 4"] | None = None`, x0 y0 x1 y1 in pixels of the images, which another run gave.
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


METHODS: dict[str, type[Method]] = {}

M = TypeVar("M", bound=type[Method])


def register(method: M) -> M:
    """Makes a method known under its class's name in lower case."""
    METHODS[method.__name__.lower()] = method
    return method


__all__ = ["METHODS", "Backbone", "Images", "Labels", "Method", "Prediction", "Reference", "Terms"]
__all__ += ["cross_entropy", "register"]
