"""NL-CCAM: non-local combinational class activation maps (Yang et al., WACV 2020)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.contract import Backbone, Images, Labels, Prediction, Terms
from wsol.nn.maps import Falling, choose, rank_weights
from wsol.nn.ranges import in_range


class NLCCAM(CAM):
    """Inside the network every place looks at every other; at test all classes' maps are combined by their rank.

    Yang et al., WACV 2020, https://arxiv.org/abs/1910.05518. Algorithm, at each boundary with features F; q, k, v and
    mix are 1x1 convolutions, q and k to an eighth of the channels, and the norm begins at zero::

        F <- F + norm(mix(softmax(q(F) k(F)^T) v(F)));  the rest is CAM
        map = sum_r w_r A_r, over classes by the rank r of their score, w falling from 1 to -1 (read-out `ccam`)

    The map is the same for all classes asked.

    blocks_at: the boundaries, by name or negative index (paper, VGG16: pool2, pool3, pool4 and conv5_3).
    leak: slope of the backbone's ReLUs below zero (paper, VGG16: 0.2); 0 leaves them.

    At test:
    best: classes with a positive weight in the quadratic form, 0 for half of them (paper, CUB: 100 of 200).
    form: how weights fall: "quadratic" as in the paper, "linear", "difference" of the first and last class, or "top",
        the map of the first class alone.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        blocks_at: tuple[str | int, ...] = (-3, -2, -1),
        leak: float = 0.0,
        **cam: Any,
    ) -> None:
        in_range(0, leak=leak)
        if leak:
            make_leaky(backbone, leak)
        super().__init__(backbone, classes, **cam)
        self.blocks_at = backbone.in_order(blocks_at)
        self.blocks = nn.ModuleList(NonLocal(backbone.channels(boundary)) for boundary in self.blocks_at)

    @contextmanager
    def related(self) -> Iterator[None]:
        """Meanwhile features pass the blocks."""
        with ExitStack() as edits:
            for boundary, block in zip(self.blocks_at, self.blocks, strict=True):
                edits.enter_context(self.backbone.edited(boundary, block))
            yield

    def loss(self, images: Images, labels: Labels) -> Terms:
        with self.related():
            return super().loss(images, labels)

    def predict(self, images: Images) -> Prediction:
        with self.related():
            return super().predict(images)

    def heatmaps(
        self, prediction: Prediction, classes: Int[Tensor, "b n"], *, best: int = 0, form: Falling = "quadratic"
    ) -> Float[Tensor, "b n h w"]:
        """Raises WsolError for more best classes than there are."""
        ranked = prediction.logits.argsort(1, descending=True)
        known = self.head.classes
        if not 0 <= best <= known:
            raise WsolError(f"best {best}: there are {known} classes; give 1 to {known}, or 0 for half")
        class_maps = choose(prediction.evidence["class_maps"], ranked)
        weights = rank_weights(known, best, form).to(class_maps)
        combined = (weights[:, None, None] * class_maps).sum(1, keepdim=True)
        return combined.expand(-1, classes.shape[1], -1, -1)

    def new_layers(self) -> list[nn.Module]:
        return [*super().new_layers(), self.blocks]


class NonLocal(nn.Module):
    """Adds to every place what resembles it elsewhere; nothing at first.

    channels: c of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(channels // 8, 1)
        self.query, self.key = nn.Conv2d(channels, few, 1), nn.Conv2d(channels, few, 1)
        self.value, self.mix = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        q, k, v = (layer(features).flatten(2).mT[:, None] for layer in (self.query, self.key, self.value))  # one head
        found = functional.scaled_dot_product_attention(q, k, v, scale=1.0).mT.reshape(features.shape)
        return features + self.norm(self.mix(found))


def make_leaky(network: nn.Module, leak: float) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.LeakyReLU(leak, child.inplace))
