"""How a method is trained: the settings, where they come from (defaults, recipe, caller), and their errors."""

import difflib
import inspect
import math
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from wsol.boxes import Threshold, check_threshold
from wsol.errors import WsolError
from wsol.method import METHODS, Method

RECIPES = files("wsol") / "recipes"
NOT_NEGATIVE = (
    "epochs",
    "learning_rate",
    "head_rate",
    "bias_rate",
    "momentum",
    "weight_decay",
    "decay",
    "warmup",
    "clip",
)
NOT_NEGATIVE += ("kept_strides", "seed", "val_per_class", "sheet_every", "workers")
LEAST = dict.fromkeys(NOT_NEGATIVE, 0) | {"batch_size": 1, "map_stride": 1, "image_size": 8}


@dataclass(frozen=True)
class Settings:
    """Everything about a training run that is no hyper-parameter of its method.

    backbone: architecture; None reads it off the name of the weights file, else resnet50.
    weights: "pretrained" (the library's own, downloaded), "none" (from scratch) or the path of a state dict.
    end: boundary of the backbone to end at; None is the last.
    map_stride: image pixels per cell of the last map (16 or 8), or the library network's "own".
    kept_strides: strided stages at the end that keep their stride, earlier ones being lowered instead (BAS: 1).
    image_size: side of the square network input, pixels.
    epochs: passes over the training photos; 0 saves the network as it is.
    batch_size: photos a step.
    learning_rate: of the backbone's weights.
    head_rate: factor on the learning rate for new layers, those whose name begins with `head_prefix`.
    head_prefix: name prefix of the parameters that take head_rate.
    bias_rate: factor on the learning rate for biases.
    momentum: of SGD, Nesterov's.
    weight_decay: of SGD.
    schedule: of the learning rate.
    milestones: epochs after which schedule "step" multiplies the rate by `decay`.
    decay: factor of schedule "step".
    warmup: epochs in which the learning rate rises linearly from 0.
    clip: largest norm of the gradient; 0 for no clipping.
    precision: "auto" takes bf16 where the machine has units for it.
    seed: of everything random.
    threshold: share of the heatmap's peak at which a box is cut; None: chosen on validation boxes when evaluating
        such a data set, else "auto".
    val_per_class: photos a class that CUB, ILSVRC and Pet hold back from training for validation.
    sheet_every: epochs between contact sheets of heatmaps; 0 for none.
    workers: processes that read photos.
    on_bad_image: what to do with photos that cannot be read.
    pseudo_boxes: boxes that another run gave the training photos, for methods that learn from such: the results.jsonl
        of `wsol locate RUN PHOTOS --format json`.
    """

    backbone: str | None = None
    weights: str = "pretrained"
    end: str | None = None
    map_stride: int | Literal["own"] = 16
    kept_strides: int = 0
    image_size: int = 224
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    head_rate: float = 10.0
    head_prefix: str = "head"
    bias_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["constant", "step", "cosine", "polynomial", "onecycle"] = "cosine"
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    warmup: float = 0.0
    clip: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    threshold: Threshold | None = None
    val_per_class: int = 5
    sheet_every: int = 5
    workers: int = 2
    on_bad_image: Literal["raise", "skip"] = "raise"
    pseudo_boxes: str | None = None

    def __post_init__(self) -> None:
        """Raises WsolError for numbers that cannot be."""
        for name, least in LEAST.items():
            if (value := getattr(self, name)) != "own" and not least <= value < math.inf:
                raise WsolError(f"{name} cannot be {value}; it must be at least {least}")
        if self.threshold is not None:
            check_threshold(self.threshold)


def method_class(name: str) -> type[Method]:
    """A method by its command-line name or as the paper spells it. Raises WsolError with a suggestion."""
    check_key(name.lower(), METHODS, "there is no method")
    return METHODS[name.lower()]


