"""Settings: where values come from, and what is said of wrong ones."""

from dataclasses import fields
from pathlib import Path

import pytest
import timm

from wsol import registry
from wsol.errors import WsolError
from wsol.methods.eil import EIL
from wsol.methods.stack import Stack, options_of, stack
from wsol.registry import Entry
from wsol.runs.recipes import recipes_of
from wsol.runs.settings import Settings, resolve

METHODS = registry.names("methods")
ALL = [(name, recipe) for name in METHODS for recipe in recipes_of(registry.entry("methods", name))]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_caller_wins_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "epochs: 3\nlearning_rate: 1\nsigma: 4\n")
    resolved = resolve(stack("eil"), recipe, {"epochs": 5, "boundary": "a"})
    settings, options = resolved.settings, resolved.options
    assert (settings.epochs, settings.learning_rate, settings.batch_size) == (5, 1.0, Settings().batch_size)
    assert (options["sigma"], options["boundary"], options["erase_threshold"]) == (4.0, "a", 0.7)


def test_a_path_is_as_good_as_its_text() -> None:
    assert resolve(stack("cam"), None, {"weights": Path("a/b.safetensors")}).settings.weights == "a/b.safetensors"


@pytest.mark.parametrize(("method", "recipe"), ALL)
def test_every_recipe_resolves_for_a_known_backbone(method: str, recipe: str) -> None:
    settings = resolve(stack(method), recipe, {}).settings
    known = settings.backbone in registry.names("backbones") or timm.is_model(settings.backbone or "")
    assert known or recipe == "own_photos"  # for any


def test_every_method_has_the_papers_recipes() -> None:
    for method in METHODS:
        names = recipes_of(registry.entry("methods", method))
        network = "deit_tiny" if method == "tscam" else "mobilenetv1"  # TS-CAM wants a transformer
        assert {"creatures", f"cub50_{network}"} <= set(names), method
        assert any(name.startswith("cub_") for name in names) and any(name.startswith("ilsvrc_") for name in names)


class Mine(EIL):
    def __init__(self, backbone, classes: int, share: float = 0.5, sigma: float = 3.0, **eil) -> None:
        super().__init__(backbone, classes, sigma=sigma, **eil)


class Closed(EIL):
    def __init__(self, backbone, classes: int, share: float = 0.5) -> None:
        super().__init__(backbone, classes)


def test_a_method_that_extends_another_has_its_options_too() -> None:
    mine = Stack((Entry("methods", "mine", f"{__name__}:Mine", ""),))
    assert list(options_of(Mine)) == ["share", "sigma", *(name for name in options_of(EIL) if name != "sigma")]
    options = resolve(mine, None, {"erase_threshold": "0.5"}).options
    assert (options["share"], options["sigma"], options["erase_threshold"]) == (0.5, 3.0, 0.5)
    assert {"eil", "erasing", "cam"}.isdisjoint(options) and "head" in options  # not the words; what CAM takes is
    assert list(options_of(Closed)) == ["share"]  # it hands nothing on, so EIL's are none of its own
    with pytest.raises(WsolError, match="did you mean absolute"):
        resolve(mine, None, {"absolut": True})


def test_no_hyper_parameter_hides_a_setting() -> None:
    names = {field.name for field in fields(Settings)}
    for method in map(stack, METHODS):
        assert not names & set(method.options | method.at_test), method


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epoch": 3}, "did you mean epochs?"),
        ({"epochs": "three"}, "it must be int"),
        ({"epochs": 2.5}, "it must be int"),
        ({"epochs": True}, "it must be int"),
        ({"schedule": "cosin"}, "'cosine'"),
        ({"boundary": 1.5}, "it must be str or int"),
        ({"sigma": "nan"}, "it must be float"),
        ({"sigma": float("inf")}, "it must be float"),
        ({"milestones": 3}, "it must be list"),
        ({"map_stride": "none"}, "it must be int or 'own'"),
    ],
)
def test_wrong_settings_are_named(given: dict, said: str) -> None:
    with pytest.raises(WsolError, match=next(iter(given))) as error:
        resolve(stack("eil"), None, given)
    assert said in str(error.value)


def test_lists_of_a_recipe_become_tuples(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "boundaries: [pool3, pool4]\nmilestones: [1, 2.5]\n")
    resolved = resolve(stack("meil"), recipe, {})
    settings, options = resolved.settings, resolved.options
    assert options["boundaries"] == ("pool3", "pool4")
    assert settings.milestones == (1.0, 2.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: [", "YAML"),
        ("- 1\n- 2\n", "key: value"),
        ("", "key: value"),
        ("sigmaa: 1", "did you mean sigma"),
        ("on: 3", "no setting 'True'; known are backbone"),
        ("epochs:", "epochs cannot be None; it must be int"),
        ("learning_rate: fast", "learning_rate cannot be 'fast'; it must be float"),
    ],
)
def test_wrong_recipes_are_named(tmp_path: Path, text: str, said: str) -> None:
    recipe = write(tmp_path / "wrong.yaml", text)
    with pytest.raises(WsolError, match=r"wrong\.yaml") as error:
        resolve(stack("eil"), recipe, {})
    assert said in str(error.value)


def test_a_recipe_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_bytes(b"epochs: 3  # caf\xe9")
    with pytest.raises(WsolError, match=r"wrong\.yaml: not readable as YAML"):
        resolve(stack("eil"), tmp_path / "wrong.yaml", {})


def test_rates_may_be_written_without_a_point(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "learning_rate: 1e-3\nweight_decay: 5E-4\n")
    settings = resolve(stack("eil"), recipe, {}).settings
    assert (settings.learning_rate, settings.weight_decay) == (0.001, 0.0005)


def test_unknown_names_are_answered_with_a_suggestion() -> None:
    assert stack("EIL").kinds == (EIL,)
    with pytest.raises(WsolError, match="did you mean meil"):
        stack("meill")
    with pytest.raises(WsolError, match="cub_vgg16"):
        resolve(stack("eil"), "cub_vgg", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("epochs", -1), ("learning_rate", float("nan")), ("weight_decay", -1.0), ("threshold", 1.5)],
)
def test_numbers_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(WsolError, match=f"{name}.* {value}"):
        resolve(stack("eil"), None, {name: value})
