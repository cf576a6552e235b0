"""TriLite: three regions that share each cell, a background that must not name the class, and a backbone as it is."""

import copy
import math
import warnings

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, plain, transformer
from torch import nn

from wsol.backbones import Backbone
from wsol.backbones.tokens import Tokens
from wsol.methods.stack import stack
from wsol.methods.trilite import COLLAPSED, TriLite, named, pooled
from wsol.runs.settings import Settings, resolve
from wsol.training.loop import Loop

QUIET = {"dropout": 0.0, "class_dropout": 0.0}


def made(**options) -> TriLite:
    torch.manual_seed(2)
    method = TriLite(plain(), 5, **QUIET | options)
    for layer in (method.region_head, method.class_head, method.tri_head[0]):
        nn.init.normal_(layer.weight)
    return method


def on_tokens(name: str = "vit_tiny_patch16_224", **options) -> TriLite:
    return TriLite(Tokens(transformer(name, dynamic_img_size=True)), 5, **QUIET | options)


class Wide(Backbone):
    """Stands for DINOv2-S, whose tokens have 384 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.boundaries = self._counted = ["block11"]
        self._channels = {"block11": 384}


@pytest.mark.parametrize(("classes", "expected"), [(200, 164_374), (1000, 780_374), (100, 87_374)])
def test_it_has_the_papers_number_of_parameters(classes: int, expected: int) -> None:
    assert sum(parameter.numel() for parameter in TriLite(Wide(), classes).parameters()) == expected


def test_losses_and_map_equal_the_slow_twin() -> None:
    method, (images, labels) = made(alpha=7.0), batch()
    method.train()
    for _ in range(20):
        method.loss(images, labels)  # running statistics that are some numbers
    method.eval()
    terms, expected = method.loss(images, labels), oracle.trilite(method, images, labels.tolist())
    for name, value in expected[0].items():
        assert terms[name].item() == pytest.approx(value * (7.0 if name == "background" else 1.0), rel=1e-4)
    heatmaps = method.heatmaps(method.predict(images), labels[:, None])[:, 0]
    torch.testing.assert_close(heatmaps, torch.stack(expected[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 3])
def test_the_regions_share_each_cell(channels: int) -> None:
    regions = made(channels=channels).regions(torch.randn(4, 10, 8, 8))
    assert regions.shape == (4, channels, 8, 8) and (regions > 0).all()
    torch.testing.assert_close(regions.sum(1), torch.ones(4, 8, 8))


@pytest.mark.parametrize("channels", [2, 3])
def test_the_first_map_may_be_the_mean_of_the_features(channels: int) -> None:
    torch.manual_seed(2)
    method = TriLite(plain(), 5, channels=channels, first_map="mean").train()
    features = torch.randn(4, 10, 8, 8)
    regions, mean = method.regions(features), features.mean(1).flatten()
    foreground, background = (regions[:, region].flatten() for region in (0, 1))
    apart = (mean - mean.mean()) / mean.std(correction=0)
    torch.testing.assert_close((foreground / background).log(), 2 * apart, rtol=1e-3, atol=1e-3)


def test_a_constant_feature_map_gives_both_regions_the_same_vector() -> None:
    vector = torch.randn(2, 10)
    constant = vector[:, :, None, None].expand(-1, -1, 8, 8)
    weights = torch.rand(2, 2, 8, 8)
    for region in (0, 1):
        torch.testing.assert_close(pooled(constant, weights[:, region]), vector, rtol=1e-4, atol=1e-4)


def test_without_alpha_the_loss_is_two_cross_entropies() -> None:
    images, labels = batch()
    terms = made(alpha=0.0).loss(images, labels)
    assert terms["background"] == 0
    with_alpha = made(alpha=3.0).loss(images, labels)
    assert with_alpha["background"] > 0
    assert all(torch.equal(terms[name], with_alpha[name]) for name in ("classification", "foreground"))


def test_the_background_costs_what_it_says_of_the_class() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0]])
    p = math.exp(2) / (math.exp(2) + 2)
    assert named(logits, torch.tensor([0])).item() == pytest.approx(-math.log(1 - p), rel=1e-5)
    assert named(torch.tensor([[100.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(-math.log(1e-7), rel=1e-2)
    soft = named(logits, torch.tensor([[0.25, 0.75, 0.0]])).item()
    assert soft == pytest.approx(-0.25 * math.log(1 - p) - 0.75 * math.log(1 - 1 / (math.exp(2) + 2)), rel=1e-5)
    several = named(logits, torch.tensor([[True, True, False]])).item()
    sigmoids = [1 / (1 + math.exp(-2)), 0.5]
    assert several == pytest.approx(-sum(math.log(1 - q) for q in sigmoids) / 2, rel=1e-5)
    assert named(logits, torch.zeros(1, 3, dtype=torch.bool)).item() == 0


def test_a_step_leaves_the_frozen_backbone_as_it_is() -> None:
    method = made()
    method.freeze("all")
    before = copy.deepcopy(method.backbone.state_dict())
    loop = Loop(method.train(), Settings(optimiser="adamw", learning_rate=0.1), 1)
    [optimiser], _ = loop.configure_optimizers()
    sum(method.loss(*batch()).values()).backward()
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in method.backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in method.backbone.parameters())
    assert isinstance(optimiser, torch.optim.AdamW)
    assert sorted(group["lr"] for group in optimiser.param_groups) == pytest.approx([0.1, 0.1, 1.0, 1.0])


def test_it_is_frozen_unless_somebody_says_otherwise() -> None:
    assert resolve(stack("trilite"), None, {}).settings.freeze == "all"
    assert resolve(stack("has+trilite"), None, {}).settings.freeze == "all"
    assert resolve(stack("trilite"), None, {"freeze": "none"}).settings.freeze == "none"
    assert resolve(stack("cam"), None, {}).settings.freeze == "none"


def test_order_of_photos_does_not_matter() -> None:
    method, images = made().eval(), batch()[0]
    order = torch.tensor([2, 0, 3, 1])
    one, other = method.predict(images), method.predict(images[order])
    torch.testing.assert_close(one.logits[order], other.logits)
    torch.testing.assert_close(one.evidence["foreground"][order], other.evidence["foreground"])


@pytest.mark.parametrize(("token_norm", "boundary"), [("pre", "block1"), ("post", "norm")])
def test_tokens_are_read_before_the_last_norm_or_after_it(token_norm: str, boundary: str) -> None:
    method, images = on_tokens(token_norm=token_norm).eval(), batch(64)[0]
    whole = Tokens(transformer("vit_tiny_patch16_224", dynamic_img_size=True))
    patches, class_token = method.tokens(images)
    expected_patches, expected_class_token = whole.tokens(images, until=boundary)
    torch.testing.assert_close(patches, expected_patches)
    torch.testing.assert_close(class_token, expected_class_token)
    torch.testing.assert_close(method.predict(images).logits, method.class_head(expected_class_token))


def test_without_a_class_token_the_mean_of_the_last_map_names_the_class() -> None:
    for method in (made(), on_tokens("vit_base_patch16_siglip_224")):
        images = batch(64)[0]
        features, class_token = method.eval().tokens(images)
        torch.testing.assert_close(class_token, features.mean((2, 3)))


def test_a_collapsed_foreground_is_said() -> None:
    method = made().eval()
    method.tri_head[1].bias.data[0] = 50.0
    with pytest.warns(UserWarning, match=COLLAPSED[:40]):
        method.loss(*batch())
    method.tri_head[1].bias.data[0] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.loss(*batch())
