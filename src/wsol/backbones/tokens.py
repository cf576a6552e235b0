"""Vision transformers of timm as backbones: the map of their patches at each block."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsol.backbones.architecture import Make, fetch
from wsol.backbones.contract import IMAGENET, Ability, Backbone, Edit, OwnClassifier, Statistics
from wsol.backbones.weights import load_weights
from wsol.errors import WsolError

Tokenized = tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c"] | None]
CLASSIFYING = ("attn_pool", "fc_norm", "head_drop", "head", "head_dist")  # children behind the tokens


class Tokens(Backbone):
    """Features of a plain vision transformer (ViT, DeiT, DINO, DINOv2 and v3, EVA): the tokens of its patches.

    A boundary is a block, `block0` to `blockN`, then `norm` where the network normalises its tokens before it pools
    them. Its value is the map of the patch tokens (b, c, h, w), one cell a patch. A stream cannot re-enter, as the
    class and register tokens are no part of that map. Images may have any size that patches fill: timm resamples the
    position embeddings.

    network: timm's VisionTransformer or Eva, or a class of these, made with `dynamic_img_size=True`.
    statistics: mean and std that the weights want.
    classifier: the library's own last layer, where it reads the averaged patch tokens.
    """

    def __init__(
        self, network: nn.Module, statistics: Statistics = IMAGENET, classifier: OwnClassifier | None = None
    ) -> None:
        super().__init__(statistics)
        self.network: Any = network
        self._classifier = classifier
        for child in CLASSIFYING:
            if getattr(network, child, None) is not None:
                setattr(network, child, nn.Identity())
        blocks = [f"block{i}" for i in range(len(self.network.blocks))]
        self.boundaries = blocks if isinstance(self.network.norm, nn.Identity) else [*blocks, "norm"]
        self._counted = self.boundaries
        self._channels = dict.fromkeys(self.boundaries, int(self.network.num_features))
        self._strides = dict.fromkeys(self.boundaries, int(self.network.patch_embed.feat_ratio()))
        self._rectified = dict.fromkeys(self.boundaries, False)
        abilities: set[Ability] = set()
        if self.network.cls_token is not None:
            abilities.add("class token")
            if all(len(_attentions(block)) == 1 for block in self.network.blocks):
                abilities.add("attention")
        self.abilities = frozenset(abilities)

    def forward(
        self, x: Float[Tensor, "b 3 _ _"], after: str | int | None = None, until: str | int | None = None
    ) -> Float[Tensor, "b _ _ _"]:
        if after is not None:
            self.need("re-entry", "this method")
        return self.tokens(x, until)[0]

    def tokens(self, images: Float[Tensor, "b 3 H W"], until: str | int | None = None) -> Tokenized:
        """The patch map (b, c, h, w) and the class token (b, c), None where the network has none, at a boundary.

        images: in [0, 1].
        until: boundary by name or index; None is the last.

        Raises WsolError for images that patches do not fill.
        """
        last = self.boundary(-1 if until is None else until)
        size = int(images.shape[-2]), int(images.shape[-1])  # a traced shape is of tensors
        self.check_size(*size)
        prefixed = self.network.num_prefix_tokens > 0
        grid = self.network.patch_embed.dynamic_feat_size(size)
        if (kept := self.features_for(images, last)) is not None:
            classes, patches = kept.tensor_split([kept.shape[1] - grid[0] * grid[1]], 1)
            patches = through(self._edits.get(last, []), patches, grid)
            return patches.transpose(1, 2).unflatten(2, grid), classes[:, 0] if classes.shape[1] else None
        with ExitStack() as hooks:
            for boundary, edits in self._edits.items():
                hooks.enter_context(self._module(boundary).register_forward_hook(self._on_patches(edits, grid)))
            (output,) = self.network.forward_intermediates(
                self.normalised(images),
                indices=[min(self.boundaries.index(last), len(self.network.blocks) - 1)],
                return_prefix_tokens=prefixed,
                norm=last == "norm",
                stop_early=True,
                intermediates_only=True,
            )
        features, prefix = output if prefixed else (output, None)
        return features, None if prefix is None or self.network.cls_token is None else prefix[:, 0]

    @torch.no_grad()
    def frozen_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b n c"]:
        if self.frozen != self.boundaries[-1]:
            raise WsolError(f"{self.name} cannot go on from the middle; set freeze to all, or leave cache_features out")
        patches, class_token = self.tokens(images)
        first = [] if class_token is None else [class_token[:, None]]
        return torch.cat([*first, patches.flatten(2).transpose(1, 2)], 1)

    def attention(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "blocks b h w"]:
        """How much the class token attends to each patch, in each block: see `tokens_and_attention`."""
        return self.tokens_and_attention(images)[2]

    def tokens_and_attention(
        self, images: Float[Tensor, "b 3 H W"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c"] | None, Float[Tensor, "blocks b h w"]]:
        """The last patch map, the class token, and the class token's attention of every block, in one pass.

        The attention is the class token's row of the softmax of the scores, before dropout, averaged over the heads;
        columns of other tokens are left out, so that a block's map sums to less than 1. timm's fused attention, which
        keeps no rows, is off for this pass alone; gradients flow through the rows.

        images: in [0, 1].

        Raises WsolError where the network has no class token, its blocks no such softmax, or features are cached.
        """
        self.need("attention", "this method")
        if self._fed is not None:
            raise WsolError("cached features hold no attention of the class token; leave cache_features out")
        layers = [_attentions(block)[0] for block in self.network.blocks]
        fused = [layer.fused_attn for layer in layers]
        rows: list[Tensor] = []

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows.append(inputs[0][:, :, 0, self.network.num_prefix_tokens :].mean(1))

        with ExitStack() as hooks:
            for layer in layers:
                hooks.enter_context(layer.attn_drop.register_forward_pre_hook(keep))
                layer.fused_attn = False
            try:
                features, class_token = self.tokens(images)
            finally:
                for layer, was in zip(layers, fused, strict=True):
                    layer.fused_attn = was
        return features, class_token, torch.stack(rows).unflatten(-1, features.shape[-2:])

    def drop_paths(self, rate: float) -> None:
        """From here on training leaves out what blocks add, photo by photo: the last block at this rate, earlier less.

        Raises WsolError for a network whose blocks cannot be left out.
        """
        from timm.layers.drop import DropPath  # slow

        blocks = list(self.network.blocks)
        for place, block in enumerate(blocks):
            if not hasattr(block, "drop_path1"):
                raise WsolError(f"{self.name} has blocks that cannot be left out; set drop_path to 0")
            block.drop_path1 = block.drop_path2 = DropPath(rate * place / max(len(blocks) - 1, 1))

    def check_size(self, height: int, width: int) -> None:
        for side, patch in zip((height, width), self.network.patch_embed.feat_ratio(as_scalar=False), strict=True):
            if side % patch or not side:
                sizes = " or ".join(
                    str(size) for size in (side // patch * patch, side // patch * patch + patch) if size
                )
                raise WsolError(
                    f"images of {width}x{height} pixels do not fit {self.name}, whose patches have {patch} pixels a "
                    f"side; set image_size to {sizes}"
                )

    def cut(self, boundary: str | int) -> "Tokens":
        shorter, last = deepcopy(self), self.boundary(boundary)
        shorter.boundaries = shorter._counted = self.boundaries[: self.boundaries.index(last) + 1]
        shorter._classifier = self._classifier if last == self.boundaries[-1] else None
        if last != "norm":
            shorter.network.norm = nn.Identity()
            shorter.network.blocks = shorter.network.blocks[: len(shorter.boundaries)]
        return shorter

    def behind(self, boundary: str) -> list[nn.Module]:
        later = self.boundaries[self.boundaries.index(boundary) + 1 :]
        return [self._module(name) for name in later]

    def _module(self, boundary: str) -> nn.Module:
        return self.network.norm if boundary == "norm" else self.network.blocks[int(boundary.removeprefix("block"))]

    def _on_patches(self, edits: list[Edit], grid: tuple[int, int]) -> Callable[..., Tensor]:
        """A hook under which the edits see the patch map of a block's output."""

        def hook(_: nn.Module, __: Any, tokens: Tensor) -> Tensor:
            prefix, patches = tokens.tensor_split([self.network.num_prefix_tokens], 1)
            return torch.cat([prefix, through(edits, patches, grid)], 1) if edits else tokens

        return hook


