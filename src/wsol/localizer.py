"""A trained network that answers: what is in an image, and where."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wsol.answer import Answer
from wsol.boxes.rule import Threshold
from wsol.errors import WsolError
from wsol.methods.contract import Images, Method
from wsol.readouts.contract import Own, Readout


@dataclass(frozen=True, eq=False)
class Localizer:
    """A trained network with all that is needed to ask it.

    method: the network; it is left in the mode (training or eval) and on the device where it was.
    classes: names, by index.
    image_size: side of the square input, pixels.
    several: whether a photo may hold several classes: scores are then sigmoids, else a softmax.
    threshold: share of a heatmap's peak at which boxes are cut, or "auto", each map's own mean.
    threshold_source: who chose it: "recipe", "validation" photos, a "review", or nobody: "auto".
    readout: how the network is asked where.
    name: where it comes from, for reports.
    folder: of its run, where it comes from one.
    background: the class of photos without an object, which is never boxed; None where there is none.
    least_energy: an image of less energy may show no known class; None where nobody measured it.
    facts: what is known of it, such as the epoch of its checkpoint.
    classes_from, boxes_from: other networks whose scores or boxes count, see `with_`.
    """

    method: Method
    classes: tuple[str, ...]
    image_size: int = 224
    several: bool = False
    threshold: Threshold = "auto"
    threshold_source: str = "auto"
    readout: Readout = field(default_factory=Own)
    name: str = ""
    folder: Path | None = None
    background: str | None = None
    least_energy: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    classes_from: "Localizer | None" = None
    boxes_from: "Localizer | None" = None

    def __repr__(self) -> str:
        title = type(self.method).__name__
        return f"Localizer({title}, {len(self.classes)} classes, {self.image_size} px, threshold {self.threshold})"

    @property
    def names_classes(self) -> bool:
        """Whether its scores say anything; figures say nothing of names otherwise."""
        return self.method.names_classes if self.classes_from is None else self.classes_from.names_classes

    @property
    def device(self) -> torch.device:
        return next(self.method.parameters()).device

    def look(
        self,
        images: Images | Float[np.ndarray, "b 3 H W"],
        classes: Int[Tensor, "b n"] | Int[np.ndarray, "b n"] | None = None,
        best: int = 1,
    ) -> Answer:
        """Says what is in each image, and where.

        images: RGB in [0, 1], `image_size` pixels a side: a tensor on any device, or an array, which gives arrays.
        classes: those to look for; None for the `best` ones of each image.
        best: how many.

        Raises WsolError where the read-out cannot be had of this network.
        """
        if isinstance(images, np.ndarray):
            asked = None if classes is None else torch.as_tensor(classes)
            return self.look(torch.as_tensor(images), asked, best).of(Tensor.numpy)
        with _asked(self.method):
            shown = self._shown(images)
            prediction = self.method.predict(shown)
            logits = prediction.logits.float().cpu() if self.classes_from is None else self.classes_from.judge(images)
            scores = self.scores(logits)
            best_first = scores.argsort(dim=1, descending=True, stable=True)  # of equal scores the first class
            wanted = best_first[:, :best] if classes is None else torch.as_tensor(classes).cpu()
            heatmaps = self.readout.heatmaps(self.method, shown, prediction, wanted.to(self.device)).float().cpu()
            boxes = prediction.boxes if self.boxes_from is None else self.boxes_from._boxes(images)
        unsure = energy(logits, self.several) < (-torch.inf if self.least_energy is None else self.least_energy)
        return Answer(logits, scores, wanted, heatmaps, unsure, None if boxes is None else boxes.float().cpu())

    def judge(self, images: Images) -> Float[Tensor, "b k"]:
        """The logits alone, without any heatmap."""
        if self.classes_from is not None:
            return self.classes_from.judge(images)
        with _asked(self.method):
            return self.predicted(images)[0].float().cpu()

    def scores(self, logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """How likely each class is, 0 to 1."""
        return logits.sigmoid() if self.several else logits.softmax(1)

    def with_(self, classes: "Localizer | None" = None, boxes: "Localizer | None" = None) -> "Localizer":
        """The same heatmaps, with what is in the image said by another network, or boxes that another regresses.

        classes: whose scores count, such as a stronger classifier (ACoL, Table 5).
        boxes: whose boxes count, such as a regressor's (SLT-Net, PSOL).

        Raises WsolError where the other one knows other classes or regresses no boxes.
        """
        if classes is not None and classes.classes != self.classes:
            raise WsolError(
                f"{classes.name or classes}: knows other classes than {self.name or self}; train both on one data set"
            )
        if boxes is not None and boxes._boxes(torch.zeros(1, 3, self.image_size, self.image_size)) is None:
            raise WsolError(f"{boxes.name or boxes}: regresses no boxes; give a run of `regressor`")
        several = self.several if classes is None else classes.several
        return replace(
            self,
            several=several,
            least_energy=self.least_energy if classes is None else classes.least_energy,
            classes_from=classes or self.classes_from,
            boxes_from=boxes or self.boxes_from,
        )

    def _boxes(self, images: Images) -> Float[Tensor, "b 4"] | None:
        if self.boxes_from is not None:
            return self.boxes_from._boxes(images)
        with _asked(self.method):
            return self.predicted(images)[1]

    def predicted(self, images: Images) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b 4"] | None]:
        """Logits and boxes of the network itself, in the mode in which it is."""
        prediction = self.method.predict(self._resized(images))
        return prediction.logits, prediction.boxes

    def _shown(self, images: Images) -> Images:
        """Images where the network is, channels last, as convolutions are faster then; weights may lie as they like."""
        return images.to(self.device, torch.float32, memory_format=torch.channels_last)

    def _resized(self, images: Images) -> Images:
        """Images of another network's size, at this one's."""
        images, side = self._shown(images), self.image_size
        if images.shape[-1] == side:
            return images
        return functional.interpolate(images, (side, side), mode="bilinear", antialias=True)


def energy(logits: Float[Tensor, "b k"], several: bool) -> Float[Tensor, " b"]:
    """How much a network has to say of an image at all: log sum exp of its logits, low for things that it never saw.

    Liu et al., NeurIPS 2020, https://arxiv.org/abs/2010.03759 (there with a minus). Scores that sum to one do not tell:
    docs/results/unsure.md compares both.

    several: whether an image may hold several classes: then sum over classes of log(1 + exp), Wang et al., NeurIPS
        2021, https://arxiv.org/abs/2111.12797.
    """
    return functional.softplus(logits).sum(1) if several else logits.logsumexp(1)


@contextmanager
def _asked(method: Method) -> Iterator[None]:
    """The one policy for asking a network: eval mode, no gradients, full precision."""
    device, training = next(method.parameters()).device, method.training
    method.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        method.train(training)
