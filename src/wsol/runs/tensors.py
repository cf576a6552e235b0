"""Tensors in a file, and what is known of them in another: NAME.safetensors and NAME.json, which holds its checksum.

The two cannot be replaced at once. Therefore NAME.json comes first and still says, as `before`, what is known of the
file that is there so far: whenever writing ends, one of its two entries belongs to the tensors beside it.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from wsol.errors import WsolError
from wsol.system.files import read_json, unreadable, write_bytes, write_json

CHECKSUM, BEFORE = "sha256", "before"


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes NAME.json and NAME.safetensors, each whole or not at all.

    path: NAME.safetensors.
    about: what is known of the tensors, as JSON holds it.

    Raises WsolError naming the file when the disk refuses.
    """
    content = to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()})
    entries = about | {CHECKSUM: _checksum(content)}
    with suppress(WsolError, OSError):  # there is none, or a damaged one
        before = _checksum(path.read_bytes())
        entries[BEFORE] = _entry(path, before, "") | {CHECKSUM: before}
    write_json(path.with_suffix(".json"), entries)
    write_bytes(path, content)


def read_tensors(path: Path, fix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors that `write_tensors` wrote, and what is known of them. Earlier versions wrote no checksum.

    path: NAME.safetensors.
    fix: what the error advises.

    Raises WsolError, naming the file, where one of the two is missing or damaged.
    """
    try:
        content = path.read_bytes()
        tensors = from_bytes(content)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error, f"damaged ({error}); {fix}") from error
    return tensors, _entry(path, _checksum(content), fix)


def read_about(path: Path, fix: str) -> dict[str, Any]:
    """What is known of the tensors of NAME.safetensors, unless writing them has just been cut short."""
    return _plain(read_json(path.with_suffix(".json"), fix))


def _entry(path: Path, checksum: str, fix: str) -> dict[str, Any]:
    """What is known of the file with this checksum."""
    about = read_json(path.with_suffix(".json"), fix)
    for entries in (about, about.get(BEFORE)):
        if isinstance(entries, dict) and entries.get(CHECKSUM) in (None, checksum):
            return _plain(entries)
    raise WsolError(f"{path}: damaged (its checksum is not the one in {path.stem}.json); {fix}")


def _plain(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in (CHECKSUM, BEFORE)}


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
