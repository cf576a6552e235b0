"""Run folders: what is written comes back, and damaged or foreign files are named."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from wsol import registry
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.methods.contract import Method
from wsol.methods.stack import stack
from wsol.runs.folder import Run, save
from wsol.runs.opening import load
from wsol.runs.settings import resolve
from wsol.system.files import write_json

METHODS = registry.names("methods")


def stored(folder: Path, method: str = "eil", **given) -> tuple[Run, Method]:
    small = {"head_width": 8} if method == "acol" else {}
    backbone = "deit_tiny_patch16_224" if method == "tscam" else "resnet18"
    given = {"backbone": backbone, "weights": "none", "image_size": 32} | small | given
    resolved = resolve(stack(method), None, given)
    run = Run(folder, stack(method), resolved, tuple(Creatures(images=0).classes), "creatures")
    run.describe()
    network = run.build()
    for name in ("best", "last"):
        save(network, folder / f"{name}.safetensors", {"epoch": 1})
    return run, network


@pytest.mark.parametrize("method", METHODS)
def test_a_run_comes_back_as_it_was(tmp_path: Path, method: str) -> None:
    (run, network), opened = stored(tmp_path, method), load(tmp_path)
    images = torch.rand(2, 3, 32, 32)
    device = next(opened.method.parameters()).device
    one, two = (each.to(device).eval().predict(images.to(device)).logits for each in (network, opened.method))
    assert torch.equal(one, two)
    assert Run.read(tmp_path) == run
    assert (opened.classes, opened.image_size) == (run.classes, run.resolved.settings.image_size)
    assert not opened.method.training


def test_a_run_may_have_the_librarys_own_stride(tmp_path: Path) -> None:
    stored(tmp_path, map_stride="own")
    assert load(tmp_path).method.backbone.stride(-1) == 32


def threshold_of(localizer: Localizer) -> tuple[float | str, str]:
    return localizer.threshold, localizer.threshold_source


def test_the_threshold_says_where_it_comes_from(tmp_path: Path) -> None:
    run, _ = stored(tmp_path)
    assert threshold_of(load(tmp_path)) == ("auto", "auto")
    run.keep_threshold(0.35, "best", 250)
    assert threshold_of(load(tmp_path)) == (0.35, "validation")
    for other in ({"checkpoint": "last"}, {"readout": "gradcam"}):  # it was not chosen for these heatmaps
        assert threshold_of(load(tmp_path, **other)) == ("auto", "auto")
    about = json.loads((tmp_path / "run.json").read_text())
    for setting, expected in ((0.1, (0.1, "recipe")), ("validation", (0.35, "validation"))):
        about["settings"]["threshold"] = setting
        (tmp_path / "run.json").write_text(json.dumps(about))
        assert threshold_of(load(tmp_path)) == expected


@pytest.mark.parametrize("text", ["{", "{}", "[0.3]", '{"threshold": null}', '{"threshold": "low"}'])
def test_a_damaged_threshold_is_named(tmp_path: Path, text: str) -> None:
    stored(tmp_path)
    (tmp_path / "threshold.json").write_text(text)
    with pytest.raises(WsolError, match=r"threshold\.json: .*evaluate again"):
        load(tmp_path)


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
    assert load(tmp_path, checkpoint="last").facts["checkpoint"] == "last"


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    stored(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    about["classes"] = about["classes"][:5]
    (tmp_path / "run.json").write_text(json.dumps(about))
    with pytest.raises(WsolError, match="does not fit the network") as error:
        load(tmp_path)
    assert "head.classifier" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not readable as JSON"), ("[]", "no JSON object"), ('{"method": "eil"}', "settings is missing")],
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
        ("method", 3, "method cannot be 3; it must be str; train again"),
        ("classes", None, "classes cannot be None; it must be list"),
        ("classes", [1, 2], "classes[0] cannot be 1; it must be str"),
        ("classes", ["a", "b", "a"], "a is there twice"),
        ("several", "no", "several cannot be 'no'; it must be bool"),
        ("settings", [], "settings cannot be []; it must be dict"),
        ("settings", {"backbone": "resnet18", "epoch": 1}, "did you mean epochs"),
        ("settings", {"backbone": None}, "settings.backbone is missing"),
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
    assert load(tmp_path, checkpoint="last").facts == {"method": "EIL", "checkpoint": "last", "epoch": 1}


def test_a_folder_that_is_a_file_is_named_and_left_alone(tmp_path: Path) -> None:
    _, network = stored(tmp_path / "run")
    (tmp_path / "file").write_text("not a folder")
    for write in (
        lambda: save(network, tmp_path / "file" / "best.safetensors", {}),
        lambda: write_json(tmp_path / "file" / "run.json", {}),
    ):
        with pytest.raises(WsolError, match=r"file/\w+\.\w+: could not be written .*choose another --output"):
            write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]
    assert (tmp_path / "file").read_text() == "not a folder"


def test_what_cannot_be_written_is_named_and_nothing_is_lost(tmp_path: Path, monkeypatch) -> None:
    _, network = stored(tmp_path)
    before = (tmp_path / "best.safetensors").read_bytes()

    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(WsolError, match=r"best\.safetensors: could not be written .*No space left"):
        save(network, tmp_path / "best.safetensors", {})
    assert (tmp_path / "best.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
