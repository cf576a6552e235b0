"""Files that other tools take, read back by the tools' own loaders where these are installed."""

import base64
import csv
import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
import supervision
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

import wsol
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.export import find_formats, read_heatmaps, write_results
from wsol.export.coco import polygons
from wsol.export.cvat import write_cvat
from wsol.export.yolo import flat
from wsol.locating.result import Result, find

CLASSES = ["cat", 'dog "é"', "nothing"]


def bright(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    heatmap = np.zeros((224, 224), np.float32)
    heatmap[y0:y1, x0:x1] = 1
    return heatmap


def located(path: str, label: int = 0, score: float = 0.5, **more: Any) -> Result:
    """A photo of 448 x 224 with a box at 56 28 168 84."""
    found = find(label, CLASSES[label], score, bright(28, 28, 84, 84), (448, 224), 0.5)
    photo = Image.new("RGB", (448, 224), (90, 120, 60))
    return Result(path, (448, 224), 0.5, (replace(found, confidence=np.array([0.8])),), photo=photo, **more)


def empty(path: str) -> Result:
    """A photo of the class that has no box."""
    found = find(2, "nothing", 0.9, bright(28, 28, 84, 84), (448, 224), 0.5, background="nothing")
    return Result(path, (448, 224), 0.5, (found,), photo=Image.new("RGB", (448, 224)))


def by_person(result: Result, *box: float) -> Result:
    """The same with a box that a person drew."""
    found = replace(result.findings[0], boxes=np.array([box], float), confidence=np.ones(1), decided="person")
    return replace(result, findings=(found,))


def write(results: list[Result], folder: Path, names: str) -> Path:
    write_results(iter(results), folder, CLASSES, find_formats(names).values())
    return folder


# --- YOLO


def test_yolo_names_are_flat_and_every_tenth_photo_is_for_validation(tmp_path: Path) -> None:
    names = ["images/a.png", "images/b/images/c d.jpg", "A.jpg", "a.jpg", "a.png", *(f"{i}.jpg" for i in range(8))]
    yolo = write([located(name) for name in names], tmp_path / "images" / "found", "yolo") / "yolo"
    assert {path.name for path in (yolo / "images" / "val").iterdir()} == {"images_b_images_c d.jpg", "6.jpg"}
    expected = {"images_a.jpg", "A.jpg", "a.jpg.jpg", "a.png.jpg", *(f"{i}.jpg" for i in range(8) if i != 6)}
    assert {path.name for path in (yolo / "images" / "train").iterdir()} == expected
    for photo in yolo.glob("images/*/*"):  # where Ultralytics looks: the last folder called images
        label = Path("/labels/".join(str(photo).rsplit("/images/", 1))).with_suffix(".txt")
        assert label.read_text() == "0 0.250000 0.250000 0.250000 0.250000\n"
    assert len(list(yolo.glob("labels/*/*.txt"))) == len(names)


def test_yolo_is_described_beside_the_photos_in_ascii(tmp_path: Path) -> None:
    text = (write([located("a.jpg"), located("b.jpg")], tmp_path, "yolo") / "yolo" / "data.yaml").read_text("ascii")
    assert yaml.safe_load(text) == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "cat", 1: 'dog "é"', 2: "nothing"},
    }


def test_one_photo_is_for_training_and_for_validation(tmp_path: Path) -> None:
    yolo = write([located("a.jpg")], tmp_path, "yolo") / "yolo"
    assert yaml.safe_load((yolo / "data.yaml").read_text())["val"] == "images/train"


def test_supervision_reads_yolo_with_photos_without_an_object(tmp_path: Path) -> None:
    yolo = write([located("b/1.jpg", 1), located("x.jpg"), empty("b/2.jpg")], tmp_path, "yolo") / "yolo"
    assert (yolo / "labels" / "train" / "b_2.txt").read_text() == ""
    read = supervision.DetectionDataset.from_yolo(
        str(yolo / "images" / "train"), str(yolo / "labels" / "train"), str(yolo / "data.yaml")
    )
    found = {Path(path).name: boxes for path, boxes in read.annotations.items()}
    assert read.classes == CLASSES
    assert found["b_1.jpg"].xyxy.tolist() == [[56, 28, 168, 84]] and found["b_1.jpg"].class_id.tolist() == [1]
    assert len(found["b_2.jpg"]) == 0


