"""TS-CAM: class maps of patch tokens, weighted by what the class token attends to."""

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, plain, transformer
from timm.layers import DropPath

from wsol.backbones.tokens import Tokens
from wsol.errors import WsolError
from wsol.methods.stack import stack
from wsol.methods.tscam import TSCAM
from wsol.nn.maps import min_max
from wsol.runs.settings import resolve

IMAGES, LABELS = batch(64)


def made(name: str = "vit_tiny_patch16_224", **options) -> TSCAM:
    backbone = Tokens(transformer(name, dynamic_img_size=True))
    torch.manual_seed(2)
    return TSCAM(backbone, 5, **options)


def evenly(method: TSCAM) -> TSCAM:
    """With queries and keys of zero, so that every token attends to all tokens alike."""
    with torch.no_grad():
        for block in method.backbone.network.blocks:
            width = block.attn.qkv.weight.shape[1]
            block.attn.qkv.weight[: 2 * width] = 0
            block.attn.qkv.bias[: 2 * width] = 0
    return method


@torch.no_grad()
def maps(method: TSCAM) -> torch.Tensor:
    return method.heatmaps(method.predict(IMAGES), LABELS[:, None])[:, 0]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_loss_and_map_equal_the_slow_twin(name: str) -> None:
    method = made(name).eval()
    with torch.no_grad():
        loss, expected = oracle.tscam(method, IMAGES, LABELS.tolist())
        assert method.loss(IMAGES, LABELS)["classification"].item() == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(maps(method), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_even_attention_leaves_the_class_map() -> None:
    method = evenly(made()).eval()
    with torch.no_grad():
        prediction = method.predict(IMAGES)
    cells = 4 * 4
    blocks = len(method.backbone.network.blocks)
    torch.testing.assert_close(prediction.evidence["attention"], torch.full((4, 4, 4), blocks / (cells + 1)))
    semantic = prediction.evidence["class_maps"][torch.arange(4), LABELS]
    torch.testing.assert_close(min_max(maps(method)), min_max(semantic))


def test_the_bias_matters_to_the_box_only_where_attention_is_uneven() -> None:
    for method, matters in ((made().eval(), True), (evenly(made()).eval(), False)):
        before = min_max(maps(method))
        with torch.no_grad():
            method.head.classifier.bias += 3.0
        assert torch.allclose(before, min_max(maps(method)), atol=1e-4) is not matters


def test_logits_are_the_means_of_class_maps_and_need_no_attention() -> None:
    method = made().eval()
    with torch.no_grad():
        prediction = method.predict(IMAGES)
        torch.testing.assert_close(prediction.logits, prediction.evidence["class_maps"].mean((2, 3)))
        logits, _ = method.head(method.backbone(IMAGES))
    torch.testing.assert_close(prediction.logits, logits, rtol=1e-4, atol=1e-4)


def test_attention_gets_no_part_in_training() -> None:
    method = made(drop_path=0.0).train()
    method.backbone.tokens_and_attention = None  # what training would call
    sum(method.loss(IMAGES, LABELS).values()).backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_later_blocks_are_left_out_more_often() -> None:
    rates = [block.drop_path1.drop_prob for block in made(drop_path=0.3).backbone.network.blocks]
    assert rates == [0.0, 0.3]
    assert not any(isinstance(module, DropPath) for module in made(drop_path=0.0).modules())
    whole = made(drop_path=1.0).train()
    with torch.no_grad():
        after = whole.backbone(IMAGES, until="block1")
    torch.testing.assert_close(after, whole.backbone(IMAGES, until="block0"))


def test_a_network_without_attention_is_refused_in_one_line() -> None:
    with pytest.raises(WsolError, match=r"^TS-CAM reads the attention of the class token, which .* cannot do; choose"):
        TSCAM(plain(), 5)


def test_cached_features_are_refused_as_they_hold_no_attention() -> None:
    method = made()
    method.freeze("all")
    with method.backbone.fed(method.backbone.frozen_features(IMAGES), 64) as stand_ins:
        with pytest.raises(WsolError, match="no attention of the class token; leave cache_features out"):
            method.predict(stand_ins)
        assert torch.isfinite(method.loss(stand_ins, LABELS)["classification"])


def test_it_takes_a_transformer_unless_somebody_says_otherwise() -> None:
    assert resolve(stack("tscam"), None, {}).settings.backbone == "deit_small_patch16_224"
    assert (
        resolve(stack("tscam"), None, {"backbone": "vit_tiny_patch16_224"}).settings.backbone == "vit_tiny_patch16_224"
    )
    assert resolve(stack("cam"), None, {}).settings.backbone is None
