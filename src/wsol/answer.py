"""What every localizer can be asked, whatever it runs on, and what it says; none of this imports torch."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int

from wsol.boxes.rule import Threshold


@dataclass(frozen=True)
class Answer:
    """What a localizer says of a batch: float32, on the CPU. Arrays where the images were arrays, else tensors.

    logits: by which classes rank.
    scores: how likely each class is, 0 to 1.
    classes: those that the heatmaps are of.
    heatmaps: of any range; higher is more.
    unsure: whether the image may show no known class, see `wsol.localizer.energy`.
    boxes: x0 y0 x1 y1 as shares of the image, where a method regresses them.
    """

    logits: Float[Any, "b k"]
    scores: Float[Any, "b k"]
    classes: Int[Any, "b n"]
    heatmaps: Float[Any, "b n h w"]
    unsure: Bool[Any, " b"]
    boxes: Float[Any, "b 4"] | None = None

    def of(self, kind: Callable[[Any], Any]) -> "Answer":
        """The same with each tensor passed through a function, such as `torch.Tensor.numpy` or `torch.from_numpy`."""
        values = (getattr(self, field.name) for field in fields(self))
        return Answer(*(None if value is None else kind(value) for value in values))


@runtime_checkable
class AnyLocalizer(Protocol):
    """A trained network that answers: `wsol.localizer.Localizer` with torch, `wsol.portable.Portable` without."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def image_size(self) -> int: ...
    @property
    def several(self) -> bool: ...
    @property
    def names_classes(self) -> bool: ...
    @property
    def threshold(self) -> Threshold: ...
    @property
    def threshold_source(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path | None: ...
    @property
    def background(self) -> str | None: ...
    @property
    def facts(self) -> dict[str, Any]: ...
    def look(self, images: Any, classes: Any = None, best: int = 1) -> Answer: ...
    def judge(self, images: Any) -> Any: ...
    def scores(self, logits: Any) -> Any: ...
