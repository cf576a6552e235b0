"""YOLO's text format as Ultralytics, supervision and CVAT read it: yolo/images, yolo/labels and yolo/data.yaml."""

import re
from pathlib import Path, PurePosixPath

import yaml

from wsol.errors import WsolError
from wsol.export.writer import Writer
from wsol.locating.result import Result
from wsol.system.files import write_picture, write_text

NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|\ud800-\udfff]')  # on some system, or for some reader
LONGEST = 200  # bytes of a name; systems take 255, and a suffix comes behind
EVERY = 10  # one photo of so many is for validation


class YoloWriter(Writer):
    """A line a box: class, then centre and size as shares of the photo; an empty file where there is no object.

    Every tenth photo is in `val`, the others in `train`. Names are flat, b/c/1.png becomes b_c_1.jpg: some readers look
    into no folders, others mistake one that is called images. Photos are copied as JPEG of the upright picture, to
    which the boxes refer. data.yaml names no `path`, so that everything is looked for beside it, wherever it lies.

    Photos that may show no known class keep their boxes, as an empty file would teach that nothing is there; unsure.txt
    names their label files.
    """

    about = "YOLO's text files for Ultralytics, supervision and CVAT, with copies of the photos"
    owns = "yolo"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.unsure: list[str] = []
        self.count = 0

    def add(self, result: Result) -> None:
        root, width, height = self.root, *result.size
        lines = [
            f"{finding.label} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} "
            f"{(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
            for finding in result.findings
            for x0, y0, x1, y1 in finding.boxes.tolist()
        ]
        # the second is the first for validation, so that two photos are enough for both
        name = f"{'val' if self.count % EVERY == 1 else 'train'}/{self.stem(flat(result.path))}"
        self.count += 1
        self.unsure += [f"labels/{name}.txt"] * result.unsure
        write_text(root / "labels" / f"{name}.txt", "".join(lines))
        if (image := result.image) is None:
            return
        write_picture(root / "images" / f"{name}.jpg", image, quality=95)

    def close(self) -> None:
        if not self.classes:
            raise WsolError("YOLO needs the names of the classes")
        entries = {
            "train": "images/train",
            "val": "images/val" if self.count > 1 else "images/train",
            "names": dict(enumerate(self.classes)),
        }
        write_text(self.root / "unsure.txt", "".join(f"{name}\n" for name in self.unsure))
        # in ASCII, as some readers take the system's own encoding
        write_text(self.root / "data.yaml", yaml.safe_dump(entries, sort_keys=False))


def flat(name: str) -> str:
    """A photo's name as that of a file in one folder, on any system: b/c/1.png is b_c_1.png."""
    path = PurePosixPath(NOT_IN_NAMES.sub("_", name).strip(" ."))
    stem = path.stem.encode()[-LONGEST:].decode(errors="ignore").strip(" .")
    return (stem or "photo") + path.suffix
