"""PASCAL VOC: lists, classes, boxes and masks of each class in a photo, in miniature and in the real files."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data import VOC, Cases, Split, Truth, open_data
from wsol.data.check import check
from wsol.data.layouts.voc import CLASSES
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
CAT, PERSON = CLASSES.index("cat"), CLASSES.index("person")


def voc(root: Path, **objects: list[tuple[str, tuple]]) -> Path:
    """Photos 30 x 20 with objects (name, corners); names of photos that begin with v are the official val list."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    for id, some in objects.items():
        Image.new("RGB", (30, 20)).save(root / "JPEGImages" / f"{id}.jpg")
        corners = ("xmin", "ymin", "xmax", "ymax")
        text = "".join(
            f"<object><name>{name}</name><difficult>1</difficult><bndbox>"
            + "".join(f"<{corner}>{value}</{corner}>" for corner, value in zip(corners, box, strict=True))
            + "</bndbox><part><name>head</name></part></object>"
            for name, box in some
        )
        (root / "Annotations" / f"{id}.xml").write_text(f"<annotation><filename>x</filename>{text}</annotation>")
    for name in ("train", "val"):
        ids = [id for id in objects if (id[0] == "v") == (name == "val")]
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{id}\n" for id in ids))
    return root


def test_each_class_present_has_its_own_boxes_and_mask(tmp_path: Path) -> None:
    objects = [("person", (1, 1, 30, 20)), ("cat", (3, 4, 10.5, 12)), ("person", (0, 5, 6, 7))]
    photos = open_data(voc(tmp_path / "VOCdevkit" / "VOC2012", v1=objects, v2=objects[:1]).parents[1], "test")
    values = np.zeros((20, 30), np.uint8)
    values[2:5, 3:9], values[6:9, 1:4], values[0] = CAT + 1, PERSON + 1, 255
    mask = Image.fromarray(values, "P")
    mask.putpalette([9, 9, 9] * 256)  # colours say nothing
    mask.save(tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "v1.png")
    assert isinstance(photos, VOC) and photos.name == "VOC2012" and photos.has_boxes
    assert [(each.id, each.present) for each in photos.samples] == [("v1", (CAT, PERSON)), ("v2", (PERSON,))]
    cases = Cases(photos)
    assert [(each.id, each.label) for each in cases.samples] == [
        ("v1#cat", CAT),
        ("v1#person", PERSON),
        ("v2#person", PERSON),
    ]
    assert [cases.photo(index) for index in range(3)] == [0, 0, 1]
    cat, person = cases.truth(0), cases.truth(1)
    assert cat.boxes.tolist() == [[2, 3, 10.5, 12]]
    assert person.boxes.tolist() == [[0, 0, 30, 20], [0, 4, 6, 7]]  # a corner at 0 stays in the photo
    for truth, number in ((cat, CAT + 1), (person, PERSON + 1)):
        np.testing.assert_array_equal(np.asarray(truth.mask), values == number)
        np.testing.assert_array_equal(np.asarray(truth.ignore), values == 255)
    assert photos.truth(0).boxes.tolist() == cat.boxes.tolist()
    assert cases.truth(2).mask is None


def test_the_official_val_list_is_for_testing(tmp_path: Path) -> None:
    some = {f"{'tv'[number % 2]}{number:02d}": [("cat", (1, 1, 2, 2))] for number in range(40)}
    root = voc(tmp_path / "VOC2012", **some)
    found = {split: [each.id for each in VOC(root, split).samples] for split in SPLITS}
    training = [id for id in some if id[0] == "t"]
    assert found["test"] == [id for id in some if id[0] == "v"]
    assert found["val"] == [training[9], training[19]]
    assert found["train"] == [id for id in training if id not in found["val"]]


