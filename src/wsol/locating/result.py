"""What locating gives: one Result a photo, passed along to pictures, files and tables."""

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wsol.boxes.confidence import confidence
from wsol.boxes.rule import Threshold, find_boxes, foreground, normalise, scale_boxes
from wsol.data.inputs import Held, open_held
from wsol.errors import WsolError
from wsol.system.files import write_picture
from wsol.system.names import within

if TYPE_CHECKING:
    import pandas
    import supervision

Keep = Literal["largest", "all", "union"]
CORNERS = ("x0", "y0", "x1", "y1")
ROW: tuple[str, ...] = ("path", "label", "name", "score", "confidence", *CORNERS, "whole_image", "unsure", "decided")
GRID = 224  # heatmaps are cut on the evaluator's grid, so that locating and evaluating agree on any photo
QUALITY = 90  # of JPEGs
SHOWN = 1024  # pixels, the longer side of a picture in a notebook


@dataclass(frozen=True, eq=False)
class Finding:
    """One class in a photo.

    label: class index.
    name: of the class.
    score: how likely the class is, 0 to 1.
    boxes: x0 y0 x1 y1 in pixels of the photo.
    confidence: chance, 0 to 1, that each box is right if the class is, see `wsol.boxes.confidence`.
    heatmap: as the network gave it.
    whole_image: whether nothing rose above the threshold, so that the box is the photo.
    regressed: whether the method gave the box itself, whatever the heatmap.
    background: whether the class is that of photos without an object, which has no box.
    decided: who says so: "person" where somebody confirmed or drew it, "" for the network.
    """

    label: int
    name: str
    score: float
    boxes: Float[np.ndarray, "n 4"]
    confidence: Float[np.ndarray, " n"]
    heatmap: Float[np.ndarray, "h w"]
    whole_image: bool = False
    regressed: bool = False
    background: bool = False
    decided: str = ""

    def __repr__(self) -> str:
        return f"Finding({self.name!r}, score {self.score:.2f}, boxes {self.boxes.round(1).tolist()})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Finding):
            return NotImplemented
        same = json.dumps(self.to_dict()) == json.dumps(other.to_dict())  # as text, where nan equals nan
        return same and np.array_equal(self.heatmap, other.heatmap, equal_nan=True)

    def __hash__(self) -> int:
        return hash((self.label, self.name))

    @property
    def box_scores(self) -> Float[np.ndarray, " n"]:
        """How likely class and box are both right, 0 to 1: `score` times `confidence`, what detectors call score."""
        return self.score * self.confidence

    def masks(self, size: tuple[int, int], threshold: Threshold) -> Bool[np.ndarray, "n 224 224"]:
        """What belongs to each box, on the grid of 224 that is laid over the photo.

        That is the regions of the heatmap above the threshold that lie within the box; what is cut off by a box that
        came otherwise; and the whole box where nothing is above the threshold.

        size: (W, H) of the photo.
        threshold: share of the heatmap's peak.
        """
        above = foreground(normalise(self.heatmap, (GRID, GRID)), threshold)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
        low, high = stats[:, :2], stats[:, :2] + stats[:, 2:4]
        masks = np.zeros((len(self.boxes), GRID, GRID), np.bool_)
        for mask, box in zip(masks, scale_boxes(self.boxes, size, (GRID, GRID)), strict=True):
            inside = (low >= box[:2] - 0.5).all(1) & (high <= box[2:] + 0.5).all(1)
            inside[0] = False  # what is not above
            x0, y0, x1, y1 = box.round().astype(int).tolist()
            within = np.s_[min(y0, GRID - 1) : max(y1, y0 + 1), min(x0, GRID - 1) : max(x1, x0 + 1)]
            if self.whole_image or not above[within].any():
                mask[within] = True
            elif inside.any():
                mask[:] = inside[regions]
            else:
                mask[within] = above[within]
        return masks

    def to_dict(self) -> dict[str, Any]:
        """Everything but the heatmap, as JSON holds it."""
        return {
            "label": self.label,
            "name": self.name,
            "score": round(self.score, 6),
            "boxes": [[round(value, 2) for value in box] for box in self.boxes.tolist()],
            "confidence": self.confidence.round(4).tolist(),
            "whole_image": self.whole_image,
            "regressed": self.regressed,
            "background": self.background,
            "decided": self.decided,
        }


