"""Which loss reaches which parameters, of every method."""

import pytest
import torch
from oracles.networks import batch, loud

from wsol import registry
from wsol.methods.stack import stack
from wsol.testing import asked_by, on_small_backbone

REST = {"prefix", "suffix"}  # the backbone up to boundary b, and after it
CLASSES = REST | {"head"}
MASK = {"prefix", "head_mask"}
TABLE = {
    "cam": {"classification": CLASSES},
    "acol": {"a": REST | {"head_a"}, "b": REST | {"head_b"}},
    "eil": {"intact": CLASSES, "erased": CLASSES},
    "meil": {"intact": CLASSES, "erased_a": CLASSES, "erased_b": CLASSES},
    "sltnet": {"classification": CLASSES, "consistency": CLASSES},
    "regressor": {"box": REST | {"box_head"}},
    "fewshot": {"cover": CLASSES},
    "bas": {
        "classification": CLASSES,
        "foreground": CLASSES | MASK,
        "background": MASK,
        "area": MASK,
    },
    "aepl": {
        "classification": CLASSES,
        "foreground": CLASSES | MASK,
        "background": MASK,
        "area": MASK,
        "erased": CLASSES,
        "erased_mask": CLASSES | MASK,
        "pseudo": MASK,
    },
    "ega": {
        "clean_classification": CLASSES,
        "clean_entropy": CLASSES,
        "adversarial_classification": CLASSES,
        "adversarial_entropy": CLASSES,
    },
    "has": {"classification": CLASSES},
    "cutmix": {"classification": CLASSES},
    "adl": {"classification": CLASSES},
    "trilite": {
        "classification": REST | {"class_head"},
        "foreground": REST | {"tri_head", "region_head"},
        "background": REST | {"tri_head", "region_head"},
    },
    "nlccam": {"classification": CLASSES},  # of its blocks the norms alone, which begin at zero
    "danet": {
        "species": REST | {"head_species"},
        "families": {"prefix", "head_families"},
        "orders": {"prefix", "head_orders"},
        "divergence": REST | {"head_species", "head_families", "head_orders"},
    },
    "gcnet": {
        "classification": CLASSES,
        "object": {"detector", "shape_head"},
        "background": {"detector", "shape_head"},
        "area": {"detector", "shape_head"},
    },
    "tscam": {"classification": {"transformer", "head"}},
    "i2c": {"classification": CLASSES, "local": REST, "global": REST},
    "spg": {
        "classification": CLASSES,
        "b2": {"prefix", "head_b2", "head_b"},
        "b1": {"prefix", "head_b1", "head_b"},
        "c": CLASSES | {"head_c"},
    },
}
# of two sets of batch norms; a transformer has others
NORMS = {"ega": {"clean": "norms", "adversarial": "twins"}, "tscam": {"classification": "transformer"}}


def part(name: str, module: torch.nn.Module) -> str:
    """The part of the network that a parameter belongs to."""
    if "twins" in name:
        return "twins"
    if isinstance(module, torch.nn.BatchNorm2d):
        return "norms"
    if "backbone" in name:
        layer = name.split(".")[-2]
        return "transformer" if not layer.isdigit() else "suffix" if int(layer) >= 6 else "prefix"
    if "detector" in name:
        return "detector"
    return next(piece for piece in name.split(".") if "head" in piece)


def reached(method: torch.nn.Module, term: str) -> set[str]:
    images, labels = batch(b=16)
    method.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    method.loss(images, labels, **asked_by(method, 16))[term].backward()
    return {
        part(f"{path}.{name}", module)
        for path, module in method.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.grad is not None and parameter.grad.any()
    }


@pytest.mark.parametrize("name", registry.names("methods"))
def test_each_term_reaches_these_parameters_and_no_others(name: str) -> None:
    kind = stack(name)
    method = loud(on_small_backbone(lambda backbone: kind.build(backbone, 5), normed=True)).train()
    for filters in (module for path, module in method.named_modules() if path.endswith("head_mask")):
        torch.nn.init.normal_(filters.weight)  # masks from nearly 0 to nearly 1
    images, labels = batch(b=16)
    assert method.loss(images, labels, **asked_by(method, 16)).keys() == TABLE[name].keys()
    for term, parts in TABLE[name].items():
        norms = NORMS.get(name, {}).get(term.partition("_")[0], "norms")
        assert reached(method, term) == parts | {norms}, term
