"""What papers print: the defaults, each with its source, and the initial spread; and ranges that are kept."""

import math

import pytest
import torch
from oracles.networks import plain

from wsol import registry
from wsol.errors import WsolError
from wsol.methods.acol import ACoL
from wsol.methods.references import reference
from wsol.methods.stack import stack
from wsol.nn.heads import Head
from wsol.testing import on_small_backbone

BAS = {"background_weight": 1.0, "foreground_weight": 0.5, "area_weight": 1.5, "area_ramp": 0.0, "mask_rate": "head"}
PRINTED = {
    "acol": {  # Zhang et al. 2018: Table 6, best on ILSVRC; section 4.1, implementation details
        "erase_threshold": 0.6,
        "head_depth": 2,
        "head_width": 1024,
    },
    "eil": {"erase_threshold": 0.7, "sigma": 2.0, "boundary": -2},  # Mai et al. 2020, section 4.1: gamma, sigma, pool4
    "meil": {"erase_threshold": 0.7, "variant": "I", "boundaries": (-3, -2)},  # and Table 3: pool3, pool4
    "sltnet": {  # Guo et al. 2021, section 4.1, CUB; equations 11 to 13 compare the maps as they are
        "alpha": 0.4,
        "best": 30,
        "beta": 10.0,
        "vst_maps": "raw",
    },
    "ega": {  # Benassou et al. 2021, section 4.1 and Table 7
        "epsilon": 1.0,
        "step": 1.0,
        "iterations": 1,
        "clean_entropy": 1.0,
        "adversarial_entropy": 0.01,
        "head_depth": 2,
        "head_width": 1024,
    },
    "bas": BAS,  # Wu et al. 2022 and its code: MobileNetV1
    "aepl": BAS,  # arXiv 2404.09475 builds on BAS; thresholds and weights of its own losses are not in the text we have
    "regressor": {  # Guo et al. 2021, section 3: cells, ReLU, weight 1; Zhang et al. 2020 (PSOL), its code
        "box_unit": "grid",
        "box_end": "relu",
        "box_weight": 1.0,
        "box_width": 512,
    },
    "has": {"hide_rate": 0.5, "patch": 32},  # Kumar Singh and Lee 2017: HaS-32
    "cutmix": {"mix_rate": 1.0, "mix_shape": 1.0},  # Yun et al. 2019: ImageNet
    "adl": {"drop_rate": 0.75, "drop_threshold": 0.8, "drop_at": (-3, -2, -1)},  # Choe and Shim 2019: VGG16
    "trilite": {"alpha": 100.0, "channels": 3, "dropout": 0.5, "class_dropout": 0.5},  # Sabaghi and Oramas 2026: CUB
    "fewshot": {},  # Choe et al. 2020: it has no hyper-parameters
    "gcnet": {"area_weight": 2.5, "shape": "ellipse", "rotated": True},  # Lu et al. 2020, and its code: drawn masks
    "tscam": {"drop_path": 0.1},  # Gao et al. 2021: DeiT's
    "danet": {  # Xue et al. 2019, section 4.1
        "activated_at": (-3, -2, -1),
        "maps": 8,
        "compared": 12,
        "class_weight": 0.5,
        "divergence_weight": 0.01,
    },
    "i2c": {  # Zhang et al. 2020, section 4.1, and its code
        "seeds": 3,
        "seed_threshold": 0.7,
        "local_weight": 0.008,
        "global_weight": 0.001,
        "fading": 0.002,
        "dropout": 0.5,
        "head_depth": 2,
        "head_width": 1024,
    },
    "nlccam": {"form": "quadratic"},  # Yang et al. 2020: the weights of the class maps fall as a quadratic
    "spg": {  # Zhang et al. 2018, section 4.1, and its code
        "sure_b2": (0.7, 0.05),
        "sure_b1": (0.5, 0.05),
        "sure_c": (0.7, 0.1),
        "dropout": 0.5,
        "head_depth": 2,
        "head_width": 1024,
    },
    "cam": {"head_depth": 0},  # Zhou et al. 2016, section 2: averaged features, then one layer
}
CASES = [(name, setting, value) for name, settings in PRINTED.items() for setting, value in settings.items()]


