"""What every read-out does on every method, and what it leaves untouched."""

import copy
import dataclasses
import gc

import pytest
import torch
from oracles.networks import batch, loud, normed, plain
from timm.models.vision_transformer import VisionTransformer

from wsol import registry
from wsol.backbones.tokens import Tokens
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.contract import Prediction
from wsol.methods.stack import stack
from wsol.nn.maps import choose
from wsol.readouts.features import GradientReadout, features_at
from wsol.testing import on_small_backbone

READOUTS = registry.names("readouts")
GRADIENT = [name for name in READOUTS if issubclass(registry.find("readouts", name), GradientReadout)]
EVERY = pytest.mark.parametrize("name", READOUTS)
METHODS = pytest.mark.parametrize("method", registry.names("methods"))
CLASSES = torch.tensor([[0, 3, 0], [1, 2, 1], [4, 0, 4], [2, 1, 2]])


def readout(name: str, **settings):
    return registry.find("readouts", name)(**settings)


def built(method: str, backbone=None):
    """A network in eval mode whose scores depend on its features."""
    kind = stack(method)
    options = {"head_width": 8, "parts": "localizer", "averaged": 1}
    chosen = {name: value for name, value in options.items() if name in kind.options}
    return loud(on_small_backbone(lambda small: kind.build(backbone or small, 5, **chosen))).eval()


def looked(name: str, network, images, classes=CLASSES, **settings):
    with torch.no_grad():
        return readout(name, **settings).heatmaps(network, images, network.predict(images), classes)


def silent(network, images) -> bool:
    """Whether the method does not classify (a regressor of boxes): its scores depend on nothing."""
    return not network.predict(images).logits.requires_grad


def same_for_all(heatmaps: torch.Tensor) -> bool:
    return torch.equal(heatmaps[:, 0], heatmaps[:, 1])


@EVERY
def test_every_readout_says_what_it_does_and_what_its_settings_mean(name: str) -> None:
    kind = registry.find("readouts", name)
    assert kind.about and kind.__doc__ and "\n" not in kind.about
    assert all(f"\n    {field.name}: " in kind.__doc__ for field in dataclasses.fields(kind))
    assert name == "own" or "https://" in kind.__doc__


@EVERY
@METHODS
def test_answers_on_every_method_and_leaves_it_as_it_was(name: str, method: str) -> None:
    network, (images, _) = built(method), batch()
    agnostic = same_for_all(looked("own", network, images))
    if (agnostic and name == "ccam") or (silent(network, images) and name in (*GRADIENT, "scorecam")):
        with pytest.raises(WsolError, match=r"do not differ by class|do not depend on|scores all classes alike"):
            looked(name, network, images)
        return
    before = copy.deepcopy(network.state_dict())
    asks = [parameter.requires_grad for parameter in network.parameters()]
    heatmaps = looked(name, network, images)
    assert heatmaps.shape[:2] == (4, 3) and torch.isfinite(heatmaps).all() and not heatmaps.requires_grad
    assert (heatmaps.amax((2, 3)) > heatmaps.amin((2, 3))).any(1).all()  # relu leaves nothing of an absent class
    torch.testing.assert_close(heatmaps[:, 0], heatmaps[:, 2], rtol=0, atol=0)
    assert same_for_all(heatmaps) == (name in ("ccam", "mean", "pc1") or (agnostic and name == "own"))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [parameter.requires_grad for parameter in network.parameters()] == asks
    assert not any(module.training for module in network.modules())
    assert not any(network.backbone._edits.values()) and images.grad is None and not images.requires_grad


class Sum(GradientReadout):
    """How the logit changes where all channels of a cell grow alike."""

    def __init__(self, boundary) -> None:
        self.boundary = boundary

    def heatmap(self, features, gradient):
        return gradient.sum(1)


