"""Transformers of timm give the map of their patches at each block, and the class token's attention."""

from copy import deepcopy

import pytest
import timm
import torch
from oracles.networks import class_token_attention, transformer
from safetensors.torch import save_file

from wsol.backbones import build_backbone
from wsol.backbones.architecture import timm_network
from wsol.backbones.contract import IMAGENET
from wsol.backbones.derived import derive
from wsol.backbones.tokens import Tokens, Transformer
from wsol.errors import WsolError
from wsol.methods.bas import BAS
from wsol.methods.cam import CAM
from wsol.methods.eil import EIL, MEIL
from wsol.nn.views import frozen

# how many tokens stand before those of the patches, and whether the first is a class token
PREFIX = {
    "vit_tiny_patch16_224": 1,
    "deit_tiny_distilled_patch16_224": 2,
    "vit_small_patch14_dinov2": 1,
    "vit_small_patch14_reg4_dinov2": 5,
    "eva02_tiny_patch14_224": 1,
    "vit_small_patch16_dinov3": 5,
    "vit_medium_patch16_rope_reg1_gap_256": 1,
    "vit_base_patch16_siglip_224": 0,
}
NO_CLASS_TOKEN = ("vit_medium_patch16_rope_reg1_gap_256", "vit_base_patch16_siglip_224")
ATTENTIVE = [name for name in PREFIX if name not in NO_CLASS_TOKEN]


def images(cells: int, patch: int, b: int = 2) -> torch.Tensor:
    return torch.rand(b, 3, cells * patch, (cells + 1) * patch, generator=torch.Generator().manual_seed(0))


def pair(name: str) -> tuple[torch.nn.Module, Tokens]:
    """The library's network, and a backbone of a copy."""
    network = transformer(name, dynamic_img_size=True)
    return network, Tokens(deepcopy(network), IMAGENET).eval()


def as_map(tokens: torch.Tensor, prefix: int, height: int, width: int) -> torch.Tensor:
    """Token n is the cell in row n // width and column n % width."""
    features = torch.zeros(len(tokens), tokens.shape[-1], height, width)
    for row in range(height):
        for column in range(width):
            features[:, :, row, column] = tokens[:, prefix + row * width + column]
    return features


@pytest.mark.parametrize("name", PREFIX)
@torch.no_grad()
def test_boundaries_are_the_librarys_tokens_as_maps(name: str) -> None:
    network, backbone = pair(name)
    outputs: dict[str, torch.Tensor] = {}
    for i, block in enumerate(network.blocks):
        block.register_forward_hook(lambda _, __, tokens, i=i: outputs.update({f"block{i}": tokens}))
    patch = backbone.stride(-1)
    assert patch == int(name.split("_patch")[1][:2])
    x = images(3, patch)
    outputs["norm"] = network.forward_features((x - backbone.mean) / backbone.std)
    for boundary in backbone.boundaries:
        features, class_token = backbone.tokens(x, until=boundary)
        assert torch.equal(features, as_map(outputs[boundary], PREFIX[name], 3, 4)), boundary
        assert torch.equal(backbone(x, until=boundary), features)
        assert features.shape[1] == backbone.channels(boundary)
        if name in NO_CLASS_TOKEN:
            assert class_token is None
        else:
            assert class_token is not None and torch.equal(class_token, outputs[boundary][:, 0])
    assert torch.equal(backbone(x), as_map(outputs["norm"], PREFIX[name], 3, 4))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
@torch.no_grad()
def test_images_of_other_sizes_are_what_timm_makes_of_a_network_set_to_them(name: str) -> None:
    _, backbone = pair(name)
    fixed = transformer(name)
    for side in (224, 448):
        fixed.set_input_size((side, side))
        x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        cells = side // backbone.stride(-1)
        wanted = as_map(fixed.forward_features((x - backbone.mean) / backbone.std), PREFIX[name], cells, cells)
        torch.testing.assert_close(backbone(x), wanted, rtol=1e-4, atol=1e-4)


