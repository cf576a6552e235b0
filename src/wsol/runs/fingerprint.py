"""A short hash by which results of one network are told from those of another."""

import hashlib
import json
from pathlib import Path
from typing import Any

from wsol.answer import AnyLocalizer


def fingerprint(localizer: AnyLocalizer, **asked: Any) -> str:
    """16 hexadecimal digits: the same where a network's tensors, its classes and the way it is asked are.

    asked: what else results depend on, such as the threshold; values that `repr` tells apart.
    """
    digest = hashlib.sha256()
    _add(digest, localizer)
    digest.update(repr(sorted(asked.items())).encode())
    return digest.hexdigest()[:16]


def _add(digest: Any, localizer: AnyLocalizer) -> None:
    said = [localizer.classes, localizer.image_size, localizer.several, localizer.background]
    digest.update(json.dumps(said).encode())
    if (method := getattr(localizer, "method", None)) is None:
        file = Path(localizer.name)  # of a network that was exported
        digest.update(file.read_bytes() if file.is_file() else localizer.name.encode())
        return
    import torch

    how: Any = localizer
    digest.update(repr((type(method).__qualname__, how.readout, how.least_energy)).encode())
    for name, tensor in sorted(method.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    for other in (how.classes_from, how.boxes_from):
        if other is not None:
            _add(digest, other)
