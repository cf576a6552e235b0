"""EGA's attack and entropies against slow twins, what its two sets of batch norms keep apart, and limiting cases."""

import copy
import math

import pytest
import torch
from oracles.maps import cross_entropy
from oracles.methods import classify
from oracles.networks import batch, loud, normed, plain

from wsol.backbones import build_backbone
from wsol.methods.acol import ACoL
from wsol.methods.bas import BAS
from wsol.methods.cam import CAM
from wsol.methods.ega import EGA


def made(backbone=None, **options) -> EGA:
    torch.manual_seed(3)
    return loud(EGA(CAM(backbone or plain(), 5, head_depth=1, head_width=8), **options)).train()


@pytest.mark.parametrize("kind", ["gt_prob", "minmax"])
@pytest.mark.parametrize("total", [False, True])
def test_entropy_equals_its_slow_twin(kind, total: bool) -> None:
    maps, classes = 3 * torch.randn(2, 5, 3, 4), [4, 1]
    network = made(entropy=kind, entropy_reduction="sum" if total else "mean")
    expected = 0.0
    for image, label in zip(maps, classes, strict=True):
        low, high = min(image[label].flatten().tolist()), max(image[label].flatten().tolist())
        for y in range(3):
            for x in range(4):
                powers = [math.exp(value) for value in image[:, y, x].tolist()]
                scaled = (image[label, y, x].item() - low) / (high - low)
                p = {"gt_prob": powers[label] / sum(powers), "minmax": scaled}[kind]
                expected -= p * math.log(p) / 2 / (1 if total else 12) if p else 0
    assert network.entropy(maps, torch.tensor(classes)).item() == pytest.approx(expected, rel=1e-4)


def test_certain_pixels_have_no_entropy() -> None:
    maps = torch.full((2, 5, 3, 3), -200.0)
    maps[:, 2] = 200
    assert made().entropy(maps, torch.tensor([2, 2])) == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_scaled_map_of_two_values_has_no_entropy_and_the_scale_does_not_count(value: float) -> None:
    maps = torch.randn(1, 5, 3, 3)
    maps[0, 2] = value
    maps[0, 2, 1, 1] = 1 - value
    network = made(entropy="minmax")
    assert network.entropy(maps, torch.tensor([2])) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(*(network.entropy(some, torch.tensor([1])) for some in (maps, 7 * maps - 3)))


def test_scaled_the_true_classs_map_alone_gets_a_gradient_and_as_softmax_all_do() -> None:
    for kind in ("gt_prob", "minmax"):
        maps = torch.randn(2, 5, 3, 3, requires_grad=True)
        made(entropy=kind).entropy(maps, torch.tensor([2, 4])).backward()
        reached = maps.grad.flatten(2).abs().sum(2) > 0
        assert torch.isfinite(maps.grad).all()
        assert reached[0, 2] and reached[1, 4] and (kind == "gt_prob") == bool(reached.all())


def test_a_step_of_the_attack_follows_the_sign_of_the_gradient() -> None:
    """On a network without batch norm, by differences: one grey level, uphill, at every pixel that matters."""
    images, labels = batch(side=16, b=1)
    images = images * 0.8 + 0.1
    network = made().double()
    images = images.double()
    attacked = network.attack(images, labels)
    loss = lambda x: cross_entropy(classify(network.method.head, network.backbone(x)[0]), int(labels[0]))  # noqa: E731
    for place in [(0, 3, 4), (1, 8, 8), (2, 11, 2)]:
        moved = images.clone()
        moved[0][place] += 1e-6
        slope = (loss(moved) - loss(images)) / 1e-6
        assert (attacked - images)[0][place].item() == pytest.approx(math.copysign(1 / 255, slope), abs=1e-9)


@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_attack_stays_near_and_among_colours_and_is_harder(random_start: bool, statistics) -> None:
    images, labels = batch(64)
    images[:, :, :8] = 0
    images[:, :, 8:16] = 1
    network = made(
        normed(), epsilon=3.0, iterations=4, step=1.0, random_start=random_start, attack_statistics=statistics
    )
    attacked = network.attack(images, labels)
    assert (attacked - images).abs().max() <= 3 / 255 + 1e-7
    assert attacked.min() >= 0 and attacked.max() <= 1 and not attacked.requires_grad
    if statistics == "running" and not random_start:
        network.eval()
        predict = network.twins.under(network.method, "predict")
        easy, hard = (torch.nn.functional.cross_entropy(predict(shown).logits, labels) for shown in (images, attacked))
        assert hard > easy


def test_towards_a_random_other_class_the_attack_goes_downhill() -> None:
    images, labels = batch(side=16, b=1)
    images = (images * 0.8 + 0.1).double()
    network, seen = made(attack_target="random").double(), set()
    for seed in range(30):
        torch.manual_seed(seed)
        (other,), direction = network.aim(labels)
        assert direction == -1 and other != labels[0]
        seen.add(int(other))
    torch.manual_seed(0)
    target = int(network.aim(labels)[0])
    torch.manual_seed(0)
    attacked = network.attack(images, labels)
    loss = lambda x: cross_entropy(classify(network.method.head, network.backbone(x)[0]), target)  # noqa: E731
    assert len(seen) == 4 and loss(attacked) < loss(images)
    for place in [(0, 3, 4), (1, 8, 8), (2, 11, 2)]:
        moved = images.clone()
        moved[0][place] += 1e-6
        slope = (loss(moved) - loss(images)) / 1e-6
        assert (attacked - images)[0][place].item() == pytest.approx(-math.copysign(1 / 255, slope), abs=1e-9)


