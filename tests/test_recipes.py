"""Every recipe: its network can be built and takes a training step."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from wsol import registry
from wsol.cli.demo import WEIGHTS
from wsol.methods.stack import stack
from wsol.runs.folder import Run
from wsol.runs.recipes import recipes_of
from wsol.runs.settings import resolve
from wsol.training.loop import Loop

SOME = 65_521  # a prime: no row of a layer's weights is like the next
ALL = [(each.name, recipe) for each in registry.entries("methods") for recipe in recipes_of(each)]


@pytest.fixture(autouse=True)
def one_network_at_a_time() -> Iterator[None]:
    """A scheduler and its optimiser hold each other, and with them the network, until somebody looks."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def numbers_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large layers begin with the same numbers over and over: drawing 138 million for a VGG16 takes two seconds."""
    for draw in (Tensor.uniform_, Tensor.normal_):

        def drawn(tensor: Tensor, *given: float, draw=draw, **more: Any) -> Tensor:
            if tensor.numel() <= SOME:
                return draw(tensor, *given, **more)
            some = draw(torch.empty(SOME), *given, **more)
            with torch.no_grad():
                return tensor.copy_(some.repeat(-(-tensor.numel() // SOME))[: tensor.numel()].view_as(tensor))

        monkeypatch.setattr(Tensor, draw.__name__, drawn)


@pytest.mark.parametrize(("name", "recipe"), ALL)
def test_every_recipe_builds_and_takes_a_step(name: str, recipe: str, tmp_path) -> None:
    own: dict[str, object] = {"backbone": "mobilenetv1"} if recipe == "own_photos" else {}
    if name == "adl":  # untrained features are nearly even: what is dropped would be all
        own["drop_rate"] = 0.0
    if recipe == "demo":  # untrained, timm's residual branches end in zeros, and a first step stops there
        own["weights"] = str(WEIGHTS)
    resolved = resolve(stack(name), recipe, {"weights": "none"} | own)
    classes = max(resolved.all.get("averaged", 1), 3)
    run = Run(tmp_path, stack(name), resolved, tuple(str(label) for label in range(classes)), "photos")
    method = run.build()
    loop = Loop(method.train(), resolved.settings, 1)
    [optimiser], _ = loop.configure_optimizers()
    before = {name: p.detach().clone() for name, p in method.named_parameters() if p.requires_grad}
    torch.manual_seed(0)
    side = 98 if recipe.endswith("dinov2_small") else 96  # patches of 14 pixels
    several = recipe.startswith("voc2012")  # photos with several classes
    labels = torch.arange(classes) < torch.tensor([[1], [2]]) if several else torch.randint(classes, (2,))
    boxes = torch.tensor([[10.0, 20.0, 80.0, 90.0]]).repeat(2, 1)
    progress = 1.0 if name == "gcnet" else 0.0  # its detector learns once the classifier has
    given = {"progress": progress, "pseudo_boxes": boxes, "true_boxes": boxes[:, None]}
    asked = {name: given[name] for name in method.asked}
    for part in method.loss_parts(torch.rand(2, 3, side, side), labels, **asked):
        loss = sum(part.values())
        loss.backward()
        assert torch.isfinite(loss)
    optimiser.step()
    same = [name for name, p in method.named_parameters() if p.requires_grad and torch.equal(p, before[name])]
    assert not same, f"a step leaves {same[:3]} as it was"