@dataclass(frozen=True, eq=False)
class Result:
    """What is in one photo and where, the best class first; `label`, `score`, `boxes` ... are those of the best.

    path: the photo's name.
    size: its (W, H).
    threshold: share of the heatmap's peak at which boxes were cut, or "auto".
    findings: one a class, the best first.
    keep: which regions became boxes.
    photo: where `image` comes from: a file, an address, the bytes of one, or an image; None for results of stored
        heatmaps whose photos are gone.
    unsure: whether the photo may show no known class at all, see `wsol.localizer.energy`.

    Two results are equal where `to_dict` and the heatmaps are.
    """

    path: str
    size: tuple[int, int]
    threshold: Threshold
    findings: tuple[Finding, ...]
    keep: Keep = "largest"
    photo: Held | None = None
    unsure: bool = False

    def __repr__(self) -> str:
        more = f" and {len(self.findings) - 1} more classes" if len(self.findings) > 1 else ""
        boxes, unsure = self.boxes.round(1).tolist(), "unsure, " if self.unsure else ""
        return f"Result({self.path!r}, {unsure}{self.name!r} {self.score:.0%}, boxes {boxes}{more})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self.to_json() == other.to_json() and self.findings == other.findings

    def __hash__(self) -> int:
        return hash((self.path, self.size))

    @property
    def image(self) -> Image.Image | None:
        """The upright RGB photo, opened anew from its file at each call; None for stored heatmaps without it.

        Raises WsolError, naming the file, where it cannot be read any more or has another size by now.
        """
        if self.photo is None:
            return None
        image = open_held(self.photo, self.path)
        if image.size != self.size:
            was, now = (f"{width} x {height}" for width, height in (self.size, image.size))
            raise WsolError(f"{self.photo}: was {was} pixels when it was located, is {now} now; locate it again")
        return image

    @property
    def label(self) -> int:
        return self.findings[0].label

    @property
    def name(self) -> str:
        return self.findings[0].name

    @property
    def score(self) -> float:
        return self.findings[0].score

    @property
    def boxes(self) -> Float[np.ndarray, "n 4"]:
        return self.findings[0].boxes

    @property
    def confidence(self) -> Float[np.ndarray, " n"]:
        return self.findings[0].confidence

    @property
    def heatmap(self) -> Float[np.ndarray, "h w"]:
        return self.findings[0].heatmap

    @property
    def said(self) -> str:
        """The best class in a few words, for captions: `snowdrop 27%`, or `unsure: snowdrop 27%`."""
        return f"{'unsure: ' if self.unsure else ''}{self.name} {self.score:.0%}"

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """Where the best class is, (H, W) of the photo.

        All true where nothing rose above the threshold, all false for the background.
        """
        mask = foreground(normalise(self.heatmap, (GRID, GRID)), self.threshold)
        if self.findings[0].whole_image or self.findings[0].background:
            mask = np.full_like(mask, self.findings[0].whole_image)
        return self._enlarged(mask)

    def plot(self, caption: bool = True) -> Image.Image:
        """The photo with heatmap, boxes and caption; no box where the result is `unsure`.

        Raises WsolError where the result came without its photo.
        """
        from wsol.show.draw import overlay

        heatmap = normalise(self.heatmap, (GRID, GRID))
        boxes = None if self.unsure else self.boxes
        fresh = not isinstance(self.photo, Image.Image)  # opened for this plot alone
        return overlay(self._image(), heatmap, boxes, caption=self.said if caption else "", inplace=fresh)

    def show(self) -> None:
        """Opens the plot: below the cell in a notebook, elsewhere in the system's viewer.

        Raises WsolError where the result came without its photo.
        """
        if "ipykernel" in sys.modules:
            from IPython.display import display

            display(self._fitted())
        else:
            self.plot().show(self.path)

    def _repr_png_(self) -> bytes | None:
        """What notebooks show of a result; None, for its text, where there is no photo to draw on."""
        try:
            picture = self._fitted()
        except WsolError:
            return None
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def _fitted(self) -> Image.Image:
        picture = self.plot()
        picture.thumbnail((SHOWN, SHOWN))
        return picture

    def crop(self, index: int = 0) -> Image.Image:
        """The photo cut to one of the best class's boxes. Raises WsolError where it has no such box."""
        if not -len(self.boxes) <= index < len(self.boxes):
            raise WsolError(f"{self.path}: {self.name} has {len(self.boxes)} boxes here, there is no box {index}")
        x0, y0, x1, y1 = self.boxes[index]
        return self._image().crop((int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1))))

    def save(self, folder: str | Path) -> Path:
        """Writes the plot as FOLDER/NAME, a JPEG whatever the photo was, and says where."""
        path = within(Path(folder), jpeg_name(self.path))
        write_picture(path, self.plot(), quality=QUALITY)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Everything but pixels and heatmaps, as JSON holds it."""
        return {
            "path": self.path,
            "width": self.size[0],
            "height": self.size[1],
            "threshold": self.threshold,
            "unsure": self.unsure,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """`to_dict` as one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each box: path, label, name, score, confidence, x0, y0, x1, y1, whole_image, unsure, decided.

        A class without a box has one row, without confidence and corners.
        """
        rows = []
        for finding in self.findings:
            named = {"path": self.path, "label": finding.label, "name": finding.name, "score": round(finding.score, 6)}
            flags = {"whole_image": finding.whole_image, "unsure": self.unsure, "decided": finding.decided}
            if len(finding.boxes) == 0:
                rows.append(named | dict.fromkeys(("confidence", *CORNERS)) | flags)
            for box, chance in zip(finding.boxes.tolist(), finding.confidence.tolist(), strict=True):
                corners = {corner: round(value, 2) for corner, value in zip(CORNERS, box, strict=True)}
                rows.append(named | {"confidence": round(chance, 4)} | corners | flags)
        return rows

    def to_df(self) -> "pandas.DataFrame":
        """`rows` as a data frame. Raises WsolError where pandas is not installed."""
        return frame(self.rows())

    def to_supervision(self) -> "supervision.Detections":
        """The boxes of all classes for the library supervision: xyxy, class_id and mask, `data["class_name"]`, and as
        `confidence` how likely class and box are both right, see `Finding.box_scores`.

        Raises WsolError where supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise WsolError("to_supervision needs supervision: pip install supervision") from error
        counts = [len(finding.boxes) for finding in self.findings]
        masks = np.concatenate([finding.masks(self.size, self.threshold) for finding in self.findings])
        return supervision.Detections(
            xyxy=np.concatenate([finding.boxes for finding in self.findings]).astype(np.float32),
            mask=np.array([self._enlarged(mask) for mask in masks], bool).reshape(-1, *self.size[::-1]),
            confidence=np.concatenate([finding.box_scores for finding in self.findings]),
            class_id=np.repeat([finding.label for finding in self.findings], counts),
            data={"class_name": np.repeat([finding.name for finding in self.findings], counts)},
        )

    def at(self, threshold: Threshold) -> "Result":
        """The same heatmaps cut at another threshold, without the network.

        Boxes that were regressed, or that a person decided on, stay.
        """
        again = (
            finding
            if finding.regressed or finding.background or finding.decided
            else find(finding.label, finding.name, finding.score, finding.heatmap, self.size, threshold, self.keep)
            for finding in self.findings
        )
        return replace(self, threshold=threshold, findings=tuple(again))

    def _enlarged(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "H W"]:
        return cv2.resize(mask.astype(np.uint8), self.size, interpolation=cv2.INTER_NEAREST).astype(bool)

    def _image(self) -> Image.Image:
        if (image := self.image) is None:
            raise WsolError(f"{self.path}: this result came from stored heatmaps, without its photo; locate it again")
        return image


