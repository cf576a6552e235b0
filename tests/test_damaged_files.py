"""Random bytes in whatever a user hands over: a clear error or a sound answer, never a crash."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import wsol
from wsol.data import Creatures, Csv, Dataset, Flowers17, Metadata, write_metadata
from wsol.data.images import open_image
from wsol.errors import WsolError
from wsol.evaluation.score_maps import _read
from wsol.export import find_formats, read_heatmaps, write_results
from wsol.locating.locate import locate
from wsol.methods.stack import stack
from wsol.runs.folder import Run
from wsol.runs.opening import load
from wsol.runs.settings import resolve
from wsol.runs.tensors import read_tensors, write_tensors

fuzz = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
# what a file becomes: cut short, a few bytes changed, or something else altogether
cuts = st.tuples(st.just("cut"), st.floats(0, 1))
changes = st.tuples(
    st.just("change"), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6)
)
others = st.tuples(st.just("other"), st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
tokens = st.sampled_from([b"-1", b"nan", b"1e999", b"null", b"[]", b",", b"\n", b'"', b"{}", b"99999999999", b"\x00"])
insertions = st.tuples(st.just("insert"), st.tuples(st.floats(0, 1), tokens))
damages = st.one_of(cuts, changes, others, insertions)


def damaged(whole: bytes, damage: tuple[str, Any]) -> bytes:
    kind, how = damage
    if kind == "cut":
        return whole[: int(how * len(whole))]
    if kind == "other":
        return how
    if kind == "insert":
        place = int(how[0] * len(whole))
        return whole[:place] + how[1] + whole[place:]
    changed = bytearray(whole)
    for place, value in how:
        changed[int(place * (len(whole) - 1))] = value
    return bytes(changed)


def clear(attempt: Callable[[], Any]) -> Any:
    """What it gives, or None where it says what is wrong in one line."""
    try:
        return attempt()
    except WsolError as error:
        assert str(error) and "\n" not in str(error).strip()
        return None


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@fuzz
@given(damage=damages)
def test_images(tmp_path: Path, kind: str, damage: tuple[str, Any]) -> None:
    path = tmp_path / "photo"
    path.write_bytes(damaged(encoded(kind), damage))
    image = clear(lambda: open_image(path))
    assert image is None or image.mode == "RGB"


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists") / "test"
    write_metadata(Creatures("test", images=4, size=40), folder)
    return folder


def everything(photos: Dataset) -> Dataset:
    for index in range(len(photos)):
        truth = photos.truth(index)
        assert np.isfinite(truth.boxes).all()
        assert 0 <= photos.samples[index].label < len(photos.classes)
    return photos


@pytest.mark.parametrize("name", ["image_ids", "class_labels", "image_sizes", "localization"])
@fuzz
@given(damage=damages)
def test_metadata(tmp_path: Path, lists: Path, name: str, damage: tuple[str, Any]) -> None:
    shutil.copytree(lists, tmp_path / "test", dirs_exist_ok=True)
    (tmp_path / "test" / f"{name}.txt").write_bytes(damaged((lists / f"{name}.txt").read_bytes(), damage))

    def read() -> None:
        photos = Metadata(tmp_path, "test")
        photos.check_all()
        everything(photos)
        for index in range(len(photos)):
            assert min(photos.size(index)) > 0

    clear(read)


@fuzz
@given(damage=damages)
def test_csv(tmp_path: Path, damage: tuple[str, Any]) -> None:
    whole = b"path,label,x0,y0,x1,y1,split\na.png,cat,1,2,9,8,train\nb.png,dog,0,0,5.5,9,train\n"
    for name in "ab":
        Image.new("RGB", (10, 10)).save(tmp_path / f"{name}.png")
    (tmp_path / "photos.csv").write_bytes(damaged(whole, damage))
    clear(lambda: everything(Csv(tmp_path / "photos.csv", "train")))


@fuzz
@given(damage=damages)
def test_masks(tmp_path: Path, damage: tuple[str, Any]) -> None:
    (tmp_path / "masks").mkdir(exist_ok=True)
    (tmp_path / "images").mkdir(exist_ok=True)
    mask = Image.new("P", (12, 9), 1)
    mask.save(tmp_path / "masks" / "a.png")
    (tmp_path / "masks" / "a.png").write_bytes(damaged((tmp_path / "masks" / "a.png").read_bytes(), damage))
    Image.new("RGB", (12, 9)).save(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels.csv").write_text("image,class,has_mask\na.jpg,0,1\n")

    def read() -> None:
        photos = Flowers17(tmp_path, "train")
        for index in range(len(photos)):
            assert photos.truth(index).mask is None or photos.truth(index).mask.dtype == bool

    clear(read)
    (tmp_path / "test").mkdir(exist_ok=True)
    for name, line in {"image_ids": "a", "class_labels": "a,0", "localization": "a,masks/a.png,"}.items():
        (tmp_path / "test" / f"{name}.txt").write_text(line + "\n")
    clear(lambda: Metadata(tmp_path, "test").truth(0))


@fuzz
@given(damage=damages)
def test_score_maps(tmp_path: Path, damage: tuple[str, Any]) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).uniform(0, 1, (6, 5)))
    (tmp_path / "a.npy").write_bytes(damaged((tmp_path / "a.npy").read_bytes(), damage))
    heatmap = clear(lambda: _read(tmp_path / "a.npy"))
    assert heatmap is None or heatmap.ndim == 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    small = {
        "backbone": "resnet18",
        "weights": "none",
        "image_size": 32,
        "batch_size": 4,
        "workers": 0,
        "end": "layer1",
        "map_stride": 4,
    }
    photos = Creatures("train", images=24, size=36)
    return wsol.train("cam", (photos, photos), tmp_path_factory.mktemp("run") / "run", epochs=0, **small)


@pytest.mark.parametrize("name", ["run.json", "best.safetensors", "best.json", "threshold.json"])
@settings(fuzz, max_examples=40)
@given(damage=damages)
def test_runs(tmp_path: Path, run: Run, name: str, damage: tuple[str, Any]) -> None:
    run.keep_threshold(0.3, "best", 5)
    shutil.copytree(run.folder, tmp_path / "run", dirs_exist_ok=True)
    (tmp_path / "run" / name).write_bytes(damaged((run.folder / name).read_bytes(), damage))

    def use() -> None:
        opened = load(tmp_path / "run")
        for result in locate(opened, Image.new("RGB", (40, 30), "red")):
            assert np.isfinite(result.boxes).all() and 0 <= result.threshold <= 1

    clear(use)


@settings(fuzz, max_examples=40)
@given(damage=damages, name=st.sampled_from(["heatmaps.jsonl", "classes.json", "heatmaps/000000.npy"]))
def test_stored_heatmaps(tmp_path: Path, run: Run, name: str, damage: tuple[str, Any]) -> None:
    writers = find_formats("heatmap").values()
    results = locate(run, Image.new("RGB", (40, 30), "red"))
    write_results(results, tmp_path / "found", list(run.classes), writers, overwrite=True)
    path = tmp_path / "found" / name
    path.write_bytes(damaged(path.read_bytes(), damage))
    clear(lambda: [result.to_json() for result in read_heatmaps(tmp_path / "found", 0.4)[1]])


WRONG: dict[str, list[Any]] = {
    "path": ["../../x.jpg", "/x.jpg", "", "a\0b", 3, None],
    "width": [0, -1, 40.5, 1e308, float("inf"), True, "40"],
    "threshold": [2, "x", float("nan"), None],
    "keep": ["x", None],
    "unsure": [3, "x"],
    "findings": [[], {}, None],
    "findings.label": [99, -1, 0.5, "0", True],
    "findings.name": [3, "nobody"],
    "findings.score": [2, -1, float("nan"), True, None],
    "findings.boxes": [[], [[0, 0, 900, 900]], [[9, 9, 1, 1]], [[-3, 0, 5, 5]], [[1, 2, 3]], [["x"] * 4], 1],
    "findings.confidence": [[], [2], [float("nan")], 1],
    "findings.decided": ["me", None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_of_stored_heatmaps_is_named(tmp_path: Path, run: Run, key: str, value: Any) -> None:
    found = tmp_path / "found"
    results = locate(run, Image.new("RGB", (40, 30), "red"), threshold=0.5)
    write_results(results, found, list(run.classes), find_formats("heatmap").values())
    entry = json.loads((found / "heatmaps.jsonl").read_text())
    holder = entry["findings"][0] if "." in key else entry
    assert len(list(read_heatmaps(found)[1])) == 1
    holder[key.rpartition(".")[2]] = value
    (found / "heatmaps.jsonl").write_text(json.dumps(entry) + "\n")
    with pytest.raises(WsolError, match=r"heatmaps\.jsonl, line 1: .*; locate again"):
        list(read_heatmaps(found)[1])


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros((2, 4, 4)), np.zeros((1, 0, 4)), np.zeros((1, 4, 4), "U3"), np.zeros((1, 4, 4), complex)],
)
def test_an_array_that_is_no_heatmap_is_named(tmp_path: Path, run: Run, array: np.ndarray) -> None:
    write_results(
        locate(run, Image.new("RGB", (40, 30), "red")), tmp_path, list(run.classes), find_formats("heatmap").values()
    )
    np.save(tmp_path / "heatmaps" / "000000.npy", array)
    with pytest.raises(WsolError, match=r"000000\.npy: .*; locate again"):
        list(read_heatmaps(tmp_path)[1])


def test_a_header_that_asks_for_more_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)
    with pytest.raises(WsolError, match=r"a\.npy: cannot be read as a NumPy array"):
        _read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "text",
    ["!!timestamp x", "!!int ''", "!!bool x", "!!int x", "2001-99-99", "9" * 5000, "[" * 3000, "&a [*a]", "!!float ."],
)
def test_yaml_that_raises_other_errors_than_its_own(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(f"epochs: {text}\n")
    with pytest.raises(WsolError, match=r"own\.yaml: not readable as YAML"):
        resolve(stack("cam"), str(tmp_path / "own.yaml"), {})


def test_a_network_with_a_weight_that_is_no_number_is_named(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    tensors, about = read_tensors(tmp_path / "run" / "best.safetensors", "")
    next(tensor for tensor in tensors.values() if tensor.is_floating_point()).view(-1)[0] = float("nan")
    write_tensors(tmp_path / "run" / "best.safetensors", tensors, about)
    with pytest.raises(WsolError, match=r"best\.safetensors: .* holds NaN or infinity: the training diverged"):
        load(tmp_path / "run")


@fuzz
@given(damage=damages)
def test_recipes(tmp_path: Path, damage: tuple[str, Any]) -> None:
    whole = b"backbone: mobilenetv1\nepochs: 3\nlearning_rate: 0.01\nimage_size: 64\n"
    (tmp_path / "own.yaml").write_bytes(damaged(whole, damage))
    clear(lambda: resolve(stack("cam"), str(tmp_path / "own.yaml"), {}))


def test_the_whole_files_are_sound(tmp_path: Path, run: Run, lists: Path) -> None:
    """Otherwise the tests above would see errors alone."""
    assert open_image_of(tmp_path, encoded("PNG")).size == (30, 20)
    assert len(everything(Metadata(lists.parent, "test"))) == 4
    assert json.loads((run.folder / "run.json").read_text())["method"] == "cam"
    assert load(run.folder).classes == run.classes


def open_image_of(folder: Path, content: bytes) -> Image.Image:
    (folder / "whole").write_bytes(content)
    return open_image(folder / "whole")
