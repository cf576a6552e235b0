"""Pictures: overlays of heatmap and boxes, contact sheets, curves."""

import io
from itertools import cycle
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from wsol.errors import printable

# of the Okabe-Ito palette, which colour-blind people can tell apart
FOUND, TRUE = (230, 159, 0), (255, 255, 255)
LINES = ((0, 114, 178), (213, 94, 0), (0, 158, 115))
STRIP = 256  # rows of a photo that are coloured at once
STRONGEST = 0.7  # how much the heatmap's peak covers the photo; half as much heat covers a quarter of that
Cell = tuple[Image.Image, str]


def overlay(
    image: Image.Image,
    heatmap: Float[np.ndarray, "h w"] | None = None,
    boxes: Float[np.ndarray, "n 4"] | None = None,
    true_boxes: Float[np.ndarray, "m 4"] | None = None,
    caption: str = "",
    inplace: bool = False,
) -> Image.Image:
    """A photo under its heatmap (0 to 1), with found boxes in orange, true ones dashed in white, and a caption.

    The heatmap is transparent where it is low. Boxes in pixels of the photo; lines and letters grow with it.

    inplace: draw on the image itself, where it is RGB: a copy of 100 megapixels takes 400 MB.
    """
    image = image if inplace and image.mode == "RGB" else image.convert("RGB")
    if heatmap is not None:
        colours = cv2.applyColorMap((heatmap * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
        opacity = (heatmap**2 * 255 * STRONGEST).astype(np.uint8)
        _warm(image, Image.fromarray(np.ascontiguousarray(colours)), Image.fromarray(opacity))
    pen = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 130))
    for box in () if true_boxes is None else true_boxes.tolist():
        _dashed(pen, box, width)
    for x0, y0, x1, y1 in () if boxes is None else boxes.tolist():
        box = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))
        dark = max(1, width // 3)  # on both sides: an orange line is lost on a yellow flower
        around = (box[0] - dark, box[1] - dark, box[2] + dark, box[3] + dark)
        pen.rectangle(around, outline=(0, 0, 0), width=width + 2 * dark)
        pen.rectangle(box, outline=FOUND, width=width)
    if caption := printable(caption):
        font = ImageFont.load_default(max(11, round(max(image.size) / 28)))
        left, top, right, bottom = pen.textbbox((0, 0), caption, font=font)
        pad = round((bottom - top) * 0.4)
        pen.rectangle((0, 0, right - left + 2 * pad, bottom - top + 2 * pad), fill=(0, 0, 0))
        pen.text((pad - left, pad - top), caption, font=font, fill=(255, 255, 255))
    return image


def _warm(image: Image.Image, colours: Image.Image, opacity: Image.Image) -> None:
    """Lays colours on the image, by strips, since whole layers of a large photo fill the memory."""
    scale = colours.height / image.height
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        size, rows = (image.width, bottom - top), (0, top * scale, colours.width, bottom * scale)
        warm, mask = (layer.resize(size, Image.Resampling.BILINEAR, box=rows) for layer in (colours, opacity))
        image.paste(warm, (0, top, image.width, bottom), mask)


def _dashed(pen: ImageDraw.ImageDraw, box: list[float], width: int) -> None:
    x0, y0, x1, y1 = box
    dash = 4 * width
    for fixed, start, end, across in ((y0, x0, x1, 0), (y1 - 1, x0, x1, 0), (x0, y0, y1, 1), (x1 - 1, y0, y1, 1)):
        for colour, phase in ((TRUE, 0), ((0, 0, 0), dash)):
            for begin in np.arange(start + phase, end, 2 * dash).tolist():
                stop = min(begin + dash, end)
                line = (fixed, begin, fixed, stop) if across else (begin, fixed, stop, fixed)
                pen.line(line, fill=colour, width=width)


def contact_sheet(rows: list[list[Cell]], columns: tuple[str, ...] = (), side: int = 224) -> Image.Image:
    """Pictures in a grid, each with a line of text below, headings above the columns; cells are `side` pixels wide.

    A heading breaks after each comma.
    """
    gap, line = 10, 20
    headings = [heading.replace(", ", ",\n") for heading in columns]
    lines = max((heading.count("\n") + 1 for heading in headings), default=0)
    font, bold = ImageFont.load_default(14), ImageFont.load_default(17)
    top = gap + (lines * line + gap if columns else 0)
    width = gap + max(map(len, rows), default=0) * (side + gap)
    sheet = Image.new("RGB", (width, top + len(rows) * (side + line + gap)), (250, 250, 248))
    pen = ImageDraw.Draw(sheet)
    for column, heading in enumerate(headings):
        middle = gap + column * (side + gap) + side / 2
        pen.text((middle, top - gap), heading, font=bold, fill=(20, 20, 20), anchor="md", align="center")
    for row, cells in enumerate(rows):
        for column, (picture, text) in enumerate(cells):
            x, y = gap + column * (side + gap), top + row * (side + line + gap)
            fitted = picture.copy()
            fitted.thumbnail((side, side), Image.Resampling.LANCZOS)
            sheet.paste(fitted, (x + (side - fitted.width) // 2, y + (side - fitted.height) // 2))
            text = printable(text)
            while text and pen.textlength(text, font=font) > side:
                text = text[:-2].rstrip(".") + "."
            pen.text((x + side / 2, y + side + line - 5), text, font=font, fill=(60, 60, 60), anchor="ms")
    return sheet


def curves(runs: dict[str, dict[str, Any]]) -> Image.Image:
    """Share of photos found over the threshold, a panel for each IoU and a line for each run.

    runs: name -> the figures of `evaluate`. A dot marks the threshold at which the run's boxes are cut.
    """
    from wsol.metrics import IOUS  # by torch, which pictures of results do not need

    figure = Figure(figsize=(10, 3.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(IOUS), sharey=True)
    for panel, iou in zip(panels, IOUS, strict=True):
        for (name, figures), colour in zip(runs.items(), cycle(LINES)):
            curve, shade = figures["Curves"], tuple(value / 255 for value in colour)
            panel.plot(curve["threshold"], curve[f"IoU{iou}"], color=shade, label=name, linewidth=1.8)
            if figures["threshold"] != "auto":
                height = np.interp(figures["threshold"], curve["threshold"], curve[f"IoU{iou}"])
                panel.plot(figures["threshold"], height, "o", color=shade)
        panel.set(title=f"IoU {iou}", xlabel="threshold", xlim=(0, 1), ylim=(0, 100))
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("photos found, %")
    panels[0].legend(frameon=False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer)
