"""Pages: one self-contained HTML file each, pictures inside."""

import base64
import io
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from wsol.data import Dataset
from wsol.locating.result import Result
from wsol.show import draw
from wsol.system.files import write_text


def write_page(path: Path, template: str, title: str, **parts: Any) -> None:
    """Writes TEMPLATE.html, filled with HTML parts, in the frame that all pages share, whole or not at all."""
    body = Template((files("wsol.show") / f"{template}.html").read_text(encoding="utf-8")).substitute(parts)
    frame = Template((files("wsol.show") / "page.html").read_text(encoding="utf-8"))
    write_text(path, frame.substitute(title=title, body=body))


def embedded(picture: Image.Image, quality: int = 90) -> str:
    """A picture as the address of an image. quality: of the JPEG."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sheet(photos: Dataset, found: Mapping[str, Iterable[Result]], side: int = 224) -> Image.Image:
    """A row a photo: the photo, the truth, and what each network found.

    photos: with their truth.
    found: results of all photos in order, by the heading of their column.
    side: width of a cell, pixels.
    """
    rows = []
    for index, sample in enumerate(photos.samples):
        image = photos.image(index)
        truth = draw.overlay(image, true_boxes=photos.truth(index).boxes)
        rows.append([(image, photos.classes[sample.label]), (truth, "")])
    for results in found.values():
        for row, result in zip(rows, results, strict=True):
            row.append((result.plot(caption=False), result.said))
    return draw.contact_sheet(rows, ("photo", "truth", *found), side)
