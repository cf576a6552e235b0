"""Boxes that some network gave photos, as `wsol locate --format json` writes them: to learn from, or to choose by."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wsol.data.dataset import Chosen, Dataset, Truth
from wsol.errors import WsolError, listed
from wsol.system.files import unreadable


def read_pseudo_boxes(path: str | Path, ids: list[str]) -> Float[Tensor, "n 4"]:
    """The first box of each photo's best class, (n, 4) x0 y0 x1 y1 as shares of the photo.

    path: The results.jsonl of `wsol locate`.
    ids: The photos' names, relative to the folder that was located.

    Raises WsolError, naming the file and the line or the photos, where a line is no result or a photo has no box.
    """
    wanted, boxes = set(ids), {}
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    result = json.loads(line)
                    named = {result["path"], result["path"].rpartition(".")[0]}  # VOC's and Pet's lists have no suffix
                    for id in named & wanted:
                        boxes[id] = _shares(result["findings"][0]["boxes"][0], result)
                except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                    raise WsolError(
                        f"{path}: line {number} is no photo with a box; give the results.jsonl of wsol locate"
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, f"cannot be read ({error}); give the results.jsonl of wsol locate") from error
    if missing := [id for id in ids if id not in boxes]:
        raise WsolError(
            f"{path}: {len(missing)} of {len(ids)} photos have no box: {listed(missing, most=5)}; "
            "locate the folder that these names are relative to"
        )
    return torch.tensor([boxes[id] for id in ids], dtype=torch.float32).view(-1, 4)


class PseudoTruth(Chosen):
    """Photos of which a file's boxes are taken for the truth, so that no true box is opened.

    photos: the photos.
    path: the results.jsonl of `wsol locate` or `wsol colocate` over the folder that their names are relative to.

    Raises WsolError as `read_pseudo_boxes` does.
    """

    has_boxes = True  # type: ignore[assignment]

    def __init__(self, photos: Dataset, path: str | Path) -> None:
        super().__init__(photos, list(range(len(photos))))
        self.shares = read_pseudo_boxes(path, [sample.id for sample in photos.samples]).double().numpy()

    def truth(self, index: int) -> Truth:
        return Truth(self.shares[index, None] * np.tile(self.size(index), 2))

    def truth_of(self, index: int, label: int) -> Truth:
        return self.truth(index)


def _shares(box: list[float], result: dict[str, Any]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    width, height = result["width"], result["height"]
    return x0 / width, y0 / height, x1 / width, y1 / height
