"""What every backbone offers, whatever network it is made of."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsol.backbones.frozen import Freezable
from wsol.errors import Unable, WsolError
from wsol.nn.heads import Head

Edit = Callable[[Tensor], Tensor]
Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
Classifier = nn.Linear | nn.Conv2d
Ability = Literal["re-entry", "class token", "attention"]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NEEDED: dict[Ability, tuple[str, str]] = {
    "re-entry": ("runs the network again from the middle", "choose a convolutional backbone, or cam"),
    "class token": ("reads the class token", "choose a transformer with a class token"),
    "attention": ("reads the attention of the class token", "choose a plain vision transformer with a class token"),
}


class Backbone(Freezable):
    """Features of a network at named boundaries; images come in [0, 1] and are normalised here.

    Methods use what stands in this class alone, so that they run on convolutional networks (`Chain`), transformers
    (`Tokens`) and a user's own classifier (`Adopted`).

    statistics: mean and std of each colour that the weights want.
    """

    name: str = "this backbone"  # in errors
    boundaries: list[str]  # shallow to deep
    abilities: frozenset[Ability] = frozenset()
    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Statistics = IMAGENET) -> None:
        super().__init__()
        self.boundaries = []
        self._counted: list[str] = []
        self._channels: dict[str, int] = {}
        self._strides: dict[str, int] = {}
        self._rectified: dict[str, bool] = {}
        self._edits: dict[str, list[Edit]] = {}
        self._classifier: OwnClassifier | None = None
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(
        self, x: Float[Tensor, "b _ _ _"], after: str | int | None = None, until: str | int | None = None
    ) -> Float[Tensor, "b _ _ _"]:
        """Runs from one boundary to another.

        x: images (b, 3, H, W) in [0, 1], or the features (b, c, h, w) at boundary `after`.
        after: boundary by name or index; None is the image. Others need the ability "re-entry".
        until: boundary by name or index; None is the last.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def cut(self, boundary: str | int) -> "Backbone":
        """A copy that ends at a boundary, without the library's classifier."""
        raise WsolError(f"{self.name} cannot end earlier; choose a backbone by name")

    def check_size(self, height: int, width: int) -> None:
        """Raises WsolError for images (pixels) that the network cannot take, naming the nearest sizes that it can."""

    @contextmanager
    def edited(self, boundary: str | int, function: Edit) -> Iterator[None]:
        """Meanwhile what leaves a boundary passes through the function, whoever runs the backbone.

        Edits of one boundary run in the order in which they were entered.

        function: (b, c, h, w) features to features of the same shape; gradients flow through it.
        """
        edits = self._edits.setdefault(self.boundary(boundary), [])
        edits.append(function)
        try:
            yield
        finally:
            edits.remove(function)

    def at(self, images: Float[Tensor, "b 3 H W"], *boundaries: str | int) -> list[Float[Tensor, "b _ _ _"]]:
        """Features at several boundaries, in the order asked, of one run to the end; needs no ability."""
        names, passed = [self.boundary(boundary) for boundary in boundaries], dict[str, Tensor]()
        with ExitStack() as edits:
            for name in names:
                edits.enter_context(self.edited(name, lambda features, name=name: passed.setdefault(name, features)))
            self(images)
        return [passed[name] for name in names]

    def need(self, ability: Ability, method: str) -> None:
        """Raises Unable, naming the method and this backbone, where the backbone lacks an ability.

        ability: "re-entry" (`forward` with `after`), "class token" (`tokens`) or "attention".
        method: the method's name.
        """
        if ability not in self.abilities:
            does, instead = NEEDED[ability]
            raise Unable(f"{method} {does}, which {self.name} cannot do; {instead}")

    def boundary(self, boundary: str | int) -> str:
        """The name of a boundary given by name or index. Raises WsolError, listing the valid names.

        Boundaries with no weights between them count as one, the last: -2 is VGG's pool4, -3 its pool3, and relu4_3
        goes by its name.
        """
        if isinstance(boundary, str) and boundary.lstrip("-").isdigit():
            boundary = int(boundary)
        if isinstance(boundary, int) and -len(self._counted) <= boundary < len(self._counted):
            return self._counted[boundary]
        if boundary not in self.boundaries:
            raise WsolError(f"there is no boundary {boundary!r} in this backbone; it has {', '.join(self.boundaries)}")
        return str(boundary)

    def in_order(self, boundaries: Sequence[str | int]) -> tuple[str, ...]:
        """Names of boundaries, shallow to deep. Raises WsolError for an unknown or repeated one, or none."""
        names = {self.boundary(boundary) for boundary in boundaries}
        if len(names) != len(boundaries) or not names:
            raise WsolError(f"boundaries must be one or more different ones, not {boundaries}")
        return tuple(name for name in self.boundaries if name in names)

    def channels(self, boundary: str | int) -> int:
        """Number of channels c at a boundary."""
        return self._channels[self.boundary(boundary)]

    def stride(self, boundary: str | int) -> int:
        """Input pixels per cell of the map at a boundary."""
        return self._strides[self.boundary(boundary)]

    def rectified(self, boundary: str | int) -> bool:
        """Whether a boundary comes after a non-linearity that leaves nothing negative."""
        return self._rectified[self.boundary(boundary)]

    @property
    def has_own_head(self) -> bool:
        """Whether the network came with a classifier that `own_head` can give."""
        return self._classifier is not None

    def own_head(self, classes: int) -> Head:
        """A head that computes what the network's own classifier computed, with its weights.

        Raises WsolError where that classifier is no single layer on the last features, has other classes, or came
        with no weights.
        """
        if self._classifier is None:
            raise WsolError("this backbone has no classifier of its own on its last features; use head 'new'")
        return self._classifier.head(self.channels(-1), classes)

    def normalised(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
        """Images in [0, 1] as the weights want them."""
        return (images - self.mean) / self.std


class OwnClassifier:
    """The network's own last layer, kept aside for `own_head`: no module, so that it is no part of the backbone.

    layer: the layer on the averaged features, or a 1x1 convolution whose maps are averaged.
    rectified: ReLU follows it.
    blank: its weights come later, from a run, with whatever number of classes that has.
    """

    def __init__(self, layer: Classifier, rectified: bool = False, blank: bool = False) -> None:
        self.layer, self.rectified, self.blank = layer, rectified, blank

    def head(self, channels: int, classes: int) -> Head:
        head = Head(channels, classes, form="conv" if self.rectified else "linear", rectify=self.rectified)
        if self.blank:
            return head
        if (k := self.layer.weight.shape[0]) != classes:
            raise WsolError(f"the backbone's own classifier knows {k} classes, the data set {classes}; use head 'new'")
        bias = self.layer.bias if self.layer.bias is not None else torch.zeros(classes)
        weight = self.layer.weight.view_as(head.classifier.weight)
        head.classifier.load_state_dict({"weight": weight, "bias": bias})
        return head


@runtime_checkable
class Maker(Protocol):
    """What the registry holds under a backbone's name."""

    def build(
        self, weights: str | Path | None, end: str | None, map_stride: int | None, kept_strides: int, load: bool
    ) -> Backbone:
        """The backbone; see `build_backbone`."""
        ...