@given(st.text(min_size=1, max_size=300))
def test_a_flat_name_is_one_that_any_system_takes(name: str) -> None:
    made = flat(name)
    assert made and not set(made) & set('\\/:*?"<>|\0\n') and not made.startswith((".", " "))
    assert made.encode()


def test_a_flat_name_says_its_folders() -> None:
    assert [flat(name) for name in ("b/c/1.png", "a:b\\c.jpg", " .x", "é 雪.jpg")] == [
        "b_c_1.png",
        "a_b_c.jpg",
        "x",
        "é 雪.jpg",
    ]
    assert len(flat("d/" * 200 + "1.jpg")) == 204


# --- COCO


def test_pycocotools_reads_masks_and_results(tmp_path: Path) -> None:
    coco = COCO(str(write([located("b/1.jpg", 1), empty("2.jpg"), located("3.jpg")], tmp_path, "coco") / "coco.json"))
    assert {key: entry["name"] for key, entry in coco.cats.items()} == dict(enumerate(CLASSES, 1))
    assert [coco.imgs[key]["file_name"] for key in (1, 2, 3)] == ["b/1.jpg", "2.jpg", "3.jpg"]
    assert [len(coco.getAnnIds(key)) for key in (1, 2, 3)] == [1, 0, 1]
    annotation = coco.anns[1]
    assert (annotation["bbox"], annotation["area"], annotation["category_id"]) == ([56, 28, 112, 56], 112 * 56, 2)
    assert (annotation["score"], annotation["confidence"], annotation["decided"]) == (0.5, 0.8, "")
    expected = np.zeros((224, 448), np.uint8)
    expected[28:84, 56:168] = 1
    assert np.array_equal(coco.annToMask(annotation), expected)
    results = coco.loadRes(str(tmp_path / "coco_results.json"))
    assert [(each["image_id"], each["category_id"], each["score"]) for each in results.anns.values()] == [
        (1, 2, 0.4),
        (3, 1, 0.4),
    ]
    judged = COCOeval(coco, results, "bbox")
    judged.evaluate(), judged.accumulate(), judged.summarize()
    assert judged.stats[0] == pytest.approx(1)


def test_torchvision_reads_boxes_and_masks(tmp_path: Path) -> None:
    results = [located("1.jpg", 1), empty("2.jpg")]
    for result in results:
        assert result.image is not None
        result.image.save(tmp_path / result.path)
    read = CocoDetection(str(tmp_path), str(write(results, tmp_path, "coco") / "coco.json"))
    wrapped = wrap_dataset_for_transforms_v2(read, target_keys=["boxes", "masks", "labels"])
    _, target = wrapped[0]
    assert target["boxes"].tolist() == [[56, 28, 168, 84]] and target["labels"].tolist() == [2]
    assert np.array_equal(target["masks"][0].numpy().astype(bool), results[0].mask)
    assert "boxes" not in wrapped[1][1]


def test_a_box_drawn_by_hand_has_the_mask_within_it() -> None:
    around, across, beside = (
        by_person(located("a"), *box).findings[0] for box in ((40, 20, 400, 200), (0, 0, 112, 56), (300, 100, 400, 200))
    )
    assert np.array_equal(around.masks((448, 224), 0.5)[0], bright(28, 28, 84, 84) > 0)
    assert np.array_equal(across.masks((448, 224), 0.5)[0], bright(28, 28, 56, 56) > 0)
    assert np.array_equal(beside.masks((448, 224), 0.5)[0], bright(150, 100, 200, 200) > 0)


