"""The conventions that a localization score depends on: without its protocol's name a figure means nothing.

On the same maps they move scores by points. All of them work on a grid of 224 x 224.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from wsol.boxes.rule import Empty, Largest, Threshold, box_iou, evaluator_box, normalise, scale_boxes, sweep
from wsol.errors import WsolError

SIZE = 224
IOUS = (30, 50, 70)


@dataclass(frozen=True)
class Protocol:
    """One paper's way to score a map.

    crop: the network sees the centre 224 of 256 pixels, not the whole photo; true boxes and masks are cut likewise.
    cubic: maps are enlarged by cubic interpolation, else bilinear.
    whole: true boxes are cut down to whole pixels of the grid.
    offset: added to every width and height in IoU; 1 counts x1 and y1 as inside the box.
    strict: a hit has more than the IoU asked for, not at least.
    over_classes: scores are averaged within each class first.
    largest: the component that MaxBoxAcc looks at has the largest outline, or the most pixels.
    empty: where nothing is above the threshold the box is the corner 0 0 0 0, or the whole image.
    threshold: the one that the protocol fixes for GTKnownLoc and Top-k Loc, None where it leaves the choice.
    pseudo: the threshold is chosen on pseudo boxes of validation photos.
    """

    name: str
    source: str
    crop: bool = False
    cubic: bool = True
    whole: bool = True
    offset: int = 1
    strict: bool = False
    over_classes: bool = False
    largest: Largest = "outline"
    empty: Empty = "corner"
    threshold: float | None = None
    pseudo: bool = False

    def heatmap(self, heatmap: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "S S"]:
        """A network's map, any range, on the grid and in [0, 1]."""
        return normalise(heatmap, (SIZE, SIZE), cubic=self.cubic)

    def boxes(self, boxes: Float[np.ndarray, "n 4"], image_size: tuple[int, int]) -> Float[np.ndarray, "n 4"]:
        """Boxes of an image of (W, H) on the grid. Raises WsolError without boxes: such an image cannot be scored."""
        if len(boxes) == 0:
            raise WsolError("an image without true boxes cannot be scored; leave it out")
        if not self.crop:
            return scale_boxes(boxes, image_size, (SIZE, SIZE), whole=self.whole)
        large = SIZE * 8 // 7
        cut = scale_boxes(boxes, image_size, (large, large)) - (large - SIZE) / 2
        return np.clip(np.trunc(cut) if self.whole else cut, 0, SIZE)

    def mask(self, mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "S S"]:
        """A mask of the image on the grid, by nearest pixel."""
        side = SIZE * 8 // 7 if self.crop else SIZE
        margin = (side - SIZE) // 2
        near = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST) > 0.5
        return near[margin : margin + SIZE, margin : margin + SIZE]

    def box(self, heatmap: Float[np.ndarray, "S S"], threshold: Threshold) -> Float[np.ndarray, "1 4"]:
        """The one box of a normalised map at a threshold."""
        return evaluator_box(heatmap, threshold, largest=self.largest, empty=self.empty)

    def iou(self, boxes: Float[np.ndarray, "n 4"], true_boxes: Float[np.ndarray, "m 4"]) -> float:
        """The best IoU of any box with any true one, all on the grid."""
        return float(box_iou(boxes, true_boxes, self.offset).max())

    def sweep(
        self,
        heatmap: Float[np.ndarray, "S S"],
        true_boxes: Float[np.ndarray, "m 4"],
        thresholds: Float[np.ndarray, " t"],
    ) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
        """Best IoU at every threshold, as by `wsol.boxes.rule.sweep`; true_boxes on the grid."""
        return sweep(heatmap, true_boxes, thresholds, self.offset, self.largest, self.empty)

    def hits(self, ious: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "3 ..."]:
        """Whether each IoU is enough for 30, 50 and 70 percent."""
        asked = np.array(IOUS).reshape(-1, *(1,) * ious.ndim) / 100
        return ious > asked if self.strict else ious >= asked


CLOVA = Protocol("clova", "Choe et al., CVPR 2020 (clovaai/wsolevaluation)")
PROTOCOLS = {
    each.name: each
    for each in (
        CLOVA,
        Protocol("cvpr16", "Zhou et al., CVPR 2016", cubic=False, threshold=0.2),
        # measures regressed boxes: of maps it says nothing, ours are cut as by clova
        Protocol(
            "psol",
            "Zhang et al., CVPR 2020",
            crop=True,
            whole=False,
            offset=0,
            strict=True,
            over_classes=True,
            empty="image",
        ),
        Protocol(
            "bas",
            "Wu et al., CVPR 2022",
            crop=True,
            cubic=False,
            whole=False,
            over_classes=True,
            largest="pixels",
            empty="image",
        ),
        # chooses checkpoints so too; scores are clova's
        Protocol("livia", "Murtaza et al., WACV 2025 (arXiv 2404.10034)", pseudo=True),
    )
}