@pytest.mark.parametrize("index", [-3, -2, -1])
@METHODS
def test_gradients_are_those_of_the_methods_scores(method: str, index: int) -> None:
    """The sum over cells is the derivative along a shift of all features."""
    network, (images, _) = built(method).double(), batch()
    boundary = network.backbone.boundary(index)
    if silent(network, images.double()):
        with pytest.raises(WsolError, match=f"do not depend on boundary '{boundary}'"):
            Sum(boundary).heatmaps(network, images.double(), network.predict(images.double()), CLASSES)
        return
    images, step, shifted = images.double(), 1e-6, {}
    for sign in (-1, 1):
        with torch.no_grad(), network.backbone.edited(boundary, lambda features, s=sign: features + s * step):
            shifted[sign] = network.predict(images).logits
    expected = ((shifted[1] - shifted[-1]) / (2 * step)).gather(1, CLASSES)
    slopes = Sum(boundary).heatmaps(network, images, network.predict(images), CLASSES).sum((2, 3))
    torch.testing.assert_close(slopes, expected, rtol=1e-5, atol=1e-7)


def tokens() -> Tokens:
    """Three blocks of a vision transformer and their norm; 8x8 patches of 8 pixels from 64."""
    torch.manual_seed(0)
    network = VisionTransformer(32, 8, num_classes=0, embed_dim=16, depth=3, num_heads=2, dynamic_img_size=True)
    return Tokens(network)


@EVERY
@pytest.mark.parametrize("backbone", [plain, normed, tokens])
def test_a_batch_and_several_classes_are_answered_as_one_by_one(name: str, backbone) -> None:
    network, (images, _) = built("cam", backbone()), batch(64)
    settings = {"channels": 3} if name == "scorecam" else {}
    together = looked(name, network, images, **settings)
    for i, image in enumerate(images):
        for n in range(CLASSES.shape[1]):
            alone = looked(name, network, image[None], CLASSES[i, n].view(1, 1), **settings)[0, 0]
            torch.testing.assert_close(together[i, n], alone, rtol=1e-3, atol=1e-4 * alone.abs().max().item())


@pytest.mark.parametrize("boundary", [-1, -2, "block0"])
@pytest.mark.parametrize("name", [name for name in READOUTS if name not in ("own", "ccam", "saliency")])
def test_patches_of_a_transformer_are_answered_at_every_block(name: str, boundary) -> None:
    network, (images, _) = built("cam", tokens()), batch(64)
    heatmaps = looked(name, network, images, boundary=boundary)
    assert heatmaps.shape == (4, 3, 8, 8) and torch.isfinite(heatmaps).all()
    assert (heatmaps.amax((2, 3)) > heatmaps.amin((2, 3))).any(1).all()


@EVERY
@pytest.mark.filterwarnings("error")
def test_a_map_of_one_cell_is_answered_with_numbers(name: str) -> None:
    network, (images, _) = built("cam"), batch(4)
    settings = {"channels": 3} if name == "scorecam" else {}
    heatmaps = looked(name, network, images, **settings)
    assert heatmaps.shape == (4, 3, *((4, 4) if name == "saliency" else (1, 1))) and torch.isfinite(heatmaps).all()


@EVERY
def test_the_callers_gradient_mode_neither_matters_nor_changes(name: str) -> None:
    network, (images, _) = built("cam"), batch()
    expected = looked(name, network, images)
    for wanted in (True, False):
        with torch.set_grad_enabled(wanted):
            heatmaps = readout(name).heatmaps(network, images, network.predict(images), CLASSES)
            assert torch.is_grad_enabled() == wanted
            torch.testing.assert_close(heatmaps.detach(), expected, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in network.parameters())


@EVERY
def test_frozen_weights_change_nothing(name: str) -> None:
    network, (images, _) = built("cam"), batch()
    expected = looked(name, network, images)
    torch.testing.assert_close(looked(name, network.requires_grad_(False), images), expected, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in network.parameters())


@EVERY
def test_nothing_is_kept_between_calls(name: str) -> None:
    network, (images, _) = built("cam"), batch()

    def alive() -> int:
        looked(name, network, images)
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    assert alive() == alive() == alive()