def test_a_mask_leaves_out_regions_that_its_box_cuts() -> None:
    heatmap = np.maximum(bright(20, 20, 120, 30), bright(20, 20, 30, 120))  # an angle
    heatmap = np.maximum(heatmap, bright(60, 60, 70, 70))  # inside its box
    heatmap = np.maximum(heatmap, bright(100, 100, 150, 110))  # across the border of its box
    found = find(0, "x", 1.0, heatmap, (224, 224), 0.5)
    assert found.boxes.tolist() == [[20, 20, 120, 120]]
    assert found.masks((224, 224), 0.5)[0].sum() == 100 * 10 + 90 * 10 + 10 * 10
    both = find(0, "x", 1.0, heatmap, (224, 224), 0.5, "all").masks((224, 224), 0.5)
    assert sorted(both.sum((1, 2)).tolist()) == [100, 500, 2000]


def test_a_whole_photo_has_its_frame_as_mask(tmp_path: Path) -> None:
    found = find(0, "x", 0.5, np.ones((7, 7), np.float32), (60, 40), 0.5)
    assert found.whole_image and found.masks((60, 40), 0.5).all()
    coco = COCO(str(write([Result("a", (60, 40), 0.5, (found,))], tmp_path, "coco") / "coco.json"))
    assert coco.annToMask(coco.anns[1]).all() and coco.anns[1]["area"] == 2400


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(224, 224), (500, 333), (1200, 900)]))
def test_polygons_follow_the_mask(seed: int, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(seed).normal(size=(6, 6)).astype(np.float32)
    mask = cv2.resize(noise, (224, 224), interpolation=cv2.INTER_CUBIC) > 0.3
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros((224, 224), np.uint8), contours, -1, 1, cv2.FILLED)
    whole = cv2.resize(filled, size, interpolation=cv2.INTER_NEAREST)
    coco = COCO()
    coco.imgs = {1: {"height": size[1], "width": size[0]}}
    outlines = polygons(mask, size)
    assert all(len(outline) >= 3 for outline in outlines) and len(outlines) == len(contours)
    drawn = coco.annToMask({"image_id": 1, "segmentation": [each.ravel().tolist() for each in outlines]})
    assert (drawn & whole).sum() / max((drawn | whole).sum(), 1) > 0.95
    assert sum(map(len, outlines)) < sum(map(len, contours)) / 4 + 4 * len(outlines)


def test_a_single_cell_has_an_outline() -> None:
    (outline,) = polygons(bright(3, 5, 4, 6) > 0, (448, 224))
    assert sorted(outline.tolist()) == [[6, 5], [6, 6], [8, 5], [8, 6]]


# --- Label Studio


def test_label_studio_gets_boxes_in_percent_with_scores(tmp_path: Path) -> None:
    photo = tmp_path / "my photos" / "b" / "é 1.jpg"
    photo.parent.mkdir(parents=True)
    Image.new("RGB", (448, 224)).save(photo)
    results = [replace(located("b/é 1.jpg", 1, unsure=True), photo=photo), empty("2.jpg")]
    write(results, tmp_path, "labelstudio")
    first, second = json.loads((tmp_path / "labelstudio.json").read_text("utf-8"))
    assert first["data"] == {
        "image": "/data/local-files/?d=my%20photos/b/%C3%A9%201.jpg",
        "photo": "b/é 1.jpg",
        "unsure": True,
    }
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("wsol", 0.4)
    assert prediction["result"] == [
        {
            "id": "1-0",
            "from_name": "label",
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": 448,
            "original_height": 224,
            "image_rotation": 0,
            "score": 0.4,
            "value": {
                "x": 12.5,
                "y": 12.5,
                "width": 25.0,
                "height": 25.0,
                "rotation": 0,
                "rectanglelabels": ['dog "é"'],
            },
        }
    ]
    assert second["predictions"] == [{"model_version": "wsol", "score": 0.9, "result": []}]


def test_label_studios_interface_has_the_names_that_tasks_use(tmp_path: Path) -> None:
    view = ET.parse(write([located("a.jpg")], tmp_path, "labelstudio") / "labelstudio.xml").getroot()
    image, labels = view
    assert (image.tag, image.attrib) == ("Image", {"name": "image", "value": "$image"})
    assert (labels.tag, labels.attrib) == ("RectangleLabels", {"name": "label", "toName": "image"})
    assert [label.get("value") for label in labels] == CLASSES


