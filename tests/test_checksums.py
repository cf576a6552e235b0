"""A changed byte in a file of tensors is noticed, and no place to be cut short leaves one that is taken for damaged."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import wsol
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.runs.folder import Run
from wsol.runs.tensors import read_about, read_tensors, write_tensors

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 4, "workers": 0}
SMALL |= {"epochs": 2, "precision": "fp32", "end": "layer1", "map_stride": 4}


def trained(folder: Path, **given: Any) -> Path:
    photos = Creatures("train", images=8, size=36)
    return wsol.train("cam", (photos, photos), folder, **SMALL | given).folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("run") / "run")


def refused(path: Path, attempt: Callable[[], Any], places: list[int]) -> list[str]:
    """What is said of the file with one byte changed at each place."""
    whole, said = path.read_bytes(), []
    try:
        for place in places:
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            with pytest.raises(WsolError) as error:
                attempt()
            said.append(str(error.value))
    finally:
        path.write_bytes(whole)
    return said


@pytest.mark.parametrize(
    ("name", "fix"), [("best", "use the other --checkpoint"), ("resume", "remove resume.safetens")]
)
def test_a_changed_byte_is_noticed_and_said_in_one_line(run: Path, name: str, fix: str) -> None:
    path = run / f"{name}.safetensors"
    size = path.stat().st_size
    places = [0, 9, 300, size - 1, *random.Random(0).sample(range(size), 20)]
    attempt = {"best": lambda: wsol.load(run), "resume": lambda: trained(run, resume=True, epochs=3)}[name]
    for said in refused(path, attempt, places):
        assert said.startswith(f"{path}: damaged (") and fix in said and "\n" not in said, said


def test_the_checksum_is_that_of_sha256sum_and_no_figure(run: Path) -> None:
    stored = json.loads((run / "best.json").read_text())
    assert len(stored["sha256"]) == 64 and stored["before"]["epoch"] == 1
    assert set(wsol.load(run).facts) == {"method", "checkpoint", "epoch", "Top1Cls", "Energy5"} | {
        name for name in stored if name.startswith("loss/")
    }


def test_runs_of_before_still_open_and_go_on(run: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    for name in ("best", "last"):
        about = json.loads((folder / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps({"epoch": about["epoch"], "Top1Cls": about["Top1Cls"]}))
        assert wsol.load(folder, checkpoint=name).facts["epoch"] == about["epoch"]
    trained(folder, resume=True, epochs=3)
    assert wsol.load(folder, checkpoint="last").facts["epoch"] == 3


@pytest.mark.parametrize("about", [{}, {"epoch": "two"}, {"epoch": 1, "Top1Cls": "high"}, {"epoch": 1, "Energy5": []}])
def test_what_is_no_figure_is_named(run: Path, tmp_path: Path, about: dict[str, Any]) -> None:
    whole = (run / "best.json").read_text()
    (run / "best.json").write_text(json.dumps(about))
    try:
        for attempt in (lambda: wsol.load(run), lambda: Run.read(run).figures()):
            with pytest.raises(
                WsolError, match=r"best\.json: holds no number for (epoch|Top1Cls|Energy5); train again"
            ):
                attempt()
    finally:
        (run / "best.json").write_text(whole)


class Killed(Exception):
    """Stands for the end of the process."""


def test_wherever_writing_is_cut_short_one_of_the_two_files_of_before_and_now_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cuts one after the other, at every place: before or after each rename."""
    path = tmp_path / "net.safetensors"
    moves = 0

    def replace(source: Any, target: Any) -> None:
        nonlocal moves
        moves -= 1
        if moves == 0:
            raise Killed
        Path(source).rename(target)

    def write(number: int) -> None:
        write_tensors(path, {"weight": torch.full((3,), float(number))}, {"epoch": number})

    monkeypatch.setattr("os.replace", replace)
    for first in (1, 2):
        for second in (1, 2):
            moves = 0
            write(1)
            for number, cut in ((2, first), (3, second)):
                moves = cut
                with pytest.raises(Killed):
                    write(number)
                tensors, about = read_tensors(path, "")
                assert tensors["weight"].tolist() == [1.0] * 3 and about == {"epoch": 1}
            moves = 0
            write(4)
            tensors, about = read_tensors(path, "")
            assert tensors["weight"].tolist() == [4.0] * 3 and about == {"epoch": 4} == read_about(path, "")