@pytest.mark.parametrize("gradients", [True, False])
def test_nothing_is_recorded_before_the_boundary(gradients: bool) -> None:
    network, (images, _) = built("cam"), batch()
    recorded = []

    def watch(features: torch.Tensor) -> torch.Tensor:
        recorded.append(features.requires_grad)
        return features

    with network.backbone.edited("a", watch), network.backbone.edited("c", watch):
        features, logits = features_at(network, images, "b", gradients)
    assert recorded == [False, gradients]
    assert features.is_leaf and features.requires_grad == logits.requires_grad == gradients
    torch.testing.assert_close(features.detach(), network.backbone(images, until="b").detach(), rtol=0, atol=0)


class Aside(CAM):
    """Its scores are made of the images' mean colours, its heatmaps of the backbone."""

    def predict(self, images):
        class_maps = self.head(self.backbone(images))[1]
        return Prediction(
            images.mean((2, 3)).repeat(1, 2)[:, :5] * self.head.classifier.bias, {"class_maps": class_maps}
        )


class Broken(CAM):
    def predict(self, images):
        self.backbone(images)
        raise RuntimeError("broken")


class Twice(CAM):
    def predict(self, images):
        self.backbone(images)
        return super().predict(images)


class InPlace(CAM):
    """It changes the last features where they lie, and changes them back."""

    def predict(self, images):
        logits, class_maps = self.head(self.backbone(images).mul_(-1).mul_(-1).sub_(1).add_(1))
        return Prediction(logits, {"class_maps": class_maps})


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("name", [name for name in GRADIENT if name != "saliency"])
def test_scores_made_without_the_features_are_an_error(name: str, frozen: bool) -> None:
    network, (images, _) = Aside(plain(), 5).requires_grad_(not frozen).eval(), batch()
    with pytest.raises(WsolError, match="scores of Aside do not depend on boundary -1 of its backbone; use"):
        looked(name, network, images)
    assert not any(network.backbone._edits.values())


@pytest.mark.parametrize("name", [name for name in READOUTS if name not in ("own", "saliency", "ccam")])
def test_a_boundary_that_is_unknown_or_passed_twice_is_an_error(name: str) -> None:
    images, _ = batch()
    with pytest.raises(WsolError, match="there is no boundary 'z' in this backbone; it has a, b, c"):
        looked(name, CAM(plain(), 5).eval(), images, boundary="z")
    with pytest.raises(WsolError, match="Twice passes boundary -1 2 times in a prediction, not once"):
        looked(name, Twice(plain(), 5).eval(), images)


@pytest.mark.parametrize("name", [name for name in READOUTS if name not in ("own", "ccam")])
def test_a_network_that_fails_is_left_without_edits(name: str) -> None:
    network, (images, _) = Broken(plain(), 5).eval(), batch()
    prediction = CAM.predict(network, images)
    with torch.no_grad():
        with pytest.raises(RuntimeError, match="broken"):
            readout(name).heatmaps(network, images, prediction, CLASSES)
        assert not torch.is_grad_enabled()
    assert not any(network.backbone._edits.values())


@pytest.mark.parametrize("name", [name for name in READOUTS if name != "saliency"])
def test_a_network_that_works_in_place_is_answered_alike(name: str) -> None:
    images, _ = batch()
    usual = built("cam")
    in_place = InPlace(usual.backbone, 5).eval()
    in_place.head = usual.head
    torch.testing.assert_close(looked(name, in_place, images), looked(name, usual, images), rtol=1e-3, atol=1e-5)


def test_own_is_the_methods_heatmaps_with_its_settings() -> None:
    class Scaled(CAM):
        def heatmaps(self, prediction, classes, *, factor: int = 1):
            return factor * choose(prediction.evidence["class_maps"], classes)

    network, (images, _) = Scaled(plain(), 5).eval(), batch()
    expected = CAM.heatmaps(network, network.predict(images), CLASSES)
    torch.testing.assert_close(looked("own", network, images), expected)
    torch.testing.assert_close(looked("own", network, images, settings={"factor": 3}), 3 * expected)
