"""Weight files: what fits is loaded, what does not is named, and nothing is ever unpickled into code."""

import pickle
import re
from argparse import Namespace

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torchvision import models
from torchvision.models import WeightsEnum

from wsol.backbones import backbone_for, build_backbone
from wsol.backbones.contract import IMAGENET
from wsol.data import open_data
from wsol.data.crops import evaluation_view
from wsol.errors import WsolError
from wsol.methods.cam import CAM


@pytest.fixture
def state():
    torch.manual_seed(0)
    return models.resnet18().state_dict()


def test_half_precision_headless_and_other_class_counts_load(state, tmp_path) -> None:
    headless = {
        key: value.half() if value.is_floating_point() else value for key, value in state.items() if key[:2] != "fc"
    }
    save_file(headless, tmp_path / "headless.safetensors")
    tuned = state | {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    torch.save({"state_dict": tuned}, tmp_path / "tuned.pth")
    for path, tolerance in ((tmp_path / "headless.safetensors", 1e-3), (tmp_path / "tuned.pth", 0)):
        loaded = build_backbone("resnet18", path).state_dict()
        torch.testing.assert_close(
            loaded["layer4.0.conv1.weight"], state["layer4.0.conv1.weight"], rtol=tolerance, atol=tolerance
        )
        assert loaded["conv1.weight"].dtype == torch.float32


def test_files_from_before_batch_counts_and_with_the_old_spelling_load(tmp_path) -> None:
    given = models.densenet161().state_dict()
    state = {
        re.sub(r"(norm|conv)([12])\.", r"\1.\2.", key): value
        for key, value in given.items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "densenet161-8d451a50.pth")
    loaded = build_backbone("densenet161", tmp_path / "densenet161-8d451a50.pth").state_dict()
    assert all(torch.equal(value, given[key]) for key, value in loaded.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "layer1.0.conv1.weight"}, "lacks layer1.0.conv1.weight"),
        (lambda s: s | {"stray.weight": torch.zeros(1)}, "does not know stray.weight"),
        (
            lambda s: s | {"conv1.weight": torch.zeros(64, 1, 7, 7)},
            r"conv1.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)",
        ),
    ],
)
def test_the_first_keys_that_differ_are_named(state, change, said, tmp_path) -> None:
    save_file({k: v.contiguous() for k, v in change(state).items()}, tmp_path / "other.safetensors")
    with pytest.raises(WsolError, match=said) as error:
        build_backbone("resnet18", tmp_path / "other.safetensors")
    assert "other.safetensors" in str(error.value)


class Trap:
    def __reduce__(self):
        return (open, ("sprung", "w"))


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"x": Trap()}))
    torch.save({"x": Trap()}, tmp_path / "trap2.pt")
    for name in ("trap.pt", "trap2.pt"):
        with pytest.raises(WsolError, match=f"{name}: not a plain state dict"):
            build_backbone("resnet18", tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_file_is_named(tmp_path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(WsolError, match=r"cut.safetensors: not a readable safetensors"):
        build_backbone("resnet18", tmp_path / "cut.safetensors")


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "googlenet", "inception_v3", "densenet161"])
def test_torchvisions_first_weights_are_fetched(name: str, monkeypatch) -> None:
    def refused(self, **_) -> None:
        raise OSError(str(self))

    monkeypatch.setattr(WeightsEnum, "get_state_dict", refused)
    with pytest.raises(WsolError, match=r"_Weights\.IMAGENET1K_V1\)"):
        build_backbone(name, "pretrained")


def test_the_backbone_is_read_off_the_files_name(tmp_path) -> None:
    assert backbone_for(tmp_path / "mobilenetv1_100.safetensors") == "mobilenetv1"
    assert backbone_for(tmp_path / "vgg16_bn-6c64b313.pth") == "vgg16_bn"
    assert backbone_for(tmp_path / "inception_v3_google-0cc3c7bd.pth") == "inception_v3"
    with pytest.raises(WsolError, match="add --backbone"):
        backbone_for(tmp_path / "epoch_12.pt")


@pytest.mark.parametrize(
    ("name", "top1", "top5"),
    [("mobilenetv1_100", 87.2, 97.8), ("mobilenetv2_100", 87.8, 99.2), ("squeezenet1_1", 70.8, 90.8)],
)
def test_published_weights_reach_their_accuracy(name, top1, top5, shared) -> None:
    path = shared / "weights" / f"{name}.safetensors"
    method = CAM(build_backbone(backbone_for(path), path, map_stride=None), 1000, head="pretrained").eval()
    photos = open_data(shared / "ilsvrc_val_500", "test")
    labels = torch.tensor([sample.label for sample in photos.samples])
    with torch.no_grad():
        best = torch.cat(
            [
                method.predict(torch.stack([evaluation_view(photos.image(i), 224) for i in range(start, start + 50)]))
                .logits.topk(5)
                .indices
                for start in range(0, 500, 50)
            ]
        )
    right = best == labels[:, None]
    assert 100 * right[:, 0].float().mean() == pytest.approx(top1, abs=0.05)
    assert 100 * right.any(1).float().mean() == pytest.approx(top5, abs=0.05)


MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)


def tuned(state, classes: int = 7):
    """The state of a network that somebody trained on their own classes."""
    generator = torch.Generator().manual_seed(1)
    return state | {
        "fc.weight": torch.randn(classes, 512, generator=generator),
        "fc.bias": torch.randn(classes, generator=generator),
    }


def prefixed(state, prefix: str):
    return {prefix + key: value for key, value in state.items()}


def logits_of(state, classes: int, x: torch.Tensor) -> torch.Tensor:
    network = models.resnet18(num_classes=classes)
    network.load_state_dict(state)
    return network.eval()((x - MEAN) / STD)


@pytest.mark.parametrize("classes", [1, 7, 1000, 1003])
@pytest.mark.parametrize("name", ["tuned.safetensors", "tuned.pt", "tuned.pth", "tuned.ckpt", "tuned.bin"])
@torch.no_grad()
def test_a_classifier_of_any_number_of_classes_is_the_own_head(state, classes: int, name: str, tmp_path) -> None:
    given = tuned(state, classes)
    (save_file if name.endswith("safetensors") else torch.save)(given, tmp_path / name)
    backbone = build_backbone("resnet18", tmp_path / name, map_stride=None).eval()
    x = torch.rand(2, 3, 64, 64)
    logits, _ = backbone.own_head(classes).eval()(backbone(x))
    torch.testing.assert_close(logits, logits_of(given, classes, x), rtol=1e-4, atol=1e-4)
    with pytest.raises(WsolError, match=f"knows {classes} classes, the data set 8"):
        backbone.own_head(8)


def test_a_file_without_a_classifier_gives_no_own_head(state, tmp_path) -> None:
    save_file({key: value for key, value in state.items() if key[:3] != "fc."}, tmp_path / "headless.safetensors")
    torch.save(state | {"fc.weight": torch.zeros(7, 500), "fc.bias": torch.zeros(7)}, tmp_path / "wider.pt")
    two = {"fc.0.weight": torch.zeros(8, 512), "fc.0.bias": torch.zeros(8), "fc.2.weight": torch.zeros(7, 8)}
    torch.save({key: value for key, value in state.items() if key[:3] != "fc."} | two, tmp_path / "deeper.pt")
    for name in ("headless.safetensors", "wider.pt", "deeper.pt"):
        with pytest.raises(WsolError, match="no classifier of its own"):
            build_backbone("resnet18", tmp_path / name).own_head(7)


@torch.no_grad()
def test_a_classifier_behind_dropout_is_the_own_head(state, tmp_path) -> None:
    given = tuned(state)
    torch.save({re.sub(r"^fc\.", "fc.1.", key): value for key, value in given.items()}, tmp_path / "dropout.pt")
    backbone = build_backbone("resnet18", tmp_path / "dropout.pt")
    weight = backbone.own_head(7).classifier.weight.flatten(1)
    assert torch.equal(weight, given["fc.weight"])


def test_a_network_whose_state_comes_from_a_run_takes_the_runs_number_of_classes(state, tmp_path) -> None:
    torch.save(tuned(state), tmp_path / "tuned.pt")
    trained = CAM(build_backbone("resnet18", tmp_path / "tuned.pt"), 7, head="pretrained")
    (tmp_path / "tuned.pt").unlink()
    again = CAM(build_backbone("resnet18", tmp_path / "tuned.pt", load=False), 7, head="pretrained")
    again.load_state_dict(trained.state_dict())
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(again.eval().predict(x).logits, trained.eval().predict(x).logits)


PREFIXES = ["", "module.", "model.", "backbone.", "network.", "module.model.", "_orig_mod.module.", "method.backbone."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_may_carry_a_wrappers_prefix(state, prefix: str, tmp_path) -> None:
    given = prefixed(tuned(state), prefix)
    if prefix:
        given |= {"loss.weight": torch.zeros(3), "head.classifier.weight": torch.zeros(7, 512, 1, 1)}
    save_file(given, tmp_path / "w.safetensors")
    backbone = build_backbone("resnet18", tmp_path / "w.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    assert torch.equal(backbone.own_head(7).classifier.weight.flatten(1), tuned(state)["fc.weight"])


LIGHTNING = {"epoch": 3, "pytorch-lightning_version": "2.6.0", "callbacks": {}, "optimizer_states": [{"state": {}}]}
OTHER = {"conv1.weight": torch.zeros(1)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{}]}},
        lambda state: {"model_state_dict": state, "loss": torch.zeros(())},
        lambda state: {"model_ema": state, "model": OTHER, "args": Namespace(lr=0.1)},
        lambda state: {"state_dict_ema": state, "state_dict": OTHER},
        lambda state: {"epoch": 1, "student": state},
        lambda state: {"model": {"state_dict": prefixed(state, "module.")}},
        lambda state: LIGHTNING | {"state_dict": prefixed(state, "model."), "hyper_parameters": {"lr": 0.1}},
    ],
)
def test_checkpoints_of_the_usual_libraries_load(state, wrap, tmp_path) -> None:
    torch.save(wrap(tuned(state)), tmp_path / "checkpoint.ckpt")
    backbone = build_backbone("resnet18", tmp_path / "checkpoint.ckpt")
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    assert torch.equal(backbone.own_head(7).classifier.weight.flatten(1), tuned(state)["fc.weight"])


