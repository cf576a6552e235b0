"""Networks of timm and torchvision by name: each works as the library's does, or says in one line why not."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

from wsol.backbones import build_backbone
from wsol.backbones.contract import IMAGENET
from wsol.backbones.derived import _chained
from wsol.errors import WsolError

WORKS = (
    "edgenext_xx_small",
    "inception_next_atto",
    "mobilenetv4_conv_small",
    "mobilevit_xxs",
    "poolformer_s12",
    "repghostnet_050",
    "repvgg_a0",
    "resnet18.a1_in1k",
    "resnetv2_18",
    "tf_efficientnet_lite0",
    "timm:resnet18",
    "timm:vit_tiny_patch16_224",
)
REFUSED = (
    "beit_base_patch16_224",
    "botnet26t_256",
    "coatnet_nano_rw_224",
    "hrnet_w18_small",
    "levit_128s",
    "maxvit_tiny_tf_224",
    "mixer_s32_224",
    "swin_tiny_patch4_window7_224",
    "xcit_nano_12_p16_224",
)


def images(side: int = 224) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", WORKS)
@torch.no_grad()
def test_a_network_of_timm_gives_timms_features(name: str, tmp_path) -> None:
    network = timm.create_model(name.removeprefix("timm:"), num_classes=3).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    backbone = build_backbone(name, tmp_path / "weights.safetensors", map_stride=None).eval()
    config = network.pretrained_cfg
    assert backbone.mean.flatten().tolist() == pytest.approx(config["mean"])
    assert backbone.std.flatten().tolist() == pytest.approx(config["std"])
    wanted = network.forward_features((images() - backbone.mean) / backbone.std)
    if wanted.dim() == 3:
        wanted = wanted[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
    assert torch.equal(backbone(images()), wanted)
    assert backbone.channels(-1) == wanted.shape[1] and backbone.stride(-1) == 224 // wanted.shape[-1]


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_cannot_serve_says_so_in_one_line(name: str) -> None:
    with pytest.raises(WsolError, match=rf"^{name}: .*; choose a") as error:
        build_backbone(name, map_stride=None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "boundaries", "last"),
    [
        ("resnet34", ["relu", "layer1", "layer2", "layer3", "layer4"], "layer4"),
        ("shufflenet_v2_x0_5", ["conv1", "maxpool", "stage2", "stage3", "conv5"], "conv5"),
        ("regnet_x_400mf", ["stem", *(f"trunk_output.block{i}" for i in range(1, 5))], "trunk_output"),
        ("mobilenet_v3_small", [f"features.{i}" for i in (0, 1, 3, 8, 12)], "features"),
        ("swin_t", ["permute"], "permute"),
    ],
)
@torch.no_grad()
def test_a_network_of_torchvision_ends_a_stage_where_its_map_shrinks(name, boundaries, last, tmp_path) -> None:
    network = models.get_model(name, weights=None, num_classes=3).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    backbone = build_backbone(f"torchvision:{name}", tmp_path / "weights.pth", map_stride=None).eval()
    assert backbone.boundaries == boundaries
    features = []
    network.get_submodule(last).register_forward_hook(lambda _, __, output: features.append(output.clone()))
    network((images() - backbone.mean) / backbone.std)
    assert torch.equal(backbone(images()), features[0])


def test_a_network_that_computes_something_else_at_another_size_is_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2))

    def features(x: torch.Tensor) -> torch.Tensor:
        return network(x) if x.shape[-1] == 224 else 2 * network(x)

    assert _chained(lambda own, download: network, network, network, [], IMAGENET).stages == {"0": ["0"]}
    with pytest.raises(WsolError, match="another network at another image size"):
        _chained(lambda own, download: network, network, features, [], IMAGENET)


def test_a_named_network_of_torchvision_is_the_named_one() -> None:
    assert build_backbone("torchvision:resnet18").boundaries == build_backbone("resnet18").boundaries


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("ResNet50", "resnet50"),
        ("resnet-50", "resnet50"),
        ("VGG-16", "vgg16"),
        ("MobileNet_V1", "mobilenetv1"),
        ("vit-tiny-patch16-224", "vit_tiny_patch16_224"),
    ],
)
def test_another_spelling_gets_one_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(WsolError, match=rf"^there is no backbone '{name}'; did you mean {suggestion}\?$"):
        build_backbone(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet_18", "timm has no network 'resnet_18'; did you mean resnet18"),
        ("torchvision:resnet33", "torchvision has no network 'resnet33'; did you mean resnet34"),
        ("resnet18.no_such_tag", "Invalid pretrained tag"),
        ("local-dir:/nowhere", "Config file not found"),
        ("qqq", "named ones are vgg16"),
    ],
)
def test_names_that_no_library_knows_are_refused(name: str, said: str) -> None:
    with pytest.raises(WsolError, match=said):
        build_backbone(name)


@torch.no_grad()
def test_a_folder_in_timms_format_is_a_backbone(tmp_path) -> None:
    network = timm.create_model("resnet18", num_classes=4).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "resnet18", "num_classes": 4, "pretrained_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    backbone = build_backbone(f"local-dir:{tmp_path}", "pretrained", map_stride=None).eval()
    assert backbone.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    assert torch.equal(backbone(images()), network.forward_features((images() - 0.4) / backbone.std))
    torch.testing.assert_close(
        backbone.own_head(4)(backbone(images()))[0], network((images() - 0.4) / backbone.std), rtol=1e-4, atol=1e-4
    )
