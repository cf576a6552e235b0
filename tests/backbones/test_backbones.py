"""Every backbone is the library's network, cut into stages that a stream can leave and re-enter."""

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from wsol.backbones import BACKBONES, build_backbone
from wsol.errors import WsolError

LIBRARY = {
    "vgg16": lambda: nn.Sequential(models.vgg16().features[:30]),
    "vgg16_bn": lambda: nn.Sequential(models.vgg16_bn().features[:43]),
    "squeezenet1_1": lambda: nn.Sequential(models.squeezenet1_1().features),
}
DERIVED = ("efficientnet_b0", "regnetx_002", "densenet121", "convnext_atto")


def images(side: int = 64, b: int = 2) -> torch.Tensor:
    return torch.rand(b, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[*BACKBONES, *DERIVED])
def backbone(request):
    return build_backbone(request.param, map_stride=None).eval()


@torch.no_grad()
def test_leaving_and_re_entering_changes_nothing(backbone) -> None:
    x = images()
    whole = backbone(x)
    for boundary in backbone.boundaries:
        features = backbone(x, until=boundary)
        kept = features.clone()
        assert torch.equal(backbone(features, after=boundary), whole), boundary
        assert torch.equal(features, kept), f"the stage after {boundary} changed its input"
        assert features.shape[1] == backbone.channels(boundary)


def test_no_stage_changes_its_input_in_training_either(backbone) -> None:
    backbone.train()
    x, before = images(), None
    for boundary in backbone.boundaries:
        kept = x.clone()
        after = backbone(x, after=before, until=boundary)
        assert torch.equal(x, kept), boundary
        x, before = after.detach().clone(), boundary
    backbone.eval()


@torch.no_grad()
def test_strides_are_those_of_the_maps(backbone) -> None:
    x = images(256, 1)
    for boundary in backbone.boundaries:
        side = backbone(x, until=boundary).shape[-1]
        assert 256 / side == pytest.approx(backbone.stride(boundary), rel=0.15)


def library_network(name: str) -> nn.Module:
    if name.startswith("resnet"):
        return getattr(models, name)()
    if name.startswith("mobilenet"):
        return timm.create_model(f"{name}_100", pad_type="same")
    return getattr(models, name)() if hasattr(models, name) else timm.create_model(name)


@pytest.mark.parametrize(
    "name", ["vgg16_bn", "resnet18", "mobilenetv1", "mobilenetv2", "squeezenet1_1", "convnext_atto"]
)
def test_names_and_features_are_the_librarys(name: str, tmp_path) -> None:
    torch.manual_seed(3)
    network = library_network(name).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    backbone = build_backbone(name, weights=tmp_path / "weights.pt", map_stride=None).eval()
    own, library = dict(backbone.named_parameters()), dict(network.named_parameters())
    assert set(own) <= set(library)
    assert {key.split(".")[0] for key in set(library) - set(own)} <= {"fc", "classifier", "head", "bn2"}
    assert all(torch.equal(own[key], library[key]) for key in own)
    x = (images() - backbone.mean) / backbone.std
    with torch.no_grad():
        if hasattr(network, "forward_features"):
            wanted = network.forward_features(x)
        elif name == "resnet18":
            wanted = nn.Sequential(*list(network.children())[:-2])(x)
        else:
            wanted = network.features[: {"vgg16_bn": 43, "squeezenet1_1": 13}[name]](x)
        assert torch.equal(backbone(images()), wanted)


@pytest.mark.parametrize("name", list(BACKBONES))
@pytest.mark.parametrize(("map_stride", "side"), [(16, 14), (8, 28)])
def test_map_stride_gives_the_papers_maps_at_224(name: str, map_stride: int, side: int) -> None:
    backbone = build_backbone(name, map_stride=map_stride).eval()
    with torch.no_grad():
        found = backbone(images(224, 1)).shape[-1]
    assert found == (side if name != "squeezenet1_1" else {14: 13, 28: 27}[side])  # SqueezeNet does not pad
    assert backbone.stride(-1) == map_stride


def test_lowering_the_stride_keeps_the_kernels() -> None:
    torch.manual_seed(0)
    plain = build_backbone("resnet18", map_stride=None)
    early = build_backbone("resnet18", map_stride=16, kept_strides=1)
    assert [early.stride(name) for name in ("layer2", "layer3", "layer4")] == [8, 8, 16]
    torch.manual_seed(0)
    fine = build_backbone("resnet18", map_stride=8)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), fine.parameters(), strict=True))
    x = images()
    assert torch.equal(plain.eval()(x, until="layer2"), fine.eval()(x, until="layer2"))


def test_rectified_is_known_for_each_boundary() -> None:
    assert all(build_backbone("mobilenetv1").rectified(each) for each in range(5))
    v2 = build_backbone("mobilenetv2")
    assert not v2.rectified("block4") and v2.rectified("head")


def test_end_cuts_the_network_and_its_parameters() -> None:
    cut = build_backbone("resnet18", end="layer3")
    assert cut.boundaries[-1] == "layer3" and cut.channels(-1) == 256
    assert not any(name.startswith(("layer4", "fc")) for name, _ in cut.named_parameters())


def test_images_are_normalised_once() -> None:
    backbone = build_backbone("resnet18").eval()
    grey = backbone.mean.expand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(
            backbone(grey, until="stem"),
            backbone.get_submodule("maxpool")(
                backbone.get_submodule("relu")(backbone.get_submodule("bn1")(torch.zeros(1, 64, 32, 32)))
            ),
        )


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mobilnetv1", {}, "did you mean mobilenetv1"),
        ("vit_tiny_patch16_224", {}, "choose a convolutional network"),
        ("hrnet_w18_small", {}, "no chain"),
        ("resnet18", {"end": "layer9"}, "layer4"),
        ("resnet18", {"map_stride": 5}, "map_stride 5 cannot be reached"),
        ("resnet18", {"weights": "nowhere.safetensors"}, "no such weights file"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, options: dict, said: str) -> None:
    with pytest.raises(WsolError, match=said):
        build_backbone(name, **options)


def test_unknown_boundary_lists_the_valid_ones() -> None:
    with pytest.raises(WsolError, match="layer1, layer2"):
        build_backbone("resnet18").boundary("pool4")


def test_own_head_gives_the_librarys_logits() -> None:
    for name in ("resnet18", "squeezenet1_1", "mobilenetv1"):
        torch.manual_seed(0)
        network = library_network(name).eval()
        torch.manual_seed(0)
        backbone = build_backbone(name, map_stride=None).eval()
        head = backbone.own_head(1000)
        with torch.no_grad():
            wanted = network((images() - backbone.mean) / backbone.std)
            torch.testing.assert_close(head(backbone(images()))[0], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(WsolError, match="knows 1000 classes"):
        backbone.own_head(7)
    with pytest.raises(WsolError, match="no classifier of its own"):
        build_backbone("vgg16").own_head(1000)
