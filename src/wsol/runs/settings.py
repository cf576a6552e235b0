"""How a method is trained: the settings, where they come from (defaults, recipe, caller), and their errors."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from wsol.errors import WsolError
from wsol.methods.stack import Stack
from wsol.registry import check_key
from wsol.runs.recipes import read_recipe
from wsol.system.values import BatchSize, Count, Cut, Range, Workers, cast

Rate = Annotated[float, Range(0, 1e6)]
Epochs = Annotated[int, Range(0, 10**6)]
Side = Annotated[int, Range(8, 4096)]
FILES = ("weights", "pseudo_boxes", "pseudo_truth", "label_tree")  # settings that are paths
GONE = {
    "head_prefix": "a method names its new layers; BAS and AEPL have mask_rate",
    "parts": "SLT-Net is its localizer; train `regressor` on its boxes and `cam` for the classes",
}


@dataclass(frozen=True)
class Settings:
    """Everything about a training run that is no hyper-parameter of its method.

    backbone: architecture; None reads it off the name of the weights file, else resnet50.
    weights: "pretrained" (the library's own, downloaded), "none" (from scratch) or the path of a state dict.
    end: boundary of the backbone to end at; None is the last.
    map_stride: image pixels per cell of the last map (16 or 8), or the library network's "own".
    kept_strides: strided stages at the end that keep their stride, earlier ones being lowered instead (BAS: 1).
    freeze: boundary of the backbone, by name or negative index, up to which nothing is learnt: eval mode, no gradients,
        batch-norm statistics as they are; "all" for the whole backbone, "none" for nothing of it.
    cache_features: the frozen stages run once over all photos, and training reads what they gave from the disk. Photos
        are then seen whole, half of them mirrored, and not cropped at random.
    cache_photos: photos are decoded and resized once, and training reads them from the disk: 200 kB each at an
        image_size of 224. What the network sees is the same.
    image_size: side of the square network input, pixels.
    test_size: side of the input once the network is trained, pixels; None for `image_size`.
    epochs: passes over the training photos; 0 saves the network as it is.
    batch_size: photos a step; all of them where there are fewer.
    optimiser: "sgd" or "adamw".
    learning_rate: of the backbone's weights.
    head_rate: factor on the learning rate for new layers, which the method names.
    bias_rate: factor on the learning rate for biases.
    momentum: of SGD, Nesterov's.
    weight_decay: of either optimiser; AdamW's is decoupled from the gradient.
    schedule: of the learning rate.
    milestones: epochs after which schedule "step" multiplies the rate by `decay`.
    decay: factor of schedule "step".
    warmup: epochs in which the learning rate rises linearly from 0.
    clip: largest norm of the gradient; 0 for no clipping.
    sync_batch_norm: where torchrun started several processes on GPUs, batch norms take the statistics of whole batches;
        otherwise of the slice that their process has.
    precision: "auto" takes bf16 where the machine has units for it.
    seed: of everything random.
    threshold: share of the heatmap's peak at which a box is cut, or "auto"; None, or "validation" over a recipe's:
        chosen on validation boxes when evaluating such a data set, else "auto".
    val_per_class: photos a class that CUB, ILSVRC and Pet hold back from training for validation.
    sheet_every: epochs between contact sheets of heatmaps; 0 for none.
    watch_boxes: measure MaxBoxAcc on validation photos each epoch, to look at in the report; nothing is chosen by it.
    workers: processes that read photos.
    on_bad_image: what to do with photos that cannot be read.
    background: a class of photos that show no object: learned as a class, never boxed.
    pseudo_boxes: boxes that another run gave the training photos, for methods that learn from such: the results.jsonl
        of `wsol locate RUN PHOTOS --format json`; else DDT's, of what the photos of each class have in common.
    pseudo_truth: boxes that stand for the truth of validation photos, as pseudo_boxes are written: best.safetensors is
        then the epoch whose boxes agree best with them (MaxBoxAcc), not the one of the highest Top1Cls.
    label_tree: families and orders of the classes, for methods that learn such: a CSV with the columns class, family
        and order, or the JSON file of `wsol evaluate RUN PHOTOS --split val`, by what it confused; else classes whose
        names end in the same word are a family.
    """

    backbone: str | None = None
    weights: str = "pretrained"
    end: str | None = None
    map_stride: Annotated[int, Range(1, 4096)] | Literal["own"] = 16
    kept_strides: Count = 0
    freeze: str | int = "none"
    cache_features: bool = False
    cache_photos: bool = False
    image_size: Side = 224
    test_size: Side | None = None
    epochs: Epochs = 20
    batch_size: BatchSize = 32
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Rate = 1e-3
    head_rate: Rate = 10.0
    bias_rate: Rate = 1.0
    momentum: Annotated[float, Range(0, 1)] = 0.9
    weight_decay: Rate = 5e-4
    schedule: Literal["constant", "step", "cosine", "polynomial", "onecycle"] = "cosine"
    milestones: tuple[Rate, ...] = ()
    decay: Rate = 0.1
    warmup: Rate = 0.0
    clip: Rate = 0.0
    sync_batch_norm: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0  # as Lightning takes them
    threshold: Cut | Literal["validation"] | None = None
    val_per_class: Count = 5
    sheet_every: Count = 5
    watch_boxes: bool = False
    workers: Workers = 2
    on_bad_image: Literal["raise", "skip"] = "raise"
    background: str | None = None
    pseudo_boxes: str | None = None
    pseudo_truth: str | None = None
    label_tree: str | None = None

    def __post_init__(self) -> None:
        """Raises WsolError for values that cannot be, see the ranges of the fields."""
        for field in fields(self):
            cast(getattr(self, field.name), field.type, field.name)
        if self.cache_features and self.freeze == "none":
            raise WsolError("cache_features keeps what frozen stages give; say by freeze which are frozen, or all")
        if self.cache_features and self.cache_photos:
            raise WsolError("cache_features keeps what follows from the photos; leave cache_photos out")


@dataclass(frozen=True)
class Resolved:
    """What a run is made with.

    settings: of its training.
    options: hyper-parameters of its method.
    at_test: what counts at test alone, see `wsol.methods.stack.Stack.at_test`.
    """

    settings: Settings
    options: dict[str, Any]
    at_test: dict[str, Any]

    @property
    def trained(self) -> dict[str, Any]:
        """What the weights depend on, as JSON holds it."""
        return {name: value for name, value in plain(self.settings).items() if name != "threshold"} | plain(
            self.options
        )

    @property
    def all(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return plain(self.settings) | plain(self.options) | plain(self.at_test)


def resolve(stack: Stack, recipe: str | Path | None, given: dict[str, Any]) -> Resolved:
    """Settings and hyper-parameters: defaults, the method's over all methods', then the recipe's, then the caller's.

    Raises WsolError for an unknown key (with a suggestion) or a value of the wrong kind.
    """
    kinds = {field.name: field.type for field in fields(Settings)}
    kinds |= {name: parameter.annotation for name, parameter in (stack.options | stack.at_test).items()}
    values: dict[str, Any] = dict(stack.settings)
    for source, entries in ((f"recipe {recipe}", read_recipe(stack.recipes_from, recipe)), ("setting", given)):
        for key, value in entries.items():
            if key in GONE and key not in kinds:
                raise WsolError(f"{source}: {key} is no setting any more: {GONE[key]}")
            check_key(key, kinds, f"{source}: {stack.title} has no setting")
            values[key] = cast(value, kinds[key], f"{source}: {key}")
    options, at_test = (
        {name: values.pop(name, parameter.default) for name, parameter in parameters.items()}
        for parameters in (stack.options, stack.at_test)
    )
    return Resolved(Settings(**values), options, at_test)


def plain(values: Settings | dict[str, Any]) -> dict[str, Any]:
    """Settings as YAML and JSON hold them: tuples become lists."""
    entries = asdict(values) if isinstance(values, Settings) else values
    return {key: list(value) if isinstance(value, tuple) else value for key, value in entries.items()}


def as_options(values: dict[str, Any]) -> list[str]:
    """Settings as the words of a command line; those that are None, or lists of nothing, cannot be said."""
    words: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option.removeprefix('--')}")
        elif isinstance(value, list | tuple):
            words += [option, *map(str, value)] if value else []
        elif value is not None:
            words += [option, str(value)]
    return words
