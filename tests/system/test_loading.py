"""Batches come, or one line says why not, whatever the processes that read photos meet."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data._utils import signal_handling

import wsol
from wsol.data import Creatures, Dataset, Folder, loading
from wsol.data.crops import EvaluationImages, TrainingImages, collate
from wsol.data.dataset import Truth
from wsol.data.loading import Loader
from wsol.errors import WsolError

SMALL = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 4, "precision": "fp32"}
SMALL |= {"epochs": 1, "sheet_every": 0}
TRAIN = f"""
import multiprocessing, wsol
from wsol.data import Creatures

multiprocessing.set_start_method(METHOD, force=True)
photos = Creatures("train", images=8, size=36)
run = wsol.train("cam", (photos, photos), FOLDER, workers=1, **{SMALL})
print(wsol.evaluate(run, photos, workers=1)["images"])
"""


def photos(images: int = 6) -> Creatures:
    return Creatures("train", images=images, size=36)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos, two of each of two classes."""
    for index in range(4):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (index, 0, 0)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def spawned() -> Iterator[None]:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def equal(one: list[Any], two: list[Any]) -> bool:
    return len(one) == len(two) and all(
        torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("free", [2**20, 2**40], ids=["pipes", "shared memory"])
def test_a_process_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(loading, "_shared_memory", lambda: free)
    training, checking = TrainingImages(photos(), 32), EvaluationImages(photos(), 32)
    assert equal(list(Loader(training, 4, 1)), list(Loader(training, 4, 0)))
    one, two = (list(Loader(checking, 4, workers, collate=collate)) for workers in (1, 0))
    assert equal([batch[:4] for batch in one], [batch[:4] for batch in two])
    assert [len(batch.indices) for batch in one] == [4, 2] and one[0].errors == []


def test_without_shared_memory_photos_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_shared_memory", lambda: 8192)
    with pytest.warns(UserWarning, match="/dev/shm is full: photos are read without other processes"):
        loader = Loader(TrainingImages(photos(), 32), 4, 2)
    assert loader.num_workers == 0 and len(list(loader)) == 2


def test_without_locks_photos_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(multiprocessing, "Lock", refused)
    with pytest.warns(UserWarning, match="Function not implemented"):
        assert Loader(TrainingImages(photos(), 32), 4, 2).num_workers == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_vanishes_is_named_in_one_line(folder: Path, workers: int) -> None:
    views = TrainingImages(Folder(folder, "train"), 32)
    gone = views.photos.samples[1].path
    gone.unlink()
    with pytest.raises(WsolError) as error:
        list(Loader(views, 2, workers))
    assert str(error.value) == f"{gone}: there is no such image file"


class Failing(Dataset):
    """A third photo that does what it should not."""

    name = "failing"

    def __init__(self, do: str) -> None:
        self.do, self.open = do, photos()
        self.classes, self.samples = self.open.classes, self.open.samples

    def image(self, index: int) -> Image.Image:
        if index == 2 and self.do == "fail":
            raise KeyError("no such entry")
        if index == 2 and self.do == "unplugged":
            raise OSError(5, "Input/output error")
        if index == 2 and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), getattr(signal, self.do))
        return self.open.image(index)

    def truth(self, index: int) -> Truth:
        return Truth()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("do", "said"), [("fail", "KeyError: 'no such entry'"), ("unplugged", "OSError: .*Input/output error")]
)
def test_whatever_a_data_set_raises_is_one_line_with_the_photo(do: str, said: str, workers: int) -> None:
    views = TrainingImages(Failing(do), 32)
    with pytest.raises(WsolError, match=f"{views.photos.samples[2].path}: cannot be used .{said}") as error:
        list(Loader(views, 2, workers))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("do", "said"), [("SIGKILL", "was killed, perhaps as memory ran out"), ("SIGBUS", "/dev/shm is full")]
)
def test_a_process_that_dies_is_one_line(do: str, said: str) -> None:
    with pytest.raises(WsolError, match=said) as error:
        list(Loader(TrainingImages(Failing(do), 32), 2, 1))
    assert "\n" not in str(error.value)


def test_after_a_training_it_is_still_known_how_a_process_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # as in a process that has not trained yet
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wsol.train("cam", (photos(), photos()), tmp_path / "run", workers=1, **SMALL)
    with pytest.raises(WsolError, match="was killed, perhaps as memory ran out"):
        list(Loader(TrainingImages(Failing("SIGKILL"), 32), 2, 1))


@pytest.mark.parametrize(("stopped", "raised"), [(True, KeyboardInterrupt), (False, WsolError)])
def test_processes_that_were_told_to_stop_are_no_fault(stopped: bool, raised: type[BaseException]) -> None:
    """A batch system stops all processes at once, and those that read photos may die before the program has ended."""
    with pytest.raises(raised), loading.explained():
        try:
            raise KeyboardInterrupt if stopped else ValueError
        except (KeyboardInterrupt, ValueError):
            raise RuntimeError("DataLoader worker (pid 5) is killed by signal: Terminated. ")  # noqa: B904


@pytest.mark.usefixtures("spawned")
def test_photos_that_cannot_be_handed_on_are_one_line() -> None:
    class Local(Failing):
        """Nobody can import it."""

    with pytest.raises(WsolError, match=r"cannot be handed to the processes .*Local.*workers=0"):
        list(Loader(TrainingImages(Local("fail"), 32), 2, 1))


def ran(script: Path, *before: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*before, sys.executable, str(script)], capture_output=True, text=True, env=environment)


def script(folder: Path, method: str, guard: bool) -> Path:
    body = TRAIN.replace("METHOD", repr(method)).replace("FOLDER", repr(str(folder / "run")))
    lines = [f"    {line}" for line in body.splitlines()] if guard else body.splitlines()
    path = folder / "script.py"
    path.write_text("\n".join(['if __name__ == "__main__":' if guard else "", *lines]))
    return path


def test_processes_that_are_spawned_train_and_measure(tmp_path: Path) -> None:
    done = ran(script(tmp_path, "spawn", guard=True))
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_without_a_main_guard_gets_one_error(tmp_path: Path, method: str) -> None:
    done = ran(script(tmp_path, method, guard=False))
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) < 15
    assert [line.startswith("Traceback") for line in lines].count(True) == 1
    assert lines[-1] == (
        f"wsol.errors.WsolError: the processes that read photos ended at once: where they start by {method!r} a script "
        'must call wsol below `if __name__ == "__main__":`, or give workers=0'
    )


def test_a_small_shared_memory_is_enough(tmp_path: Path) -> None:
    mounted = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=512k none /dev/shm && "$@"']
    try:
        subprocess.run([*mounted, "-", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this system lets nobody mount a small /dev/shm ({error})")
    done = ran(script(tmp_path, "fork", guard=True), *mounted, "-")
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


def test_a_process_that_may_start_none_reads_the_photos_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    run = wsol.train("cam", (photos(), photos()), tmp_path, workers=2, **SMALL)
    assert run.figures()["epoch"] == 1
