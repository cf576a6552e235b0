"""Photos and heatmaps as the page shows them."""

import io
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image

from wsol.boxes.rule import normalise
from wsol.data.inputs import SPARE, open_reduced
from wsol.errors import WsolError
from wsol.locating.result import GRID

VIEW = 1600  # pixels, the longest side of a photo on the page


def view(path: Path, size: tuple[int, int]) -> bytes:
    """A photo as JPEG, upright and no larger than the page shows it.

    size: its (W, H) when it was located.

    Raises WsolError where it cannot be read or has another size by now.
    """
    image, now = open_reduced(path, VIEW // SPARE)
    if now != size:
        was, now = (f"{width} x {height}" for width, height in (size, now))
        raise WsolError(f"{path}: was {was} pixels when it was located, is {now} now; locate it again")
    image.thumbnail((VIEW, VIEW), reducing_gap=2.0)
    return encoded(image, "JPEG", quality=88)


def levels(heatmap: Float[np.ndarray, "h w"]) -> bytes:
    """A heatmap as grey PNG on the grid on which it is cut; the page colours it."""
    return encoded(Image.fromarray((normalise(heatmap, (GRID, GRID)) * 255).astype(np.uint8)), "PNG")


def colours() -> list[list[int]]:
    """RGB of each grey level, as in the pictures of `wsol.show.draw`."""
    grey = np.arange(256, dtype=np.uint8)[None]
    return cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[0, :, ::-1].tolist()


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
