"""Two processes that write the same: the second is refused, and names the first."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import wsol
from wsol.benchmark.run import benchmark
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.export import find_formats, write_results
from wsol.system.files import beside
from wsol.system.locks import locked, locked_file

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 4, "workers": 0}
SMALL |= {"epochs": 1, "precision": "fp32"}
HERE = f"on {socket.gethostname()} is writing there; wait for it, or choose another --output"
HOLD = """
    import sys, time
    from pathlib import Path
    from wsol.system.files import beside
    from wsol.system.locks import locked, locked_file
    kind, place = sys.argv[1], Path(sys.argv[2])
    with (locked if kind == "folder" else locked_file)(place):
        beside(place / "half" if kind == "folder" else place).write_text("half")
        print("locked", flush=True)
        time.sleep(60)
"""


@contextmanager
def held(kind: str, place: Path) -> Iterator[int]:
    """Another process that holds the lock, by its number; killed in the end."""
    command = [sys.executable, "-c", textwrap.dedent(HOLD), kind, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "locked\n"
            yield process.pid
        finally:
            process.kill()


def trained(folder: Path) -> Any:
    photos = Creatures("train", images=4, size=36)
    return wsol.train("cam", (photos, photos), folder, **SMALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("run") / "run").folder


def test_the_second_is_told_who_writes_and_a_killed_one_does_not_block(tmp_path: Path, run: Path) -> None:
    folder, figures = tmp_path / "folder", tmp_path / "figures.json"
    photos, again = Creatures("test", images=4, size=36), Creatures("test", images=4, size=36)
    writing = {
        "train": lambda: trained(folder),
        "locate": lambda: write_results([], folder, ["a"], find_formats("csv,overlay").values()),
        "maps": lambda: wsol.evaluate(run, photos, write_maps=folder, workers=0),
    }
    with held("folder", folder) as first:
        for name, write in writing.items():
            with pytest.raises(WsolError) as error:
                write()
            assert str(error.value) == f"{folder}: process {first} {HERE}", name
        assert [path.suffix for path in folder.iterdir() if path.name != ".wsol.lock"] == [".part"]
    with held("file", figures) as first:
        with pytest.raises(WsolError) as error:
            wsol.evaluate(run, again, figures, workers=0)
        assert str(error.value) == f"{figures}: process {first} {HERE}"
        assert not figures.exists() and len(list(tmp_path.glob("figures.json.*.part"))) == 1
    writing["locate"]()
    assert [path.name for path in folder.iterdir()] == ["boxes.csv"]
    wsol.evaluate(run, again, figures, workers=0)
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.lock"))


def test_a_row_of_a_benchmark_that_another_process_measures_is_left_to_it(tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    settings = "settings: {backbone: resnet18, weights: none, image_size: 32}"
    grid.write_text(f"{settings}\nrows: [{{name: one, method: cam}}]")
    figures = tmp_path / "out" / "one-0.json"
    with held("file", figures) as first:
        errors = benchmark(grid, "creatures", output=figures.parent)
    assert errors == {"one, seed 0": f"{figures}: process {first} {HERE}"}


def test_the_command_line_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / "run"), pytest.raises(SystemExit) as ended:
        main(["train", "cam", "creatures", "--output", str(tmp_path / "run"), "--workers", "0"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"wsol: {tmp_path / 'run'}: process {os.getpid()} {HERE}\n"


def test_two_threads_exclude_one_another_too(tmp_path: Path) -> None:
    refused = []

    def second() -> None:
        try:
            with locked(tmp_path):
                pass
        except WsolError as error:
            refused.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert refused == [f"{tmp_path}: process {os.getpid()} {HERE}"]


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locked(tmp_path / "empty"), locked_file(tmp_path / "none" / "file"), locked(tmp_path / "full"):
        (tmp_path / "full" / "file").touch()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["full", "full/file"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_worker_that_outlives_its_killed_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    def writing(sent: Any) -> None:
        with locked(tmp_path / "run"):
            if not (worker := os.fork()):
                signal.pause()
            sent.send(worker)
            signal.pause()

    received, sent = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("fork").Process(target=writing, args=(sent,))
    process.start()
    worker = received.recv()
    process.kill()
    process.join()
    try:
        with locked(tmp_path / "run"):
            os.kill(worker, 0)  # it lives
    finally:
        os.kill(worker, signal.SIGKILL)


def test_where_no_lock_can_be_made_writing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refused)
    with locked(tmp_path), locked_file(tmp_path / "file"):
        (tmp_path / "file").touch()
    assert (tmp_path / "file").exists()


def test_no_two_writers_take_the_same_temporary_name(tmp_path: Path) -> None:
    names = {beside(tmp_path / "boxes.csv") for _ in range(100)}
    assert len(names) == 100 and {name.parent for name in names} == {tmp_path}
    assert len(os.fsencode(beside(tmp_path / ("é" * 120)).name)) < 120
