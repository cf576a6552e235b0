"""Files of our own: whole or not at all, with the rights that the account asks for, and clear where one is refused."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import wsol
from wsol.backbones.weights import read_state
from wsol.data import Creatures
from wsol.data.images import open_image
from wsol.data.layouts.table import Csv
from wsol.errors import WsolError
from wsol.system.files import read_json, read_yaml, write_whole
from wsol.training.resume import epochs_in

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 4, "workers": 0}
SMALL |= {"epochs": 1, "precision": "fp32"}


def trained(folder: Path) -> Path:
    photos = Creatures("train", images=4, size=36)
    return wsol.train("cam", (photos, photos), folder, **SMALL).folder


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that this account may not read: root may read all, so opening it fails."""
    opened = open

    def checked(file: Any, *given: Any, **named: Any) -> Any:
        if Path(str(file)).name.startswith("refused"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, *given, **named)

    for name in ("builtins.open", "io.open"):
        monkeypatch.setattr(name, checked)
    return Path("refused")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_every_file_of_a_run_has_the_mode_of_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = trained(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert {"best.safetensors", "last.json", "resume.safetensors", "run.json", "metrics.csv"} <= set(modes)
    assert modes == dict.fromkeys(modes, 0o666 & ~umask)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, refused: Path) -> None:
    reads = {
        "refused.json": read_json,
        "refused.yaml": lambda path: read_yaml(path, "recipe"),
        "refused.csv": lambda path: Csv(path, "train"),
        "refused.jpg": open_image,
        "refused.safetensors": read_state,
        "refused.pth": read_state,
    }
    for name, read in reads.items():
        path = tmp_path / name
        path.touch()
        with pytest.raises(WsolError) as error:
            read(path)
        said = "may not be read by this account; change its permissions or those of its folder"
        assert str(error.value) == f"{path}: {said}"


@pytest.mark.parametrize("name", ["best.safetensors", "best.json", "run.json"])
def test_a_run_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = trained(tmp_path / "run")
    opened = Path.open

    def checked(self: Path, *given: Any, **named: Any) -> Any:
        if self.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opened(self, *given, **named)

    monkeypatch.setattr(Path, "open", checked)
    with pytest.raises(WsolError, match=rf"run/{name}: may not be read by this account; change its permissions"):
        wsol.load(folder)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_what_is_not_whole_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "file").write_text("before")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(WsolError if isinstance(error, OSError) else type(error)):
        write_whole(tmp_path / "file", write)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


@pytest.mark.parametrize("name", ["last.safetensors", "best.safetensors", "metrics.csv", "resume.safetensors"])
def test_a_full_disk_names_the_file_of_the_run(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_bytes

    def full(self: Path, content: Any) -> int:
        if self.name.startswith(f"{name}.") and self.suffix == ".part":
            written(self, b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WsolError) as error:
        trained(tmp_path)
    assert str(error.value) == f"{tmp_path / name}: could not be written (No space left on device); free some space"
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / name).exists()


def test_a_sheet_without_room_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_bytes

    def full(self: Path, content: Any) -> int:
        if self.parent.name == "sheets":
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match=r"photos\.png: could not be written .*; free some space \(this sheet is left"):
        trained(tmp_path)
    assert epochs_in(tmp_path / "resume.safetensors") == 1 and not list((tmp_path / "sheets").iterdir())


def test_training_writes_nothing_into_the_system_s_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))  # where no file can be made
    assert (trained(tmp_path / "run") / "resume.safetensors").is_file()


def test_the_state_to_resume_from_is_that_of_the_last_epoch_and_no_pickle(tmp_path: Path) -> None:
    state = trained(tmp_path) / "resume.safetensors"
    assert epochs_in(state) == 1 and json.loads(state.with_suffix(".json").read_text())["epoch"] == 1
    assert load_file(state)["/state_dict/method.head.classifier.bias"].shape == (12,)
