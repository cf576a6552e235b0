"""EIL and MEIL: erasing integrated learning (Mai et al., CVPR 2020)."""

from collections.abc import Callable
from typing import Any, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from wsol.methods.cam import CAM
from wsol.methods.contract import Backbone, Images, Labels, Terms, cross_entropy
from wsol.nn.maps import channel_mean, erase, peak, scattered
from wsol.nn.ranges import in_range
from wsol.nn.views import without_statistics


class Erasing(CAM):
    """What EIL and MEIL share: CAM whose features lose their strongest region at a boundary.

    erase_threshold: gamma, share of the mean map's maximum above which features are erased (paper: 0.7); above 1
        nothing is erased.
    erase_where: the "strongest" region or, as a control, as many cells at "random" places.

    Readings of the paper:
    absolute: compare the mean map with gamma itself, as Algorithm 1 prints it, instead of gamma times its maximum.
    statistics: which stream updates the running batch-norm statistics, the "intact" one or "all".
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        erase_threshold: float = 0.7,
        erase_where: Literal["strongest", "random"] = "strongest",
        absolute: bool = False,
        statistics: Literal["intact", "all"] = "intact",
        **cam: Any,
    ) -> None:
        super().__init__(backbone, classes, **cam)
        backbone.need("re-entry", type(self).__name__)
        in_range(0, erase_threshold=erase_threshold)
        self.erase_threshold, self.erase_where = erase_threshold, erase_where
        self.absolute, self.statistics = absolute, statistics

    def erased(self, features: Float[Tensor, "b c h w"], boundary: str) -> Float[Tensor, "b c h w"]:
        strongest = self.strongest(features, boundary)
        return erase(features, strongest if self.erase_where == "strongest" else scattered(strongest))

    def strongest(self, features: Float[Tensor, "b c h w"], boundary: str) -> Bool[Tensor, "b h w"]:
        """The cells that are erased, unless as many are at random."""
        positive = features if self.backbone.rectified(boundary) else features.relu()
        return peak(channel_mean(positive), self.erase_threshold, relative=not self.absolute)

    @property
    def erased_stream(self) -> Callable[..., Tensor]:
        return self.backbone if self.statistics == "all" else without_statistics(self.backbone)


class EIL(Erasing):
    """The rest of the network runs twice, on the intact features and with their strongest region erased.

    Mai et al., CVPR 2020, https://doi.org/10.1109/CVPR42600.2020.00879. Algorithm 1, split at a boundary into f1 and
    f2 (shared weights, no new parameter; at test it is CAM)::

        F = f1(x);  m = mean over channels of F;  E = erase(F, m >= gamma max m)
        L = CE(f2(F), y) + sigma CE(f2(E), y)

    boundary: where the erased stream leaves, by name or negative index; best after a non-linearity, else the
        mask is read from the rectified features.
    sigma: weight of the erased loss (paper: 2; its released code: 1).
    """

    def __init__(
        self, backbone: Backbone, classes: int, boundary: str | int = -2, sigma: float = 2.0, **erasing: Any
    ) -> None:
        super().__init__(backbone, classes, **erasing)
        in_range(0, sigma=sigma)
        self.boundary, self.sigma = backbone.boundary(boundary), sigma

    def loss(self, images: Images, labels: Labels) -> Terms:
        features = self.backbone(images, until=self.boundary)
        erased = self.erased(features, self.boundary)
        intact_logits, _ = self.head(self.backbone(features, after=self.boundary))
        erased_logits, _ = self.head(self.erased_stream(erased, after=self.boundary))
        return {
            "intact": cross_entropy(intact_logits, labels),
            "erased": self.sigma * cross_entropy(erased_logits, labels),
        }


class MEIL(Erasing):
    """EIL at several boundaries of one pass; each erased stream has its own loss.

    Mai et al., CVPR 2020, https://doi.org/10.1109/CVPR42600.2020.00879, section 3.3. Variant I (the adopted one): every
    boundary erases the intact stream, and the rest of the network runs once more after it. Variant II: each boundary
    erases the stream that the one before it erased::

        I:   L = CE(intact) + sum_i sigma_i CE(erased at boundary i)
        II:  L = CE(intact) + sigma_1 CE(erased at 1) + sigma_2 CE(erased at 1, then at 2) + ...

    boundaries: where streams are erased, by name or negative index (paper, VGG16: pool3 and pool4).
    variant: "I" or "II".
    sigmas: sigma_i, weight of each erased loss, one for all or one for each of `boundaries` as they are given (not in
        the paper: 1).
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        boundaries: tuple[str | int, ...] = (-3, -2),
        variant: Literal["I", "II"] = "I",
        sigmas: tuple[float, ...] = (1.0,),
        **erasing: Any,
    ) -> None:
        super().__init__(backbone, classes, **erasing)
        self.boundaries, self.variant = backbone.in_order(boundaries), variant
        sigmas = sigmas * len(boundaries) if len(sigmas) == 1 else sigmas
        if len(sigmas) != len(boundaries):
            raise ValueError(f"{len(sigmas)} sigmas for {len(boundaries)} boundaries; give one, or one a boundary")
        for sigma in sigmas:
            in_range(0, sigmas=sigma)
        weights = {backbone.boundary(boundary): sigma for boundary, sigma in zip(boundaries, sigmas, strict=True)}
        self.sigmas = tuple(weights[boundary] for boundary in self.boundaries)

    def loss(self, images: Images, labels: Labels) -> Terms:
        streams, before = [images], None  # the intact stream, then one more from each boundary on
        for boundary in self.boundaries:
            streams = [run(stream, after=before, until=boundary) for run, stream in self.with_runner(streams)]
            streams.append(self.erased(streams[0 if self.variant == "I" else -1], boundary))
            before = boundary
        logits = [self.head(run(stream, after=before))[0] for run, stream in self.with_runner(streams)]
        names = ["intact", *(f"erased_{boundary}" for boundary in self.boundaries)]
        return {
            name: weight * cross_entropy(scores, labels)
            for name, weight, scores in zip(names, (1.0, *self.sigmas), logits, strict=True)
        }

    def with_runner(self, streams: list[Tensor]) -> list[tuple[Callable[..., Tensor], Tensor]]:
        return [(self.erased_stream if i else self.backbone, stream) for i, stream in enumerate(streams)]
