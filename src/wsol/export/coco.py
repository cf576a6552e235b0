"""COCO's detection format: coco.json, with categories from 1, and coco_results.json, a detector's results on it."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

from wsol.data.stored import Stored
from wsol.export.writer import OneFile, Upright, add_entry, discard
from wsol.locating.result import Result
from wsol.system.files import begin

TOLERANCE = 1.0  # cells of the mask's grid by which a polygon may be off, so that people can edit it


class CocoWriter(OneFile):
    """coco.json; annotations wait in a second file, so memory stays small.

    `segmentation` holds polygons of the box's mask, holes filled, and `area` is theirs. Beside what COCO asks for each
    annotation carries its class's `score`, the box's `confidence`, `whole_image`, `unsure` and `decided` ("person", or
    "" for the network). A photo without an object is an image without annotation. One that may show no known class
    keeps its boxes, marked `unsure`.

    coco_results.json is what `COCO.loadRes` takes: the same boxes; their `score` says how likely class and box are both
    right.

    `info.photos` is the folder from which the names of photos count, where they have one.

    Boxes, width and height are those of the upright photo. Where EXIF turns it, its entry says `exif_orientation`, and
    upright/ holds a copy without EXIF.
    """

    about = "coco.json, COCO's detection format with masks, and coco_results.json with scores"
    name = "coco.json"
    owns = "upright"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.waiting = begin(folder / "coco.annotations")
        self.results = begin(folder / "coco_results.json")
        self.images, self.annotations, self.upright = 0, 0, Upright()
        self.folders: set[str] = set()
        self.results.write("[")
        self.file.write('{"images": [')

    def add(self, result: Result) -> None:
        width, height = result.size
        image = {"id": self.images + 1, "file_name": result.path, "width": width, "height": height}
        if (turned := self.upright.add(result, self)) != 1:
            image["exif_orientation"] = turned
        add_entry(self.file, image, self.images)
        self.images += 1
        if isinstance(result.photo, Path | Stored):
            where = os.path.abspath(result.photo) if isinstance(result.photo, Path) else str(result.photo)
            self.folders.add(where.removesuffix(result.path))
        for finding in result.findings:
            masks = finding.masks(result.size, result.threshold)
            rows = zip(
                finding.boxes.tolist(), finding.confidence.tolist(), finding.box_scores.tolist(), masks, strict=True
            )
            for (x0, y0, x1, y1), chance, score, mask in rows:
                box = [round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2)]
                outlines = polygons(mask, result.size)
                said = {"image_id": self.images, "category_id": finding.label + 1, "bbox": box}
                annotation = {
                    "id": self.annotations + 1,
                    **said,
                    "area": round(sum(cv2.contourArea(outline.astype(np.float32)) for outline in outlines), 2),
                    "iscrowd": 0,
                    "segmentation": [outline.ravel().tolist() for outline in outlines],
                    "score": round(finding.score, 6),
                    "confidence": round(chance, 4),
                    "whole_image": finding.whole_image,
                    "unsure": result.unsure,
                    "decided": finding.decided,
                }
                add_entry(self.waiting, annotation, self.annotations)
                add_entry(self.results, said | {"score": round(score, 6)}, self.annotations)
                self.annotations += 1

    def close(self) -> None:
        self.file.write('],\n"annotations": [')
        self.waiting.seek(0)
        for line in self.waiting:
            self.file.write(line)
        categories = [{"id": label, "name": name} for label, name in enumerate(self.classes, 1)]
        self.file.write('],\n"categories": ' + json.dumps(categories, ensure_ascii=False))
        info = {"description": "boxes located by wsol, in upright photos (EXIF applied)"}
        if len(self.folders) == 1 and (folder := self.folders.pop()):
            info["photos"] = folder
        self.file.write(',\n"info": ' + json.dumps(info, ensure_ascii=False) + "}\n")
        self.results.write("]\n")
        self.results.close()
        super().close()
        Path(self.results.name).replace(self.folder / "coco_results.json")
        self.upright.say(self.folder / self.owns)

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            discard(self.waiting)
            discard(self.results)


def polygons(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> list[np.ndarray]:
    """Outlines (n, 2) x y of the mask's regions in pixels of a photo of (W, H), to within a cell of the mask."""
    # at twice the size the contour of a cell passes on both sides of it, and so tells its edges
    doubled = np.kron(mask.astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array(size) / mask.shape[::-1]
    edges = [(contour + 1) // 2 for contour in contours]
    simpler = [cv2.approxPolyDP(outline, TOLERANCE, True) for outline in edges]
    chosen = [few if len(few) > 3 else all for few, all in zip(simpler, edges, strict=True)]
    return [(outline[:, 0] * scale).round(2) for outline in chosen]
