"""Any layout is recognised, and photos that cannot be read are counted and named."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data import CUB, Chosen, Creatures, Csv, Flowers17, Folder, Metadata, images, open_data, readable
from wsol.data.dataset import check_boxes
from wsol.errors import WsolError


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (10, 20, 30)).save(path)


def test_layouts_are_recognised(tmp_path: Path) -> None:
    photo(tmp_path / "folder" / "a" / "1.jpg")
    photo(tmp_path / "0.png")
    (tmp_path / "p.csv").write_text("path,label\n0.png,a\n")
    assert isinstance(open_data("creatures", "test"), Creatures)
    assert isinstance(open_data(tmp_path / "folder", "train"), Folder)
    assert isinstance(open_data(tmp_path / "p.csv", "train"), Csv)


def test_the_real_sets_are_recognised(shared: Path) -> None:
    assert isinstance(open_data(shared / "CUB_200_2011", "train"), CUB)
    assert isinstance(open_data(shared / "ilsvrc_val_500", "test"), Metadata)
    assert isinstance(open_data(shared / "flowers17", "test"), Flowers17)


def listed(root: Path, label: str) -> None:
    (root / "lists" / "test").mkdir(parents=True)
    (root / "lists" / "test" / "image_ids.txt").write_text("a.png\n")
    (root / "lists" / "test" / "class_labels.txt").write_text(f"a.png,{label}\n")
    (root / "flowers" / "masks").mkdir(parents=True)
    (root / "flowers" / "labels.csv").write_text(f"image,class,has_mask\na.png,{label},0\n")
    (root / "photos.csv").write_text(f"path,label\na.png,{label}\n")
    photo(root / "a.png")


@pytest.mark.parametrize("data", ["lists", "flowers"])
def test_labels_beyond_any_data_set_are_refused_and_fill_no_memory(tmp_path: Path, data: str) -> None:
    listed(tmp_path, "20200101")
    with pytest.raises(WsolError, match=r"\.(txt|csv): label 20200101 is out of range"):
        open_data(tmp_path / data, "test")


def test_a_label_of_a_table_is_a_name_however_high(tmp_path: Path) -> None:
    listed(tmp_path, "20200101")
    assert open_data(tmp_path / "photos.csv", "test").classes == ["20200101"]


def test_a_label_far_above_all_others_is_said(tmp_path: Path) -> None:
    listed(tmp_path, "20417")
    with pytest.warns(UserWarning, match=r"class_labels\.txt: 20418 classes, but photos of only 1"):
        assert len(open_data(tmp_path / "lists", "test").classes) == 20418


def test_a_negative_label_is_refused(tmp_path: Path) -> None:
    listed(tmp_path, "-1")
    with pytest.raises(WsolError, match=r"labels\.csv: label -1 is out of range"):
        open_data(tmp_path / "flowers", "test")


def test_what_is_no_data_is_answered(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match="did you mean creatures"):
        open_data("creature", "train")
    with pytest.raises(WsolError, match="there is no such data"):
        open_data(tmp_path / "nothing", "train")


def test_a_box_outside_is_said_in_full() -> None:
    boxes = np.array([[0.0, 0, 40, 30], [0, 0, 41, 30]])
    assert check_boxes(boxes[:1], (40, 30), "here") is not None
    with pytest.raises(WsolError, match=r"here: box 0 0 41 30 .* 40 x 30"):
        check_boxes(boxes, (40, 30), "here")


def test_photos_that_cannot_be_read_are_counted_and_named(tmp_path: Path) -> None:
    for index in range(6):
        photo(tmp_path / "a" / f"{index}.jpg")
    whole = (tmp_path / "a" / "0.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "2.jpg").write_bytes(b"")
    photos = Folder(tmp_path, "train")
    with pytest.raises(WsolError, match=r"2 of 5 photos cannot be used: .*1\.jpg.*2\.jpg.*--on-bad-image skip"):
        readable(photos, "raise")
    with pytest.warns(UserWarning, match="2 of 5 photos are skipped"):
        kept = readable(photos, "skip")
    assert [Path(sample.id).name for sample in kept.samples] == ["0.jpg", "3.jpg", "4.jpg"]
    assert [kept.image(index).size for index in range(3)] == [(40, 30)] * 3


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that were opened to be decoded, in order."""
    names: list[str] = []

    def counted(path: Path) -> AbstractContextManager[Image.Image]:
        names.append(path.name)
        return images.opened(path)

    monkeypatch.setattr("wsol.data.inputs.opened", counted)
    return names


