"""Small networks that tests can afford to run exactly."""

import timm
import torch
from torch import nn

from wsol.backbones import Backbone, build_backbone
from wsol.backbones.chain import Chain
from wsol.nn.heads import Head


def plain(seed: int = 0) -> Chain:
    """Three rectified stages without batch norm: stages a, b and the last, c; 8x8 maps from 32 pixels."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 10, 3, 1, 1), nn.ReLU()
    )
    return Chain(network, {"a": ["0", "1"], "b": ["2", "3"], "c": ["4", "5"]})


def normed(seed: int = 0) -> Backbone:
    """A real network with batch norm."""
    torch.manual_seed(seed)
    return build_backbone("resnet18", map_stride=8)


def loud(method: nn.Module) -> nn.Module:
    """The method with class weights of size 1: classes, and streams, differ by more than rounding."""
    for head in (module for module in method.modules() if isinstance(module, Head)):
        nn.init.normal_(head.classifier.weight)
    return method


def batch(side: int = 32, b: int = 4, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(b, 3, side, side, generator=generator), torch.randint(classes, (b,), generator=generator)


def transformer(name: str, seed: int = 0, **options) -> nn.Module:
    """A small network of timm's transformers, of two blocks, with weights that are all of some size."""
    torch.manual_seed(seed)
    network = timm.create_model(name, depth=2, embed_dim=48, num_heads=3, num_classes=5, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.eval()


@torch.no_grad()
def class_token_attention(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What the class token of timm's ViT gives each patch in each block (blocks, b, patches), a head at a time."""
    before = []
    hooks = [block.norm1.register_forward_hook(lambda _, __, tokens: before.append(tokens)) for block in network.blocks]
    network.forward_features(images)
    for hook in hooks:
        hook.remove()
    maps = []
    for block, tokens in zip(network.blocks, before, strict=True):
        heads, width = block.attn.num_heads, tokens.shape[-1]
        query, key, _ = (tokens @ block.attn.qkv.weight.T + block.attn.qkv.bias).split(width, -1)
        total = torch.zeros(tokens.shape[:2])
        for head in range(heads):
            span = slice(head * width // heads, (head + 1) * width // heads)
            scores = (query[:, :1, span] * key[:, :, span]).sum(-1) / (width / heads) ** 0.5
            total += scores.exp() / scores.exp().sum(1, keepdim=True)
        maps.append(total[:, network.num_prefix_tokens :] / heads)
    return torch.stack(maps)
