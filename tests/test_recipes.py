"""Every recipe: its network can be built and takes a training step."""

import gc
from collections.abc import Iterator

import pytest
import torch

from wsol.method import METHODS
from wsol.run import build
from wsol.settings import recipes_of, resolve
from wsol.training import Loop

ALL = [(kind, recipe) for kind in METHODS.values() for recipe in recipes_of(kind)]


@pytest.fixture(autouse=True)
def one_network_at_a_time() -> Iterator[None]:
    """A scheduler and its optimiser hold each other, and with them the network, until somebody looks."""
    yield
    gc.collect()


@pytest.mark.parametrize(("kind", "recipe"), ALL, ids=[f"{kind.__name__}-{recipe}" for kind, recipe in ALL])
def test_every_recipe_builds_and_takes_a_step(kind, recipe: str, tmp_path) -> None:
    own = {"backbone": "mobilenetv1"} if recipe == "own_photos" else {}
    settings, options = resolve(kind, recipe, {"weights": "none"} | own)
    classes = max(options.get("averaged", 1), 3)
    method = build(tmp_path, kind, settings, options, [str(label) for label in range(classes)], "photos").method
    loop = Loop(method.train(), settings, 1)
    [optimiser], _ = loop.configure_optimizers()
    before = {name: parameter.detach().clone() for name, parameter in method.named_parameters()}
    torch.manual_seed(0)
    several = recipe.startswith("voc2012")  # photos with several classes
    labels = torch.arange(classes) < torch.tensor([[1], [2]]) if several else torch.randint(classes, (2,))
    loss = sum(method.loss(torch.rand(2, 3, 96, 96), labels, **loop.asked()).values())
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    same = [name for name, parameter in method.named_parameters() if torch.equal(parameter, before[name])]
    assert not same, f"a step leaves {same[:3]} as it was"
