"""Weight files: what fits is loaded, what does not is named, and nothing is ever unpickled into code."""

import pickle
import re

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models
from torchvision.models import WeightsEnum

from wsol.backbones import backbone_for, build_backbone
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