@pytest.mark.parametrize(("name", "setting", "value"), CASES)
def test_a_default_is_the_papers(name: str, setting: str, value) -> None:
    assert (stack(name).options | stack(name).at_test)[setting].default == value


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_has_defaults_that_its_paper_prints_and_names_the_paper_with_a_link(name: str) -> None:
    assert PRINTED[name] or not stack(name).options
    entry = registry.entry("methods", name)
    told = reference(entry)
    assert told is not None and told.title and told.year and told.link.startswith("https://")
    assert "https://" in (entry.load().__doc__ or "")


def test_acols_heads_begin_as_xavier_says() -> None:
    """Glorot and Bengio 2010: uniform within sqrt(6 / (fan in + fan out)); biases zero."""
    torch.manual_seed(0)
    method = ACoL(plain(), 100, head_width=64)
    for head in (method.head_a, method.head_b):
        for layer, fans in (
            (head.hidden[0], 9 * 10 + 9 * 64),
            (head.hidden[2], 9 * 64 + 9 * 64),
            (head.classifier, 64 + 100),
        ):
            bound = math.sqrt(6 / fans)
            assert 0.95 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
            assert not layer.bias.any()


def test_other_heads_begin_as_kaiming_says_and_end_small() -> None:
    """He et al. 2015, by fan out; the last layer N(0, 0.01), as in the papers' released code."""
    torch.manual_seed(0)
    for head in (Head(10, 100, 2, 64), stack("bas").build(plain(), 100, head_width=64).head):
        for layer in (head.hidden[0], head.hidden[2]):
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.05)
        assert head.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not any(layer.bias.any() for layer in (head.hidden[0], head.hidden[2], head.classifier))


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("cam", "head_depth", -1),
        ("cam", "head_width", 0),
        ("acol", "erase_threshold", -0.1),
        ("acol", "erase_threshold", math.nan),
        ("eil", "erase_threshold", -0.1),
        ("eil", "sigma", -1.0),
        ("meil", "erase_threshold", -0.1),
        ("meil", "sigmas", (-1.0,)),
        ("sltnet", "alpha", 1.1),
        ("sltnet", "beta", -1.0),
        ("sltnet", "flip", 2.0),
        ("regressor", "box_width", 0),
        ("regressor", "box_weight", -1.0),
        ("ega", "epsilon", -1.0),
        ("ega", "iterations", -1),
        ("ega", "clean_entropy", -1.0),
        ("bas", "area_weight", -1.0),
        ("bas", "area_ramp", 1.5),
        ("aepl", "mask_threshold", -0.1),
        ("aepl", "erased_ramp", 1.5),
        ("aepl", "pseudo_weight", -0.1),
        ("has", "hide_rate", 1.5),
        ("has", "patch", 0),
        ("cutmix", "mix_rate", -0.5),
        ("cutmix", "mix_shape", 0.0),
        ("adl", "drop_rate", 1.5),
        ("adl", "drop_threshold", -1.0),
        ("nlccam", "leak", -0.1),
        ("danet", "maps", 0),
        ("danet", "compared", 25),
        ("danet", "compared", 1),
        ("danet", "divergence_weight", -1.0),
        ("i2c", "seeds", 0),
        ("i2c", "seed_threshold", 1.5),
        ("i2c", "local_weight", -1.0),
        ("i2c", "fading", -1.0),
        ("i2c", "classes_first", 1.5),
        ("spg", "sure_b2", (1.7, 0.05)),
        ("spg", "sure_c", (0.7, -0.1)),
        ("spg", "dropout", 1.5),
        ("tscam", "drop_path", 1.5),
        ("gcnet", "area_weight", -1.0),
        ("gcnet", "classes_first", 1.5),
        ("gcnet", "softness", 0.0),
    ],
)
def test_a_setting_out_of_its_range_is_refused_in_one_line(name: str, setting: str, value) -> None:
    with pytest.raises(WsolError, match=f"^[A-Za-z0-9-]+: {setting} .* must be (at least|between)") as caught:
        on_small_backbone(lambda backbone: stack(name).build(backbone, 5, **{setting: value}))
    assert "\n" not in str(caught.value)
