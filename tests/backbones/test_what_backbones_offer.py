"""What every backbone offers: edits of its boundaries, and abilities that it says it lacks."""

import subprocess
import sys

import pytest
import torch
from oracles.networks import batch, normed, plain, transformer

from wsol.backbones.chain import Chain
from wsol.backbones.contract import NEEDED
from wsol.backbones.tokens import Tokens
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.nn.views import frozen, without_statistics

images, _ = batch()


def tokens() -> Tokens:
    return Tokens(transformer("vit_tiny_patch16_224", dynamic_img_size=True)).eval()


@pytest.mark.parametrize("make", [plain, normed, tokens])
@torch.no_grad()
def test_an_edit_that_changes_nothing_changes_nothing(make) -> None:
    backbone = make().eval()
    wanted = backbone(images)
    for boundary in backbone.boundaries:
        with backbone.edited(boundary, lambda features: features):
            assert torch.equal(backbone(images), wanted), boundary


@torch.no_grad()
def test_zeros_at_a_boundary_are_the_network_run_from_zeros() -> None:
    backbone = plain()
    for boundary in backbone.boundaries:
        wanted = backbone(torch.zeros_like(backbone(images, until=boundary)), after=boundary)
        with backbone.edited(boundary, torch.zeros_like):
            assert torch.equal(backbone(images), wanted), boundary
    assert not torch.equal(backbone(images), wanted)


def test_edits_act_in_views_and_in_streams_that_re_enter() -> None:
    backbone = normed().train()
    features = backbone(images, until="layer2").detach()
    with torch.no_grad(), backbone.edited("layer3", torch.zeros_like):
        wanted = backbone(features, after="layer2")
        for view in (frozen(backbone), without_statistics(backbone)):
            assert torch.equal(view(features, after="layer2"), wanted)
            assert torch.equal(view(images, until="layer3"), torch.zeros_like(view(images, until="layer3")))
        assert not torch.equal(backbone(images, until="layer2"), torch.zeros_like(features))


@torch.no_grad()
def test_edits_of_one_boundary_run_in_order_and_end_with_their_context() -> None:
    backbone = plain()
    wanted = backbone(images)
    with backbone.edited("c", lambda x: x + 1), backbone.edited(-1, lambda x: x * 2):
        assert torch.equal(backbone(images), (wanted + 1) * 2)
    with backbone.edited(-1, lambda x: x * 2), backbone.edited("c", lambda x: x + 1):
        assert torch.equal(backbone(images), wanted * 2 + 1)
    with pytest.raises(RuntimeError, match="stop"), backbone.edited("b", torch.zeros_like):
        raise RuntimeError("stop")
    assert torch.equal(backbone(images), wanted)
    with pytest.raises(WsolError, match="a, b, c"), backbone.edited("d", torch.zeros_like):
        pass


def test_gradients_flow_through_edits_of_any_method() -> None:
    method = CAM(plain(), 5)
    weight = torch.ones(1, 8, 1, 1, requires_grad=True)
    with method.backbone.edited("b", lambda features: features * weight):
        method.predict(images).logits.sum().backward()
    assert weight.grad is not None and weight.grad.abs().min() > 0


@pytest.mark.parametrize("ability", NEEDED)
def test_a_missing_ability_is_named_with_method_and_backbone(ability) -> None:
    chain, vit = plain(), tokens()
    vit.name = "vit_tiny_patch16_224"
    lacking = vit if ability == "re-entry" else chain
    able = chain if ability == "re-entry" else vit
    able.need(ability, "EIL")
    with pytest.raises(WsolError, match=rf"^EIL .*, which {lacking.name} cannot do; choose a ") as error:
        lacking.need(ability, "EIL")
    assert "\n" not in str(error.value)


def test_a_chain_of_a_network_that_takes_other_images_says_so() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))
    with pytest.raises(WsolError, match="stage a of this network does not run on 160x160"):
        Chain(network, {"a": ["0", "1"]})


def test_the_package_is_imported_without_timm_and_torchvision() -> None:
    code = "import sys, wsol.backbones; sys.exit(bool({'timm', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