# --- names that are no UTF-8, as older systems left them


def test_a_name_that_is_no_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"b/caf\xe9.jpg")
    write([located(name)], tmp_path, "coco,yolo,voc,labelstudio,csv,json,heatmap")
    assert COCO(str(tmp_path / "coco.json")).imgs[1]["file_name"] == name
    assert json.loads((tmp_path / "results.jsonl").read_text("utf-8"))["path"] == name
    (task,) = json.loads((tmp_path / "labelstudio.json").read_text("utf-8"))
    assert task["data"] == {"image": "/data/local-files/?d=b/caf%E9.jpg", "photo": name, "unsure": False}
    assert next(iter(read_heatmaps(tmp_path)[1])).path == name
    assert (tmp_path / "yolo" / "labels" / "train" / "b_caf_.txt").is_file()
    assert "caf" in (tmp_path / "voc" / "Annotations" / f"{name[:-4]}.xml").read_text("utf-8")


# --- odd names


@pytest.mark.parametrize("name", ["../../elsewhere/y.jpg", "/elsewhere/y.jpg", "a/../../y.jpg"])
@pytest.mark.parametrize("format", ["voc", "overlay"])
def test_no_name_is_written_outside_of_the_output_folder(tmp_path: Path, name: str, format: str) -> None:
    with pytest.raises(WsolError, match="leads out of its folder; rename the photo"):
        write([located(name)], tmp_path / "a" / "b", format)
    assert not list(tmp_path.rglob("y*"))
    with pytest.raises(WsolError, match="leads out of its folder"):
        located(name).save(tmp_path / "a")


def test_every_photo_has_a_picture_of_its_own(tmp_path: Path) -> None:
    names = ["x.png", "x.png.jpg", "X.PNG.JPG", "x.jpg"]
    write([located(name) for name in names], tmp_path, "overlay")
    shown = {path.name for path in (tmp_path / "overlays").glob("*.*") if path.name != ".wsol"}
    assert shown == {"x.png.jpg", "x.png_2.jpg", "X.PNG_3.JPG", "x.jpg"}


def test_no_name_is_a_formula_in_a_table(tmp_path: Path) -> None:
    found = replace(located("=cmd.jpg").findings[0], name="+1")
    write([replace(located("=cmd.jpg"), findings=(found,)), located("a/-1.jpg")], tmp_path, "csv")
    with open(tmp_path / "boxes.csv", encoding="utf-8", newline="") as file:
        rows = [(row["path"], row["name"]) for row in csv.DictReader(file)]
    assert rows == [("./=cmd.jpg", "'+1"), ("a/-1.jpg", "cat")]


def test_control_characters_are_no_broken_xml(tmp_path: Path) -> None:
    found = replace(located("a.jpg").findings[0], name="a\x01b\x1b")
    write([replace(located("b\x02.jpg"), findings=(found,))], tmp_path, "voc")
    root = ET.parse(tmp_path / "voc" / "Annotations" / "b\x02.xml").getroot()
    assert (root.findtext("filename"), root.findtext("object/name")) == ("b\\x02.jpg", "a\\x01b\\x1b")


def test_pictures_too_long_for_a_jpeg_are_made_smaller(tmp_path: Path) -> None:
    wide = replace(located("a.png"), size=(70000, 4), photo=Image.new("RGB", (70000, 4)))
    write([wide, located("b.png")], tmp_path, "yolo")
    assert Image.open(tmp_path / "yolo" / "images" / "train" / "a.jpg").width == 65500
    assert (tmp_path / "yolo" / "images" / "val" / "b.jpg").is_file()


# --- who decided


