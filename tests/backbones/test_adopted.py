"""Somebody's own classifier: its last map is found, and what it reads after that map can be edited."""

import pytest
import timm
import torch
from oracles.networks import transformer
from torch import nn
from torch.nn import functional
from torchvision import models

from wsol.backbones.adopted import Adopted, adopt_network
from wsol.backbones.contract import IMAGENET
from wsol.backbones.derived import library_classifier
from wsol.errors import WsolError

HALF = (0.5, 0.5, 0.5)


def images(side: int, b: int = 2) -> torch.Tensor:
    return torch.rand(b, 3, side, side, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """Convolutions whose ReLU is one module run twice, and a linear layer on the averaged map."""

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.relu, self.linear, self.skip = nn.ReLU(), nn.Linear(8, 4), skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.relu(self.second(self.relu(self.first(x))))
        logits = self.linear(features.mean((2, 3)))
        return logits + x.mean((1, 2, 3))[:, None] if self.skip else logits


class Paired(nn.Module):
    """Gives its map in a tuple, as the layers of some libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = PairedLayer()
        self.linear = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features, scale = self.layer(x)
        return self.linear(features.relu().mean((2, 3))) * scale


class PairedLayer(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, float]:
        return functional.conv2d(x, torch.ones(6, 3, 4, 4) * torch.linspace(-1, 1, 6)[:, None, None, None], stride=4), 2


class Probabilities(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).softmax(1)


def sequence() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))


def library(name: str) -> nn.Module:
    torch.manual_seed(0)
    return models.get_model(name, weights=None, num_classes=4)


def swin() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=4, embed_dim=12, depths=(1, 1), num_heads=(1, 2), img_size=56
    )


# maker, side, site, channels, cells, whether it never is negative, whether the logits are linear in its average
CASES = {
    "resnet18": (lambda: library("resnet18"), 64, "layer4", 512, 2, True, True),
    "vgg11": (lambda: library("vgg11"), 64, "features", 512, 2, True, False),
    "mobilenet_v3_small": (lambda: library("mobilenet_v3_small"), 64, "features", 576, 2, False, False),
    "sequence": (sequence, 32, "1", 6, 16, True, False),
    "repeated": (Plain, 32, "second", 8, 8, False, False),
    "tuple": (Paired, 32, "layer", 6, 8, False, False),
    "probabilities": (Probabilities, 32, "second", 8, 8, False, False),
    "vit": (lambda: transformer("vit_tiny_patch16_224", img_size=64), 64, "blocks.0", 48, 4, False, False),
    "distilled": (
        lambda: transformer("deit_tiny_distilled_patch16_224", img_size=64), 64, "blocks.0", 48, 4, False, False,
    ),
    "registers": (
        lambda: transformer("vit_small_patch14_reg4_dinov2", img_size=56), 56, "blocks.0", 48, 4, False, False,
    ),
    "averaged": (lambda: transformer("vit_medium_patch16_gap_240", img_size=64), 64, "norm", 48, 4, False, True),
    "eva": (lambda: transformer("eva02_tiny_patch14_224", img_size=56), 56, "norm", 48, 4, False, False),
    "channels_last": (swin, 56, "norm", 24, 7, False, True),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request) -> tuple:
    make, side, *wanted = CASES[request.param]
    model = make().eval()
    return model, adopt_network(model, HALF, HALF, side), images(side), wanted


@torch.no_grad()
def test_the_site_is_the_last_map_and_the_logits_are_the_classifiers(case) -> None:
    model, backbone, x, (site, channels, cells, rectified, _) = case
    assert backbone.boundaries == [site] and backbone.boundary(-1) == site
    assert torch.equal(backbone.logits(x), model((x - 0.5) / 0.5))
    features, logits = backbone.answer(x)
    assert features.shape == (2, channels, cells, cells) and torch.equal(features, backbone(x))
    assert torch.equal(logits, backbone.logits(x)) and backbone.classes == logits.shape[1]
    assert backbone.channels(-1) == channels and backbone.stride(-1) == x.shape[-1] // cells
    assert backbone.rectified(-1) == rectified
    assert not model._forward_hooks and not model.get_submodule(site)._forward_hooks


@torch.no_grad()
def test_an_edit_that_changes_nothing_leaves_features_and_logits(case) -> None:
    _, backbone, x, _ = case
    features, logits = backbone.answer(x)
    with backbone.edited(-1, lambda features: features):
        assert torch.equal(backbone(x), features) and torch.equal(backbone.logits(x), logits)


@torch.no_grad()
def test_logits_know_the_image_through_the_site_alone(case) -> None:
    """With the features of another image there, the logits are that image's, but for its class token."""
    _, backbone, x, _ = case
    features, logits = backbone.answer(x)
    with backbone.edited(-1, lambda _: features.flip(0)):
        swapped, swapped_logits = backbone.answer(x)
    assert torch.equal(swapped, features.flip(0))
    assert not torch.equal(swapped_logits, logits)
    if backbone.site.prefix == 0:
        torch.testing.assert_close(swapped_logits, logits.flip(0))


def test_every_cell_moves_the_logits(case) -> None:
    _, backbone, x, _ = case
    kept = []

    def keep(features: torch.Tensor) -> torch.Tensor:
        kept.append(features.requires_grad_())
        return features

    with backbone.edited(-1, keep):
        logits = backbone.logits(x)
    factors = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((logits * factors).sum(), kept)
    moved = gradient.abs().amax(1) > 0
    assert moved.float().mean() > (0.9 if not backbone.rectified(-1) else 0.5)


@torch.no_grad()
def test_a_linear_layer_on_the_averaged_map_is_the_own_head(case) -> None:
    _, backbone, x, (*_, linear) = case
    if not linear:
        with pytest.raises(WsolError, match="no classifier of its own"):
            backbone.own_head(backbone.classes)
        return
    features, logits = backbone.answer(x)
    torch.testing.assert_close(backbone.own_head(backbone.classes)(features)[0], logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_tokens_are_read_in_rows_and_written_back_in_place() -> None:
    model = transformer("deit_tiny_distilled_patch16_224", dynamic_img_size=True)
    backbone, x = adopt_network(model, HALF, HALF, 64), torch.rand(1, 3, 48, 80)
    tokens = []
    hook = model.blocks[0].register_forward_hook(lambda _, __, output: tokens.append(output))
    features = backbone(x)
    for row in range(3):
        for column in range(5):
            assert torch.equal(features[:, :, row, column], tokens[0][:, 2 + 5 * row + column])
    hook.remove()
    changed = tokens[0].clone()
    changed[:, 2:] *= 3
    hook = model.blocks[0].register_forward_hook(lambda _, __, ___: changed)
    wanted = model((x - 0.5) / 0.5)
    hook.remove()
    with backbone.edited(-1, lambda features: features * 3):
        assert torch.equal(backbone.logits(x), wanted)


def test_frozen_classifiers_are_adopted_and_put_into_evaluation_mode() -> None:
    model = library("resnet18").train().requires_grad_(False)
    backbone = adopt_network(model, *IMAGENET, 64)
    assert backbone.boundaries == ["layer4"] and not model.training and not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Plain(skip=True), "no map of features was found in Plain"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 4)), "no map of features was found in Sequential"),
        (nn.Conv2d(3, 4, 3), r"Conv2d gives no \(b, k\) logits"),
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 4)), "Sequential does not run on images of 32x32 pixels"),
    ],
)
def test_networks_that_cannot_be_adopted_say_why(model: nn.Module, said: str) -> None:
    with pytest.raises(WsolError, match=said) as error:
        adopt_network(model, HALF, HALF, 32)
    assert "\n" not in str(error.value)


