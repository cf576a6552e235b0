"""Locating: any photo in, boxes in its own pixels out, a batch at a time; results in every form and format."""

import csv
import errno
import io
import json
import shutil
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

import wsol
from wsol import registry
from wsol.cli.app import main
from wsol.data import Creatures, inputs
from wsol.errors import WsolError
from wsol.export import Writer, find_formats, read_heatmaps, write_results
from wsol.locating import results as locating
from wsol.locating.result import Finding, Result, find
from wsol.runs.folder import Run
from wsol.show import draw

CLASSES = ["red <bird>", 'blue "bird"', "oiseau é"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "cam"
    options = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
    shown = Creatures("train", images=36, size=72)
    return wsol.train("cam", (shown, shown), folder, epochs=0, **options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    shown = Creatures("test", images=5, size=96)
    for index, name in enumerate(["a.png", "b/c.png", "b/é d.png", "b/e/f.jpg", "z.bmp"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.image(index).resize((96 + 8 * index, 96)).save(path)
    return tmp_path / "photos"


# --- what goes in


def test_folders_are_searched_and_names_keep_their_structure(run: Run, photos: Path) -> None:
    found = list(wsol.locate(run, photos, batch_size=2))
    assert [result.path for result in found] == ["a.png", "b/c.png", "b/e/f.jpg", "b/é d.png", "z.bmp"]
    sizes = {path.relative_to(photos).as_posix(): Image.open(path).size for path in photos.rglob("*.*")}
    assert {result.path: result.size for result in found} == sizes


def test_names_are_those_of_all_that_was_given_and_each_photo_counts_once(run: Run, photos: Path) -> None:
    (photos / "b" / "a.png").write_bytes((photos / "a.png").read_bytes())
    names = [
        result.path
        for result in wsol.locate(run, [photos / "a.png", photos / "b" / "a.png", Image.open(photos / "a.png")])
    ]
    assert names == ["a.png", "b/a.png", "image_00000"]
    assert [result.path for result in wsol.locate(run, [photos / "b" / "e", photos / "b" / "e" / "f.jpg"])] == ["f.jpg"]
    with pytest.raises(WsolError, match="no image given"):
        wsol.locate(run, [])


def test_files_patterns_arrays_and_images_give_the_same(run: Run, photos: Path) -> None:
    path = photos / "b" / "c.png"
    image = Image.open(path).convert("RGB")
    for given_photo in (path, str(path), [path], str(photos / "b" / "c*"), image, np.asarray(image)):
        (result,) = wsol.locate(run.folder, given_photo)
        (expected,) = wsol.locate(run, path)
        assert (result.label, result.size) == (expected.label, expected.size)
        assert np.array_equal(result.boxes, expected.boxes)


def test_it_is_what_the_network_says(run: Run, photos: Path) -> None:
    image = Image.open(photos / "a.png").convert("RGB")
    (result,) = wsol.locate(run, image, threshold=0.3, classes=3)
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), np.float32) / 255
    method = run.open().method.cpu()
    with torch.no_grad():
        prediction = method.predict(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        scores = prediction.logits.softmax(1)[0]
        order = scores.argsort(descending=True)[:3]
        heatmaps = method.heatmaps(prediction, order[None])[0].numpy()
    assert [finding.label for finding in result.findings] == order.tolist()
    for finding, label, heatmap in zip(result.findings, order.tolist(), heatmaps, strict=True):
        assert finding.score == pytest.approx(scores[label].item(), abs=1e-5)
        np.testing.assert_allclose(finding.heatmap, heatmap, atol=1e-4)
        assert finding.name == run.classes[label]


def test_photos_are_opened_a_batch_at_a_time(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    whole = locating.reduced
    monkeypatch.setattr(locating, "reduced", lambda path, *given: opened.append(path) or whole(path, *given))
    results = iter(wsol.locate(run, photos, batch_size=2, workers=0))
    assert opened == []
    next(results)
    assert len(opened) == 2
    list(results)
    assert len(opened) == 5


def test_no_photo_of_a_file_is_kept(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[weakref.ref] = []
    whole = inputs.decoded

    def decoded(photo: Image.Image, path: Path) -> Image.Image:
        assert not [1 for photo in opened if photo() is not None], "an earlier photo is still in memory"
        opened.append(weakref.ref(image := whole(photo, path)))
        return image

    monkeypatch.setattr(inputs, "decoded", decoded)
    results = list(wsol.locate(run, photos, batch_size=4, workers=0))
    assert len(opened) == 5
    assert [result.plot().size for result in results] == [result.size for result in results]
    content = (photos / "a.png").read_bytes()
    (again,) = wsol.locate(run, io.BytesIO(content))
    (alone,) = wsol.locate(run, photos / "a.png")  # a network's last bits depend on the size of the batch
    plots = [result.plot().tobytes() for result in (again, alone)]
    assert again.photo == content and plots[0] == plots[1]


def test_a_photo_that_changed_since_is_named(run: Run, photos: Path) -> None:
    (result,) = wsol.locate(run, photos / "a.png")
    Image.new("RGB", (5, 7)).save(photos / "a.png")
    with pytest.raises(WsolError, match=r"a\.png: was 96 x 96 pixels when it was located, is 5 x 7 now"):
        result.plot()
    (photos / "a.png").unlink()
    with pytest.raises(WsolError, match=r"a\.png: there is no such image file"):
        result.crop()


def test_a_generator_of_arrays_is_taken_a_batch_at_a_time(run: Run) -> None:
    taken = []
    frames = (taken.append(index) or np.full((40, 50, 3), index, np.uint8) for index in range(10**9))
    results = iter(wsol.locate(run, frames, batch_size=2))
    assert [next(results).path for _ in range(3)] == ["image_00000", "image_00001", "image_00002"]
    assert taken == [0, 1, 2, 3]


def test_what_is_no_photo_is_named_by_its_place_or_skipped(run: Run) -> None:
    mixed = [np.zeros((40, 50, 3), np.uint8), None, torch.zeros(2, 3, 40, 50)]
    with pytest.raises(WsolError, match=r"images\[1\]: None is no photo"):
        list(wsol.locate(run, mixed))
    with pytest.warns(UserWarning, match=r"skipped: images\[1\]"):
        results = list(wsol.locate(run, mixed, on_bad_image="skip"))
    assert [result.path for result in results] == ["image_00000", "image_00002", "image_00003"]
    for nothing in ([], (), iter([]), np.zeros((0, 40, 50, 3), np.uint8)):
        with pytest.raises(WsolError, match="no image given"):
            wsol.locate(run, nothing)


def test_results_are_equal_where_all_that_they_say_is(run: Run, photos: Path) -> None:
    one, other = (list(wsol.locate(run, photos, classes=2)) for _ in range(2))
    assert one == other and set(one) == set(other) and len({*one, *other}) == 5
    assert one[0] != one[1] and one[0] != "a.png" and one[0].findings[0] != one[0].findings[1]
    assert hash(one[0]) == hash(replace(one[0], threshold=0.9)) and one[0] != replace(one[0], threshold=0.9)
    finding = one[0].findings[0]
    assert finding != replace(finding, heatmap=finding.heatmap + 1)
    assert replace(finding, boxes=finding.boxes + 1) != finding == replace(finding, boxes=finding.boxes + 1e-9)
    nothing = find(0, "x", float("nan"), np.full((2, 2), np.nan, np.float32), (5, 4), 0.5)
    assert nothing == replace(nothing, heatmap=nothing.heatmap.copy(), score=float("nan"))


def test_strips_of_an_overlay_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image, heatmap = Image.effect_noise((90, 61), 60).convert("RGB"), np.linspace(0, 1, 49).reshape(7, 7)
    whole, before = np.asarray(draw.overlay(image, heatmap)).astype(int), image.tobytes()
    monkeypatch.setattr(draw, "STRIP", 8)
    assert np.abs(np.asarray(draw.overlay(image, heatmap)).astype(int) - whole).max() <= 1
    assert image.tobytes() == before
    assert draw.overlay(image, heatmap, inplace=True) is image and image.tobytes() != before


def test_a_photo_is_seen_where_its_heatmap_is_low() -> None:
    photo, heatmap = Image.new("RGB", (80, 40), (40, 90, 140)), np.zeros((8, 16))
    heatmap[:, 6:10], heatmap[:, 12:] = 0.5, 1.0
    drawn = np.asarray(draw.overlay(photo, heatmap)).astype(float)
    inferno = {0.5: (188, 55, 84), 1.0: (252, 255, 164)}  # at levels 127 and 255
    for column, heat in ((10, 0.0), (40, 0.5), (75, 1.0)):
        share = draw.STRONGEST * heat**2
        expected = (1 - share) * np.array([40, 90, 140]) + share * np.array(inferno.get(heat, (0, 0, 0)))
        np.testing.assert_allclose(drawn[20, column], expected, atol=2)


def test_a_turned_photo_is_located_upright(run: Run, tmp_path: Path) -> None:
    image = Creatures("test", size=96).image(0).resize((120, 80))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    (result,) = wsol.locate(run, tmp_path / "turned.jpg")
    assert result.size == (80, 120)


def test_what_cannot_be_located_is_named(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(WsolError, match=r"bad\.jpg"):
        list(wsol.locate(run, photos))
    with pytest.warns(UserWarning, match=r"skipped: .*bad\.jpg"):
        assert len(list(wsol.locate(run, photos, on_bad_image="skip"))) == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(WsolError, match="no image found"):
        wsol.locate(run, tmp_path / "empty")
    with pytest.raises(WsolError, match="no such file"):
        wsol.locate(run, tmp_path / "nothing.jpg")
    for wrong in ({"threshold": 1.1}, {"threshold": -0.1}, {"classes": 0}, {"classes": 99}):
        with pytest.raises(WsolError, match=next(iter(wrong))):
            wsol.locate(run, photos, **wrong)


# --- what comes out


def writers(names: str) -> list[type[Writer]]:
    if "parquet" in names:
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, which the extra `scale` brings")
    return list(find_formats(names).values())


def bright(x0: int, y0: int, x1: int, y1: int, side: int = 224) -> np.ndarray:
    heatmap = np.zeros((side, side), np.float32)
    heatmap[y0:y1, x0:x1] = 1
    return heatmap


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 100), st.integers(0, 100), st.integers(101, 223))
def test_boxes_are_in_the_photos_own_pixels(width: int, height: int, x0: int, y0: int, end: int) -> None:
    found = find(0, "x", 1.0, bright(x0, y0, end, end), (width, height), 0.5)
    scale = np.array([width, height, width, height]) / 224
    np.testing.assert_allclose(found.boxes, [np.array([x0, y0, end, end]) * scale])
    assert not found.whole_image and 0 < found.confidence[0] < 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 1e-30, np.nan, np.inf])
@pytest.mark.parametrize("side", [1, 7, 14])
def test_a_map_that_says_nothing_answers_the_whole_photo(value: float, side: int) -> None:
    heatmap = np.full((side, side), value, np.float32)
    found = find(0, "x", 1.0, heatmap, (50, 40), "auto")
    assert found.whole_image and found.boxes.tolist() == [[0, 0, 50, 40]] and found.confidence.tolist() == [0]
    result = Result("a", (50, 40), "auto", (found,), photo=Image.new("RGB", (50, 40)))
    assert result.mask.all() and result.mask.shape == (40, 50)
    assert result.crop().size == result.plot().size == (50, 40)


def test_a_result_says_the_same_in_every_form() -> None:
    heatmap = bright(28, 56, 112, 168)
    found = find(2, "x", 0.75, heatmap, (448, 224), 0.5)
    image = Image.new("RGB", (448, 224), (9, 9, 9))
    result = Result("b/c.png", (448, 224), 0.5, (found,), photo=image)
    assert found.boxes.tolist() == [[56, 56, 224, 168]]
    assert result.mask.sum() == 168 * 112 and result.mask[100, 100] and not result.mask[100, 300]
    assert result.crop().size == (168, 112)
    assert json.loads(result.to_json())["findings"][0]["boxes"] == found.boxes.tolist()
    assert result.to_dict()["findings"][0]["confidence"] == found.confidence.round(4).tolist()
    assert result.to_df().loc[0, ["x0", "y0", "x1", "y1"]].tolist() == found.boxes[0].tolist()
    pixels = np.asarray(result.plot())
    assert tuple(pixels[57, 140]) == (230, 159, 0)
    assert result.at(0.9).boxes.tolist() == find(2, "x", 0.75, heatmap, (448, 224), 0.9).boxes.tolist()
    with pytest.raises(WsolError, match="without its photo"):
        Result("a", (448, 224), 0.5, result.findings).plot()


def test_saved_plots_keep_the_structure(run: Run, photos: Path, tmp_path: Path) -> None:
    for result in wsol.locate(run, photos):
        result.save(tmp_path / "out")
    saved = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert saved == ["a.png.jpg", "b/c.png.jpg", "b/e/f.jpg", "b/é d.png.jpg", "z.bmp.jpg"]


# --- formats


def made(boxes: list[list[float]], path: str = "b/é & c.jpg", size: tuple[int, int] = (400, 300)) -> Result:
    findings = tuple(
        Finding(
            label,
            CLASSES[label],
            0.5,
            np.array([box], float),
            np.full(1, 1 - label / 4),
            bright(10, 10, 90, 120),
            label > 1,
        )
        for label, box in enumerate(boxes)
    )
    return Result(path, size, 0.2, findings, photo=Image.new("RGB", size, (50, 60, 70)))


BOXES = st.tuples(st.floats(0, 190), st.floats(0, 140), st.floats(200, 400), st.floats(150, 300)).map(
    lambda box: [round(value, 2) for value in box]
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(BOXES, min_size=1, max_size=3), min_size=1, max_size=4))
def test_other_programs_read_what_is_written(tmp_path_factory: pytest.TempPathFactory, photos: list) -> None:
    folder = tmp_path_factory.mktemp("found")
    results = [made(boxes, f"{index}.jpg") for index, boxes in enumerate(photos)]
    (folder / "images").mkdir()
    for result in results:
        assert result.image is not None
        result.image.save(folder / "images" / result.path)
    assert write_results(iter(results), folder, CLASSES, writers("coco,yolo,voc")) == len(results)

    coco = COCO(str(folder / "coco.json"))
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == CLASSES
    for image in coco.loadImgs(coco.getImgIds()):
        found = coco.loadAnns(coco.getAnnIds(image["id"]))
        expected = photos[int(Path(image["file_name"]).stem)]
        assert [each["category_id"] - 1 for each in found] == list(range(len(expected)))
        corners = [[x, y, x + w, y + h] for x, y, w, h in (each["bbox"] for each in found)]
        np.testing.assert_allclose(corners, expected, atol=0.011)
        findings = next(each.findings for each in results if each.path == image["file_name"])
        said = [(each.score, each.confidence[0], each.whole_image) for each in findings]
        assert [(each["score"], each["confidence"], each["whole_image"]) for each in found] == said

    yolo, splits = folder / "yolo", ("train", "val")[: len(photos)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yolos = [
            supervision.DetectionDataset.from_yolo(
                str(yolo / "images" / split), str(yolo / "labels" / split), str(yolo / "data.yaml")
            )
            for split in splits
        ]
        assert sorted(Path(path).name for read in yolos for path in read.image_paths) == [
            result.path for result in results
        ]
        read = {
            **dict(zip(splits, yolos, strict=True)),
            "voc": supervision.DetectionDataset.from_pascal_voc(
                str(folder / "images"), str(folder / "voc" / "Annotations")
            ),
            "coco": supervision.DetectionDataset.from_coco(str(folder / "images"), str(folder / "coco.json")),
        }
    for name, dataset in read.items():
        for path, detections in dataset.annotations.items():
            expected = photos[int(Path(path).stem)]
            assert [dataset.classes[label] for label in detections.class_id] == CLASSES[: len(expected)], name
            np.testing.assert_allclose(detections.xyxy, expected, atol=1.01, err_msg=name)


def test_heatmaps_that_were_cut_short_speak_of_no_earlier_photo(tmp_path: Path) -> None:
    write_results(iter([made([[1, 2, 30.5, 40]], "first.jpg")]), tmp_path, CLASSES, writers("heatmap"))

    def cut_short() -> Iterator[Result]:
        yield made([[5, 6, 70, 80]], "second.jpg")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(cut_short(), tmp_path, CLASSES, writers("heatmap"), overwrite=True)
    with pytest.raises(WsolError, match="holds no heatmaps"):
        read_heatmaps(tmp_path)


def test_tables_pictures_and_heatmaps_come_back(tmp_path: Path) -> None:
    results = [made([[1, 2, 30.5, 40]]), made([[5, 6, 70, 80], [1, 1, 9, 9]], "d.jpg")]
    write_results(iter(results), tmp_path, CLASSES, writers("csv,json,overlay,heatmap"))
    with open(tmp_path / "boxes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["name"], float(row["x1"]), float(row["confidence"])) for row in rows] == [
        ("b/é & c.jpg", CLASSES[0], 30.5, 1),
        ("d.jpg", CLASSES[0], 70, 1),
        ("d.jpg", CLASSES[1], 9, 0.75),
    ]
    read = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert read == [result.to_dict() for result in results]
    assert Image.open(tmp_path / "overlays" / "b" / "é & c.jpg").size == (400, 300)
    classes, again = read_heatmaps(tmp_path, 0.4)
    assert classes == CLASSES
    for result, other in zip(results, again, strict=True):
        assert other.to_dict() == result.at(0.4).to_dict()


@pytest.mark.parametrize("name", registry.names("formats"))
def test_nothing_half_written_stands_under_its_final_name(tmp_path: Path, name: str) -> None:
    def broken() -> Iterator[Any]:
        yield made([[1, 2, 3, 4]])
        raise WsolError("the photo is broken")

    with pytest.raises(WsolError, match="broken"):
        write_results(broken(), tmp_path, CLASSES, writers(name))
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    final = {"coco.json", "coco_results.json", "boxes.csv", "results.jsonl", "data.yaml", "labelstudio.json"}
    final.add("part-00000-of-00001.parquet")
    assert not left & final
    assert not any(file.endswith(".part") for file in left)


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", registry.names("formats"))
def test_a_disk_that_fills_up_anywhere_leaves_no_half_file(
    run: Run, photos: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (50, 30), "red").save(photos / "turned.jpg", exif=exif)
    results = list(wsol.locate(run, [photos / "a.png", photos / "turned.jpg"]))
    calls, opened, full_at = [], open, 0

    class Full:
        """A file on a disk that is full from some write on."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def __iter__(self) -> Any:
            return iter(self.file)

        def write(self, content: Any) -> int:
            calls.append(content)
            if len(calls) > full_at:
                self.file.write(content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(content)

    def opening(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        """Every file that results are written to has a temporary name."""
        stream = opened(file, mode, *given, **named)
        if not Path(str(file)).is_relative_to(tmp_path / "found") or not set(mode) & set("wax+"):
            return stream
        assert str(file).endswith(".part") or Path(str(file)).name in (".wsol", ".wsol.lock"), file
        return Full(stream) if str(file).endswith(".part") else stream

    monkeypatch.setattr("builtins.open", opening)
    monkeypatch.setattr("io.open", opening)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the upright copy
        full_at = 10**9
        write_results(results, tmp_path / "found", list(run.classes), writers(name))
        whole, count = bytes_of(tmp_path / "found"), len(calls)
        assert count and whole
        for full_at in range(count):
            calls.clear()
            shutil.rmtree(tmp_path / "found", ignore_errors=True)  # an empty one is gone
            with pytest.raises(WsolError, match=r"could not be written \(No space left on device\); free some space$"):
                write_results(results, tmp_path / "found", list(run.classes), writers(name))
            left = bytes_of(tmp_path / "found")
            assert left.items() <= whole.items(), (full_at, set(left) - set(whole))


@pytest.mark.parametrize(("name", "copies"), [("coco", "upright"), ("voc", "voc/upright")])
def test_photos_that_exif_turns_come_with_an_upright_copy(run: Run, tmp_path: Path, name: str, copies: str) -> None:
    """Programs that apply EXIF and those that ignore it then both see what the boxes refer to."""
    pixels, exif = np.zeros((30, 50, 3), np.uint8), Image.Exif()
    pixels[:10, :10] = 255
    exif[274] = 6
    (tmp_path / "photos" / "b").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "photos" / "b" / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(pixels).save(tmp_path / "photos" / "upright.jpg", quality=95)
    results = wsol.locate(run, tmp_path / "photos")
    with pytest.warns(UserWarning, match=r"1 photo is turned by EXIF.* in .*upright"):
        write_results(results, tmp_path / "found", list(run.classes), writers(name))
    (copy,) = [path for path in (tmp_path / "found" / copies).rglob("*.jpg")]
    assert copy.relative_to(tmp_path / "found" / copies).as_posix() == "b/turned.jpg"
    image = Image.open(copy)
    assert image.size == (30, 50) and image.getexif().get(274, 1) == 1
    assert np.asarray(image)[:8, -8:].min() > 200 > 50 > np.asarray(image)[:8, :8].max()
    if name == "coco":
        entries = json.loads((tmp_path / "found" / "coco.json").read_text())["images"]
        assert [(entry["width"], entry["height"], entry.get("exif_orientation")) for entry in entries] == [
            (30, 50, 6),
            (50, 30, None),
        ]
    else:
        text = (tmp_path / "found" / "voc" / "Annotations" / "b" / "turned.xml").read_text()
        assert "<width>30</width>" in text and "<height>50</height>" in text


def test_upright_photos_leave_no_copies_and_no_word(run: Run, photos: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_results(wsol.locate(run, photos), tmp_path / "found", list(run.classes), writers("coco,voc"))
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"coco.json", "coco_results.json", "voc"}


@pytest.mark.parametrize("name", ["yolo", "voc", "overlay", "heatmap"])
def test_earlier_results_are_refused_and_replaced_when_asked(tmp_path: Path, name: str) -> None:
    write_results(iter([made([[1, 2, 3, 4]], "old.jpg")]), tmp_path, CLASSES, writers(name))
    with pytest.raises(WsolError, match=r"holds earlier results; .*--overwrite"):
        write_results(iter([made([[5, 6, 7, 8]], "new.jpg")]), tmp_path, CLASSES, writers(name))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert before and not any("new" in path.name for path in before)
    write_results(iter([made([[5, 6, 7, 8]], "new.jpg")]), tmp_path, ["other"] * 3, writers(name), overwrite=True)
    assert not any("old" in path.name for path in tmp_path.rglob("*"))


def test_a_folder_of_somebody_else_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "mine.txt").write_text("labels that I made")
    write_results(iter([made([[1, 2, 3, 4]])]), tmp_path, CLASSES, writers("voc"))
    with pytest.raises(WsolError, match="files that wsol did not write"):
        write_results(iter([made([[1, 2, 3, 4]])]), tmp_path, CLASSES, writers("voc,yolo"), overwrite=True)
    assert (tmp_path / "yolo" / "mine.txt").read_text() == "labels that I made"
    assert len(list((tmp_path / "voc").rglob("*.xml"))) == 1


def test_results_are_kept_out_of_the_folder_that_is_searched(run: Run, tmp_path: Path, capsys: Any) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30), "red").save(photos / "a.jpg")
    for output in (photos, photos / "found", tmp_path / "x" / ".." / "photos" / "found"):
        with pytest.raises(SystemExit):
            main(["locate", str(run.folder), str(photos), "--output", str(output)])
        assert "which is searched for photos; give an --output outside of it" in " ".join(
            capsys.readouterr().err.split()
        )
    assert [path.name for path in photos.iterdir()] == ["a.jpg"]
    main(["locate", str(run.folder), str(photos / "a.jpg"), "--output", str(photos / "found")])


def test_two_photos_of_one_stem_keep_a_file_each(tmp_path: Path) -> None:
    write_results(
        iter([made([[1, 2, 3, 4]], "a.jpg"), made([[5, 6, 7, 8]], "a.png")]), tmp_path, CLASSES, writers("voc,yolo")
    )
    assert {path.name for path in (tmp_path / "voc" / "Annotations").iterdir()} == {"a.xml", "a.png.xml"}
    assert (tmp_path / "yolo" / "labels" / "train" / "a.txt").is_file()
    assert (tmp_path / "yolo" / "labels" / "val" / "a.png.txt").is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((WsolError, OSError), match="file"):
        write_results(iter([made([[1, 2, 3, 4]])]), tmp_path / "file", CLASSES, writers("coco"))
