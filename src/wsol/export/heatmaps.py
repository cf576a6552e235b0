"""Heatmaps, stored so that boxes can be cut again at another threshold without the network."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wsol.boxes.rule import Threshold, check_threshold
from wsol.errors import WsolError
from wsol.export.writer import OneFile
from wsol.locating.result import Finding, Result
from wsol.system.files import read_json, unreadable, write_array, write_json


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


def read_heatmaps(folder: str | Path, threshold: Threshold | None = None) -> tuple[list[str], Iterator[Result]]:
    """Class names, and the results that `HeatmapWriter` stored, cut at another threshold where one is given.

    They know their photos where the files still lie where they were located.

    Raises WsolError naming the file when something is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / HeatmapWriter.name).is_file():
        raise WsolError(f"{folder}: holds no heatmaps; write them with wsol locate --format heatmap")
    return list(read_json(folder / "classes.json")["classes"]), _stored(folder, threshold)


def heatmaps_path(folder: Path, number: int) -> Path:
    """Where the heatmaps (n, h, w) of a photo are stored.

    number: of the photo, in the order in which they were located, from 0.
    """
    return folder / HeatmapWriter.owns / f"{number:06d}.npy"


def _stored(folder: Path, threshold: Threshold | None) -> Iterator[Result]:
    with open(folder / HeatmapWriter.name, "rb") as lines:
        for number, line in enumerate(lines):
            path = heatmaps_path(folder, number)
            try:
                about, maps = json.loads(line), np.load(path, allow_pickle=False)
                findings = tuple(
                    Finding(
                        int(each["label"]),
                        str(each["name"]),
                        float(each["score"]),
                        np.array(each["boxes"], np.float64).reshape(-1, 4),
                        np.array(each["confidence"], np.float64),
                        heatmap,
                        bool(each["whole_image"]),
                        bool(each["regressed"]),
                        bool(each["background"]),
                        str(each.get("decided", "")),  # older files have none
                    )
                    for each, heatmap in zip(about["findings"], maps, strict=True)
                )
                size = (int(about["width"]), int(about["height"]))
                check_threshold(about["threshold"])
                photo, unsure = Path(about["photo"]) if about.get("photo") else None, bool(about["unsure"])
                photo = photo if photo and photo.is_file() else None
                result = Result(str(about["path"]), size, about["threshold"], findings, about["keep"], photo, unsure)
            except Exception as error:  # NumPy's parser of headers lets many kinds through
                said = str(error).partition("\n")[0][:200]
                raise unreadable(path, error, f"damaged or missing ({said}); locate again") from error
            yield result if threshold is None else result.at(threshold)
