"""A network that left the house answers as it did at home: in ONNX without torch, in TorchScript by torch alone."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsol
from wsol import registry
from wsol.boxes.rule import find_boxes, normalise
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.portable.graph import OUTPUTS
from wsol.portable.write import write_onnx, write_torchscript
from wsol.runs.opening import find_readout, load
from wsol.testing import small_batch, subject

onnx = pytest.importorskip("onnx", reason="writing ONNX files needs the extra onnx")
pytest.importorskip("onnxruntime", reason="running ONNX files needs the extra onnx")
pytest.importorskip("onnxscript", reason="writing ONNX files needs the extra onnx")

CLASSES = tuple("abcde")
# each way to predict and to make heatmaps, and each read-out without gradients
WAYS = {
    "cam": "own",
    "acol": "own",
    "bas": "own",
    "sltnet": "own",
    "regressor": "own",
    "eil": "ccam",
    "has": "scorecam",
    "adl": "pc1",
    "ega": "mean",
    "spg": "own",
    "i2c": "own",
    "danet": "own",
    "nlccam": "own",
    "trilite": "own",
    "tscam": "own",
    "gcnet": "own",
    "fewshot": "own",
}


def localizer(method: str = "cam", readout: str = "own", **facts: Any) -> Localizer:
    asked = {} if readout == "own" else {"readout": find_readout(readout, {})}
    network = subject(method).built(normed=True).eval()
    return Localizer(network, CLASSES, 32, name=method, facts={"method": method}, **asked, **facts)


def same(one: wsol.Localizer, other: Any, images: torch.Tensor, **asked: Any) -> None:
    here, there = one.look(images, **asked), other.look(images, **asked)
    assert torch.equal(here.classes, there.classes) and torch.equal(here.unsure, there.unsure)
    for name in ("logits", "scores", "heatmaps", "boxes"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), rtol=1e-4, atol=2e-5)


def traced(one: Localizer, path: Path, images: torch.Tensor, asked: torch.Tensor) -> dict[str, torch.Tensor]:
    write_torchscript(one, path)
    return dict(zip(OUTPUTS, torch.jit.load(str(path))(images, asked), strict=True))


@pytest.mark.parametrize("method", WAYS)
def test_an_onnx_file_answers_like_the_network_for_any_batch_and_any_classes(tmp_path: Path, method: str) -> None:
    one = localizer(method, WAYS[method], least_energy=1.0)
    write_onnx(one, tmp_path / "network.onnx")
    other = load(tmp_path / "network.onnx")
    images = small_batch(5)[0]
    for batch in (images[:1], images):
        same(one, other, batch, best=3)
        same(one, other, batch, classes=torch.arange(len(batch))[:, None])
    torch.testing.assert_close(other.judge(images), one.judge(images), rtol=1e-4, atol=2e-5)
    assert isinstance(other.look(images.numpy()).heatmaps, np.ndarray)
    assert other.names_classes is one.names_classes is (method not in ("regressor", "fewshot"))


@pytest.mark.parametrize("method", registry.names("methods"))
def test_every_method_and_its_torchscript_file_answer_alike(tmp_path: Path, method: str) -> None:
    one, images = localizer(method), small_batch(5)[0]
    there = traced(one, tmp_path / "network.ts", images, torch.tensor([[-1, -2]]))
    here = one.look(images, best=2)
    for name in ("logits", "scores", "heatmaps"):
        torch.testing.assert_close(there[name], getattr(here, name), rtol=1e-4, atol=2e-5)


def test_every_method_predicts_in_a_way_that_an_onnx_file_is_tested_for() -> None:
    def way(name: str) -> tuple[Any, Any]:
        network = subject(name).built()
        while hasattr(network, "method"):
            network = network.method
        return type(network).predict, type(network).heatmaps

    tested = {way(name) for name in WAYS}
    assert [name for name in registry.names("methods") if way(name) not in tested] == []
    needing = {"saliency", "gradcam", "gradcam++", "layercam"}
    assert set(registry.names("readouts")) - needing == set(WAYS.values())


@pytest.mark.parametrize("readout", ["saliency", "gradcam", "gradcam++", "layercam"])
def test_read_outs_that_need_gradients_are_refused(tmp_path: Path, readout: str) -> None:
    for write in (write_onnx, write_torchscript):
        with pytest.raises(WsolError, match=r"asks for gradients, which a file cannot give; export with another"):
            write(localizer(readout=readout), tmp_path / "network")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threshold", ["auto", 0.3, 0.6])
def test_the_files_own_boxes_surround_all_that_wsol_finds(tmp_path: Path, threshold: Any) -> None:
    one, images = localizer("acol", threshold=threshold), small_batch(4)[0]
    there = traced(one, tmp_path / "network.ts", images, torch.tensor([[-1, 2]]))
    for heatmaps, maps, boxes in zip(there["heatmaps"], there["normalised"], there["boxes"], strict=True):
        for heatmap, on_grid, box in zip(heatmaps.numpy(), maps.numpy(), boxes.numpy(), strict=True):
            grid = normalise(heatmap, (224, 224))
            np.testing.assert_allclose(on_grid, grid, atol=1e-4)
            np.testing.assert_allclose(224 * box[None], find_boxes(grid, threshold, "union"), atol=1)


def test_confidence_in_a_file_is_that_of_wsol_where_a_map_has_one_region(tmp_path: Path) -> None:
    one, images = localizer("regressor"), small_batch(4)[0]  # it draws one box
    there = traced(one, tmp_path / "network.ts", images, torch.tensor([[-1]]))
    photos = [(255 * image).byte().numpy() for image in images]
    found = wsol.locate(one, [np.ascontiguousarray(photo.transpose(1, 2, 0)) for photo in photos])
    np.testing.assert_allclose(there["confidence"][:, 0], [result.confidence[0] for result in found], atol=2e-2)


def test_nothing_found_is_the_whole_photo_and_the_background_has_no_box(tmp_path: Path) -> None:
    one = localizer(background="c")
    head = one.method.head.classifier  # type: ignore[union-attr]
    with torch.no_grad():
        head.weight[0] = 0.0  # a constant heatmap
    there = traced(one, tmp_path / "network.ts", small_batch(2)[0], torch.tensor([[0, 1, 2]]))
    assert there["boxes"][:, 0].tolist() == [[0, 0, 1, 1]] * 2 and there["confidence"][:, 0].tolist() == [0, 0]
    assert there["boxes"][:, 2].tolist() == [[0, 0, 0, 0]] * 2 and there["confidence"][:, 2].tolist() == [0, 0]
    assert (there["confidence"][:, 1] > 0).all()


def test_scores_and_boxes_of_other_networks_go_into_the_file(tmp_path: Path) -> None:
    one = localizer().with_(classes=localizer("eil"), boxes=localizer("regressor"))
    images = small_batch(3)[0]
    there = traced(one, tmp_path / "network.ts", images, torch.tensor([[-1]]))
    here = one.look(images)
    torch.testing.assert_close(there["logits"], here.logits, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(there["boxes"][:, 0], here.boxes, rtol=1e-4, atol=2e-5)


# --- a run, its file, and commands


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "cam"
    options = {"backbone": "squeezenet1_1", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
    shown = Creatures("train", images=36, size=72)
    wsol.train("cam", (shown, shown), folder, epochs=0, threshold=0.4, background=shown.classes[3], **options)
    return folder


@pytest.fixture(scope="module")
def file(run: Path) -> Path:
    return wsol.export_network(run, run.parent / "cam.onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, shown = tmp_path_factory.mktemp("photos"), Creatures("test", images=6, size=96)
    for index in range(6):
        shown.image(index).resize((96 + 16 * index, 96)).save(folder / f"{index}.png")
    return folder


def test_a_file_knows_what_the_run_knows(run: Path, file: Path) -> None:
    one, other = load(run), load(file)
    for name in ("classes", "image_size", "several", "threshold", "threshold_source", "background", "facts"):
        assert getattr(one, name) == getattr(other, name)
    assert str(run.parent) not in file.read_bytes().decode("latin-1")  # nor where it lay


def test_a_file_locates_like_the_run(run: Path, file: Path, photos: Path) -> None:
    for here, there in zip(wsol.locate(run, photos, classes=3), wsol.locate(file, photos, classes=3), strict=True):
        assert [finding.name for finding in here.findings] == [finding.name for finding in there.findings]
        for one, other in zip(here.findings, there.findings, strict=True):
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1)
            np.testing.assert_allclose(one.score, other.score, atol=1e-5)
            np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-3)


def test_a_file_is_measured_like_the_run(run: Path, file: Path) -> None:
    shown = Creatures("test", images=12, size=96)
    here, there = wsol.evaluate(run, shown, workers=0), wsol.evaluate(file, shown, workers=0)
    for name in ("Top1Cls", "MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc", "threshold", "images"):
        assert here[name] == pytest.approx(there[name], abs=1e-6)


def test_a_file_locates_where_there_is_no_torch(file: Path, photos: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["torch", "torchvision", "timm", "lightning", "torchmetrics", "safetensors"]))
import wsol
from wsol.cli.app import main
print([result.name for result in wsol.locate({str(file)!r}, {str(photos)!r})])
main(["locate", {str(file)!r}, {str(photos)!r}, "--output", {str(tmp_path / "found")!r}, "--format", "coco,overlay"])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0] == str([result.name for result in wsol.locate(file, photos)])
    assert len(json.loads((tmp_path / "found" / "coco.json").read_text())["images"]) == 6


def test_a_plain_onnxruntime_session_needs_pixels_alone(run: Path, file: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)
    there = dict(zip(OUTPUTS, session.run(None, {"images": images}), strict=True))
    here = load(run).look(images)
    np.testing.assert_array_equal(there["classes"], here.classes)
    np.testing.assert_allclose(there["heatmaps"], here.heatmaps, rtol=1e-4, atol=2e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["wsol"])
    assert set(about["outputs"]) == set(OUTPUTS) and about["run"] == "cam" and about["threshold"] == 0.4


def test_another_threshold_is_written_where_one_is_asked_for(run: Path, tmp_path: Path) -> None:
    path = wsol.export_network(run, tmp_path / "cam.ts", format="torchscript", threshold=0.7)
    files = {"wsol.json": ""}
    torch.jit.load(str(path), _extra_files=files)
    about = json.loads(files["wsol.json"])
    assert (about["threshold"], about["threshold_source"]) == (0.7, "given")


def said(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert left.value.code == 1
    shown = capsys.readouterr().err.strip()
    assert "\n" not in shown
    return shown


def test_what_cannot_be_exported_is_said_in_one_line(
    run: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "cam.onnx"
    assert "did you mean torchscript?" in said(capsys, "export", run, "--output", output, "--format", "torchscrip")
    assert "asks for gradients" in said(capsys, "export", run, "--output", output, "--readout", "gradcam")
    assert "is a folder; give the file" in said(capsys, "export", run, "--output", tmp_path)
    assert "is there already; add --overwrite" in said(capsys, "export", run, "--output", file)
    assert "is a file of wsol export already" in said(capsys, "export", file, "--output", output)
    assert "no run is stored here" in said(capsys, "export", tmp_path, "--output", output)
    assert "threshold 2.0" in said(capsys, "export", run, "--output", output, "--threshold", "2")
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "heatmaps.jsonl").touch()
    old = said(capsys, "export", tmp_path / "found", "--output", tmp_path / "again", "--format", "coco")
    assert f"wsol cut {tmp_path / 'found'}" in old
    assert not output.exists()


def test_a_file_of_an_earlier_version_is_taken_to_name_classes(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    (about,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "wsol")
    assert about.pop("names_classes") is True
    onnx.helper.set_model_props(model, {"wsol": json.dumps(about)})
    onnx.save(model, tmp_path / "old.onnx")
    assert load(tmp_path / "old.onnx").names_classes is True
    onnx.helper.set_model_props(model, {"wsol": json.dumps(about | {"names_classes": "no"})})
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(WsolError, match=r"damaged .names_classes is 'no'"):
        load(tmp_path / "wrong.onnx")


def altered(file: Path, path: Path, what: str) -> Path:
    content = file.read_bytes()
    model = onnx.load(file)
    if what == "foreign":
        del model.metadata_props[:]
    elif what == "metadata":
        onnx.helper.set_model_props(model, {"wsol": '{"threshold": 0.2}'})
    if what in ("foreign", "metadata"):
        content = model.SerializeToString()
    path.write_bytes({"empty": b"", "cut": content[:5000], "text": b"hello"}.get(what, content))
    return path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("empty", "is no whole ONNX file"),
        ("cut", "is no whole ONNX file"),
        ("text", "is no whole ONNX file"),
        ("foreign", "was not written by wsol export, so its classes are unknown"),
        ("metadata", "what it says of itself is damaged"),
    ],
)
def test_damaged_and_foreign_files_are_named(file: Path, tmp_path: Path, what: str, words: str) -> None:
    path = altered(file, tmp_path / "network.onnx", what)
    with pytest.raises(WsolError, match=f"network.onnx: {words}") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_missing_files_and_programs_are_not_opened(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match="there is no such file"):
        load(tmp_path / "network.onnx")
    with pytest.raises(WsolError, match=r"a TorchScript file is a program.*torch\.jit\.load"):
        load(tmp_path / "network.ts")


def test_what_a_file_fixes_cannot_be_asked_for(run: Path, file: Path) -> None:
    for asked in ({"readout": "gradcam"}, {"settings": {"averaged": 2}}, {"classes_from": run}, {"checkpoint": "last"}):
        with pytest.raises(WsolError, match=f"{next(iter(asked))} is fixed in a file of wsol export"):
            load(file, **asked)
    with pytest.raises(WsolError, match="answers alone; give the run"):
        load(run, classes_from=file)


def test_without_onnxruntime_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WsolError, match=r"pip install 'wsol\[onnx\]'"):
        load(file)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(WsolError, match=r"pip install 'wsol\[onnx\]'"):
        write_onnx(localizer(), file.with_name("other.onnx"))


def test_several_classes_in_a_photo_stay_several(tmp_path: Path) -> None:
    one, images = replace(localizer(), several=True), small_batch(3)[0]
    there = traced(one, tmp_path / "network.ts", images, torch.tensor([[-1]]))
    torch.testing.assert_close(there["scores"], one.look(images).scores)
    assert not torch.allclose(there["scores"].sum(1), torch.ones(3))