@dataclass(frozen=True)
class Transformer:
    """How a vision transformer is built with its weights.

    make: see `Architecture`.
    statistics: mean and std that its weights want.
    classifier: path of the library's last layer, where it reads the averaged patch tokens.
    """

    make: Make
    statistics: Statistics
    classifier: str | None = None

    def build(
        self,
        weights: str | Path | None,
        end: str | None,
        map_stride: int | None,
        kept_strides: int = 0,
        load: bool = True,
    ) -> Tokens:
        """The backbone; see `build_backbone`."""
        library = weights == "pretrained"
        network: Any = fetch(self.make, library, library and load)
        stride = int(network.patch_embed.feat_ratio())
        if map_stride not in (None, 16, stride) or kept_strides:
            wish = f"kept_strides {kept_strides}" if kept_strides else f"map_stride {map_stride}"
            raise WsolError(
                f"{wish} cannot be reached by a transformer, whose maps have one cell a patch of {stride} pixels; "
                "set map_stride to own and kept_strides to 0, and give larger images for finer maps"
            )
        classifier = self.classifier
        if weights is not None and load and not library:
            behind = tuple(f"{path}." for path in (*CLASSIFYING, *_paths_after(end, len(network.blocks))))
            needed = {key for key in network.state_dict() if not key.startswith(behind)}
            classifier = load_weights(network, Path(weights), needed, classifier)
        layer: Any = network.get_submodule(classifier) if classifier else None
        backbone = Tokens(network, self.statistics, OwnClassifier(layer, blank=not load) if layer else None)
        return backbone if end is None else backbone.cut(end)


def through(edits: list[Edit], patches: Float[Tensor, "b n c"], grid: tuple[int, int]) -> Float[Tensor, "b n c"]:
    """Patch tokens after edits of their map (b, c, h, w)."""
    features = patches.transpose(1, 2).unflatten(2, grid)
    for edit in edits:
        features = edit(features)
    return features.flatten(2).transpose(1, 2)


def _paths_after(end: str | None, blocks: int) -> list[str]:
    """Paths of the modules behind a block that the network is to end at."""
    last = re.fullmatch(r"block(\d+)", end or "")
    return ["norm", *(f"blocks.{i}" for i in range(int(last[1]) + 1, blocks))] if last else []


def _attentions(block: nn.Module) -> list[Any]:
    """The layers of a block that can show their softmax."""
    return [layer for layer in block.modules() if hasattr(layer, "fused_attn") and hasattr(layer, "attn_drop")]
