"""EIL and MEIL: erasing integrated learning (Mai et al., CVPR 2020)."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from wsol.maps import channel_mean, erase, peak
from wsol.method import Backbone, Images, Labels, Reference, cross_entropy, register
from wsol.methods.cam import CAM
from wsol.views import without_statistics

REFERENCE = Reference(
    "mai2020eil",
    "Erasing Integrated Learning: A Simple Yet Effective Approach for Weakly Supervised Object Localization",
    "CVPR",
    2020,
)


@register
class EIL(CAM):
    """The rest of the network runs twice, on the intact features and with their strongest region erased.

    Algorithm 1, split at a boundary into f1 and f2 (shared weights, no new parameter; at test it is CAM)::

        F = f1(x);  m = mean over channels of F;  E = erase(F, m >= gamma max m)
        L = CE(f2(F), y) + sigma CE(f2(E), y)

    boundary: where the erased stream leaves, by name or negative index; best after a non-linearity, else the
        mask is read from the rectified features.
    erase_threshold: gamma, share of the mean map's maximum above which features are erased (paper: 0.7).
    sigma: weight of the erased loss (paper: 2; its released code: 1).
    absolute: compare the mean map with gamma itself, as Algorithm 1 prints it, instead of gamma times its maximum.
    statistics: which stream updates the running batch-norm statistics, the "intact" one or "all".
    """

    reference = REFERENCE

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundary: str | int = -2,
        erase_threshold: float = 0.7,
        sigma: float = 2.0,
        absolute: bool = False,
        statistics: Literal["intact", "all"] = "intact",
        head_depth: int = 0,
        head_width: int = 1024,
        head_form: Literal["conv", "linear"] = "conv",
    ) -> None:
        super().__init__(backbone, classes, head_depth, head_width, head_form)
        self.boundary = backbone.boundary(boundary)
        self.erase_threshold, self.sigma = erase_threshold, sigma
        self.absolute, self.statistics = absolute, statistics

    def loss(self, images: Images, labels: Labels) -> dict[str, Tensor]:
        features = self.backbone(images, until=self.boundary)
        erased = self.erased(features, self.boundary)
        intact_logits, _ = self.head(self.backbone(features, after=self.boundary))
        erased_logits, _ = self.head(self.erased_stream(erased, after=self.boundary))
        return {
            "intact": cross_entropy(intact_logits, labels),
            "erased": self.sigma * cross_entropy(erased_logits, labels),
        }

    def erased(self, features: Float[Tensor, "b c h w"], boundary: str) -> Float[Tensor, "b c h w"]:
        positive = features if self.backbone.rectified(boundary) else features.relu()
        return erase(features, peak(channel_mean(positive), self.erase_threshold, relative=not self.absolute))

    @property
    def erased_stream(self) -> Callable[..., Tensor]:
        return self.backbone if self.statistics == "all" else without_statistics(self.backbone)


@register
class MEIL(EIL):
    """EIL at several boundaries of one pass; each erased stream has its own loss.

    Variant I (section 3.3, the adopted one): every boundary erases the intact stream, and the rest of the network runs
    once more after it. Variant II: each boundary erases the stream that the one before it erased::

        I:   L = CE(intact) + sum_i sigma_i CE(erased at boundary i)
        II:  L = CE(intact) + sigma_1 CE(erased at 1) + sigma_2 CE(erased at 1, then at 2) + ...

    boundaries: where streams are erased, by name or negative index (paper, VGG16: pool3 and pool4).
    variant: "I" or "II".
    sigmas: sigma_i, weight of each erased loss, one for all or one a boundary (not in the paper: 1).
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundaries: tuple[str | int, ...] = (-3, -2),
        variant: Literal["I", "II"] = "I",
        sigmas: tuple[float, ...] = (1.0,),
        erase_threshold: float = 0.7,
        absolute: bool = False,
        statistics: Literal["intact", "all"] = "intact",
        head_depth: int = 0,
        head_width: int = 1024,
        head_form: Literal["conv", "linear"] = "conv",
    ) -> None:
        CAM.__init__(self, backbone, classes, head_depth, head_width, head_form)
        self.boundaries = backbone.in_order(boundaries)
        self.sigmas = sigmas * len(boundaries) if len(sigmas) == 1 else sigmas
        if len(self.sigmas) != len(boundaries):
            raise ValueError(f"{len(sigmas)} sigmas for {len(boundaries)} boundaries; give one, or one a boundary")
        self.erase_threshold, self.absolute = erase_threshold, absolute
        self.variant, self.statistics = variant, statistics

    def loss(self, images: Images, labels: Labels) -> dict[str, Tensor]:
        streams, before = [images], None  # the intact stream, then one more from each boundary on
        for boundary in self.boundaries:
            streams = [run(stream, after=before, until=boundary) for run, stream in self.with_runner(streams)]
            streams.append(self.erased(streams[0 if self.variant == "I" else -1], boundary))
            before = boundary
        logits = [self.head(run(stream, after=before))[0] for run, stream in self.with_runner(streams)]
        names = ["intact", *(f"erased_{boundary}" for boundary in self.boundaries)]
        return {
            name: weight * cross_entropy(each, labels)
            for name, weight, each in zip(names, (1.0, *self.sigmas), logits, strict=True)
        }

    def with_runner(self, streams: list[Tensor]) -> list[tuple[Callable[..., Tensor], Tensor]]:
        return [(self.erased_stream if i else self.backbone, stream) for i, stream in enumerate(streams)]