def test_images_that_patches_do_not_fill_are_refused_with_the_nearest_sizes() -> None:
    _, backbone = pair("vit_small_patch14_dinov2")
    backbone.name = "vit_small_patch14_dinov2"
    with pytest.raises(WsolError, match=r"230x224 pixels do not fit vit_small.*14 pixels.*image_size to 224 or 238"):
        backbone(torch.rand(1, 3, 224, 230))
    with pytest.raises(WsolError, match=r"set image_size to 14$"):
        backbone.check_size(8, 14)
    backbone.check_size(224, 448)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_attention_is_the_class_tokens_softmax_averaged_over_heads(name: str) -> None:
    network, backbone = pair(name)
    x = images(3, 16)
    wanted = class_token_attention(network, (x - backbone.mean) / backbone.std)
    torch.testing.assert_close(backbone.attention(x), wanted.unflatten(-1, (3, 4)))


@pytest.mark.parametrize("name", ATTENTIVE)
def test_tokens_are_equal_whether_or_not_attention_is_read(name: str) -> None:
    _, backbone = pair(name)
    x = images(3, backbone.stride(-1))
    fused = [block.attn.fused_attn for block in backbone.network.blocks]
    assert all(fused), "timm fuses attention here, else the test compares one path with itself"
    features, class_token, attention = backbone.tokens_and_attention(x)
    assert [block.attn.fused_attn for block in backbone.network.blocks] == fused
    for other, wanted in zip(backbone.tokens(x), (features, class_token), strict=True):
        torch.testing.assert_close(other, wanted, rtol=1e-4, atol=1e-4)
    assert attention.shape == (2, 2, 3, 4) and (attention > 0).all() and (attention.sum((2, 3)) < 1).all()


def test_fused_attention_comes_back_after_an_error() -> None:
    _, backbone = pair("vit_tiny_patch16_224")
    with pytest.raises(WsolError, match="do not fit"):
        backbone.attention(torch.rand(1, 3, 40, 40))
    assert all(block.attn.fused_attn for block in backbone.network.blocks)
    assert not any(block.attn.attn_drop._forward_pre_hooks for block in backbone.network.blocks)


@pytest.mark.parametrize("name", NO_CLASS_TOKEN)
def test_attention_needs_a_class_token(name: str) -> None:
    _, backbone = pair(name)
    with pytest.raises(WsolError, match="attention of the class token, which this backbone cannot do"):
        backbone.attention(images(3, 16))


@pytest.mark.parametrize("name", PREFIX)
@torch.no_grad()
def test_an_edit_changes_patches_and_leaves_other_tokens(name: str) -> None:
    network, backbone = pair(name)
    x = images(3, backbone.stride(-1))

    def zeroed(_, __, tokens):
        return torch.cat([tokens[:, : PREFIX[name]], torch.zeros_like(tokens[:, PREFIX[name] :])], 1)

    network.blocks[0].register_forward_hook(zeroed)
    wanted = as_map(network.forward_features((x - backbone.mean) / backbone.std), PREFIX[name], 3, 4)
    with backbone.edited("block0", torch.zeros_like):
        assert torch.equal(backbone(x), wanted)
        assert torch.equal(frozen(backbone)(x), wanted)
        assert not backbone(x, until="block0").any()
    assert not torch.equal(backbone(x), wanted)
    with backbone.edited(-1, lambda features: features * 2):
        doubled = backbone(x)
    assert torch.equal(doubled, backbone(x) * 2)


@torch.no_grad()
def test_a_cut_copy_ends_at_a_block() -> None:
    _, backbone = pair("vit_tiny_patch16_224")
    x = images(3, 16)
    whole = backbone(x)
    short = backbone.cut("block0")
    assert short.boundaries == ["block0"] and torch.equal(short(x), backbone(x, until="block0"))
    assert torch.equal(backbone.cut("block1")(x), backbone(x, until="block1"))
    assert not any("blocks.1" in key for key in short.state_dict())
    assert torch.equal(backbone(x), whole) and torch.equal(backbone.cut("norm")(x), whole)


