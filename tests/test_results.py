"""What `wsol.locate` gives: results with a length and an index, each as notebooks and supervision take it."""

import copy
import io
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import IPython.display
import numpy as np
import pytest
import supervision
from PIL import Image

import wsol
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.locating import results as locating
from wsol.locating.result import Finding, Result, find


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    options = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
    shown = Creatures("train", images=8, size=72, classes=3)
    return wsol.train("cam", (shown, shown), tmp_path_factory.mktemp("run"), epochs=0, **options).open()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    shown = Creatures("test", images=5, size=96)
    (tmp_path / "photos").mkdir()
    for index in range(5):
        shown.image(index).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that are opened from now on."""
    names: list[str] = []
    whole = locating.reduced
    monkeypatch.setattr(locating, "reduced", lambda path, *more: names.append(path.name) or whole(path, *more))
    return names


def made(**more: Any) -> Result:
    """A photo of 448 x 224 with a box at 56 28 168 84."""
    heatmap = np.zeros((224, 224), np.float32)
    heatmap[28:84, 28:84] = 1
    found = replace(find(2, "cat", 0.5, heatmap, (448, 224), 0.5), confidence=np.array([0.8]))
    return Result("b/c.png", (448, 224), 0.5, (found,), photo=Image.new("RGB", (448, 224), (90, 120, 60)), **more)


# --- many


def test_a_length_opens_no_photo_and_an_index_opens_one(localizer: Any, photos: Path, opened: list[str]) -> None:
    results = wsol.locate(localizer, photos)
    assert (len(results), repr(results), opened) == (5, "Results(5 photos: 0.png ... 4.png)", [])
    assert (results[3].path, results[-1].path) == ("3.png", "4.png")
    assert opened == ["3.png", "4.png"]
    with pytest.raises(IndexError):
        results[5]


def test_a_slice_is_results_again(localizer: Any, photos: Path, opened: list[str]) -> None:
    some = wsol.locate(localizer, photos, batch_size=2)[1:4]
    assert (len(some), opened) == (3, [])
    assert [result.path for result in some] == ["1.png", "2.png", "3.png"] == opened


def test_results_can_be_gone_through_again(localizer: Any, photos: Path) -> None:
    results = wsol.locate(localizer, [photos / "0.png", np.zeros((40, 50, 3), np.uint8), io.BytesIO(b"x")][:2])
    assert list(results) == list(results) and len(results) == 2
    one = wsol.locate(localizer, Image.open(photos / "1.png"))
    assert (len(one), repr(one)) == (1, "Results(1 photo: image_00000)")


def test_an_index_gives_what_going_through_gives(localizer: Any, photos: Path) -> None:
    results = wsol.locate(localizer, photos, threshold=0.3, classes=2, keep="all", batch_size=1)
    assert [results[place] for place in range(5)] == list(results)


def test_a_batch_of_pixels_counts_its_photos(localizer: Any) -> None:
    assert len(wsol.locate(localizer, np.zeros((3, 40, 50, 3), np.uint8))) == 3


def test_a_generator_has_no_length(localizer: Any, photos: Path) -> None:
    def given() -> Iterator[Path]:
        yield from sorted(photos.iterdir())

    results = wsol.locate(localizer, given())
    assert results and repr(results) == "Results(of a generator)"
    for ask in (lambda: len(results), lambda: results[0]):
        with pytest.raises(TypeError, match="results of a generator have no length and no index"):
            ask()
    assert len(list(results)) == 5 and list(results) == []


def test_a_bad_photo_is_skipped_on_the_way_and_named_by_its_index(localizer: Any, photos: Path) -> None:
    (photos / "2.png").write_bytes(b"no photo")
    results = wsol.locate(localizer, photos, on_bad_image="skip")
    with pytest.warns(UserWarning, match=r"skipped: .*2\.png"):
        assert [result.path for result in results] == ["0.png", "1.png", "3.png", "4.png"]
    assert len(results) == 5
    with pytest.raises(WsolError, match=r"2\.png"):
        results[2]


def test_results_are_one_table(localizer: Any, photos: Path) -> None:
    results = wsol.locate(localizer, photos, classes=2)
    table = results.to_df()
    assert table.to_dict("records") == [row for result in results for row in result.rows()]
    assert list(table.columns)[:3] == ["path", "label", "name"] and len(table) == 10


# --- one


def test_supervision_gets_boxes_masks_and_names() -> None:
    result = made()
    other = Finding(0, "dog", 0.25, np.zeros((0, 4)), np.zeros(0), result.heatmap, background=True)
    detections = replace(result, findings=(*result.findings, other)).to_supervision()
    assert isinstance(detections, supervision.Detections) and len(detections) == 1
    assert detections.xyxy.tolist() == [[56, 28, 168, 84]]
    assert detections.class_id is not None and detections.class_id.tolist() == [2]
    assert detections.confidence is not None and detections.confidence.tolist() == pytest.approx([0.4])
    assert detections.data["class_name"].tolist() == ["cat"]
    assert detections.mask is not None and np.array_equal(detections.mask[0], result.mask)
    drawn = supervision.BoxAnnotator().annotate(np.zeros((224, 448, 3), np.uint8), detections)
    assert drawn[28, 100].any() and not drawn[150, 300].any()


def test_supervision_gets_nothing_where_nothing_is() -> None:
    result = made()
    nothing = replace(result.findings[0], boxes=np.zeros((0, 4)), confidence=np.zeros(0), background=True)
    detections = replace(result, findings=(nothing,)).to_supervision()
    assert len(detections) == 0 and detections.mask is not None and detections.mask.shape == (0, 224, 448)


def test_a_result_shows_itself_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    result = made()
    content = result._repr_png_()
    assert content is not None and np.array_equal(
        np.asarray(Image.open(io.BytesIO(content))), np.asarray(result.plot())
    )
    large = replace(result, size=(4480, 2240), photo=Image.new("RGB", (4480, 2240)))._repr_png_()
    assert large is not None and Image.open(io.BytesIO(large)).size == (1024, 512)
    assert replace(result, photo=None)._repr_png_() is None
    assert replace(result, photo=Path("gone.jpg"))._repr_png_() is None
    shown: list[Any] = []
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr(IPython.display, "display", shown.append)
    result.show()
    assert [picture.size for picture in shown] == [(448, 224)]


def test_a_result_opens_in_the_systems_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(Image.Image, "show", lambda picture, title: shown.append((picture.size, title)))
    made().show()
    assert shown == [((448, 224), "b/c.png")]
    with pytest.raises(WsolError, match="without its photo"):
        replace(made(), photo=None).show()


def test_a_result_survives_a_pickle_and_is_hashed_as_it_is_compared(localizer: Any, photos: Path) -> None:
    of_file, of_bytes, of_pixels = (
        wsol.locate(localizer, photo)[0]
        for photo in (photos / "1.png", (photos / "1.png").read_bytes(), Image.open(photos / "1.png"))
    )
    for result in (of_file, of_bytes, of_pixels, made(unsure=True)):
        for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert again == result and hash(again) == hash(result) and {again, result} == {result}
            assert again.plot().tobytes() == result.plot().tobytes()
            assert hash(again.findings[0]) == hash(result.findings[0])


def test_whoever_decided_makes_a_difference() -> None:
    result = made()
    decided = replace(result, findings=(replace(result.findings[0], decided="person"),))
    assert decided != result and hash(decided) == hash(result)
    assert decided.at(0.9).boxes.tolist() == result.boxes.tolist()
