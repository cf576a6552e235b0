"""Every backbone is the library's network, cut into stages that a stream can leave and re-enter."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from wsol import registry
from wsol.backbones import build_backbone
from wsol.backbones.contract import IMAGENET
from wsol.errors import WsolError

NAMES = registry.names("backbones")
LIBRARY = {
    "vgg16": lambda: nn.Sequential(models.vgg16().features[:30]),
    "vgg16_bn": lambda: nn.Sequential(models.vgg16_bn().features[:43]),
    "squeezenet1_1": lambda: nn.Sequential(models.squeezenet1_1().features),
}
DERIVED = ("efficientnet_b0", "regnetx_002", "densenet121", "convnext_atto")


def images(side: int = 80, b: int = 2) -> torch.Tensor:
    return torch.rand(b, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[*NAMES, *DERIVED])
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
    """64 pixels more are 64 / stride cells more, whatever the borders cost."""
    small, large = images(160, 1), images(224, 1)
    before = None
    for boundary in backbone.boundaries:
        small, large = (backbone(x, after=before, until=boundary) for x in (small, large))
        before = boundary
        assert (large.shape[-1] - small.shape[-1]) * backbone.stride(boundary) == 64, boundary


def library_network(name: str) -> nn.Module:
    if name in ("googlenet", "inception_v3"):
        return getattr(models, name)(init_weights=True, transform_input=True)
    if name.startswith("resnet"):
        return getattr(models, name)()
    if name.startswith("mobilenet"):
        return timm.create_model(f"{name}_100", pad_type="same")
    return getattr(models, name)() if hasattr(models, name) else timm.create_model(name)


@torch.no_grad()
def library_features(name: str, network, x: torch.Tensor) -> torch.Tensor:
    """What the network's last pooling reads, for images that are normalised as the network wants."""
    if name in ("vgg16_bn", "squeezenet1_1"):
        return network.features[: {"vgg16_bn": 43, "squeezenet1_1": 13}[name]](x)
    if hasattr(network, "forward_features"):
        return network.forward_features(x)
    if name == "densenet161":
        return network.features(x).relu()
    seen = []
    network.avgpool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.transform_input = False
    network(x)
    return seen[0]


@pytest.mark.parametrize(
    "name",
    [
        "vgg16_bn",
        "resnet18",
        "mobilenetv1",
        "mobilenetv2",
        "squeezenet1_1",
        "googlenet",
        "inception_v3",
        "densenet161",
        "convnext_atto",
    ],
)
def test_names_and_features_are_the_librarys(name: str, tmp_path) -> None:
    torch.manual_seed(3)
    network = library_network(name).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    backbone = build_backbone(name, weights=tmp_path / "weights.pt", map_stride=None).eval()
    own, library = dict(backbone.named_parameters()), dict(network.named_parameters())
    assert set(own) <= set(library)
    left_out = {key.split(".")[0] for key in set(library) - set(own)}
    assert left_out <= {"fc", "classifier", "head", "bn2", "aux1", "aux2", "AuxLogits"}
    assert all(torch.equal(own[key], library[key]) for key in own)
    wanted = library_features(name, network, (images() - backbone.mean) / backbone.std)
    with torch.no_grad():
        assert torch.equal(backbone(images()), wanted)


def shapes_of(backbone) -> dict[str, tuple[int, int]]:
    """Channels and side of the map at each boundary for 224 pixels, without any arithmetic done."""
    backbone = backbone.to("meta")
    x, before, found = images(224, 1).to("meta"), None, {}
    for boundary in backbone.boundaries:
        x, before = backbone(x, after=before, until=boundary), boundary
        found[boundary] = tuple(x.shape[1:3])
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("map_stride", "side"), [(16, 14), (8, 28)])
def test_map_stride_gives_the_papers_maps_at_224(name: str, map_stride: int, side: int) -> None:
    backbone = build_backbone(name, map_stride=map_stride)
    _, found = shapes_of(backbone)[backbone.boundary(-1)]
    assert found == (side if name != "squeezenet1_1" else {14: 13, 28: 27}[side])  # SqueezeNet does not pad
    assert backbone.stride(-1) == map_stride


