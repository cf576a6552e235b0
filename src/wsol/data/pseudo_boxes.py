"""Boxes that some network gave photos, as `wsol locate --format json` writes them: to learn from, or to choose by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wsol.data.dataset import Chosen, Dataset, Truth, check_within
from wsol.errors import WsolError, listed
from wsol.system.files import read_records
from wsol.system.values import Corners, Pixels

GIVE = "give the results.jsonl of wsol locate"


@dataclass(frozen=True)
class Found:
    """A class in a photo, as its line says: the boxes, x0 y0 x1 y1 in pixels of the photo."""

    boxes: tuple[Corners, ...]


@dataclass(frozen=True)
class Line:
    """A photo of results.jsonl, as far as it is read here."""

    path: str
    width: Pixels
    height: Pixels
    findings: tuple[Found, ...]

    def shares(self) -> tuple[float, ...]:
        """The first box of the best class as shares of the photo. Raises ValueError where there is none within it."""
        if not self.findings or not self.findings[0].boxes:
            raise ValueError("findings[0] has no box")
        box = self.findings[0].boxes[0]
        check_within(box, self.width, self.height)
        return tuple(value / side for value, side in zip(box, (self.width, self.height) * 2, strict=True))


def read_pseudo_boxes(path: str | Path, ids: list[str]) -> Float[Tensor, "n 4"]:
    """The first box of each photo's best class, (n, 4) x0 y0 x1 y1 as shares of the photo.

    path: The results.jsonl of `wsol locate`.
    ids: The photos' names, relative to the folder that was located.

    Raises WsolError, naming the file and the line or the photos, where a line is no result or a photo has no box.
    """
    wanted, boxes = set(ids), {}
    for number, line in enumerate(read_records(Path(path), Line, GIVE), 1):
        named = {line.path, line.path.rpartition(".")[0]}  # VOC's and Pet's lists have no suffix
        for id in named & wanted:
            try:
                boxes[id] = line.shares()
            except ValueError as error:
                raise WsolError(f"{path}, line {number}: {error}; {GIVE}") from error
    if missing := [id for id in ids if id not in boxes]:
        raise WsolError(
            f"{path}: {len(missing)} of {len(ids)} photos have no box: {listed(missing, most=5)}; "
            "locate the folder that these names are relative to"
        )
    return torch.tensor([boxes[id] for id in ids], dtype=torch.float32).view(-1, 4).clamp(0, 1)


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
