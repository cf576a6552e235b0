"""Every method around every other: the pair trains a step, or says why it makes no sense."""

import pytest
import torch
from oracles.networks import batch

from wsol import registry
from wsol.errors import WsolError
from wsol.methods.around import Around
from wsol.methods.stack import stack
from wsol.testing import asked_by, on_small_backbone, small_backbone

NAMES = registry.names("methods")
AROUND = [name for name in NAMES if issubclass(registry.find("methods", name), Around)]
SENSELESS = {
    ("cutmix", "regressor"): "CutMix mixes the labels of classes, and Regressor has no head of class maps",
    ("ega", "regressor"): "EGA attacks the scores of classes .*, and Regressor has no head of class maps",
    ("cutmix", "fewshot"): "CutMix mixes the labels of classes, and FewShot has no head of class maps",
    ("ega", "fewshot"): "EGA attacks the scores of classes .*, and FewShot has no head of class maps",
    ("cutmix", "trilite"): "CutMix mixes the labels of classes, and TriLite has no head of class maps",
    ("ega", "trilite"): "EGA attacks the scores of classes .*, and TriLite has no head of class maps",
} | {(name, name): "goes around a method once" for name in AROUND}


def pair(outer: str, inner: str) -> str:
    return f"{outer}+{inner}" + ("+cam" if inner in AROUND else "")


@pytest.mark.parametrize("inner", NAMES)
@pytest.mark.parametrize("outer", NAMES)
def test_a_pair_trains_a_step_or_says_why_it_makes_no_sense(outer: str, inner: str) -> None:
    if outer not in AROUND:
        with pytest.raises(WsolError, match="does not go around another method; write it last"):
            stack(pair(outer, inner))
        return
    if why := SENSELESS.get((outer, inner)):
        with pytest.raises(WsolError, match=why):
            on_small_backbone(lambda backbone: stack(pair(outer, inner)).build(backbone, 5))
        return
    kind = stack(pair(outer, inner))
    torch.manual_seed(0)
    small = {"head_width": 8, "patch": 8}  # a patch of 32 pixels may hide every photo
    options = {name: value for name, value in small.items() if name in kind.options}
    method = on_small_backbone(lambda backbone: kind.build(backbone, 5, **options), normed=True).train()
    images, labels = batch()
    terms = method.loss(images, labels, **asked_by(method))
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    before = {name: parameter.detach().clone() for name, parameter in method.named_parameters()}
    torch.optim.SGD(method.parameters(), 0.1).step()
    heads = [name for name in before if "head" in name and "weight" in name]
    assert heads and all(not torch.equal(dict(method.named_parameters())[name], before[name]) for name in heads)
    assert all(parameter.grad is not None for parameter in method.parameters())


@pytest.mark.parametrize("name", ["has+cutmix+adl+ega+meil", "ega+adl+has+bas", "adl+has+regressor"])
def test_more_than_two_go_together(name: str) -> None:
    torch.manual_seed(0)
    method = stack(name).build(small_backbone(normed=True), 5).train()
    images, labels = batch()
    loss = sum(method.loss(images, labels, **asked_by(method)).values())
    loss.backward()
    assert torch.isfinite(loss) and all(parameter.grad is not None for parameter in method.parameters())


def test_settings_of_the_same_name_are_refused() -> None:
    class Twice(Around):
        def __init__(self, method, sigma: float = 1.0):
            super().__init__(method)

    Twice.__qualname__ = "Twice"
    globals()["Twice"] = Twice
    registry.register(Twice)
    with pytest.raises(WsolError, match="both have a setting 'sigma'"):
        _ = stack("twice+eil").options
    registry._registered.pop(("methods", "twice"))
