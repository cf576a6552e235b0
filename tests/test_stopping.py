"""What is said when a command is ended from outside, and where there is no room for what it found."""

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wsol
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.data.layouts import creatures
from wsol.localizer import Localizer
from wsol.methods.cam import CAM

SMALL = ["--backbone", "resnet18", "--weights", "none", "--image-size", "32", "--end", "layer1", "--map-stride", "4"]
SMALL += ["--batch-size", "4", "--workers", "0", "--precision", "fp32", "--epochs", "3", "--sheet-every", "0"]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creatures, "COUNTS", {"train": 8, "val": 8, "test": 8})


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Signals have their usual effect, also where the tests run in the background, which ignores some."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, photos = tmp_path_factory.mktemp("run") / "run", Creatures("train", images=8, size=36)
    settings: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "end": "layer1", "map_stride": 4}
    return wsol.train("cam", (photos, photos), folder, epochs=0, image_size=32, workers=0, **settings).folder


@pytest.mark.parametrize(
    ("name", "step", "where"),
    [
        ("SIGINT", 5, "after epoch 2 of 3"),
        ("SIGTERM", 3, "after epoch 1 of 3"),
        ("SIGHUP", 3, "after epoch 1 of 3"),
        ("SIGTERM", 1, "in the first epoch"),
    ],
)
def test_a_training_that_is_ended_says_where_and_how_to_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    step: int,
    where: str,
) -> None:
    loss, number, steps = CAM.loss, getattr(signal, name), []

    def signalled(self: CAM, images: Any, labels: Any) -> Any:
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return loss(self, images, labels)

    monkeypatch.setattr(CAM, "loss", signalled)
    words = ["train", "cam", "creatures", "--output", str(tmp_path / "my run"), *SMALL]
    assert ended(*words) == 128 + number
    again = f"wsol train cam creatures --output '{tmp_path / 'my run'}' {' '.join(SMALL)} --resume"
    said = f"wsol: {tmp_path / 'my run'}: stopped {where}; continue with: {again}"
    assert capsys.readouterr().err.splitlines()[-1] == said
    main([*words, "--resume"])
    assert "best of epoch" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_nohup_still_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr("wsol.cli.app.out.print", lambda *_: os.kill(os.getpid(), signal.SIGHUP))
        main([])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_locating_that_is_ended_says_so_and_leaves_no_half_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Creatures("test", images=1, size=36).image(0).save(tmp_path / "a.png")
    monkeypatch.setattr(Localizer, "look", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    words = ["locate", str(run), str(tmp_path / "a.png"), "--output", str(tmp_path / "found"), "--format", "csv"]
    assert ended(*words) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == f"wsol: stopped; begin again with: wsol {' '.join(words)}\n"
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("full", ["figures.json", "figures.curves.png", "figures.best.png"])
def test_figures_without_room_are_printed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: str
) -> None:
    replaced = os.replace

    def refused(source: Any, target: Any) -> None:
        if Path(target).name == full:
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced(source, target)

    monkeypatch.setattr(os, "replace", refused)
    assert ended("evaluate", run, "creatures", "--output", tmp_path / "figures.json", "--workers", "0") == 1
    shown = capsys.readouterr()
    assert "MaxBoxAccV2" in shown.out and "written" not in shown.out
    said = f"wsol: {tmp_path / full}: could not be written (No space left on device); free some space"
    assert shown.err.splitlines()[-1] == said
    assert {path.name for path in tmp_path.iterdir()} == {
        "figures.json": set(),
        "figures.curves.png": {"figures.json"},
        "figures.best.png": {"figures.json", "figures.curves.png"},
    }[full]


@pytest.mark.parametrize("content", ["{", "{}", '{"threshold": 7}', "[1]"])
def test_the_advice_for_a_damaged_threshold_works(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = run / "threshold.json"
    path.write_text(content)
    assert ended("evaluate", run, "creatures", "--workers", "0") == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and said.startswith(f"wsol: {path}: ")
    assert said.endswith("; remove it, then evaluate again\n")
    path.unlink()
    main(["evaluate", str(run), "creatures", "--workers", "0"])
    assert json.loads((run / "best.json").read_text())["epoch"] == 0
