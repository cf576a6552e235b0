"""Label Studio: tasks with predictions, and the labelling interface that shows them."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from wsol.export.writer import OneFile, add_entry
from wsol.locating.result import Finding, Result
from wsol.system.files import write_text
from wsol.system.names import in_xml

SERVED = "/data/local-files/?d="  # Label Studio's address of files on its own disk


class LabelStudioWriter(OneFile):
    """labelstudio.json, to import, and labelstudio.xml, the project's labelling interface, which comes first.

    A photo is a task. Its boxes are a prediction with scores, how likely class and box are both right; the lowest is
    the task's, so that the least sure come first when tasks are sorted by it. Boxes that a person decided on are an
    annotation: the task counts as labelled. A task's data also says `photo`, its name, and `unsure`.

    Label Studio shows PHOTOS/b/c.jpg as `/data/local-files/?d=PHOTOS/b/c.jpg`, from its own disk. Start it with
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, the folder that holds
    PHOTOS, and add PHOTOS to the project as a source storage of local files. Do not sync it: photos would come twice.
    """

    about = "labelstudio.json, Label Studio's tasks with predictions, and labelstudio.xml, its interface"
    name = "labelstudio.json"

    def __init__(self, folder: Path, classes: list[str]) -> None:
        super().__init__(folder, classes)
        self.tasks = 0
        self.file.write("[")

    def add(self, result: Result) -> None:
        regions = [region for finding in result.findings for region in _regions(finding, result.size)]
        data = {"image": SERVED + quote(os.fsencode(_served(result))), "photo": result.path, "unsure": result.unsure}
        if result.findings[0].decided:
            task = {"data": data, "annotations": [{"result": regions}]}
        else:
            score = min((region["score"] for region in regions), default=round(result.score, 6))
            task = {"data": data, "predictions": [{"model_version": "wsol", "score": score, "result": regions}]}
        add_entry(self.file, task, self.tasks)
        self.tasks += 1

    def close(self) -> None:
        self.file.write("]\n")
        view = ET.Element("View")
        ET.SubElement(view, "Image", name="image", value="$image")
        labels = ET.SubElement(view, "RectangleLabels", name="label", toName="image")
        for name in self.classes:
            ET.SubElement(labels, "Label", value=in_xml(name))
        ET.indent(view)
        write_text(self.folder / "labelstudio.xml", ET.tostring(view, encoding="unicode") + "\n")
        super().close()


def _regions(finding: Finding, size: tuple[int, int]) -> list[dict[str, Any]]:
    """A finding's boxes, corner and size in percent of the photo."""
    width, height = size
    return [
        {
            "id": f"{finding.label}-{number}",
            "from_name": "label",
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": round(score, 6),
            "value": {
                "x": round(100 * x0 / width, 4),
                "y": round(100 * y0 / height, 4),
                "width": round(100 * (x1 - x0) / width, 4),
                "height": round(100 * (y1 - y0) / height, 4),
                "rotation": 0,
                "rectanglelabels": [finding.name],
            },
        }
        for number, (score, (x0, y0, x1, y1)) in enumerate(
            zip(finding.box_scores.tolist(), finding.boxes.tolist(), strict=True)
        )
    ]


def _served(result: Result) -> str:
    """A photo's name below the folder that was located, that folder's own name before it where it is known."""
    if isinstance(result.photo, Path) and result.photo.as_posix().endswith(f"/{result.path}"):
        folders = result.photo.as_posix().removesuffix(result.path).rstrip("/")
        return f"{folders.rpartition('/')[2]}/{result.path}".lstrip("/")
    return result.path