def test_photos_that_were_checked_are_not_decoded_again(tmp_path: Path, decoded: list[str]) -> None:
    for index in range(12):
        photo(tmp_path / "train" / "a" / f"{index:02d}.jpg")
    photo(tmp_path / "val" / "a" / "other.jpg")
    names = [f"{index:02d}.jpg" for index in range(12)]
    photos = Folder(tmp_path, "train")
    assert readable(photos, "raise") is photos and sorted(decoded) == names
    assert readable(Folder(tmp_path, "train"), "skip").samples == photos.samples and len(decoded) == 12
    (tmp_path / "train" / "a" / "03.jpg").write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(WsolError, match=r"1 of 12 photos cannot be used: .*03\.jpg"):
            readable(photos, "raise")
    assert decoded[12:] == ["03.jpg"]


def test_a_file_that_changes_but_keeps_its_size_is_checked_again(tmp_path: Path, decoded: list[str]) -> None:
    photo(tmp_path / "train" / "a" / "0.png")
    path, photos = tmp_path / "train" / "a" / "0.png", Folder(tmp_path, "train")
    readable(photos, "raise")
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(0, 0))
    with pytest.raises(WsolError, match=r"0\.png: is no image"):
        readable(photos, "raise")
    assert decoded == ["0.png", "0.png"]


def test_photos_that_are_missing_are_found_when_they_come(tmp_path: Path) -> None:
    photo(tmp_path / "train" / "a" / "0.png")
    photos = Folder(tmp_path, "train")
    path = (tmp_path / "train" / "a" / "0.png").rename(tmp_path / "away.png")
    with pytest.raises(WsolError, match=r"0\.png: there is no such image file"):
        readable(photos, "raise")
    path.rename(tmp_path / "train" / "a" / "0.png")
    assert readable(photos, "raise") is photos


def test_several_photos_are_checked_at_once_and_warnings_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second photo is opened while the first one is open, and closed after it: both change the filters."""
    for index in range(16):
        photo(tmp_path / "train" / "a" / f"{index:02d}.jpg")
    photo(tmp_path / "val" / "a" / "other.jpg")
    first_is_open, second_is_open, first_is_closed = (threading.Event() for _ in range(3))
    waited: list[bool] = []

    @contextmanager
    def opened(path: Path) -> Iterator[Image.Image]:
        if path.name == "08.jpg":
            waited.append(first_is_open.wait(20))
        with images.opened(path) as photo:
            yield photo
        if path.name == "00.jpg":
            first_is_closed.set()

    def decoded(photo: Image.Image, path: Path) -> Image.Image:
        if path.name == "00.jpg":
            first_is_open.set()
            waited.append(second_is_open.wait(20))
        if path.name == "08.jpg":
            second_is_open.set()
            waited.append(first_is_closed.wait(20))
        return images.decoded(photo, path)

    monkeypatch.setattr("wsol.data.inputs.opened", opened)
    monkeypatch.setattr("wsol.data.inputs.decoded", decoded)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    filters = list(warnings.filters)
    assert len(readable(Folder(tmp_path, "train"), "raise")) == 16
    assert waited == [True, True, True]
    assert warnings.filters == filters


def test_generated_photos_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = Creatures("val", images=3, size=32)
    monkeypatch.setattr(Creatures, "image", lambda *_: pytest.fail("a photo was made"))
    some = Chosen(photos, [2, 0])
    assert readable(photos, "raise") is photos and readable(some, "skip") is some
