"""Somebody's own classifier, given as a module or by name, says what and where."""

import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18

import wsol
from wsol.boxes.rule import normalise
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.nn.maps import min_max
from wsol.readouts.contract import Own
from wsol.readouts.gradcam import GradCAM
from wsol.runs.adopt import read_names


def classifier(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return resnet18(num_classes=classes).eval()


def images() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_logits_are_the_classifiers_and_cam_its_weights_on_its_last_map() -> None:
    model = classifier()
    localizer = wsol.adopt(model, ["cat", "dog", "cow"], image_size=64)
    asked = torch.tensor([[0, 2], [1, 0]])
    answer = localizer.look(images(), asked)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images() - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(answer.logits, model(x))
        features = nn.Sequential(*list(model.children())[:-2])(x)
        by_hand = torch.einsum("bchw,bnc->bnhw", features, model.fc.weight[asked])
    torch.testing.assert_close(answer.heatmaps, by_hand, rtol=1e-4, atol=1e-5)
    assert isinstance(localizer.readout, Own) and localizer.classes == ("cat", "dog", "cow")


def test_a_classifier_that_does_not_average_is_asked_by_gradients() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 3)
    localizer = wsol.adopt(nn.Sequential(*layers), ["a", "b", "c"], image_size=64)
    assert isinstance(localizer.readout, GradCAM)
    heatmaps = localizer.look(images(), torch.tensor([[0], [1]])).heatmaps
    assert heatmaps.shape == (2, 1, 16, 16) and min_max(heatmaps).amax() > 0.9
    with pytest.raises(WsolError, match="has no class maps of its own; choose another read-out"):
        wsol.load(localizer, readout=Own()).look(images())


def test_wrong_names_are_counted() -> None:
    with pytest.raises(WsolError, match="gives 3 logits, but 2 classes are named"):
        wsol.adopt(classifier(), ["cat", "dog"], image_size=64)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_network_by_name_locates_photos(tmp_path: Path, as_file: bool) -> None:
    model = timm.create_model("resnet18", num_classes=3)
    save_file(model.state_dict(), tmp_path / "pets.safetensors")
    names = "cat,dog,cow"
    if as_file:
        (tmp_path / "names.txt").write_text("cat\ndog\ncow\n")
        names = str(tmp_path / "names.txt")
    photo = Creatures("test", images=1, size=64).image(0)
    weights = str(tmp_path / "pets.safetensors")
    (result,) = wsol.locate("timm:resnet18", photo, weights=weights, names=names, readout="gradcam")
    assert result.name in ("cat", "dog", "cow") and result.boxes.shape == (1, 4)
    localizer = wsol.load("timm:resnet18", weights=weights, names=names)
    assert localizer.image_size == 224
    with torch.no_grad():
        x = (torch.ones(1, 3, 224, 224) - torch.tensor(model.pretrained_cfg["mean"]).view(3, 1, 1)) / torch.tensor(
            model.pretrained_cfg["std"]
        ).view(3, 1, 1)
        torch.testing.assert_close(localizer.judge(torch.ones(1, 3, 224, 224)), model.eval()(x))


def test_a_function_of_a_module_makes_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets_network.py").write_text(
        "from torchvision.models import resnet18\n\n\ndef make():\n    return resnet18(num_classes=2)\n\n\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    localizer = wsol.load("pets_network:make", names="cat,dog")
    assert localizer.classes == ("cat", "dog") and localizer.name == "pets_network:make"
    with pytest.raises(WsolError, match=r"pets_network:number: cannot be built \(.*; give a function"):
        wsol.load("pets_network:number")
    sys.modules.pop("pets_network", None)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet18", num_classes=3).state_dict(), tmp_path / "pets.safetensors")
    weights = str(tmp_path / "pets.safetensors")
    with pytest.raises(WsolError, match="whose classes are they"):
        wsol.load("timm:resnet18", weights=weights)
    with pytest.raises(WsolError, match=r"pets\.safetensors: weights do not fit"):
        wsol.load("timm:resnet18", weights=weights, names="cat,dog")
    with pytest.raises(WsolError, match="did you mean resnet18"):
        wsol.load("timm:resnet19")


@pytest.mark.parametrize("readout", ["pc1", "mean"])
def test_a_read_out_that_asks_for_no_class_needs_no_names(tmp_path: Path, readout: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_resnet").eval()
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    weights = str(tmp_path / "network.safetensors")
    localizer = wsol.load("timm:test_resnet", weights=weights, readout=readout)
    shown = torch.rand(2, 3, localizer.image_size, localizer.image_size)
    named = wsol.load("timm:test_resnet", weights=weights, readout=readout, names=[str(k) for k in range(1000)])
    assert len(localizer.classes) == 1000
    assert torch.equal(localizer.look(shown).heatmaps, named.look(shown).heatmaps)
    with pytest.raises(WsolError, match=r"whose classes are they.* or a read-out that asks for none"):
        wsol.load("timm:test_resnet", weights=weights, readout="gradcam")
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "three.safetensors")
    with pytest.raises(WsolError, match=r"three\.safetensors: weights do not fit"):
        wsol.load("timm:test_resnet", weights=str(tmp_path / "three.safetensors"), readout=readout)


def test_a_long_list_of_names_is_no_file() -> None:
    assert len(read_names(",".join(f"class {index}" for index in range(1000))) or ()) == 1000


def test_a_read_out_of_a_run_is_cut_at_a_threshold_of_its_own(tmp_path: Path) -> None:
    localizer = wsol.adopt(classifier(), ["cat", "dog", "cow"], image_size=64)
    asked = wsol.load(localizer, readout="layercam", settings={"boundary": -1})
    assert asked.threshold == "auto" and normalise(asked.look(images()).heatmaps[0, 0].numpy(), (8, 8)).max() == 1