def test_a_network_without_batch_norm_has_no_twins_and_trains() -> None:
    network = EGA(CAM(build_backbone("vgg16", map_stride=16), 3, head_depth=1, head_width=8)).train()
    assert not list(network.twins.state_dict())
    images, labels = batch(32, b=2, classes=3)
    terms = network.loss(images, labels)
    assert (
        torch.isfinite(torch.stack(list(terms.values()))).all()
        and terms["clean_classification"] != terms["adversarial_classification"]
    )


class Live:
    """Bytes that autograd keeps for the way back, weights left out: now and at most."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.weights = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
        self.now = self.most = 0

    def pack(self, tensor: torch.Tensor) -> "Kept":
        weight = tensor.untyped_storage().data_ptr() in self.weights
        return Kept(self, tensor, 0 if weight else tensor.nbytes)


class Kept:
    def __init__(self, live: Live, tensor: torch.Tensor, size: int) -> None:
        self.live, self.tensor, self.size = live, tensor, size
        live.now += size
        live.most = max(live.most, live.now)

    def __del__(self) -> None:
        self.live.now -= self.size


def gradients(network: EGA, memory: Live) -> dict[str, torch.Tensor]:
    with torch.autograd.graph.saved_tensors_hooks(memory.pack, lambda kept: kept.tensor):
        for part in network.loss_parts(*batch(64)):
            sum(part.values()).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def test_stream_by_stream_the_gradients_are_the_same_and_half_is_kept() -> None:
    whole = made(normed())
    apart = copy.deepcopy(whole)
    apart.save_memory = True
    memories = Live(whole), Live(apart)
    expected, found = (gradients(*each) for each in zip((whole, apart), memories, strict=True))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert memories[1].most < 0.55 * memories[0].most
    for (name, one), two in zip(whole.state_dict().items(), apart.state_dict().values(), strict=True):
        assert torch.equal(one, two), name  # statistics: each set once
        assert "num_batches" not in name or one == 1


def test_no_change_and_equal_norms_give_equal_losses() -> None:
    images, labels = batch(64)
    network = made(normed(), epsilon=0.0)
    terms = network.loss(images, labels)
    assert terms["clean_classification"] == terms["adversarial_classification"]
    assert terms["adversarial_entropy"].item() == pytest.approx(0.01 * terms["clean_entropy"].item())


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_each_stream_keeps_its_own_statistics_and_the_attack_keeps_none(statistics) -> None:
    images, labels = batch(64)
    network = made(normed(), epsilon=8.0, step=8.0, attack_statistics=statistics)
    before = copy.deepcopy(network.state_dict())
    network.attack(images, labels)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    main = copy.deepcopy(network.backbone)
    main(images)
    network.loss(images, labels)
    for (name, one), two in zip(network.backbone.named_buffers(), main.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=name)
    moved = [name for name, value in network.twins.named_buffers() if not torch.equal(value, before[f"twins.{name}"])]
    assert len(moved) == len(list(network.twins.buffers()))
    twin = network.twins.norms[network.twins.paths.index("backbone.bn1")].running_mean
    assert not torch.allclose(twin, network.backbone.bn1.running_mean)


def test_weights_of_nothing_leave_no_entropy() -> None:
    images, labels = batch()
    terms = made(clean_entropy=0.0, adversarial_entropy=0.0).loss(images, labels)
    assert terms["clean_entropy"] == terms["adversarial_entropy"] == 0


def test_prediction_never_sees_the_twins() -> None:
    images, _ = batch(64)
    network = made(normed()).eval()
    before = network.predict(images).logits
    for tensor in network.twins.parameters():
        torch.nn.init.constant_(tensor, 7.0)
    assert torch.equal(network.predict(images).logits, before)


@pytest.mark.parametrize("inner", [BAS, ACoL])
def test_around_another_method_both_streams_are_its_loss(inner) -> None:
    """With equal norms and no attack they are equal; the entropies are those of the intact stream's class maps."""
    images, labels = batch(64)
    torch.manual_seed(3)
    method = loud(inner(normed(), 5, head_depth=1, head_width=8)).train()
    expected = copy.deepcopy(method).loss(images, labels)
    terms = EGA(method, epsilon=0.0).loss(images, labels)
    assert len(terms) == 2 * (len(expected) + 1)
    for name, term in expected.items():
        assert terms[f"clean_{name}"] == terms[f"adversarial_{name}"] == term
    alone = copy.deepcopy(method)
    head = alone.head if inner is BAS else alone.head_a
    _, maps = head(alone.backbone(images))
    whole = EGA(alone)
    assert terms["clean_entropy"].item() == pytest.approx(whole.entropy(maps, labels).item(), rel=1e-5)


def test_the_backbones_new_layers_are_the_inner_methods_alone() -> None:
    network = made(normed())
    assert network.new_layers() == [network.method.head]
