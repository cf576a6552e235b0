"""YOLO's text format: yolo/labels/NAME.txt beside yolo/images/NAME, and yolo/data.yaml."""

from pathlib import Path

import yaml

from wsol.errors import WsolError
from wsol.export.writer import Writer
from wsol.locating.result import Result
from wsol.system.files import write_text


class YoloWriter(Writer):
    """A line a box: class, then centre and size as shares of the photo; folders are kept.

    Photos are copied as JPEG of the upright picture, which is what the boxes refer to. unsure.txt names the label files
    of those that may show no known class.
    """

    about = "YOLO's text files, with copies of the photos"
    owns = "yolo"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.unsure: list[str] = []

    def add(self, result: Result) -> None:
        root, width, height = self.root, *result.size
        lines = [
            f"{finding.label} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} "
            f"{(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
            for finding in result.findings
            for x0, y0, x1, y1 in finding.boxes.tolist()
        ]
        stem = self.stem(result.path)
        self.unsure += [f"labels/{stem}.txt"] * result.unsure
        write_text(root / "labels" / f"{stem}.txt", "".join(lines))
        if (image := result.image) is None:
            return
        path = root / "images" / f"{stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95)

    def close(self) -> None:
        entries = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(self.classes))}
        if not self.classes:
            raise WsolError("YOLO needs the names of the classes")
        write_text(self.root / "unsure.txt", "".join(f"{name}\n" for name in self.unsure))
        write_text(self.root / "data.yaml", yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
