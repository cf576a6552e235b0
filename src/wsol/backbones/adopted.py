"""A user's own classifier as a backbone: its last map of features is found by running it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wsol.backbones.architecture import said
from wsol.backbones.contract import Backbone, OwnClassifier, Statistics
from wsol.errors import WsolError

Layout = Literal["bchw", "bhwc", "bnc"]
POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)  # their maps have one size, whatever the image's
MOST_PREFIX_TOKENS = 16


@dataclass(frozen=True)
class Site:
    """Where a classifier's last map of features is.

    module: path of the module that gives it.
    layout: the output's: maps (b, c, h, w), maps (b, h, w, c), or tokens (b, n, c).
    cells: (h, w) at the image size at which the site was found.
    prefix: tokens before those of the patches (class and register tokens).
    """

    module: str
    layout: Layout
    cells: tuple[int, int]
    prefix: int = 0

    def read(self, output: Tensor, cells: tuple[int, int]) -> Float[Tensor, "b c h w"]:
        """The map in the module's output."""
        if self.layout == "bchw":
            return output
        if self.layout == "bhwc":
            return output.movedim(-1, 1)
        return output[:, self.prefix :].transpose(1, 2).unflatten(2, cells)

    def write(self, output: Tensor, features: Float[Tensor, "b c h w"]) -> Tensor:
        """The module's output with another map; other tokens stay."""
        if self.layout == "bchw":
            return features
        if self.layout == "bhwc":
            return features.movedim(1, -1)
        return torch.cat([output[:, : self.prefix], features.flatten(2).transpose(1, 2)], 1)


