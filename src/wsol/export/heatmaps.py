"""Heatmaps, stored so that boxes can be cut again at another threshold without the network."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from wsol.boxes.rule import Threshold, check_threshold
from wsol.data.dataset import check_within
from wsol.errors import WsolError
from wsol.export.writer import OneFile
from wsol.locating.result import Finding, Keep, Result
from wsol.system.files import read_array, read_record, read_records, write_array, write_json
from wsol.system.names import check_name
from wsol.system.values import Corners, Count, Cut, Pixels, Share

AGAIN = "locate again"
MOST_CELLS = 4096**2  # of a heatmap


class HeatmapWriter(OneFile):
    """heatmaps/000000.npy a photo (n, h, w), with heatmaps.jsonl that says which class of which photo each one is.

    Where a photo came from a file, its line says `photo`: where that lay, for whoever shows or copies it.
    """

    about = "heatmaps, to cut again later without the network"
    owns = "heatmaps"
    name = "heatmaps.jsonl"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        (folder / self.name).unlink(missing_ok=True)  # it would speak of maps that are about to be replaced
        self.count = 0
        write_json(folder / "classes.json", {"classes": classes})

    def add(self, result: Result) -> None:
        maps = np.stack([finding.heatmap for finding in result.findings]).astype(np.float32)
        write_array(self.root / heatmaps_path(self.folder, self.count).name, maps)
        self.count += 1
        about = result.to_dict() | {"keep": result.keep}
        if isinstance(result.photo, Path):
            about["photo"] = str(result.photo)
        self.file.write(json.dumps(about, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class StoredFinding:
    """A class in a photo, as a line of heatmaps.jsonl says, see `Finding`."""

    label: Count
    name: str
    score: Share
    boxes: tuple[Corners, ...]
    confidence: tuple[Share, ...]
    whole_image: bool
    regressed: bool
    background: bool
    decided: Literal["", "person"] = ""  # older files have none

    def __post_init__(self) -> None:
        """Raises ValueError where boxes and confidences differ in number."""
        if len(self.boxes) != len(self.confidence):
            raise ValueError(f"has {len(self.boxes)} boxes and {len(self.confidence)} confidences")

    def with_map(self, heatmap: Float[np.ndarray, "h w"]) -> Finding:
        about: dict[str, Any] = dict(vars(self))
        about["boxes"] = np.array(self.boxes, np.float64).reshape(-1, 4)
        about["confidence"] = np.array(self.confidence, np.float64)
        return Finding(**about, heatmap=heatmap)


@dataclass(frozen=True)
class StoredResult:
    """A photo, as a line of heatmaps.jsonl says, see `Result`."""

    path: str
    width: Pixels
    height: Pixels
    threshold: Cut
    findings: tuple[StoredFinding, ...]
    keep: Keep
    unsure: bool
    photo: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a name that leads out of a folder, no class, and boxes that do not lie in the photo."""
        check_name(self.path)
        if not self.findings:
            raise ValueError("findings is empty")
        for finding in self.findings:
            for box in finding.boxes:
                check_within(box, self.width, self.height)

    def with_maps(self, maps: Float[np.ndarray, "n h w"]) -> Result:
        findings = tuple(finding.with_map(heatmap) for finding, heatmap in zip(self.findings, maps, strict=True))
        photo = Path(self.photo) if self.photo and Path(self.photo).is_file() else None
        size = (self.width, self.height)
        return Result(self.path, size, self.threshold, findings, self.keep, photo, self.unsure)


@dataclass(frozen=True)
class Classes:
    """classes.json: names, by index."""

    classes: tuple[str, ...]


def read_heatmaps(folder: str | Path, threshold: Threshold | None = None) -> tuple[list[str], Iterator[Result]]:
    """Class names, and the results that `HeatmapWriter` stored, cut at another threshold where one is given.

    They know their photos where the files still lie where they were located.

    Raises WsolError naming the file when something is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / HeatmapWriter.name).is_file():
        raise WsolError(f"{folder}: holds no heatmaps; write them with wsol locate --format heatmap")
    if threshold is not None:
        check_threshold(threshold)
    classes = read_record(folder / "classes.json", Classes, AGAIN).classes
    return list(classes), _stored(folder, classes, threshold)


def heatmaps_path(folder: Path, number: int) -> Path:
    """Where the heatmaps (n, h, w) of a photo are stored.

    number: of the photo, in the order in which they were located, from 0.
    """
    return folder / HeatmapWriter.owns / f"{number:06d}.npy"


def read_maps(folder: Path, number: int, count: int) -> Float[np.ndarray, "n h w"]:
    """The heatmaps of a photo.

    count: of its classes.

    Raises WsolError, naming the file, where it holds no such maps.
    """
    path = heatmaps_path(folder, number)
    maps = read_array(path, AGAIN)
    if maps.ndim != 3 or len(maps) != count or not 0 < maps[0].size <= MOST_CELLS:
        raise WsolError(f"{path}: holds {maps.shape} where {count} heatmaps must be; {AGAIN}")
    return np.array(maps)


def _stored(folder: Path, classes: Sequence[str], threshold: Threshold | None) -> Iterator[Result]:
    path, names = folder / HeatmapWriter.name, set[str]()
    for number, stored in enumerate(read_records(path, StoredResult, AGAIN)):
        where = f"{path}, line {number + 1}"
        if wrong := [each for each in stored.findings if classes[each.label : each.label + 1] != (each.name,)]:
            raise WsolError(f"{where}: class {wrong[0].label} is not {wrong[0].name} in classes.json; {AGAIN}")
        if stored.path in names:
            raise WsolError(f"{where}: {stored.path} is there twice; {AGAIN}")
        names.add(stored.path)
        result = stored.with_maps(read_maps(folder, number, len(stored.findings)))
        yield result if threshold is None else result.at(threshold)