def test_what_an_adopted_classifier_cannot_do_is_refused() -> None:
    backbone = adopt_network(transformer("vit_tiny_patch16_224", img_size=64), HALF, HALF, 64)
    assert isinstance(backbone, Adopted)
    for ability in ("re-entry", "class token", "attention"):
        with pytest.raises(WsolError, match=r"EIL .*, which VisionTransformer cannot do"):
            backbone.need(ability, "EIL")
    with pytest.raises(WsolError, match="cannot do"):
        backbone(images(64), after="blocks.0")
    with pytest.raises(WsolError, match=r"it has blocks\.0$"):
        backbone(images(64), until="blocks.1")
    with pytest.raises(WsolError, match="does not run on images of 80x80"):
        backbone.logits(images(80))


@torch.no_grad()
def test_a_librarys_classifier_with_a_files_weights_is_adopted(tmp_path) -> None:
    torch.save({"model": library("resnet18").state_dict()}, tmp_path / "mine.pt")
    for name, side in (("torchvision:resnet18", 224), ("timm:resnet18", 224), ("tf_efficientnet_lite0", 224)):
        if name.startswith("tf"):
            torch.save(timm.create_model(name, num_classes=4).state_dict(), tmp_path / "mine.pt")
        model, (mean, std), size = library_classifier(name, tmp_path / "mine.pt", 4)
        assert size == side and mean[0] == (0.5 if name.startswith("tf") else 0.485)
        wanted = torch.load(tmp_path / "mine.pt")
        wanted = wanted.get("model", wanted)
        assert all(torch.equal(value, wanted[key]) for key, value in model.state_dict().items())
        assert adopt_network(model, mean, std, 64).own_head(4).classifier.weight.shape[0] == 4
    with pytest.raises(WsolError, match=r"mine.pt: .* differs in shape: classifier.weight is \(4, 1280\), not \(5"):
        library_classifier("tf_efficientnet_lite0", tmp_path / "mine.pt", 5)
    with pytest.raises(WsolError, match="did you mean resnet34"):
        library_classifier("torchvision:resnet33", tmp_path / "mine.pt", 5)
    with pytest.raises(WsolError, match="did you mean resnet18"):
        library_classifier("timm:resnet19", tmp_path / "mine.pt", 5)