def test_every_format_says_which_boxes_a_person_decided_on(tmp_path: Path) -> None:
    nobody = replace(empty("none.jpg").findings[0], background=False, decided="person")
    drawn = by_person(located("drawn.jpg"), 1, 2, 30, 40)
    results = [located("kept.jpg"), drawn, replace(empty("none.jpg"), findings=(nobody,))]
    write(results, tmp_path, "coco,labelstudio,csv,json,heatmap")
    annotations = json.loads((tmp_path / "coco.json").read_text("utf-8"))["annotations"]
    assert [(each["image_id"], each["decided"]) for each in annotations] == [(1, ""), (2, "person")]
    tasks = json.loads((tmp_path / "labelstudio.json").read_text("utf-8"))
    assert [sorted(task) for task in tasks] == [["data", "predictions"], *[["annotations", "data"]] * 2]
    assert tasks[2]["annotations"] == [{"result": []}]
    with open(tmp_path / "boxes.csv", encoding="utf-8", newline="") as file:
        rows = [(row["path"], row["decided"], row["x1"]) for row in csv.DictReader(file)]
    assert rows == [("kept.jpg", "", "168.0"), ("drawn.jpg", "person", "30.0"), ("none.jpg", "person", "")]
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text("utf-8").splitlines()]
    assert [line["findings"][0]["decided"] for line in lines] == ["", "person", "person"]
    again = list(read_heatmaps(tmp_path, 0.9)[1])
    assert [result.findings[0].decided for result in again] == ["", "person", "person"]
    assert again[1].boxes.tolist() == [[1, 2, 30, 40]]  # a person's box is not cut again


# --- CVAT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    options = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 64, "workers": 0}
    shown = Creatures("train", images=8, size=72, classes=3)
    return wsol.train("cam", (shown, shown), tmp_path_factory.mktemp("runs") / "My run_1", epochs=0, **options)


def test_cvat_asks_the_run(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cvat(run.folder, list(run.classes), tmp_path / "cvat")
    spec = importlib.util.spec_from_file_location("main", tmp_path / "cvat" / "main.py")
    assert spec and spec.loader
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)

    said: list[str] = []
    context = SimpleNamespace(
        user_data=SimpleNamespace(), logger=SimpleNamespace(info=said.append), Response=SimpleNamespace
    )
    main.init_context(context)
    assert "3 classes" in said[0]
    photo = tmp_path / "photo.png"
    Creatures("test", images=1, size=96, classes=3).image(0).resize((120, 90)).save(photo)
    (expected,) = wsol.locate(run, photo)
    asked = {"image": base64.b64encode(photo.read_bytes()).decode()}
    for body in (asked, json.dumps(asked).encode()):  # as Nuclio decodes JSON, or not
        answer = main.handler(context, SimpleNamespace(body=body))
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        (shape,) = json.loads(answer.body)
        assert (shape["label"], shape["type"]) == (expected.name, "rectangle")
        assert shape["points"] == expected.boxes[0].round(2).tolist()
        assert float(shape["confidence"]) == pytest.approx(expected.findings[0].box_scores[0], abs=1e-4)
    strict = main.handler(context, SimpleNamespace(body=asked | {"threshold": 0.999}))
    assert json.loads(strict.body) == []


def test_cvats_function_names_the_classes(run: Any, tmp_path: Path) -> None:
    write_cvat(run.folder, CLASSES, tmp_path / "cvat")
    function = yaml.safe_load((tmp_path / "cvat" / "function.yaml").read_text("utf-8"))
    assert function["metadata"]["name"] == "wsol-my-run-1"
    assert function["metadata"]["annotations"]["type"] == "detector"
    assert json.loads(function["metadata"]["annotations"]["spec"]) == [
        {"id": label, "name": name, "type": "rectangle"} for label, name in enumerate(CLASSES)
    ]
    assert function["spec"]["handler"] == "main:handler"
    assert {path.name for path in (tmp_path / "cvat" / "run").iterdir()} == {
        "run.json",
        "best.json",
        "best.safetensors",
    }


def test_cvats_function_is_written_whole_or_not_at_all(run: Any, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_bytes((run.folder / "run.json").read_bytes())
    with pytest.raises(
        WsolError, match=r"half/best\.safetensors: a run has this file; give the --output of wsol train"
    ):
        write_cvat(tmp_path / "half", CLASSES, tmp_path / "cvat")
    with pytest.raises(WsolError, match="half: is there already; give another --output"):
        write_cvat(run.folder, CLASSES, tmp_path / "half")
    assert [path.name for path in tmp_path.iterdir()] == ["half"]
