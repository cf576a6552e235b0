"""How much of what EIL erases lies on the object, at every boundary of a network, beside what its mean map finds.

    python benchmarks/erased_in_box.py CUB_200_2011 --backbone vgg16 --weights vgg16_conv.safetensors --output table.md
    python benchmarks/erased_in_box.py CUB_200_2011 --run runs/eil

A cell is in the box where its centre is in a true box of the photo. Shares are of the cells of all photos: where
`erased in box` is no more than `box`, the share of all cells that lie in one, the object is met by chance. MaxBoxAcc is
that of the map that decides what is erased, the mean over channels: of an untrained network a baseline.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from cyclopts import App
from jaxtyping import Bool, Float
from torch import Tensor

from wsol.backbones import Backbone, build_backbone
from wsol.data import Dataset, open_data
from wsol.data.crops import EvaluationImages, collate
from wsol.data.loading import Loader
from wsol.methods.eil import EIL
from wsol.metrics import CLOVA, BoxAccuracy
from wsol.nn.maps import channel_mean
from wsol.runs.opening import load
from wsol.system.console import bar

app = App(help=__doc__)


@dataclass
class Boundary:
    """What is counted at one boundary: cells, and how well the mean map finds boxes."""

    method: EIL
    erased: int = 0
    erased_in_box: int = 0
    in_box: int = 0
    cells: int = 0
    side: int = 0
    boxes: BoxAccuracy = field(default_factory=BoxAccuracy)

    def update(self, features: Float[Tensor, "b c h w"], photos: Dataset, indices: list[int]) -> None:
        masks = self.method.strongest(features, self.method.boundary)
        maps = channel_mean(features if self.method.backbone.rectified(self.method.boundary) else features.relu())
        self.side = features.shape[-1]
        for index, mask, heatmap in zip(indices, masks, maps, strict=True):
            boxes, size = photos.truth(index).boxes, photos.size(index)
            inside = cells_in_box(boxes, size, self.side)
            self.erased += int(mask.sum())
            self.erased_in_box += int((mask & inside).sum())
            self.in_box, self.cells = self.in_box + int(inside.sum()), self.cells + inside.numel()
            self.boxes.update(self.boxes.score(CLOVA.heatmap(heatmap.numpy()), boxes, size), rank=0)

    @property
    def row(self) -> str:
        found = self.boxes.compute()
        shares = (100 * self.erased / self.cells, 100 * self.erased_in_box / max(1, self.erased))
        cells = [*(f"{share:.1f}" for share in (*shares, 100 * self.in_box / self.cells))]
        cells += [f"{found['MaxBoxAcc']:.1f}", f"{found['BestThreshold']:.2f}"]
        return f"| {self.method.boundary} | {self.side}x{self.side} | {' | '.join(cells)} |"


@app.default
def main(
    data: str,
    *,
    backbone: str = "vgg16",
    weights: str = "pretrained",
    run: Path | None = None,
    erase_threshold: float = 0.7,
    map_stride: int = 16,
    image_size: int = 224,
    every: int = 1,
    batch: int = 16,
    workers: int = 2,
    output: Path | None = None,
) -> None:
    """Prints the table, and writes it as Markdown where OUTPUT is given.

    data: with true boxes; its test photos are looked at.
    backbone: looked at before any training.
    weights: of the backbone.
    run: looked at instead of a backbone; any method's.
    erase_threshold: gamma.
    map_stride: of the backbone.
    image_size: pixels, where no run says otherwise.
    every: look at every so manyth photo.
    output: Markdown file.
    """
    if run is None:
        network, name = build_backbone(backbone, weights, map_stride=map_stride), f"{backbone}, untrained"
    else:
        opened = load(run)
        network, image_size, name = opened.method.backbone, opened.image_size, opened.name
    photos = open_data(data, "test", size=image_size * 8 // 7)
    places = range(0, len(photos), every)
    rows = counted(network.eval(), photos, list(places), image_size, erase_threshold, batch, workers)
    text = "\n".join(
        [
            f"{name}, {photos.name}, {len(places)} test photos, {image_size} px, gamma {erase_threshold}\n",
            "| boundary | cells | erased, % | erased in box, % | box, % | MaxBoxAcc | best threshold |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(boundary.row for boundary in rows),
            "",
        ]
    )
    print(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


@torch.no_grad()
def counted(
    network: Backbone,
    photos: Dataset,
    places: list[int],
    image_size: int,
    erase_threshold: float,
    batch: int,
    workers: int,
) -> list[Boundary]:
    """Every boundary, shallow to deep, after one pass over the photos."""
    methods = [EIL(network, 2, boundary=name, erase_threshold=erase_threshold) for name in network.boundaries]
    boundaries = [Boundary(method) for method in methods]
    for images, indices in shown(photos, places, image_size, batch, workers):
        features, before = images, None
        for boundary in boundaries:
            features = network(features, after=before, until=boundary.method.boundary)
            before = boundary.method.boundary
            boundary.update(features, photos, indices)
    return boundaries


def shown(
    photos: Dataset, places: list[int], image_size: int, batch: int, workers: int
) -> Iterator[tuple[Float[Tensor, "b 3 S S"], list[int]]]:
    """Batches of views, with their photos."""
    with bar("looking") as progress:
        task = progress.add_task("", total=len(places))
        for views in Loader(EvaluationImages(photos, image_size), batch, workers, places, collate):
            progress.advance(task, len(views.indices))
            yield views.images, views.indices.tolist()


def cells_in_box(boxes: Float[np.ndarray, "n 4"], size: tuple[int, int], side: int) -> Bool[Tensor, "side side"]:
    """Which cells of a grid over a photo of (W, H) have their centre in one of the boxes (x0 y0 x1 y1, pixels)."""
    x, y = ((np.arange(side) + 0.5) * pixels / side for pixels in size)
    inside = [((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1)) for x0, y0, x1, y1 in boxes]
    return torch.from_numpy(np.any(inside, axis=0))


if __name__ == "__main__":
    app()
