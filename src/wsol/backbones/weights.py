"""Reading a file of weights, without ever running code from it."""

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from wsol.errors import WsolError, listed
from wsol.system.files import unreadable

State = dict[str, Tensor]
# entries under which checkpoints of the usual libraries keep a state dict, averaged weights first as timm does
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict")


def load_weights(
    network: nn.Module,
    path: Path,
    needed: set[str],
    classifier: str | None = None,
    respelt: tuple[str, str] = ("", ""),
) -> str | None:
    """Loads the state dict of a file into a library network, and gives the classifier's path if the file holds it.

    Names may carry the prefix of a wrapper (`module.`, `model.`, `backbone.`, nested ones too); what stands outside it
    is not the network's. Half-precision tensors are widened.

    network: its names are the wanted ones.
    path: .safetensors, or what torch.save wrote (.pt, .pth, .ckpt, .bin).
    needed: the names that the backbone keeps; batch counts, which old files lack, may be missing all the same. What
        lies behind the features may be missing or have another shape.
    classifier: path of the last layer, which takes the file's number of classes.
    respelt: pattern and replacement for parameter names.

    Raises WsolError naming the file and the first names that differ.
    """
    wanted = network.state_dict()
    given = _without_prefix({re.sub(*respelt, key): value for key, value in read_state(path).items()}, set(wanted))
    missing = [key for key in wanted if key in needed - set(given) and not key.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in wanted and not _behind(key, network, needed)]
    misshapen = [
        f"{key} is {tuple(given[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and key in needed and given[key].shape != wanted[key].shape
    ]
    for what, keys in (("lacks", missing), ("does not know", unknown), ("differs in shape:", misshapen)):
        if keys:
            subject = "the network" if what == "does not know" else "the file"
            raise WsolError(
                f"{path}: weights do not fit this backbone: {subject} {what} {listed(keys, most=3)}; "
                "name the right --backbone"
            )
    fitting = {key: value for key, value in given.items() if key in wanted and value.shape == wanted[key].shape}
    network.load_state_dict(fitting, strict=False)
    return classifier if classifier and _adopted(network.get_submodule(classifier), classifier, given) else None


def read_state(path: Path) -> State:
    """The tensors of a weights file, floats widened. Raises WsolError for a missing, damaged or unsafe file."""
    if not path.is_file():
        raise WsolError(f"{path}: there is no such weights file; give --weights the path of a state dict")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = _state_in(content)
    if state is None:
        raise WsolError(f"{path}: holds no state dict; save one with torch.save(model.state_dict(), FILE)")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _read_safetensors(path: Path) -> State:
    try:
        path.open("rb").close()  # safetensors says of a file that may not be read that there is none
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error, f"not a readable safetensors file ({error}); fetch it again") from error


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([Namespace]):  # training scripts store their options beside the weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WsolError(
            f"{path}: not a plain state dict: it holds a pickled model or other Python objects, which could run code; "
            "save the weights alone with torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch has no common error for damaged files
        reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().partition("\n")[0][:120]
        raise unreadable(path, error, f"not a plain state dict ({reason}); fetch it again, or save it anew") from error


def _state_in(content: Any) -> State | None:
    """The state dict that a checkpoint holds: itself, under a known name, or its only mapping of names to tensors."""
    if not isinstance(content, Mapping) or not content:
        return None
    if all(isinstance(value, Tensor) for value in content.values()):
        return dict(content)
    for name in WRAPPERS:
        if (state := _state_in(content.get(name))) is not None:
            return state
    states = [state for value in content.values() if (state := _state_in(value)) is not None]
    return states[0] if len(states) == 1 else None


def _without_prefix(state: State, wanted: set[str]) -> State:
    """The entries under the prefix with which most names are wanted, without it."""
    prefixes: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        prefixes.update(".".join([*parts[:i], ""]) for i in range(len(parts)) if ".".join(parts[i:]) in wanted)
    prefix = prefixes.most_common(1)[0][0] if prefixes else ""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _behind(key: str, network: nn.Module, needed: set[str]) -> bool:
    """Whether an unknown name belongs to a child of the network that the backbone leaves out."""
    child = key.partition(".")[0]
    return child in dict(network.named_children()) and not any(name.startswith(f"{child}.") for name in needed)


def _adopted(layer: Any, path: str, given: State) -> bool:
    """Gives the last layer the file's weights, of any number of classes, where the file has one layer in its place."""
    keys = [key for key in given if key.startswith(f"{path}.") and key.endswith(".weight")]
    if len(keys) != 1 or given[keys[0]].shape[1:] != layer.weight.shape[1:]:
        return False
    bias = given.get(f"{keys[0].removesuffix('weight')}bias")
    layer.weight = nn.Parameter(given[keys[0]])
    layer.bias = None if bias is None else nn.Parameter(bias)
    return True
