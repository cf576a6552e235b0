"""NL-CCAM against its slow twin, and its limiting cases."""

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, normed, plain

from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.nlccam import NLCCAM, NonLocal
from wsol.readouts.ccam import CCAM


def make(**options) -> NLCCAM:
    """With blocks that do something."""
    torch.manual_seed(2)
    method = loud(NLCCAM(plain(), 5, **options))
    for block in method.blocks:
        torch.nn.init.normal_(block.norm.weight)
        block.norm.running_mean.normal_(std=0.1)
        block.norm.running_var.uniform_(0.5, 2)
    return method.eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(6, 3, 4), (17, 2, 2)])
def test_a_block_equals_the_slow_twin(size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    block = NonLocal(size[0]).eval()
    torch.nn.init.normal_(block.norm.weight)
    block.norm.running_mean.normal_()
    features = torch.randn(2, *size)
    for one, given in zip(block(features), features, strict=True):
        torch.testing.assert_close(one, oracle.non_local(block, given), rtol=1e-4, atol=1e-5)
    assert block.query.out_channels == block.key.out_channels == max(size[0] // 8, 1)


def test_blocks_stand_behind_their_boundaries_in_training_and_at_test() -> None:
    images, labels = batch()
    method = make(blocks_at=("c", "a"))
    features = method.blocks[0](method.backbone(images, until="a"))
    logits, class_maps = method.head(method.blocks[1](method.backbone(features, after="a")))
    prediction = method.predict(images)
    torch.testing.assert_close(prediction.logits, logits)
    torch.testing.assert_close(prediction.evidence["class_maps"], class_maps)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(method.loss(images, labels)["classification"], expected)


def test_it_begins_as_cam() -> None:
    images, labels = batch()
    torch.manual_seed(2)
    method = loud(NLCCAM(normed(), 5))
    cam = CAM(method.backbone, 5)
    cam.head.load_state_dict(method.head.state_dict())
    for mode in (True, False):
        one, two = method.train(mode).predict(images), cam.train(mode).predict(images)
        assert torch.equal(one.logits, two.logits)
    torch.testing.assert_close(method.loss(images, labels), cam.loss(images, labels))
    top = method.heatmaps(one, labels[:, None], form="top")
    assert torch.equal(top, cam.heatmaps(two, one.logits.argmax(1, keepdim=True)))


@pytest.mark.parametrize("form", ["quadratic", "linear", "difference", "top"])
def test_its_heatmap_is_that_of_the_read_out(form: str) -> None:
    images, labels = batch()
    method = make()
    prediction = method.predict(images)
    cam = CAM(method.backbone, 5)
    asked = torch.stack([labels, (labels + 1) % 5], 1)
    expected = CCAM(best=2, form=form).heatmaps(cam, images, prediction, asked)
    torch.testing.assert_close(method.heatmaps(prediction, asked, best=2, form=form), expected)
    with pytest.raises(WsolError, match="best 6: there are 5 classes; give 1 to 5, or 0 for half"):
        method.heatmaps(prediction, asked, best=6)


def test_weights_of_the_quadratic_form() -> None:
    """Of five classes the first three: 1, 1/4, 0; the others 0, -1."""
    images, labels = batch()
    method = make()
    prediction = method.predict(images)
    maps = prediction.evidence["class_maps"]
    heatmaps = method.heatmaps(prediction, labels[:, None])[:, 0]
    for own, logits, heatmap in zip(maps, prediction.logits, heatmaps, strict=True):
        order = sorted(range(5), key=lambda k: -logits[k].item())
        torch.testing.assert_close(heatmap, own[order[0]] + own[order[1]] / 4 - own[order[4]])


def test_a_leak_lets_negative_features_through() -> None:
    images, _ = batch()
    network, leaky = plain(), plain()
    NLCCAM(leaky, 5, leak=0.2)
    first = network.get_submodule("0")(network.normalised(images))
    torch.testing.assert_close(leaky(images, until="a"), torch.where(first > 0, first, 0.2 * first))
