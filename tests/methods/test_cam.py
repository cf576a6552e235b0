"""The two forms of the CAM head are one: equal logits, maps equal up to the class's bias."""

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, loud, plain

from wsol.methods.cam import CAM
from wsol.methods.i2c import I2C
from wsol.methods.spg import SPG
from wsol.nn.maps import min_max


def pair(depth: int) -> tuple[CAM, CAM]:
    linear = loud(CAM(plain(), 5, head_depth=depth, head_width=7, head_form="linear"))
    torch.nn.init.normal_(linear.head.classifier.bias)
    conv = CAM(plain(), 5, head_depth=depth, head_width=7, head_form="conv")
    conv.load_state_dict(linear.state_dict())
    return linear.double().eval(), conv.double().eval()


def test_both_forms_of_the_head_agree() -> None:
    images = batch()[0].double()
    every = torch.arange(5).expand(4, -1)
    for depth in (0, 1, 2):
        linear, conv = pair(depth)
        with torch.no_grad():
            one, two = linear.predict(images), conv.predict(images)
            maps_one, maps_two = linear.heatmaps(one, every), conv.heatmaps(two, every)
        torch.testing.assert_close(one.logits, two.logits)
        bias = linear.head.classifier.bias[None, :, None, None]
        torch.testing.assert_close(maps_one + bias, maps_two)
        torch.testing.assert_close(min_max(maps_one), min_max(maps_two))
        torch.testing.assert_close(two.logits, maps_two.mean((2, 3)))


def test_loss_and_map_equal_the_slow_twin() -> None:
    images, labels = batch()
    method = loud(CAM(plain(), 5, head_depth=1, head_width=7))
    loss = method.loss(images, labels)["classification"]
    assert abs(loss.item() - oracle.cam(method, images, labels.tolist())) < 1e-5
    with torch.no_grad():
        heatmaps = method.heatmaps(method.predict(images), labels[:, None])[:, 0]
        for image, label, heatmap in zip(images, labels.tolist(), heatmaps, strict=True):
            features = method.backbone(image[None])[0]
            torch.testing.assert_close(heatmap, oracle.class_map(method.head, features, label))


@pytest.mark.parametrize("form", ["conv", "linear"])
def test_the_hidden_layers_may_learn_at_the_backbones_rate(form) -> None:
    network = CAM(plain(), 5, head_depth=1, head_width=7, head_form=form, hidden_rate="backbone")
    assert network.new_layers() == [network.head.classifier]
    assert CAM(plain(), 5, head_depth=1, head_width=7).new_layers()[0].hidden[0].weight.shape == (7, 10, 3, 3)


@pytest.mark.parametrize("kind", [SPG, I2C])
def test_what_adds_losses_alone_is_cam_at_test(kind: type[CAM]) -> None:
    images, labels = batch()
    method = loud(kind(plain(), 5, head_width=8, dropout=0.0))
    cam = CAM(method.backbone, 5, head_depth=2, head_width=8)
    cam.head.load_state_dict(method.head.state_dict())
    one, two = method.predict(images), cam.predict(images)
    assert torch.equal(one.logits, two.logits)
    assert torch.equal(method.heatmaps(one, labels[:, None]), cam.heatmaps(two, labels[:, None]))
