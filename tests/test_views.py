"""Views: where gradients go, and that the live module is left as it was."""

import copy

import pytest
import torch
from torch import nn

from wsol.views import auxiliary, frozen, norm_twins, without_statistics


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train()


def images() -> torch.Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def same_state(net: nn.Module, state: dict) -> bool:
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_frozen_equals_the_live_network_and_passes_gradients_to_the_input_alone(net: nn.Module) -> None:
    before, x = copy.deepcopy(net.state_dict()), images().requires_grad_()
    out = frozen(net)(x)
    out.square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in net.parameters())
    assert same_state(net, before)
    assert torch.equal(out, net(x))


def test_without_statistics_trains_the_weights_but_not_the_buffers(net: nn.Module) -> None:
    before = copy.deepcopy(net.state_dict())
    out = without_statistics(net)(images())
    out.square().sum().backward()
    assert same_state(net, before)
    shadow = copy.deepcopy(net)
    shadow.zero_grad()
    shadow(images()).square().sum().backward()
    for own, other in zip(net.parameters(), shadow.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad)
    assert not same_state(shadow, before)


def test_auxiliary_runs_on_its_own_batch_norm_and_updates_only_that(net: nn.Module) -> None:
    twins = norm_twins(net)
    assert set(twins) == {name for name in net.state_dict() if name.startswith("1.")}
    live = copy.deepcopy(net.state_dict())
    assert torch.equal(auxiliary(net, twins)(images()), copy.deepcopy(net)(images()))
    assert same_state(net, live)
    assert not torch.equal(twins["1.running_mean"], live["1.running_mean"])
    with torch.no_grad():
        twins["1.weight"].mul_(2)
    auxiliary(net, twins)(images()).sum().backward()
    assert twins["1.weight"].grad.abs().sum() > 0 and net[1].weight.grad is None
    assert net[0].weight.grad.abs().sum() > 0