def test_truth_is_opened_only_when_it_is_asked_for(tmp_path: Path) -> None:
    photos = VOC(voc(tmp_path, t1=[("cat", ("", "wide", 3, 4))]), "train")
    with pytest.raises(WsolError, match=r"t1\.xml: a bndbox must hold"):
        photos.truth(0)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("Annotations/t1.xml", "<annotation><object>", r"t1\.xml: cannot be read as XML"),
        ("Annotations/t1.xml", "<annotation/>", r"t1\.xml: holds no object with a name"),
        (
            "Annotations/t1.xml",
            "<a><object><name>unicorn</name></object></a>",
            r"t1\.xml: unicorn is no class of VOC",
        ),
        ("ImageSets/Main/train.txt", "t2\nt1\n", r"t2\.xml: cannot be read as XML"),
        ("ImageSets/Main/train.txt", "caf\xe9", r"train\.txt: cannot be read"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, file: str, text: str, said: str) -> None:
    root = voc(tmp_path, t1=[("cat", (1, 1, 2, 2))])
    (root / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(WsolError, match=said):
        VOC(root, "train")


def test_all_wrong_files_are_named_at_once(tmp_path: Path) -> None:
    root = voc(tmp_path, v1=[("cat", (1, 1, 2, 2))], v2=[("cat", (1, 1, 2, 2))], v3=[("cat", (1, 1, 2, 2))])
    (root / "Annotations" / "v1.xml").unlink()
    (root / "Annotations" / "v3.xml").write_text("<annotation>")
    with pytest.raises(WsolError, match=r"v1\.xml: cannot be read .*; .*v3\.xml: cannot be read"):
        VOC(root, "test")


@pytest.mark.parametrize("box", [(20, 1, 2, 9), (1, 9, 2, 2)])
def test_boxes_that_are_none_are_named(tmp_path: Path, box: tuple) -> None:
    photos = VOC(voc(tmp_path, t1=[("cat", (1, 1, 2, 2)), ("cat", box)]), "train")
    with pytest.raises(WsolError, match=rf"t1\.xml: the box {' '.join(map(str, box))} .* is inverted or no number"):
        photos.truth(0)
    photos = VOC(voc(tmp_path / "nan", t1=[("cat", (1, 1, 2, 2)), ("cat", ("nan", 1, "inf", 9))]), "train")
    with pytest.raises(WsolError, match=r"t1\.xml: a bndbox must hold the numbers xmin, ymin, xmax, ymax; fix it"):
        photos.truth(0)


def test_boxes_made_for_another_size_are_a_problem(tmp_path: Path) -> None:
    root = voc(tmp_path, t1=[("cat", (1, 1, 12, 9))], v1=[("cat", (1, 1, 12, 9))])
    file = root / "Annotations" / "v1.xml"
    text = file.read_text()
    for width, wrong in ((30, []), (15, [f"{root / 'JPEGImages' / 'v1.jpg'}: is 30 x 20, but {file} says 15 x 20"])):
        size = f"<annotation><size><width>{width}</width><height>20</height><depth>3</depth></size>"
        file.write_text(text.replace("<annotation>", size))
        assert [each.split("; ")[0] for each in check(root, ["test"]).problems] == wrong


def test_missing_lists_and_odd_masks_are_named(tmp_path: Path) -> None:
    root = voc(tmp_path, t1=[("cat", (1, 1, 2, 2))])
    Image.new("RGB", (30, 20)).save(root / "SegmentationClass" / "t1.png")
    with pytest.raises(WsolError, match=r"t1\.png: this mask has colours"):
        VOC(root, "train").truth(0)
    Image.new("L", (30, 20), 64).save(root / "SegmentationClass" / "t1.png")  # a palette image turned grey
    with pytest.raises(WsolError, match=r"t1\.png: holds 64, which is no class"):
        VOC(root, "train").truth(0)
    (root / "ImageSets" / "Main").rename(root / "ImageSets" / "Segmentation")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("t1\n", encoding="utf-8-sig")
    assert len(VOC(root, "train")) == 1
    (root / "ImageSets" / "Segmentation" / "train.txt").unlink()
    with pytest.raises(WsolError, match=r"ImageSets/Main/train\.txt: this list"):
        VOC(root, "train")


def plain(path: Path) -> list[tuple[str, list[float]]]:
    """Objects of a VOC file by plain text search."""
    found = []
    for text in re.findall(r"(?s)<object>.*?</object>", re.sub(r"(?s)<part>.*?</part>", "", path.read_text())):
        name = re.search(r"<name>(\w+)</name>", text)
        corners = [re.search(rf"<{corner}>([\d.]+)<", text) for corner in ("xmin", "ymin", "xmax", "ymax")]
        assert name and all(corners)
        found.append((name[1], [float(each[1]) for each in corners if each]))
    return found


def test_the_real_files(shared: Path) -> None:
    splits = {split: open_data(shared / "voc2012_sample", split) for split in SPLITS}
    assert {split: len(photos) for split, photos in splits.items()} == {"train": 72, "val": 8, "test": 40}
    ids = [sample.id for photos in splits.values() for sample in Cases(photos).samples]
    assert len(ids) == len(set(ids)) == 200
    several = 0
    for photos in splits.values():
        for index, sample in enumerate(photos.samples):
            objects = plain(shared / "voc2012_sample" / "VOC2012" / "Annotations" / f"{sample.id}.xml")
            assert {photos.classes[label] for label in sample.present} == {name for name, _ in objects}
            several += len(sample.present) > 1
            for label in sample.present:
                truth: Truth = photos.truth_of(index, label)
                corners = [box for name, box in objects if name == photos.classes[label]]
                assert truth.boxes.tolist() == [[x0 - 1, y0 - 1, x1, y1] for x0, y0, x1, y1 in corners]
                assert truth.boxes.min() >= 0 and (truth.boxes[:, 2:] <= photos.size(index)).all()
    assert several > 30


def test_a_photo_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    root = voc(tmp_path, v1=[("cat", (1, 1, 9, 9))])
    (root / "ImageSets" / "Main" / "val.txt").write_text("v1\nv1\n")
    with pytest.raises(WsolError, match=r"val\.txt: lists v1 twice; remove one"):
        VOC(root, "test")


@pytest.mark.parametrize("corner", ["1e308", "nan", "1_0", "", "9" * 400])
def test_a_corner_that_is_no_number_is_named(tmp_path: Path, corner: str) -> None:
    photos = VOC(voc(tmp_path, v1=[("cat", (1, 1, corner, 9))]), "test")
    with pytest.raises(WsolError, match=r"v1\.xml: "):
        photos.truth(0)
