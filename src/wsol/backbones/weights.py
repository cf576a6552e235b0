"""Reading a file of weights, without ever running code from it."""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from wsol.errors import WsolError, listed


def load_weights(network: nn.Module, path: Path, removed: tuple[str, ...], respelt: tuple[str, str] = ("", "")) -> None:
    """Loads a state dict (safetensors, or torch's format without pickled code) into a library network.

    removed: prefixes of the parts that the backbone leaves out; the file may lack them or hold another number
    of classes. respelt: pattern and replacement for parameter names. Half-precision tensors are widened; batch
    counts, which files from before them lack, may be missing. Raises WsolError naming the file and the first keys
    that differ.
    """
    given = {
        re.sub(*respelt, key): value.float() if value.is_floating_point() else value
        for key, value in read_state(path).items()
    }
    wanted = network.state_dict()
    fits = {key for key, value in given.items() if key in wanted and value.shape == wanted[key].shape}
    optional = (*(key for key in wanted if key.endswith("num_batches_tracked")), *removed)
    missing = [key for key in wanted if key not in given and not key.startswith(optional)]
    unknown = [key for key in given if key not in wanted]
    misshapen = [
        f"{key} is {tuple(given[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and key not in fits and not key.startswith(removed)
    ]
    for what, keys in (("lacks", missing), ("does not know", unknown), ("differs in shape:", misshapen)):
        if keys:
            subject = "the network" if what == "does not know" else "the file"
            raise WsolError(
                f"{path}: weights do not fit this backbone: {subject} {what} {listed(keys, most=3)}; "
                "name the right --backbone"
            )
    network.load_state_dict({key: given[key] for key in fits}, strict=False)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file. Raises WsolError naming the file when it is missing, damaged or unsafe."""
    if not path.is_file():
        raise WsolError(f"{path}: there is no such weights file; give --weights the path of a state dict")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        if all(isinstance(value, Tensor) for value in state.values()):
            return state
    except SafetensorError as error:
        raise WsolError(f"{path}: not a readable safetensors file ({error}); fetch it again") from error
    except Exception as error:
        reason = str(error).splitlines()[0][:120]
        raise WsolError(f"{path}: not a plain state dict ({reason}); save it as safetensors") from error
    raise WsolError(f"{path}: holds more than tensors; save its state dict as safetensors")
