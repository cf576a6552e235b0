"""COCO's files as data: which photos, classes and boxes they give, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import wsol
from wsol.data import Creatures, open_data
from wsol.data.dataset import Cases
from wsol.errors import WsolError
from wsol.export import find_formats, write_results
from wsol.locating.result import Finding, Result


def described(boxes: list[tuple[int, int, list[float]]], photos: int = 12) -> dict[str, Any]:
    """Photos of 40 x 30 pixels; `boxes` holds photo, category and bbox of each annotation."""
    return {
        "images": [{"id": 10 + n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in range(photos)],
        "annotations": [
            {"id": place, "image_id": 10 + n, "category_id": category, "bbox": bbox}
            for place, (n, category, bbox) in enumerate(boxes)
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def put(folder: Path, about: dict[str, Any], photos: str = "") -> Path:
    (folder / photos).mkdir(parents=True, exist_ok=True)
    for image in about["images"]:
        Image.new("RGB", (40, 30)).save(folder / photos / image["file_name"])
    file = folder / "coco.json"
    file.write_text(json.dumps(about))
    return file


ONE_EACH = [(n, 3, [n, 1, 20, 10]) for n in range(12)]


@pytest.mark.parametrize("photos", ["", "images", "../images"])
def test_photos_lie_beside_the_file_or_in_images(tmp_path: Path, photos: str) -> None:
    data = open_data(put(tmp_path / "set", described(ONE_EACH), photos), None)
    assert (data.name, data.classes) == ("set", ["cat", "dog"])
    assert [sample.id for sample in data.samples] == [f"{n}.png" for n in range(12)]
    assert data.truth(4).boxes.tolist() == [[4, 1, 24, 11]]
    assert data.image(0).size == (40, 30)


def test_every_tenth_photo_is_held_back(tmp_path: Path) -> None:
    file = put(tmp_path, described(ONE_EACH))
    splits = {split: [sample.id for sample in open_data(file, split).samples] for split in ("train", "val", "test")}
    assert splits["val"] == splits["test"] == ["9.png"]
    assert splits["train"] == [f"{n}.png" for n in range(12) if n != 9]


def test_a_photo_of_two_classes_is_two_cases_with_the_boxes_of_each(tmp_path: Path) -> None:
    boxes = [(0, 7, [1, 2, 3, 4]), (0, 3, [5, 6, 7, 8]), (0, 7, [9, 9, 9, 9])]
    cases = Cases(open_data(put(tmp_path, described(boxes, photos=1)), None))
    assert [sample.label for sample in cases.samples] == [0, 1]
    assert cases.truth(0).boxes.tolist() == [[5, 6, 12, 14]]
    assert cases.truth(1).boxes.tolist() == [[1, 2, 4, 6], [9, 9, 18, 18]]


def test_photos_without_annotation_are_left_out_and_counted(tmp_path: Path) -> None:
    file = put(tmp_path, described(ONE_EACH[:3], photos=5))
    with pytest.warns(
        UserWarning, match=r"2 of 5 photos have no annotation that counts and are left out: 3.png, 4.png"
    ):
        assert len(open_data(file, None)) == 3


def test_a_crowd_is_present_and_has_no_box(tmp_path: Path) -> None:
    about = described(ONE_EACH[:2], photos=2)
    about["annotations"][1]["iscrowd"] = 1
    data = open_data(put(tmp_path, about), None)
    assert len(data) == 2 and data.truth(1).boxes.shape == (0, 4)


def results(photo: Path, decided: str) -> list[Result]:
    heatmap = np.eye(7, dtype=np.float32)
    return [
        Result(
            f"deep/{photo.name}",
            (40, 30),
            0.5,
            (Finding(0, "cat", 0.9, np.array([[1.0, 2, 30, 20]]), np.ones(1), heatmap, decided=decided),),
            photo=photo,
        )
    ]


def test_what_a_person_decided_is_measured_and_what_a_network_located_is_not(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "deep" / "a.png"
    photo.parent.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(photo)
    for decided in ("person", ""):
        write_results(results(photo, decided), tmp_path / f"by{decided}", ["cat", "dog"], find_formats("coco").values())
    data = open_data(tmp_path / "byperson" / "coco.json", None)
    assert data.truth(0).boxes.tolist() == [[1, 2, 30, 20]]
    assert data.samples[0].path == photo
    with pytest.raises(WsolError, match="holds what a network located, which is no truth; check it first: wsol serve"):
        open_data(tmp_path / "by" / "coco.json", None)


def test_a_run_is_trained_on_and_measured_by_a_coco_file(tmp_path: Path) -> None:
    shown = Creatures("train", images=24, size=36)
    about: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    about["categories"] = [{"id": label + 1, "name": name} for label, name in enumerate(shown.classes)]
    for n, sample in enumerate(shown.samples):
        shown.image(n).save(tmp_path / f"{n}.png")
        x0, y0, x1, y1 = shown.truth(n).boxes[0].tolist()
        about["images"].append({"id": n, "file_name": f"{n}.png", "width": 36, "height": 36})
        annotation = {"id": n, "image_id": n, "category_id": sample.label + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        about["annotations"].append(annotation)
    (tmp_path / "instances.json").write_text(json.dumps(about))
    small = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0, "epochs": 0}
    run = wsol.train("cam", tmp_path / "instances.json", tmp_path / "run", **small)
    figures = wsol.evaluate(run, tmp_path / "instances.json", threshold=0.5)
    assert (figures["images"], figures["data"]) == (12, "instances")  # the held-back one of each class
    assert 0 < figures["CentreBox"]["MaxBoxAcc30"] <= 100


def changed(**parts: Any) -> dict[str, Any]:
    return described(ONE_EACH) | parts


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"a": 1}, "has no list 'images'; give a file of COCO's detection format"),
        (changed(images=[{"id": 1}]), r"images\[0\].file_name cannot be None; it must be str"),
        (
            changed(annotations=[{"image_id": 10}]),
            r"annotations\[0\].category_id cannot be None; it must be str or int",
        ),
        (changed(annotations=[{"id": 5, "image_id": 99, "category_id": 3}]), "annotation 5: there is no image 99"),
        (changed(annotations=[{"id": 5, "image_id": 10, "category_id": 4}]), "no image 10 or category 4"),
        (changed(categories=[{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]), r"categories has 3 \(b\) twice"),
        (changed(annotations=[]), "no photo has an annotation"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, about: dict[str, Any], said: str) -> None:
    file = put(tmp_path, described(ONE_EACH))
    file.write_text(json.dumps(about))
    with pytest.raises(WsolError, match=said) as raised:
        open_data(file, None)
    assert str(file) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("bbox", "said"),
    [
        ([30, 1, 20, 10], r"annotation 0: box 30 1 50 11 \(x0 y0 x1 y1\) does not lie in its image of 40 x 30"),
        ([1, 1, -2, 3], "does not lie in"),
        ([1, 1, 2], "annotation 0: bbox cannot be .*; it must be list of 4 of x, y, width, height; fix it"),
        ("none", "bbox cannot be 'none'; it must be list of 4 of x, y, width, height"),
        ([float("nan"), 1, 2, 3], r"bbox\[0\] cannot be nan; it must be float"),
    ],
)
def test_a_box_that_is_wrong_is_named(tmp_path: Path, bbox: Any, said: str) -> None:
    data = open_data(put(tmp_path, described([(0, 3, bbox)], photos=1)), None)
    with pytest.raises(WsolError, match=said):
        data.truth(0)


def test_a_photo_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = put(tmp_path, described(ONE_EACH))
    (tmp_path / "3.png").unlink()
    with pytest.raises(WsolError, match=r"3\.png is not in .*; put the file beside its photos"):
        open_data(file, None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 20) | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "bbox"]), inner),
        max_leaves=8,
    ),
    st.sampled_from(["images", "annotations", "categories", "info"]),
)
def test_whatever_a_part_holds_the_answer_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, part: Any, name: str
) -> None:
    file = tmp_path_factory.mktemp("set") / "coco.json"
    file.write_text(json.dumps(changed(**{name: part})))
    with pytest.raises(WsolError) as raised:  # no photo is there
        open_data(file, None)
    assert "\n" not in str(raised.value)