def test_streams_cannot_re_enter() -> None:
    _, backbone = pair("vit_tiny_patch16_224")
    backbone.name = "vit_tiny_patch16_224"
    with pytest.raises(WsolError, match="vit_tiny_patch16_224 cannot do"):
        backbone(images(3, 16), after="block0")
    for kind in (EIL, MEIL, BAS):
        with pytest.raises(WsolError, match=rf"^{kind.__name__} .*vit_tiny_patch16_224 cannot do; choose a conv"):
            kind(backbone, 5)


def test_cam_trains_and_its_heatmaps_have_a_cell_a_patch() -> None:
    _, backbone = pair("vit_small_patch14_dinov2")
    method = CAM(backbone, 5).train()
    x, labels = torch.rand(4, 3, 42, 42), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.SGD(method.parameters(), 0.05)
    losses = []
    for _ in range(3):
        loss = sum(method.loss(x, labels).values())
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in method.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    heatmaps = method.eval().heatmaps(method.predict(x), torch.zeros(4, 2, dtype=torch.long))
    assert heatmaps.shape == (4, 2, 3, 3)


def test_a_named_transformer_is_built_with_its_weights_and_statistics(tmp_path) -> None:
    network = timm.create_model("vit_tiny_patch16_224", num_classes=7).eval()
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for options, blocks in (({}, 12), ({"end": "block1"}, 2)):  # the default map_stride of 16 stands for the patch
        backbone = build_backbone("vit_tiny_patch16_224", tmp_path / "vit.safetensors", **options).eval()
        assert backbone.name == "vit_tiny_patch16_224"
        (wanted,) = network.forward_intermediates(
            (x - 0.5) / 0.5, [blocks - 1], norm=blocks == 12, intermediates_only=True
        )
        with torch.no_grad():
            assert torch.equal(backbone(x), wanted)
        assert not any("head" in key for key in backbone.state_dict())
    save_file({"backbone." + key: value for key, value in backbone.state_dict().items()}, tmp_path / "run.safetensors")
    again = build_backbone("vit_tiny_patch16_224", tmp_path / "run.safetensors", end="block1").eval()
    assert torch.equal(again(x), backbone(x))


@pytest.mark.parametrize(("name", "mean"), [("vit_tiny_patch16_224", 0.5), ("vit_small_patch14_dinov2", 0.485)])
def test_images_are_normalised_as_the_weights_want(name: str, mean: float) -> None:
    assert derive(name).statistics[0][0] == mean


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"map_stride": 8}, "map_stride 8 cannot be reached by a transformer.* patch of 14 pixels"),
        ({"map_stride": 16, "kept_strides": 1}, "kept_strides 1 cannot be reached"),
        ({"map_stride": None, "end": "block7"}, "block0, block1, norm"),
    ],
)
def test_strides_and_ends_that_a_transformer_cannot_have_are_refused(options: dict, said: str) -> None:
    make = timm_network("vit_small_patch14_dinov2", depth=2, embed_dim=48, num_heads=3, dynamic_img_size=True)
    maker = Transformer(make, IMAGENET)
    for stride in (None, 14, 16):
        assert maker.build(None, None, stride).stride(-1) == 14
    with pytest.raises(WsolError, match=said):
        maker.build(None, **({"end": None} | options))


def test_the_own_head_of_a_transformer_that_averages_its_patches(tmp_path, monkeypatch) -> None:
    network = transformer("vit_medium_patch16_gap_240", img_size=48)
    torch.save(network.state_dict(), tmp_path / "gap.pt")
    small = dict(depth=2, embed_dim=48, num_heads=3, img_size=48)
    monkeypatch.setattr(
        "wsol.backbones.derived.timm_network", lambda name, **options: timm_network(name, **small, **options)
    )
    backbone = build_backbone("vit_medium_patch16_gap_240", tmp_path / "gap.pt").eval()
    x = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        logits, _ = backbone.own_head(5)(backbone(x))
        torch.testing.assert_close(logits, network((x - backbone.mean) / backbone.std), rtol=1e-4, atol=1e-5)
    monkeypatch.undo()
    with pytest.raises(WsolError, match="no classifier of its own"):
        Tokens(transformer("vit_tiny_patch16_224")).own_head(5)