def jpeg_name(name: str) -> str:
    """What a picture of a photo is called: as the photo where that is a JPEG, else x.png.jpg."""
    return name if name.lower().endswith((".jpg", ".jpeg")) else f"{name}.jpg"


def frame(rows: Iterable[dict[str, Any]]) -> "pandas.DataFrame":
    """`Result.rows` as a data frame. Raises WsolError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise WsolError("to_df needs pandas: pip install pandas") from error
    return pandas.DataFrame(rows, columns=ROW)


def find(
    label: int,
    name: str,
    score: float,
    heatmap: Float[np.ndarray, "h w"],
    size: tuple[int, int],
    threshold: Threshold,
    keep: Keep = "largest",
    box: Float[np.ndarray, "1 4"] | None = None,
    background: str | None = None,
) -> Finding:
    """Cuts the heatmap of a class into boxes in pixels of a photo of (W, H).

    box: x0 y0 x1 y1 as shares of the photo, where the method regressed it: it is taken instead.
    background: the class that has no box.

    They are cut on the evaluator's 224 x 224 grid and scaled, so a photo's own size costs nothing. Where nothing is
    found the whole photo is the box: a constant map, or one with a value that is no number.
    """
    if name == background:
        return Finding(label, name, score, np.zeros((0, 4)), np.zeros(0), heatmap, background=True)
    # asked of the map itself: resized, a constant is no longer quite constant
    silent = not np.isfinite(heatmap).all() or heatmap.min() == heatmap.max()
    grid = normalise(heatmap, (GRID, GRID))
    if box is not None:
        chance = confidence(grid, GRID * box, threshold)
        return Finding(label, name, score, scale_boxes(box, (1, 1), size), chance, heatmap, regressed=True)
    boxes = np.zeros((0, 4)) if silent else find_boxes(grid, threshold, keep)
    if len(boxes) == 0:
        return Finding(label, name, score, np.array([[0.0, 0.0, *size]]), np.zeros(1), heatmap, whole_image=True)
    chance = confidence(grid, boxes, threshold)
    return Finding(label, name, score, scale_boxes(boxes, (GRID, GRID), size), chance, heatmap)
