"""One process says what N say, also when the images do not divide evenly and when one process has none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracles.metrics import Photo

from wsol.data.dataset import Truth
from wsol.evaluation.tally import Tally
from wsol.metrics import CLOVA, PROTOCOLS
from wsol.system import processes

CLASSES = 3


def photos(count: int) -> list[tuple[Photo, np.ndarray, int]]:
    """Blobs, a box and a mask that partly agree with them, and a class."""
    rng = np.random.default_rng(5)
    made = []
    for index in range(count):
        x, y = rng.uniform(0.3, 0.7, 2)
        across = np.mgrid[:14, :14] / 13
        heatmap = np.exp(-((across[1] - x) ** 2 + (across[0] - y) ** 2) / rng.uniform(0.02, 0.1))
        size = int(rng.integers(80, 200)), int(rng.integers(80, 200))
        box = np.array([[x - 0.3, y - 0.2, x + 0.2, y + 0.3]]).clip(0, 1) * [*size, *size]
        mask = np.zeros(size[::-1], bool)
        mask[int(box[0, 1]) : int(box[0, 3]), int(box[0, 0]) : int(box[0, 2])] = True
        made.append((Photo(heatmap, box, size, int(rng.choice([0, 0, 3, 7]))), mask, index % CLASSES))
    return made


def figures(count: int, protocol: str) -> dict[str, Any]:
    """All figures of this process's share, which the metrics add to the others' shares."""
    some = photos(count)
    tally = Tally(CLASSES, 0.3, PROTOCOLS[protocol], replicates=20)
    for index in processes.share(count):
        photo, mask, label = some[index]
        truth = Truth(boxes=photo.boxes, mask=mask, part=mask)
        heatmap = CLOVA.heatmap(photo.heatmap)
        tally.update(tally.score(heatmap, truth, photo.size), index, label, photo.rank, index // 2, index % 2)
        if index % 2 == 0:  # two cases a photo, one of which brings all classes
            present = torch.arange(CLASSES) != index % CLASSES
            tally.precision.update(torch.tensor(photo.heatmap[0, :CLASSES]), present)
    found = tally.figures(["a", "b", "c"])
    assert tally.figures(["a", "b", "c"]) == found, "processes that added up once must not count twice"
    return found | {"best": sorted(index for _, index, *_ in processes.gather(tally.best))}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_share_out_everything_once(count: int, tmp_path: Path) -> None:
    """2 images leave one of 3 processes without any; 7 never divide evenly."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *launch, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    written = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert len(written) == count
    alone = [json.loads(json.dumps(figures(*each))) for each in ((7, "clova"), (2, "clova"), (7, "bas"))]
    assert alone[0]["Interval95"]["MaxBoxAcc"] and alone[0]["MaxBoxAcc"] > 0
    assert 0 < alone[0]["mAP"] < 100 and alone[0]["MeanIoU"] > 0
    assert alone[0]["Confusion"] == {"a": {"a": 2, "b": 1}, "b": {"a": 1, "b": 1}, "c": {"a": 1, "b": 1}}
    assert sum(alone[0]["IoUs"]) == pytest.approx(100, abs=0.1) and 0 < alone[0]["MeanBoxIoU"] < 100
    for found in written:
        assert found == alone


if __name__ == "__main__":
    processes.join()
    found = [figures(*each) for each in ((7, "clova"), (2, "clova"), (7, "bas"))]
    (Path(sys.argv[1]) / f"{processes.place()[0]}.json").write_text(json.dumps(found))
