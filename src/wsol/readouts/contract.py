"""What every read-out does, and the default one."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from wsol.methods.contract import Images, Method, Prediction


class Readout:
    """A way to ask a trained network where the objects of some classes are.

    A frozen dataclass: its fields are its settings, which the command line takes as `--set NAME=VALUE`.

    about: one line for lists and help.
    agnostic: whether the map is the same for all classes, so that nobody need know which there are.
    """

    about: ClassVar[str]
    agnostic: ClassVar[bool] = False

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        """Heatmaps of n classes an image, of any range; higher is more.

        It is called in eval mode and without gradients, which it may switch on.

        images: those that `prediction` was made from, on the network's device.
        """
        raise NotImplementedError(f"{type(self).__name__} has no heatmaps")


@dataclass(frozen=True)
class Own(Readout):
    """The method's own heatmaps.

    settings: keyword arguments of the method's `heatmaps`.
    """

    about = "the method's own heatmaps"
    settings: dict[str, Any] = field(default_factory=dict)

    def heatmaps(
        self, method: Method, images: Images, prediction: Prediction, classes: Int[Tensor, "b n"]
    ) -> Float[Tensor, "b n h w"]:
        return method.heatmaps(prediction, classes, **self.settings)