@pytest.mark.parametrize("cut", [None, "layer3"])
def test_a_runs_own_checkpoint_is_a_file_of_weights(cut, tmp_path) -> None:
    torch.manual_seed(5)
    method = CAM(build_backbone("resnet18", end=cut), 4)
    save_file(method.state_dict(), tmp_path / "best.safetensors")
    again = build_backbone("resnet18", tmp_path / "best.safetensors", end=cut)
    assert all(torch.equal(value, method.backbone.state_dict()[key]) for key, value in again.state_dict().items())
    with pytest.raises(WsolError, match="no classifier of its own"):
        again.own_head(4)
    if cut:
        with pytest.raises(WsolError, match=r"best.safetensors: .*the file lacks layer4.0.conv1.weight"):
            build_backbone("resnet18", tmp_path / "best.safetensors")


def test_a_pickled_model_is_refused_in_one_plain_sentence(tmp_path) -> None:
    torch.save(models.resnet18(), tmp_path / "model.pt")
    torch.save({"model": models.resnet18(), "epoch": 2}, tmp_path / "checkpoint.pth")
    for name in ("model.pt", "checkpoint.pth"):
        with pytest.raises(WsolError) as error:
            build_backbone("resnet18", tmp_path / name)
        said = str(error.value)
        assert said.startswith(f"{tmp_path / name}: not a plain state dict: it holds a pickled model")
        assert said.endswith("save the weights alone with torch.save(model.state_dict(), FILE)")
        assert said.isprintable()


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, [torch.zeros(1)], {"a": {"x": torch.zeros(1)}, "b": {"x": torch.zeros(1)}}, {}]
)
def test_a_file_without_a_state_dict_says_so(content, tmp_path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WsolError, match=r"w.pt: holds no state dict; save one with torch.save\(model.state_dict"):
        build_backbone("resnet18", tmp_path / "w.pt")


def test_a_damaged_checkpoint_is_named_in_one_printable_line(state, tmp_path) -> None:
    torch.save(state, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:100_000])
    (tmp_path / "text.pth").write_text("not weights at all")
    for name in ("cut.pt", "text.pth"):
        with pytest.raises(WsolError, match=f"{name}: not a plain state dict") as error:
            build_backbone("resnet18", tmp_path / name)
        assert str(error.value).isprintable()


def test_the_name_of_a_file_is_read_to_its_end(tmp_path) -> None:
    assert backbone_for(tmp_path / "vgg16_conv.safetensors") == "vgg16"
    assert backbone_for(tmp_path / "tf_efficientnet_lite0.safetensors") == "tf_efficientnet_lite0"
    assert backbone_for(tmp_path / "vit_small_patch14_dinov2.lvd142m.safetensors") == "vit_small_patch14_dinov2.lvd142m"
    assert backbone_for(tmp_path / "resnet50d.pth") == "resnet50d"  # another network than resnet50


def test_vgg16s_convolutions_load_without_a_classifier(shared) -> None:
    path = shared / "weights" / "vgg16_conv.safetensors"
    backbone = build_backbone(backbone_for(path), path)
    wanted = load_file(path)
    assert set(backbone.state_dict()) == set(wanted)
    assert all(torch.equal(value, wanted[key].float()) for key, value in backbone.state_dict().items())
    with pytest.raises(WsolError, match="no classifier of its own"):
        backbone.own_head(1000)


@torch.no_grad()
def test_efficientnet_lite0_gives_its_own_logits_with_its_own_statistics(shared) -> None:
    path = shared / "weights" / "tf_efficientnet_lite0.safetensors"
    backbone = build_backbone(backbone_for(path), path, map_stride=None).eval()
    assert backbone.mean.flatten().tolist() == backbone.std.flatten().tolist() == [0.5] * 3
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(load_file(path))
    x = torch.rand(2, 3, 224, 224)
    logits, _ = backbone.own_head(1000)(backbone(x))
    torch.testing.assert_close(logits, network((x - 0.5) / 0.5), rtol=1e-4, atol=1e-4)
