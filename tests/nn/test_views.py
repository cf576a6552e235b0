"""Views: where gradients go, and that the live module is left as it was."""

import copy

import pytest
import torch
from torch import nn

from wsol.nn.views import TwinNorms, frozen, outputs_of, running_statistics, without_statistics


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


def test_twins_run_in_the_place_of_the_batch_norms_and_are_all_that_is_updated(net: nn.Module) -> None:
    twins = TwinNorms(net)
    assert twins.paths == ["1"] and twins.norms[0] is not net[1]
    live = copy.deepcopy(net.state_dict())
    assert torch.equal(twins.under(net)(images()), copy.deepcopy(net)(images()))
    assert same_state(net, live)
    assert not torch.equal(twins.norms[0].running_mean, live["1.running_mean"])
    with torch.no_grad():
        twins.norms[0].weight.mul_(2)
    twins.under(net)(images()).sum().backward()
    assert twins.norms[0].weight.grad.abs().sum() > 0 and net[1].weight.grad is None
    assert net[0].weight.grad.abs().sum() > 0


def test_a_run_under_twins_may_leave_their_statistics_alone(net: nn.Module) -> None:
    twins = TwinNorms(net)
    before = copy.deepcopy(twins.state_dict())
    twins.under(net, statistics=False)(images())
    assert all(torch.equal(value, before[name]) for name, value in twins.state_dict().items())


def test_any_verb_of_a_module_runs_under_twins() -> None:
    class Speaker(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def say(self, x: torch.Tensor, times: float = 1.0) -> torch.Tensor:
            return times * self.norm(x)

    speaker = Speaker().eval()
    twins = TwinNorms(speaker).eval()
    twins.norms[0].bias.data += 5
    found = twins.under(speaker, "say")(images(), times=2.0)
    torch.testing.assert_close(found, 2 * (speaker.norm(images()) + 5))


def test_running_statistics_are_used_and_kept_and_the_mode_comes_back(net: nn.Module) -> None:
    before = copy.deepcopy(net.state_dict())
    with running_statistics(net):
        assert torch.equal(net(images()), copy.deepcopy(net).eval()(images()))
    assert same_state(net, before) and net[1].training


def test_outputs_are_kept_in_the_order_of_the_calls_and_no_longer_than_asked(net: nn.Module) -> None:
    with outputs_of(net[0]) as outputs:
        first, second = net[0](images()), net[0](2 * images())
    net[0](images())
    assert len(outputs) == 2 and outputs[0] is first and outputs[1] is second
