"""Each read-out against its slow twin, and its limiting cases."""

import numpy as np
import pytest
import torch
from oracles import readouts as oracle
from oracles.networks import batch, loud, plain

from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.nn.maps import choose
from wsol.readouts.ccam import CCAM
from wsol.readouts.gradcam import GradCAM
from wsol.readouts.gradcam_plus_plus import GradCAMPlusPlus
from wsol.readouts.layercam import LayerCAM
from wsol.readouts.mean import Mean
from wsol.readouts.pc1 import PC1, first_component, frame_share
from wsol.readouts.saliency import Saliency
from wsol.readouts.scorecam import ScoreCAM

CLASSES = torch.tensor([[0, 3], [4, 1]])
BOUNDARIES = pytest.mark.parametrize("boundary", ["a", "b", "c"])


def cam(classes: int = 5, **options) -> CAM:
    torch.manual_seed(4)
    return loud(CAM(plain(), classes, **{"head_depth": 1, "head_width": 8} | options)).eval().double()


def photos(side: int = 16) -> torch.Tensor:
    return batch(side, 2)[0].double()


def look(readout, network, images, classes=CLASSES) -> torch.Tensor:
    return readout.heatmaps(network, images, network.predict(images), classes)


def assert_equals(readout, network, images, slow, *settings) -> None:
    heatmaps = look(readout, network, images)
    assert (heatmaps.amax((2, 3)) > 0).any(1).all()
    for image, labels, answers in zip(images, CLASSES.tolist(), heatmaps, strict=True):
        for label, answer in zip(labels, answers, strict=True):
            expected = slow(network, image, label, *settings)
            torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


def test_saliency_is_the_change_of_the_score_with_each_pixel() -> None:
    assert_equals(Saliency(), cam(), photos(12), oracle.saliency)


@BOUNDARIES
def test_gradcam_equals_its_slow_twin(boundary: str) -> None:
    assert_equals(GradCAM(boundary), cam(), photos(), oracle.gradcam, boundary)


@BOUNDARIES
def test_gradcam_plus_plus_equals_its_slow_twin(boundary: str) -> None:
    assert_equals(GradCAMPlusPlus(boundary), cam(), photos(), oracle.gradcam_plus_plus, boundary)


@BOUNDARIES
def test_layercam_equals_its_slow_twin(boundary: str) -> None:
    assert_equals(LayerCAM(boundary), cam(), photos(), oracle.layercam, boundary)


@pytest.mark.parametrize("softmax", ["channels", "classes"])
@BOUNDARIES
def test_scorecam_equals_its_slow_twin(boundary: str, softmax: str) -> None:
    assert_equals(ScoreCAM(boundary, softmax=softmax), cam(), photos(), oracle.scorecam, boundary, softmax)


@pytest.mark.parametrize("form", ["linear", "conv"])
def test_gradcam_at_the_last_boundary_is_the_positive_part_of_cam(form: str) -> None:
    """The gradient of a class's average is its weight, divided by the number of cells."""
    network, images = cam(head_depth=0, head_form=form), photos()
    network.head.classifier.bias.data.zero_()
    expected = network.heatmaps(network.predict(images), CLASSES).relu()
    cells = expected[0, 0].numel()
    torch.testing.assert_close(cells * look(GradCAM(), network, images), expected.detach())


def test_layercam_is_gradcam_where_gradients_are_constant_and_positive() -> None:
    network, images = cam(head_depth=0), photos()
    network.head.classifier.weight.data.abs_()
    torch.testing.assert_close(look(LayerCAM(), network, images), look(GradCAM(), network, images))
    network.head.classifier.weight.data[:, ::2] *= -1
    assert not torch.allclose(look(LayerCAM(), network, images), look(GradCAM(), network, images))


def test_gradcam_plus_plus_of_vanishing_gradients_is_half_the_sum_of_the_positive_ones() -> None:
    """Powers of such gradients underflow in float32; the weights must not."""
    network, images = cam(head_depth=0).float(), photos().float()
    features = network.backbone(images)
    cells = features[0, 0].numel()
    for scale in (1e-8, 1e-18):
        network.head.classifier.weight.data.normal_(generator=torch.Generator().manual_seed(0)).mul_(scale)
        weights = network.head.classifier.weight[CLASSES, :, 0, 0].relu() / cells
        expected = torch.einsum("bnc,bchw->bnhw", weights * cells / 2, features)
        torch.testing.assert_close(
            look(GradCAMPlusPlus(), network, images) / scale, expected.detach() / scale, rtol=1e-5, atol=1e-8
        )


