"""What boxes are worth to a detector: one trained on each kind of boxes of the same photos, measured on true boxes.

    python benchmarks/detector.py CUB_200_2011 --cam runs/cam --bas runs/bas --weights mobilenetv1_100.safetensors

Kinds: true boxes; boxes of CAM and of BAS; those of BAS without the fifth of the photos that is least sure, which
stands for a review that takes them away; and CentreBox. A row that stands in OUTPUT.json is not trained again.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cyclopts import App

import wsol
from wsol.boxes.rule import box_iou
from wsol.data import open_data
from wsol.data.dataset import Dataset
from wsol.evaluation.tally import centre_box
from wsol.export import find_formats, write_results
from wsol.system.files import read_json, write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import detector

app = App(help=__doc__)
LEAST_SURE = 0.2


@app.default
def main(
    data: Path,
    *,
    cam: Path,
    bas: Path,
    weights: Path,
    work: Path = Path("detector"),
    output: Path = Path("docs/results/detector"),
    epochs: int = 4,
) -> None:
    """Trains and measures what is not stored yet, and writes the table.

    data: CUB_200_2011, or another folder with true boxes.
    cam, bas: runs that were trained on it.
    weights: of MobileNetV1, with which each detector begins.
    work: a folder for the files of boxes.
    output: figures go to OUTPUT.json, the table to OUTPUT.md.
    epochs: of each detector.
    """
    train, test = open_data(str(data), "train"), open_data(str(data), "test")
    work.mkdir(parents=True, exist_ok=True)
    true = [train.truth(index).boxes for index in range(len(train.samples))]
    centre = [centre_box(train.size(index)) for index in range(len(train.samples))]
    truth = written(test, [test.truth(index).boxes for index in range(len(test.samples))], work / "true_test.json")
    kinds: dict[str, Callable[[], Path]] = {
        "true": lambda: written(train, true, work / "true.json"),
        "BAS, surest 80 %": lambda: surest(located(bas, train, work / "bas")),
        "BAS": lambda: located(bas, train, work / "bas"),
        "CAM": lambda: located(cam, train, work / "cam"),
        "CentreBox": lambda: written(train, centre, work / "centre.json"),
    }
    stored = output.with_suffix(".json")
    rows: dict[str, dict[str, float]] = read_json(stored) if stored.is_file() else {}
    known = {str(sample.path): boxes for sample, boxes in zip(train.samples, true, strict=True)}
    for kind, make in kinds.items():
        if kind not in rows:
            boxes, began = make(), time.perf_counter()
            network = detector.learn(boxes, Path("/"), weights, epochs)
            minutes = (time.perf_counter() - began) / 60
            rows[kind] = judged(boxes, known) | detector.measure(network, truth, Path("/")) | {"minutes": minutes}
            write_json(stored, rows)
            print(kind, rows[kind], flush=True)
    output.with_suffix(".md").write_text(
        table(rows, list(kinds), f"{data.name}, {len(test.samples)} test photos, {epochs} epochs"), encoding="utf-8"
    )


def written(photos: Dataset, boxes: list[Any], path: Path) -> Path:
    """A COCO file of given boxes; photos by their absolute paths."""
    images, annotations = [], []
    for index, sample in enumerate(photos.samples):
        width, height = photos.size(index)
        images.append({"id": index + 1, "file_name": str(sample.path), "width": width, "height": height})
        for x0, y0, x1, y1 in boxes[index].tolist():
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
            annotations.append(
                {"id": len(annotations) + 1, "image_id": index + 1, "category_id": sample.label + 1} | box
            )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(photos.classes)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def located(run: Path, photos: Dataset, folder: Path) -> Path:
    """What `wsol locate RUN … --format coco` writes, once."""
    if not (folder / "coco.json").is_file():
        paths = [sample.path for sample in photos.samples]
        results = (replace(result, path=str(path)) for result, path in zip(wsol.locate(run, paths), paths, strict=True))
        write_results(results, folder, list(photos.classes), find_formats("coco").values())
    return folder / "coco.json"


def surest(path: Path) -> Path:
    """A COCO file without the photos whose box is least sure to be right."""
    about = read_json(path)
    scores = {box["image_id"]: box["score"] * box["confidence"] for box in about["annotations"]}
    order = sorted(about["images"], key=lambda image: scores.get(image["id"], 0.0))
    about["images"] = order[round(LEAST_SURE * len(order)) :]
    kept = {image["id"] for image in about["images"]}
    about["annotations"] = [box for box in about["annotations"] if box["image_id"] in kept]
    path = path.with_name("surest.json")
    path.write_text(json.dumps(about))
    return path


def judged(path: Path, known: dict[str, np.ndarray]) -> dict[str, float]:
    """Photos that the detector learns from, and which share of their boxes, in percent, has IoU 0.5 with a true one."""
    about = read_json(path)
    names = {image["id"]: image["file_name"] for image in about["images"]}
    overlaps = []
    for annotation in about["annotations"]:
        x, y, width, height = annotation["bbox"]
        box = np.array([[x, y, x + width, y + height]])
        overlaps.append(box_iou(box, known[names[annotation["image_id"]]]).max())
    return {"photos": len(names), "right": 100 * float(np.mean(np.array(overlaps) >= 0.5))}


def table(rows: dict[str, dict[str, float]], kinds: list[str], about: str) -> str:
    lines = [f"{about}. Made by `python benchmarks/detector.py`, see there.", ""]
    lines += ["| trained on boxes of | photos | boxes with IoU ≥ 0.5 | AP | AP50 | AP50 lost |", "|---|" + "---:|" * 5]
    for kind in kinds:
        row = rows[kind]
        lost = rows["true"]["AP50"] - row["AP50"]
        lines.append(
            f"| {kind} | {row['photos']} | {row['right']:.1f} % | {row['AP']:.1f} | {row['AP50']:.1f} | {lost:.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
