"""Frozen stages learn nothing, and features that were kept from them stand in their place."""

import copy

import pytest
import torch
from oracles.networks import batch, normed, plain, transformer
from torch import nn

from wsol.backbones.adopted import adopt_network
from wsol.backbones.contract import IMAGENET
from wsol.backbones.tokens import Tokens
from wsol.errors import WsolError
from wsol.methods.stack import stack


def step(backbone: torch.nn.Module, images: torch.Tensor) -> set[str]:
    """The names of parameters that a step of training moves, after a check of the buffers of what does not learn."""
    before = copy.deepcopy(backbone.state_dict())
    optimiser = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    backbone(images).square().mean().backward()
    optimiser.step()
    return {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("boundary", ["layer2", -3])
def test_what_is_frozen_keeps_weights_and_statistics_and_the_rest_learns(boundary: str | int) -> None:
    backbone = normed()
    names = set(backbone.state_dict())
    backbone.freeze(boundary)
    assert backbone.frozen == "layer2"
    moved = step(backbone.train(), batch(64)[0])
    assert moved == {name for name in names if name.startswith(("layer3", "layer4"))}
    assert {name for name in backbone.frozen_state() if name not in ("mean", "std")} == names - moved
    assert not backbone.layer1.training and backbone.layer3[0].bn1.training
    assert not any(module.training for module in backbone.eval().modules())


def test_all_is_the_whole_backbone() -> None:
    backbone = normed().train()
    backbone.freeze("all")
    assert not any(parameter.requires_grad for parameter in backbone.train().parameters())
    assert not any(module.training for module in backbone.modules())


def test_gradients_reach_the_image_through_frozen_stages() -> None:
    backbone = plain()
    backbone.freeze("b")
    images = batch()[0].requires_grad_()
    backbone(images).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_an_unknown_boundary_is_named() -> None:
    with pytest.raises(WsolError, match="no boundary 'pol3' in this backbone; it has a, b, c"):
        plain().freeze("pol3")


@pytest.mark.parametrize("boundary", ["a", "b", "c", "all"])
def test_kept_features_stand_for_the_frozen_stages_of_a_chain(boundary: str) -> None:
    backbone, (images, _) = plain(), batch()
    backbone.freeze(boundary)
    features = backbone.frozen_features(images)
    seen = []

    def doubled(features: torch.Tensor) -> torch.Tensor:
        seen.append(features)
        return 2 * features

    for until in backbone.boundaries[backbone.boundaries.index(backbone.frozen) :]:
        with backbone.edited(backbone.frozen, doubled):
            expected = backbone(images, until=until)
            with backbone.fed(features, 32) as stand_ins:
                assert stand_ins.shape == images.shape and stand_ins.isnan().all()
                assert torch.equal(backbone(stand_ins, until=until), expected)
        assert len(seen) == 2
        seen.clear()
    assert torch.equal(backbone(images), backbone(images))


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_base_patch16_siglip_224", "vit_small_patch14_reg4_dinov2"]
)
def test_kept_tokens_stand_for_a_frozen_transformer(name: str) -> None:
    side = 56 if "14" in name else 64
    backbone = Tokens(transformer(name, dynamic_img_size=True))
    backbone.freeze("all")
    images = batch(side)[0]
    patches, class_token = backbone.tokens(images)
    features = backbone.frozen_features(images)
    with backbone.fed(features, side) as stand_ins:
        kept_patches, kept_class_token = backbone.tokens(stand_ins)
        assert torch.equal(backbone(stand_ins), patches)
    assert torch.equal(kept_patches, patches)
    assert (kept_class_token is None) == (class_token is None) == ("siglip" in name)
    assert class_token is None or torch.equal(kept_class_token, class_token)


def test_a_transformer_is_frozen_block_by_block_but_kept_whole() -> None:
    backbone = Tokens(transformer("vit_tiny_patch16_224", dynamic_img_size=True)).train()
    backbone.freeze("block0")
    learning = {name.split(".blocks.")[-1][0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {"1", "n"}  # the second block, and the norm behind it
    with pytest.raises(WsolError, match="cannot go on from the middle; set freeze to all"):
        backbone.frozen_features(batch(64)[0])


def test_what_the_features_cannot_give_is_refused_in_one_line() -> None:
    backbone, (images, _) = plain(), batch()
    backbone.freeze("b")
    with backbone.fed(backbone.frozen_features(images), 32) as stand_ins:
        with pytest.raises(WsolError, match=r"changes the photos, .* leave cache_features out"):
            backbone(stand_ins.flip(-1))
        with pytest.raises(WsolError, match=r"needs the features at a, but those at b alone .* set freeze to a"):
            backbone(stand_ins, until="a")
        with backbone.edited("a", torch.relu), pytest.raises(WsolError, match="needs the features at a"):
            backbone(stand_ins)
        assert torch.isfinite(backbone(stand_ins)).all()


def test_a_method_that_cannot_be_frozen_says_so() -> None:
    for name in ("ega", "has+ega+cam"):
        method = stack(name).build(normed(), 5)
        with pytest.raises(WsolError, match="none may be frozen; leave freeze out"):
            method.freeze("layer1")
    with pytest.raises(WsolError, match="cannot be frozen; choose a backbone by name"):
        classifier = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
        adopt_network(classifier, *IMAGENET, 32).freeze("all")