def test_gradcam_plus_plus_leaves_out_a_cell_whose_denominator_is_zero() -> None:
    """Every gradient is 1; one channel sums to -2, so that 2 + g sum A is 0, the nine others sum to 1."""
    network, images = cam(head_depth=0), photos()
    torch.nn.init.constant_(network.head.classifier.weight, 16)
    given = torch.full((2, 10, 4, 4), 1 / 16, dtype=torch.float64)
    given[:, 0] = -2 / 16
    with network.backbone.edited(-1, lambda _: given):
        heatmaps = look(GradCAMPlusPlus(), network, images)
    torch.testing.assert_close(heatmaps, torch.full_like(heatmaps, 9 * 16 * (1 / 3) * (1 / 16)))


def test_scorecam_does_not_depend_on_its_batch() -> None:
    network, images = cam(), photos()
    for batch_size in (1, 7, 1000):
        torch.testing.assert_close(look(ScoreCAM(batch=batch_size), network, images), look(ScoreCAM(), network, images))


def test_scorecam_of_some_channels_tries_those_that_vary_most() -> None:
    """Not those that are strongest: a constant is added to each."""
    network, images = cam(), photos()
    added = torch.linspace(5, 0, 10, dtype=torch.float64)[:, None, None]
    with network.backbone.edited("c", lambda features: features + added):
        for n in (1, 3):
            assert_equals(ScoreCAM(channels=n), network, images, oracle.scorecam, "c", "channels", n)
    for n in (10, 11):
        torch.testing.assert_close(look(ScoreCAM(channels=n), network, images), look(ScoreCAM(), network, images))