BAS = {"kept_strides": 1}
LIBRARYS = {"map_stride": None}


@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        ("vgg16", {}, {"pool1": (64, 112), "pool2": (128, 56), "pool3": (256, 28), "pool4": (512, 14)}),
        ("vgg16", {"map_stride": 8}, {"relu4_3": (512, 28), "pool4": (512, 28), "conv5_3": (512, 28)}),
        ("vgg16_bn", {}, {"relu4_3": (512, 28), "pool4": (512, 14), "conv5_3": (512, 14)}),
        ("resnet50", {}, {"layer1": (256, 56), "layer2": (512, 28), "layer3": (1024, 14), "layer4": (2048, 14)}),
        ("resnet50", {"map_stride": 8}, {"layer3": (1024, 28), "layer4": (2048, 28)}),
        ("resnet50", BAS, {"layer3": (1024, 28), "layer4": (2048, 14)}),
        ("googlenet", {"end": "inception4e"}, {"inception3b": (480, 28), "inception4e": (832, 14)}),
        ("inception_v3", {"map_stride": 8, "end": "Mixed_6e"}, {"Mixed_5d": (288, 28), "Mixed_6e": (768, 28)}),
        ("inception_v3", {"end": "Mixed_6e"}, {"Mixed_5d": (288, 28), "Mixed_6e": (768, 14)}),
        ("inception_v3", BAS, {"Mixed_5d": (288, 28), "Mixed_6e": (768, 28), "Mixed_7c": (2048, 14)}),
        ("inception_v3", LIBRARYS, {"Mixed_5d": (288, 25), "Mixed_6e": (768, 12), "Mixed_7c": (2048, 5)}),
        ("mobilenetv1", BAS, {"module12": (512, 28), "module14": (1024, 14)}),
        ("densenet161", {}, {"denseblock2": (768, 28), "transition3": (1056, 14), "denseblock4": (2208, 14)}),
    ],
)
def test_boundaries_have_the_papers_shapes(name: str, options: dict, shapes: dict) -> None:
    assert shapes.items() <= shapes_of(build_backbone(name, **options)).items()


def test_inception_has_17_cells_at_299_as_the_library_has_it() -> None:
    backbone = build_backbone("inception_v3", end="Mixed_6e", map_stride=None).to("meta")
    assert backbone(images(299, 1).to("meta")).shape == (1, 768, 17, 17)


@torch.no_grad()
def test_a_resnet_that_keeps_a_stride_pools_before_its_last_layer() -> None:
    torch.manual_seed(0)
    fine = build_backbone("resnet50", map_stride=8).eval()
    torch.manual_seed(0)
    pooled = build_backbone("resnet50", map_stride=16, kept_strides=1).eval()
    assert list(pooled.state_dict()) == list(fine.state_dict())
    features = pooled(images(), until="layer3")
    assert torch.equal(features, fine(images(), until="layer3"))
    halved = nn.functional.max_pool2d(features, 2)
    assert torch.equal(pooled(features, after="layer3"), fine(halved, after="layer3"))


@torch.no_grad()
def test_inceptions_maps_of_14_are_pooled_before_the_layers_of_those_of_28() -> None:
    torch.manual_seed(0)
    fine = build_backbone("inception_v3", end="Mixed_6e", map_stride=8).eval()
    torch.manual_seed(0)
    coarse = build_backbone("inception_v3", end="Mixed_6e", map_stride=16).eval()
    features = coarse(images(), until="Mixed_5d")
    assert torch.equal(features, fine(images(), until="Mixed_5d"))
    halved = nn.functional.max_pool2d(features, 3, 2, ceil_mode=True)
    assert torch.equal(coarse(features, after="Mixed_5d"), fine(halved, after="Mixed_5d"))


@torch.no_grad()
@pytest.mark.parametrize(("boundary", "before"), [("Mixed_6a", "Mixed_5d"), ("Mixed_7a", "Mixed_6e")])
def test_inceptions_padded_blocks_are_the_librarys_inside_their_border(boundary: str, before: str) -> None:
    """Padding adds cells around the library's own, at every second of which the strided block looks."""
    torch.manual_seed(0)
    own = build_backbone("inception_v3", map_stride=None).eval()
    torch.manual_seed(0)
    padded = build_backbone("inception_v3", map_stride=8).eval()
    x = torch.rand(1, own.channels(before), 9, 9, generator=torch.Generator().manual_seed(0))
    wanted, found = (each(x, after=before, until=boundary) for each in (own, padded))
    assert found.shape[2:] == (9, 9)
    torch.testing.assert_close(found[..., 1:-1:2, 1:-1:2], wanted)


