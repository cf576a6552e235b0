"""The share of erased cells that lie in the true box, against a slow twin."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles.networks import plain

from wsol.data import Creatures
from wsol.data.crops import EvaluationImages

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "erased_in_box.py"))


def test_a_cell_is_in_the_box_where_its_centre_is() -> None:
    boxes = np.array([[0.0, 0.0, 26.0, 10.0], [60.0, 30.0, 80.0, 40.0]])
    inside = SCRIPT["cells_in_box"](boxes, (80, 40), 4)  # centres at 10, 30, 50, 70 and 5, 15, 25, 35
    assert inside.nonzero().tolist() == [[0, 0], [3, 3]]
    assert SCRIPT["cells_in_box"](boxes + [[0, 0, 5, 6]], (80, 40), 4)[:2, :2].tolist() == [[True, True], [True, True]]


def test_cells_are_counted_at_every_boundary() -> None:
    photos, places, network = Creatures("test", images=6), [0, 2, 5], plain()
    rows = SCRIPT["counted"](network, photos, places, 64, 0.8, 2, 0)
    assert [row.method.boundary for row in rows] == ["a", "b", "c"]
    for row in rows:
        erased = inside = both = cells = 0
        for place in places:
            image = torch.as_tensor(EvaluationImages(photos, 64)[place][0])
            with torch.no_grad():
                mean = network(image[None], until=row.method.boundary)[0].mean(0)
            (x0, y0, x1, y1), (width, height) = photos.truth(place).boxes[0], photos.size(place)
            side = len(mean)
            for i in range(side):
                for j in range(side):
                    strong = bool(mean[i, j] >= 0.8 * mean.max())
                    x, y = (j + 0.5) * width / side, (i + 0.5) * height / side
                    within = x0 <= x < x1 and y0 <= y < y1
                    erased, inside, both, cells = (
                        erased + strong,
                        inside + within,
                        both + (strong and within),
                        cells + 1,
                    )
        assert (row.erased, row.in_box, row.erased_in_box, row.cells) == (erased, inside, both, cells)
        assert 0 < both < erased
        _, shown, *figures = (cell.strip() for cell in row.row.strip("|").split("|"))
        assert shown == f"{side}x{side}" and float(figures[1]) == pytest.approx(100 * both / erased, abs=0.05)