@pytest.mark.parametrize("settings", [{"batch": 0}, {"channels": -1}])
def test_scorecam_refuses_impossible_numbers(settings: dict) -> None:
    with pytest.raises(WsolError, match=f"scorecam: .*{next(iter(settings))} {next(iter(settings.values()))}"):
        ScoreCAM(**settings)


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_ccam_equals_its_slow_twin(classes: int) -> None:
    """40 classes are more than are combined at once."""
    network, images = cam(classes), photos()
    asked = torch.zeros(2, 2, dtype=torch.int64)
    weights = {
        CCAM(): oracle.quadratic(classes, -(-classes // 2)),
        CCAM(best=classes): oracle.quadratic(classes, classes),
        CCAM(best=1): oracle.quadratic(classes, 1),
        CCAM(form="linear"): [1 - 2 * rank / (classes - 1) for rank in range(classes)],
        CCAM(form="difference"): [1.0, *[0.0] * (classes - 2), -1.0],
        CCAM(form="top"): [1.0, *[0.0] * (classes - 1)],
    }
    for readout, ranked in weights.items():
        heatmaps = look(readout, network, images, asked)
        torch.testing.assert_close(heatmaps[:, 0], heatmaps[:, 1], rtol=0, atol=0)
        for image, heatmap in zip(images, heatmaps[:, 0], strict=True):
            torch.testing.assert_close(heatmap, oracle.ccam(network, image, ranked), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["quadratic", "linear", "difference"])
def test_ccam_cancels_what_all_classes_share(form: str) -> None:
    network, images = cam(6), photos()
    before = look(CCAM(form=form), network, images)
    network.head.classifier.weight.data += torch.randn(1, 8, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(look(CCAM(form=form), network, images), before)


def test_ccam_of_the_top_class_is_its_own_heatmap() -> None:
    network, images = cam(), photos()
    prediction = network.predict(images)
    best = prediction.logits.argmax(1, keepdim=True)
    torch.testing.assert_close(
        look(CCAM(form="top"), network, images)[:, :1], network.heatmaps(prediction, best), check_dtype=False
    )


class SameForAll(CAM):
    def heatmaps(self, prediction, classes):
        return choose(prediction.evidence["class_maps"], torch.zeros_like(classes))


def test_ccam_refuses_heatmaps_that_are_the_same_for_all_classes() -> None:
    network = SameForAll(plain(), 5).eval()
    with pytest.raises(WsolError, match="heatmaps of SameForAll do not differ by class"):
        look(CCAM(), network, photos().float())


def test_ccam_of_a_network_without_any_evidence_is_zero() -> None:
    network = cam(head_depth=0, head_form="linear")
    torch.nn.init.zeros_(network.head.classifier.weight)
    assert (look(CCAM(), network, photos()) == 0).all()


@pytest.mark.parametrize("best", [6, -1])
def test_ccam_refuses_more_best_classes_than_there_are(best: int) -> None:
    with pytest.raises(WsolError, match=f"ccam: best is {best}, and there are 5 classes; give 1 to 5, or 0 for half"):
        look(CCAM(best=best), cam(), photos())


def components(features: torch.Tensor, **settings) -> torch.Tensor:
    network = cam()
    with network.backbone.edited(-1, lambda _: features):
        return look(PC1(**settings), network, photos(), CLASSES[:, :1])[:, 0]


def directed(heatmaps: torch.Tensor) -> torch.Tensor:
    """Each map centred and of length 1: a component's factor and offset say nothing."""
    centred = heatmaps - heatmaps.mean((1, 2), keepdim=True)
    return centred / centred.square().sum((1, 2), keepdim=True).sqrt()


@BOUNDARIES
def test_the_mean_equals_its_slow_twin(boundary: str) -> None:
    network, images = cam(), photos(32)
    heatmaps = look(Mean(boundary), network, images)
    features = network.backbone(images, until=boundary).detach()
    for image, maps in zip(features, heatmaps, strict=True):
        expected = [[sum(cell.tolist()) / len(image) for cell in row] for row in image.permute(1, 2, 0)]
        torch.testing.assert_close(maps[0].tolist(), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(maps[1], maps[0], rtol=0, atol=0)


@BOUNDARIES
def test_pc1_equals_its_slow_twin(boundary: str) -> None:
    """Boundary a has 6 channels of 256 cells; features are in float32 in both."""
    network, images = cam(), photos(32)
    heatmaps = look(PC1(boundary), network, images)
    torch.testing.assert_close(heatmaps[:, 0], heatmaps[:, 1], rtol=0, atol=0)
    features = network.backbone(images, until=boundary).detach()
    expected = torch.stack([oracle.pc1(one) for one in features]).float()
    length = heatmaps[:, 0].square().sum((1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(heatmaps[:, 0] / length, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [9, 16, 40])
def test_the_first_component_is_that_of_a_full_decomposition(channels: int) -> None:
    samples = torch.randn(3, channels, 16, generator=torch.Generator().manual_seed(0))
    for one, found in zip(samples.numpy(), first_component(samples), strict=True):
        expected = np.linalg.svd(one - one.mean(0), full_matrices=False)[2][0]
        assert abs(expected @ found.numpy()) / found.norm() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_pc1_of_one_pattern_is_that_pattern_with_the_frame_as_background(sign: int) -> None:
    """Whether channels rise or fall on the object."""
    inside = torch.zeros(4, 4)
    inside[1:3, 1:3] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    features = sign * torch.linspace(1, 3, 10)[:, None, None] * inside + 5
    heatmaps = components(features.double().expand(2, -1, -1, -1))
    torch.testing.assert_close(directed(heatmaps), directed(inside.expand(2, -1, -1)), rtol=1e-4, atol=1e-4)


def test_pc1_goes_with_the_features_where_the_frame_is_half_object() -> None:
    left = torch.zeros(4, 4)
    left[:, :2] = 1
    features = torch.linspace(1, 3, 10)[:, None, None] * left
    for one, pattern in ((features, left), (features.flip(-1), 1 - left)):
        heatmaps = components(one.double().expand(2, -1, -1, -1))
        torch.testing.assert_close(directed(heatmaps), directed(pattern.expand(2, -1, -1)), rtol=1e-4, atol=1e-4)


def test_pc1_of_scaled_channels_does_not_depend_on_their_sizes() -> None:
    features = torch.rand(2, 10, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    larger = torch.linspace(1, 100, 10)[:, None, None] * features + torch.linspace(-3, 3, 10)[:, None, None]
    torch.testing.assert_close(components(larger, scaled=True), components(features, scaled=True), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(directed(components(larger)), directed(components(features)), atol=0.1)


def test_the_frame_is_the_outermost_cells() -> None:
    heatmaps = torch.zeros(3, 3, 4)
    heatmaps[0, 1, 1:3] = 1
    heatmaps[1, 0] = 1
    heatmaps[2] = 1 - heatmaps[0]
    assert frame_share(heatmaps).flatten().tolist() == pytest.approx([0.0, 0.4, 1.0])