def options_of(method: type[Method]) -> dict[str, inspect.Parameter]:
    """A method's hyper-parameters: its constructor's arguments after the backbone and the classes.

    Where it ends in `**`, those of the class that it extends follow.
    """
    options: dict[str, inspect.Parameter] = {}
    for kind in method.__mro__:
        own = list(inspect.signature(kind.__init__).parameters.values())[3:]
        options = options | {each.name: each for each in own if each.name not in options}
        if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
            return options
        del options[own[-1].name]
    return options


def resolve(method: type[Method], recipe: str | Path | None, given: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Settings and hyper-parameters: defaults, then the recipe's, then what the caller gave.

    Raises WsolError for an unknown key (with a suggestion) or a value of the wrong kind.
    """
    options = options_of(method)
    kinds = {field.name: field.type for field in fields(Settings)}
    kinds |= {name: parameter.annotation for name, parameter in options.items()}
    values: dict[str, Any] = {}
    for source, entries in ((f"recipe {recipe}", read_recipe(method, recipe)), ("setting", given)):
        for key, value in entries.items():
            check_key(key, kinds, f"{source}: {method.__name__} has no setting")
            values[key] = cast(value, kinds[key], f"{source}: {key}")
    hyper = {name: values.get(name, parameter.default) for name, parameter in options.items()}
    return Settings(**{k: v for k, v in values.items() if k not in options}), hyper


def read_recipe(method: type[Method], recipe: str | Path | None) -> dict[str, Any]:
    """The entries of a recipe: the name of one that comes with the package, or the path of a YAML file."""
    if recipe is None:
        return {}
    own = RECIPES / method.__name__.lower()
    names = recipes_of(method)
    path = own / f"{recipe}.yaml" if str(recipe) in names else Path(recipe)
    if not path.is_file():
        raise WsolError(f"there is no recipe {recipe!r} for {method.__name__}; there are {', '.join(names) or 'none'}")
    return read_yaml(path, "recipe")


def read_yaml(path: Any, what: str) -> dict[str, Any]:
    """The entries of a YAML file. Raises WsolError, naming the file, where it holds none."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WsolError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(entries, dict):
        raise WsolError(f"{path}: a {what} is a list of `key: value` lines")
    return {str(key): value for key, value in entries.items()}


def recipes_of(method: type[Method]) -> list[str]:
    """Names of the recipes that come with the package for one method."""
    own = RECIPES / method.__name__.lower()
    return sorted(each.name.removesuffix(".yaml") for each in own.iterdir()) if own.is_dir() else []


def check_key(key: str, known: Collection[str], said: str) -> None:
    """Raises WsolError, with a suggestion, for a key that is not known."""
    if key not in known:
        close = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        raise WsolError(f"{said} {key!r}; {hint}")


def plain(values: Settings | dict[str, Any]) -> dict[str, Any]:
    """Settings as YAML and JSON hold them: tuples become lists."""
    entries = asdict(values) if isinstance(values, Settings) else values
    return {key: list(value) if isinstance(value, tuple) else value for key, value in entries.items()}


def cast(value: Any, kind: Any, where: str) -> Any:
    """A value from YAML or a caller as its annotation wants it; raises WsolError when it cannot be."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for choice in choices:
        if choice is type(None) and value is None:
            return None
        if get_origin(choice) is Literal and value in get_args(choice):
            return value
        if get_origin(choice) is tuple and isinstance(value, list | tuple):
            return tuple(cast(each, get_args(choice)[0], where) for each in value)
        if choice is float and isinstance(value, int | float | str) and not isinstance(value, bool):
            with suppress(ValueError, OverflowError):  # YAML takes 1e-3 for text
                if math.isfinite(number := float(value)):
                    return number
        if choice in (int, str, bool, dict) and type(value) is choice:
            return value
    wanted: list[str] = []
    for choice in choices:
        literal = get_origin(choice) is Literal
        name = "list" if get_origin(choice) is tuple else str(getattr(choice, "__name__", choice))
        wanted += map(repr, get_args(choice)) if literal else [name]
    raise WsolError(f"{where} cannot be {value!r}; it must be {' or '.join(wanted)}")