def test_indices_count_boundaries_that_weights_lead_to() -> None:
    vgg = build_backbone("vgg16")
    assert [vgg.boundary(each) for each in (-1, -2, -3, -5, 0, 3)] == [
        "conv5_3",
        "pool4",
        "pool3",
        "pool1",
        "pool1",
        "pool4",
    ]
    assert build_backbone("vgg16", end="relu4_3", map_stride=8).boundary(-1) == "relu4_3"
    with pytest.raises(WsolError, match="relu4_3, pool4"):
        vgg.boundary(-6)


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


@torch.no_grad()
def test_a_cut_copy_ends_earlier_and_leaves_the_whole_alone() -> None:
    whole, x = build_backbone("mobilenetv1", map_stride=16, kept_strides=1).eval(), images()
    names, last = list(whole.state_dict()), whole(x)
    cut = whole.cut("module6")
    assert torch.equal(cut(x), whole(x, until="module6"))
    assert cut.boundaries[-1] == cut.boundary(-1) == "module6" and cut.stride(-1) == whole.stride("module6")
    assert len(list(cut.parameters())) < len(list(whole.parameters()))
    for parameter in cut.parameters():
        parameter.zero_()
    assert list(whole.state_dict()) == names and torch.equal(whole(x), last)


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
        ("mixer_s32_224", {}, "choose a convolutional network"),
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
    """Images normalised as ImageNet's; GoogLeNet and InceptionV3 turn that into their own normalisation."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in IMAGENET)
    for name in ("resnet18", "squeezenet1_1", "mobilenetv1", "googlenet", "inception_v3", "densenet161"):
        torch.manual_seed(0)
        network = library_network(name).eval()
        torch.manual_seed(0)
        backbone = build_backbone(name, map_stride=None).eval()
        head = backbone.own_head(1000)
        with torch.no_grad():
            wanted = network((images() - mean) / std)
            scale = wanted.abs().max()
            torch.testing.assert_close(head(backbone(images()))[0] / scale, wanted / scale, rtol=1e-4, atol=1e-5)
    with pytest.raises(WsolError, match="knows 1000 classes"):
        backbone.own_head(7)
    with pytest.raises(WsolError, match="no classifier of its own"):
        build_backbone("vgg16").own_head(1000)


def test_the_own_head_of_a_derived_network(tmp_path) -> None:
    network = timm.create_model("regnetx_002").eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    backbone = build_backbone("regnetx_002", tmp_path / "w.safetensors", map_stride=None).eval()
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in IMAGENET)
    with torch.no_grad():
        wanted = network((images() - mean) / std)
        torch.testing.assert_close(backbone.own_head(1000)(backbone(images()))[0], wanted, rtol=1e-4, atol=1e-5)
    for name in ("convnext_atto", "mobilenetv3_small_100"):  # a norm, or a layer, stands before the last layer
        with pytest.raises(WsolError, match="no classifier of its own"):
            build_backbone(name, map_stride=None).own_head(1000)


def test_a_derived_network_normalises_as_its_weights_want() -> None:
    for name, wanted in (("regnetx_002", 0.485), ("tf_efficientnet_lite0", 0.5)):
        assert timm.create_model(name).pretrained_cfg["mean"][0] == wanted
        assert build_backbone(name, map_stride=None).mean.flatten()[0].item() == pytest.approx(wanted)


def test_images_that_poolings_leave_nothing_of_are_refused() -> None:
    backbone = build_backbone("squeezenet1_1", None, map_stride=None).train()
    backbone.check_size(64, 64)
    with pytest.raises(WsolError, match="images of 8x8 pixels are too small for squeezenet1_1; set image_size to more"):
        backbone.check_size(8, 8)
    assert all(module.training for module in backbone.modules())