class Adopted(Backbone):
    """A classifier as it is, asked for its logits and for its last map of features.

    It has one boundary, named by the path of the module there, such as `layer4` or `blocks.10`. `forward` gives the
    features, `logits` the classifier's own logits, `answer` both in one pass; all three run the whole classifier, and
    `edited` acts in all three: what the classifier reads after the site is the edited map. `own_head` is there where
    the logits are a linear layer on the averaged features, so that CAM needs no gradients. Streams cannot re-enter.

    model: (b, 3, H, W) normalised images to (b, k) logits.
    site: where its features are.
    statistics: mean and std of each colour that it wants; images come in [0, 1].
    size: side of the images for which it was made, pixels.
    channels: c of its features.
    classes: k of its logits.
    rectified: whether its features are never negative.
    classifier: the linear layer on the averaged features.
    """

    def __init__(
        self,
        model: nn.Module,
        site: Site,
        statistics: Statistics,
        size: int,
        channels: int,
        classes: int,
        rectified: bool = False,
        classifier: OwnClassifier | None = None,
    ) -> None:
        super().__init__(statistics)
        self.name = type(model).__name__
        self.model, self.site, self.size, self.classes = model, site, size, classes
        self.boundaries = self._counted = [site.module]
        self._channels = {site.module: channels}
        self._strides = {site.module: max(1, round(size / site.cells[0]))}
        self._rectified = {site.module: rectified}
        self._classifier = classifier

    def forward(
        self, x: Float[Tensor, "b 3 _ _"], after: str | int | None = None, until: str | int | None = None
    ) -> Float[Tensor, "b _ _ _"]:
        if after is not None:
            self.need("re-entry", "this method")
        if until is not None:
            self.boundary(until)
        return self.answer(x)[0]

    def logits(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b k"]:
        """The classifier's logits of images in [0, 1]."""
        return self.answer(images)[1]

    def answer(self, images: Float[Tensor, "b 3 H W"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b k"]]:
        """The features at the site, after edits, and the logits that the classifier makes of them.

        images: in [0, 1].

        Raises WsolError for images of a size that the classifier does not take.
        """
        maps: list[Tensor] = []

        def through(output: Tensor) -> Tensor:
            features = self.site.read(output, self._cells(images, output))
            edits = self._edits.get(self.site.module, [])
            for edit in edits:
                features = edit(features)
            maps.append(features)
            return self.site.write(output, features) if edits else output

        with replaced(self.model.get_submodule(self.site.module), through):
            logits = _run(self.model, self.normalised(images))
        return maps[-1], logits

    def _cells(self, images: Tensor, output: Tensor) -> tuple[int, int]:
        """Rows and columns of the patch tokens of these images."""
        if self.site.layout != "bnc":
            return self.site.cells
        height, width = (
            round(side * cells / self.size) for side, cells in zip(images.shape[-2:], self.site.cells, strict=True)
        )
        if height * width != output.shape[1] - self.site.prefix:
            raise WsolError(f"{self.name} makes {output.shape[1]} tokens of such images; give {self.size}x{self.size}")
        return height, width


def adopt_network(model: nn.Module, mean: Any, std: Any, size: int = 224) -> Adopted:
    """A user's own classifier as a backbone.

    Its site is the last map of features (or patch tokens, as a map) through which all goes that the logits read, and
    which moves the logits everywhere: found by one run of the classifier and a few gradients. In a transformer whose
    logits read the class token alone, that is what enters the last block. The classifier is put into evaluation mode.

    model: (b, 3, H, W) normalised images to (b, k) logits.
    mean: of each colour that it wants, three numbers; images come in [0, 1].
    std: likewise.
    size: side of the images for which it was made, pixels.

    Raises WsolError where it does not run on such images, gives no logits, or has no such site.
    """
    model.eval()
    statistics: Any = tuple(mean), tuple(std)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    first = next((tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()), None)
    images = images if first is None else images.to(first.device)
    with torch.enable_grad():
        site, features, logits = _find_site(model, images.requires_grad_())
    layer = _averaged_classifier(model, features, logits)
    classifier = OwnClassifier(layer) if layer else None
    rectified = bool((features >= 0).all())
    backbone = Adopted(model, site, statistics, size, features.shape[1], logits.shape[1], rectified, classifier)
    return backbone.to(images.device).eval()


@contextmanager
def replaced(module: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Meanwhile what the module gives passes through the function; of a tuple, its first tensor."""

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return function(output)
        return (function(output[0]), *output[1:])

    handle: RemovableHandle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _run(model: nn.Module, images: Tensor) -> Tensor:
    size = f"{images.shape[-1]}x{images.shape[-2]}"
    try:
        logits = model(images)
    except WsolError:
        raise
    except Exception as error:  # whatever somebody else's network says
        raise WsolError(
            f"{type(model).__name__} does not run on images of {size} pixels ({said(error)[:150]}); "
            "give the size for which it was made"
        ) from error
    if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[0] != images.shape[0]:
        raise WsolError(f"{type(model).__name__} gives no (b, k) logits; wrap it in a module that gives them alone")
    return logits


def _find_site(model: nn.Module, images: Tensor) -> tuple[Site, Tensor, Tensor]:
    """The site, its features and the logits of these images."""
    outputs: list[tuple[str, Tensor]] = []

    def keep(path: str, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(tensor, Tensor) and tensor.requires_grad and len(tensor) == len(images):
            outputs.append((path, tensor))

    hooks = [
        module.register_forward_hook(lambda _, __, output, path=path: keep(path, output))
        for path, module in model.named_modules()
        if path and not isinstance(module, POOLS)
    ]
    try:
        logits = _run(model, images)
    finally:
        for hook in hooks:
            hook.remove()
    sites = _sites(outputs, images.shape[-1])
    # random factors: classes may cancel out, as probabilities do
    target = (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits)).sum()
    tensors = [tensor for _, tensor in sites]
    gradients = torch.autograd.grad(target, tensors, allow_unused=True) if target.requires_grad and tensors else ()
    for (site, tensor), gradient in reversed(list(zip(sites, gradients, strict=True))):
        if gradient is not None and site.read(gradient, site.cells).any() and _passes_all(model, site, images):
            return site, site.read(tensor.detach(), site.cells), logits.detach()
    raise WsolError(
        f"no map of features was found in {type(model).__name__} through which all of its logits go; "
        "give a convolutional network or a plain vision transformer"
    )


def _sites(outputs: list[tuple[str, Tensor]], side: int) -> list[tuple[Site, Tensor]]:
    """The outputs that are maps or patch tokens, in order, of modules that ran once."""
    sites = []
    cells = None  # of the last map, which in a transformer is that of the patch embedding
    runs = Counter(path for path, _ in outputs)
    lengths = {x.shape[1] for _, x in outputs if x.dim() == 3}
    for path, x in outputs:
        if runs[path] > 1 or (x.dim() == 4 and x.shape[2] in lengths):  # the latter are heads, or their attention
            continue
        if x.dim() == 4 and 1 < x.shape[2] == x.shape[3] < side:
            cells = (x.shape[2], x.shape[3])
            sites.append((Site(path, "bchw", cells), x))
        elif x.dim() == 4 and 1 < x.shape[1] == x.shape[2] < side:
            sites.append((Site(path, "bhwc", (x.shape[1], x.shape[2])), x))
        elif x.dim() == 3 and cells and 0 <= (prefix := x.shape[1] - cells[0] * cells[1]) <= MOST_PREFIX_TOKENS:
            sites.append((Site(path, "bnc", cells, prefix), x))
    return sites


def _passes_all(model: nn.Module, site: Site, images: Tensor) -> bool:
    """Whether the logits know the images through the site alone: without its gradient, none reaches them."""
    with replaced(model.get_submodule(site.module), lambda output: output.detach().clone()):
        logits = model(images)
    if not logits.requires_grad:
        return True
    (gradient,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    return gradient is None


@torch.no_grad()
def _averaged_classifier(model: nn.Module, features: Tensor, logits: Tensor) -> nn.Linear | None:
    """The linear layer that makes the logits from the averaged features, where there is one."""
    averaged, tolerance = features.mean((2, 3)), 1e-4 * float(logits.abs().max())
    for layer in reversed([module for module in model.modules() if isinstance(module, nn.Linear)]):
        if layer.in_features == averaged.shape[1] and layer.out_features == logits.shape[1]:
            differs = logits.std(0).max() > 10 * tolerance  # else the bias alone would do
            return layer if differs and torch.allclose(layer(averaged), logits, atol=tolerance, rtol=1e-4) else None
    return None
