"""COCO's detection format: coco.json with images, annotations (x, y, width, height) and categories from 1."""

import json
from pathlib import Path
from typing import Any

from wsol.export.writer import OneFile, Upright, discard
from wsol.locating.result import Result


class CocoWriter(OneFile):
    """coco.json; annotations wait in a second file, so memory stays small.

    Beside what COCO asks for each carries its class's `score`, the box's `confidence`, `whole_image` and `unsure`.
    Boxes, width and height are those of the upright photo. Where EXIF turns it, its entry says `exif_orientation`, and
    upright/ holds a copy without EXIF.
    """

    about = "coco.json, COCO's detection format"
    name = "coco.json"
    owns = "upright"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.waiting = open(folder / "coco.annotations.part", "w+", encoding="utf-8")
        self.images, self.annotations, self.upright = 0, 0, Upright()
        self.file.write(
            '{"info": {"description": "boxes located by wsol, in upright photos (EXIF applied)"}, "images": ['
        )

    def add(self, result: Result) -> None:
        comma = ",\n" if self.images else "\n"
        self.images += 1
        width, height = result.size
        image = {"id": self.images, "file_name": result.path, "width": width, "height": height}
        if (turned := self.upright.add(result, self)) != 1:
            image["exif_orientation"] = turned
        self.file.write(comma + json.dumps(image, ensure_ascii=False))
        for finding in result.findings:
            for (x0, y0, x1, y1), chance in zip(finding.boxes.tolist(), finding.confidence.tolist(), strict=True):
                comma = ",\n" if self.annotations else "\n"
                self.annotations += 1
                annotation = {
                    "id": self.annotations,
                    "image_id": self.images,
                    "category_id": finding.label + 1,
                    "bbox": [round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2)],
                    "area": round((x1 - x0) * (y1 - y0), 2),
                    "iscrowd": 0,
                    "segmentation": [],
                    "score": round(finding.score, 6),
                    "confidence": round(chance, 4),
                    "whole_image": finding.whole_image,
                    "unsure": result.unsure,
                }
                self.waiting.write(comma + json.dumps(annotation))

    def close(self) -> None:
        self.file.write('],\n"annotations": [')
        self.waiting.seek(0)
        for line in self.waiting:
            self.file.write(line)
        categories = [{"id": label, "name": name} for label, name in enumerate(self.classes, 1)]
        self.file.write('],\n"categories": ' + json.dumps(categories, ensure_ascii=False) + "}\n")
        super().close()
        self.upright.say(self.folder / self.owns)

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            discard(self.waiting)
