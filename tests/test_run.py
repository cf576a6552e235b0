"""Run folders: what is written comes back, and damaged or foreign files are named."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.method import METHODS
from wsol.run import Run, build, describe, load, save, write_json
from wsol.settings import resolve


def stored(folder: Path, method: str = "eil", **given) -> Run:
    kind = METHODS[method]
    small = {"head_width": 8} if method == "acol" else {}
    given = {"backbone": "resnet18", "weights": "none", "image_size": 32} | small | given
    settings, options = resolve(kind, None, given)
    run = build(folder, kind, settings, options, Creatures(images=0).classes, "creatures")
    describe(run)
    for name in ("best", "last"):
        save(run.method, folder / f"{name}.safetensors", {"epoch": 1})
    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_run_comes_back_as_it_was(tmp_path: Path, method: str) -> None:
    run, again = stored(tmp_path, method), load(tmp_path)
    images = torch.rand(2, 3, 32, 32)
    one, two = (each.method.eval().predict(images).logits for each in (run, again))
    assert torch.equal(one, two)
    assert (again.classes, again.options, again.settings, again.data) == (
        run.classes,
        run.options,
        run.settings,
        run.data,
    )
    assert not again.method.training


def test_a_run_may_have_the_librarys_own_stride(tmp_path: Path) -> None:
    stored(tmp_path, map_stride="own")
    assert load(tmp_path).method.backbone.stride(-1) == 32


def test_the_threshold_says_where_it_comes_from(tmp_path: Path) -> None:
    run = stored(tmp_path)
    assert (run.threshold, run.threshold_source) == ("auto", "auto")
    run.choose_threshold(0.35, "cub", 250)
    assert (load(tmp_path).threshold, run.threshold_source) == (0.35, "validation")
    about = json.loads((tmp_path / "run.json").read_text())
    about["settings"]["threshold"] = 0.1
    (tmp_path / "run.json").write_text(json.dumps(about))
    assert (load(tmp_path).threshold, load(tmp_path).threshold_source) == (0.1, "recipe")


@pytest.mark.parametrize("text", ["{", "{}", "[0.3]", '{"threshold": null}', '{"threshold": "low"}'])
def test_a_damaged_threshold_is_named(tmp_path: Path, text: str) -> None:
    run = stored(tmp_path)
    (tmp_path / "threshold.json").write_text(text)
    with pytest.raises(WsolError, match=r"threshold\.json: .*evaluate again"):
        _ = run.threshold


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match=r"run\.json is missing"):
        load(tmp_path / "nothing")


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a checkpoint was unpickled",)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 200, pickle.dumps(Trap())])
def test_damaged_or_foreign_weights_are_named_and_never_unpickled(tmp_path: Path, content: bytes) -> None:
    stored(tmp_path)
    (tmp_path / "best.safetensors").write_bytes(content)
    with pytest.raises(WsolError, match=r"best\.safetensors: damaged"):
        load(tmp_path)


def test_truncated_weights_are_named(tmp_path: Path) -> None:
    stored(tmp_path)
    path = tmp_path / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WsolError, match=r"best\.safetensors: damaged"):
        load(tmp_path)
    assert load(tmp_path, "last").checkpoint["checkpoint"] == "last"


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    stored(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    about["classes"] = about["classes"][:5]
    (tmp_path / "run.json").write_text(json.dumps(about))
    with pytest.raises(WsolError, match="does not fit the network") as error:
        load(tmp_path)
    assert "head.classifier" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not readable as JSON"), ("[]", "no JSON object"), ('{"method": "eil"}', "incomplete")]
)
def test_a_damaged_description_is_named(tmp_path: Path, text: str, said: str) -> None:
    stored(tmp_path)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(WsolError, match=r"run\.json") as error:
        load(tmp_path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("part", "entries", "said"),
    [
        ("method", "meill", "did you mean meil"),
        ("method", 3, "there is no method '3'"),
        ("classes", None, "incomplete"),
        ("settings", [], "incomplete"),
        ("settings", {"backbone": "resnet18", "epoch": 1}, "did you mean epochs"),
        ("settings", {"backbone": None}, "incomplete ('backbone')"),
        ("settings", {"backbone": "resnet19"}, "there is no backbone 'resnet19'"),
        ("options", {"sigma": "wide"}, "sigma cannot be 'wide'"),
    ],
)
def test_a_foreign_description_is_named(tmp_path: Path, part: str, entries: object, said: str) -> None:
    stored(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(about | {part: entries}))
    with pytest.raises(WsolError, match=r"run\.json: ") as error:
        load(tmp_path)
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["best.safetensors", "best.json"])
def test_a_missing_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    stored(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WsolError, match=rf"{name}: "):
        load(tmp_path)
    assert load(tmp_path, "last").checkpoint == {"checkpoint": "last", "epoch": 1}


def test_a_folder_that_is_a_file_is_named_and_left_alone(tmp_path: Path) -> None:
    run = stored(tmp_path / "run")
    (tmp_path / "file").write_text("not a folder")
    for write in (
        lambda: save(run.method, tmp_path / "file" / "best.safetensors", {}),
        lambda: write_json(tmp_path / "file" / "run.json", {}),
    ):
        with pytest.raises(WsolError, match=r"file/\w+\.\w+: could not be written .*choose another --output"):
            write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]
    assert (tmp_path / "file").read_text() == "not a folder"


def test_what_cannot_be_written_is_named_and_nothing_is_lost(tmp_path: Path, monkeypatch) -> None:
    run = stored(tmp_path)
    before = (tmp_path / "best.safetensors").read_bytes()

    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wsol.run.save_file", full)
    with pytest.raises(WsolError, match=r"best\.safetensors: could not be written .*No space left"):
        save(run.method, tmp_path / "best.safetensors", {})
    assert (tmp_path / "best.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
