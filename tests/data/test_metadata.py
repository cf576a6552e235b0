"""The evaluator's metadata: read as it says, written so that it is read back, wrong lines named; the real lists."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import Creatures, Dataset, Metadata, Sample, Split, Truth, open_data, write_metadata
from wsol.data.dataset import NoSplit, check_boxes
from wsol.data.images import open_image
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
COMMAS = "birds, small/a,b 1,2,3,4.jpg"
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda id: id.splitlines() == [id] and id.strip() and id[0] != "\ufeff"
)
STARTS, SIDES = st.floats(0, 2, allow_subnormal=False), st.floats(1.1, 3)  # none that could be shares
BOXES = st.tuples(STARTS, STARTS, SIDES, SIDES).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))
PHOTO = st.tuples(st.integers(0, 99), st.tuples(st.integers(5, 9), st.integers(5, 9)), st.lists(BOXES, max_size=3))

NUMBERS = st.tuples(*[st.floats(0, 1e5, allow_subnormal=False)] * 4)
WILD = st.tuples(st.integers(0, 99), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.lists(NUMBERS, max_size=3))


class Listed(Dataset):
    """Photos that exist in memory alone."""

    name = "listed"

    def __init__(self, photos: dict[str, Any]) -> None:
        self.photos = list(photos.values())
        self.samples = [Sample(id, label, Path(id)) for id, (label, _, _) in photos.items()]
        self.classes = [str(number) for number in range(100)]

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", self.photos[index][1])

    def truth(self, index: int) -> Truth:
        return Truth(np.array(self.photos[index][2], np.float64).reshape(-1, 4))


@settings(max_examples=30, deadline=None)
@given(photos=st.dictionaries(IDS, PHOTO, min_size=1, max_size=8), windows=st.booleans())
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, photos: dict, windows: bool) -> None:
    folder = tmp_path_factory.mktemp("metadata") / "test"
    write_metadata(Listed(photos), folder)
    for path in folder.iterdir() if windows else ():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    again = Metadata(folder.parent, "test")
    assert again.has_boxes == any(boxes for _, _, boxes in photos.values())
    found = {
        sample.id: (sample.label, again.size(index), list(map(tuple, again.truth(index).boxes.tolist())))
        for index, sample in enumerate(again.samples)
    }
    assert found == photos
    assert list(found) == list(photos)


@settings(max_examples=30, deadline=None)
@given(photos=st.dictionaries(IDS, WILD, min_size=1, max_size=8), windows=st.booleans())
def test_numbers_are_read_back_whatever_they_are(
    tmp_path_factory: pytest.TempPathFactory, photos: dict, windows: bool
) -> None:
    """Boxes that cannot be what they are taken for are read to the last bit too; whoever asks for one is told."""
    folder = tmp_path_factory.mktemp("metadata") / "test"
    write_metadata(Listed(photos), folder)
    for path in folder.iterdir() if windows else ():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    again = Metadata(folder.parent, "test")
    assert {sample.id: (sample.label, again.size(n)) for n, sample in enumerate(again.samples)} == {
        id: (label, size) for id, (label, size, _) in photos.items()
    }
    assert {id: list(map(tuple, boxes)) for id, boxes in again._boxes.items()} == {
        id: boxes for id, (_, _, boxes) in photos.items() if boxes
    }
    for index, (_, _, boxes) in enumerate(photos.values()):
        try:
            assert list(map(tuple, again.truth(index).boxes.tolist())) == boxes
        except WsolError as error:
            assert "localization.txt: " in str(error) and "--box-format" in str(error)


@pytest.mark.parametrize("id", ["a\nb.jpg", "a\r.jpg", "a\u2028.jpg", ""])
def test_ids_that_would_break_a_line_are_refused(tmp_path: Path, id: str) -> None:
    with pytest.raises(WsolError, match=r"an id with a line break cannot be listed, .*; rename the photo"):
        write_metadata(Listed({id: (0, (1, 1), [])}), tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WsolError, match=r"file/image_ids\.txt: could not be written .*; choose another --output"):
        write_metadata(Creatures("val", images=1, size=32), tmp_path / "file")


def lists(root: Path, end: str = "\n", **files: str) -> Path:
    """Two photos, one with commas in its id and two boxes; `files` replaces whole lists, lines parted by |."""
    texts = {
        "image_ids": f"a.jpg|{COMMAS}",
        "class_labels": f"{COMMAS},2|a.jpg,0",
        "image_sizes": f"a.jpg,40,30|{COMMAS},8,6",
        "localization": f"{COMMAS},1,2,3,4|a.jpg,0.5,1e0,40,30|{COMMAS},0,0,8,6",
    }
    folder = root / "metadata" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (texts | files).items():
        content = "".join(line + end for line in text.split("|"))
        (folder / f"{name}.txt").write_text(content, encoding="utf-8", newline="")
    return root


def picture(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5), np.uint8) if pixels is None else pixels).save(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ids_labels_sizes_and_boxes(tmp_path: Path, end: str) -> None:
    photos = Metadata(lists(tmp_path, end), "test")
    assert [(sample.id, sample.label) for sample in photos.samples] == [("a.jpg", 0), (COMMAS, 2)]
    assert (photos.classes, photos.has_boxes) == (["0", "1", "2"], True)
    assert [photos.size(index) for index in (0, 1)] == [(40, 30), (8, 6)]
    assert photos.truth(0).boxes.tolist() == [[0.5, 1, 40, 30]]
    assert photos.truth(1).boxes.tolist() == [[1, 2, 3, 4], [0, 0, 8, 6]]


def test_lists_may_lie_in_the_root_and_photos_in_images(tmp_path: Path) -> None:
    (lists(tmp_path) / "metadata" / "test").rename(tmp_path / "test")
    assert Metadata(tmp_path, "test").samples[0].path == tmp_path / "a.jpg"
    (tmp_path / "images").mkdir()
    assert Metadata(tmp_path, "test").samples[0].path == tmp_path / "images" / "a.jpg"


def test_lists_and_photos_may_lie_beside_each_other_as_in_the_release(tmp_path: Path) -> None:
    listed, shown = tmp_path / "metadata" / "OpenImages", tmp_path / "dataset" / "OpenImages"
    lists(tmp_path, localization="a.jpg,m.png,")
    (tmp_path / "metadata" / "test").rename(tmp_path / "test")
    listed.mkdir()
    (tmp_path / "test").rename(listed / "test")
    picture(shown / "test" / "a.jpg")
    picture(shown / "m.png", np.ones((4, 5), np.uint8))
    for root in (listed, shown):
        photos = open_data(root, "test")
        assert isinstance(photos, Metadata) and photos.samples[0].path == shown / "a.jpg"
        assert np.asarray(photos.truth(0).mask).all()
        with pytest.raises(NoSplit, match="there is no folder val"):
            open_data(root, "val")


def test_sizes_that_are_not_listed_are_those_of_the_photo(tmp_path: Path) -> None:
    photos = Metadata(lists(tmp_path, image_sizes=""), "test")
    picture(tmp_path / "a.jpg")
    assert photos.size(0) == (5, 4)


def test_boxes_are_taken_as_they_are(tmp_path: Path) -> None:
    photos = Metadata(lists(tmp_path, localization=f"a.jpg,0,0,41,30|{COMMAS},0,0,8,6"), "test")
    assert photos.truth(0).boxes.tolist() == [[0, 0, 41, 30]]


def test_instances_are_united_and_the_ignored_pixels_stand_beside_them(tmp_path: Path) -> None:
    text = f"a.jpg,m/1.png,m/i.png|{COMMAS},m/2.png,|a.jpg,m/2.png,"
    photos = Metadata(lists(tmp_path, localization=text), "test", masks=tmp_path / "masks")
    one, two, ignored = np.zeros((3, 4, 5), np.uint8)
    one[0, 0], two[1, 2:], ignored[0, :2] = 255, 1, 255  # every value above 0 counts
    for name, pixels in (("1", one), ("2", two), ("i", ignored)):
        picture(tmp_path / "masks" / "m" / f"{name}.png", pixels)
    first, second = photos.truth(0), photos.truth(1)
    assert not photos.has_boxes
    np.testing.assert_array_equal(first.mask, (one > 0) | (two > 0))
    np.testing.assert_array_equal(first.ignore, ignored > 0)
    np.testing.assert_array_equal(second.mask, two > 0)
    assert second.ignore is None


def test_photos_without_a_line_have_no_truth(tmp_path: Path) -> None:
    photos = Metadata(lists(tmp_path, localization="a.jpg,1,2,3,4"), "test")
    assert photos.truth(1).mask is None and len(photos.truth(1).boxes) == 0
    (tmp_path / "metadata" / "test" / "localization.txt").unlink()
    photos = Metadata(tmp_path, "test")
    assert not photos.has_boxes and len(photos.truth(0).boxes) == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"class_labels": "a.jpg,0"}, rf"class_labels\.txt: no label for {COMMAS}"),
        ({"class_labels": "a.jpg,0|a.jpg,1"}, r"class_labels\.txt: a\.jpg has two labels, 0 and 1"),
        ({"class_labels": "a.jpg,x"}, r"class_labels\.txt: a\.jpg has 'x' where a whole number"),
        ({"class_labels": "a.jpg,-1"}, r"class_labels\.txt: a\.jpg has '-1' where a whole number"),
        ({"class_labels": "a.jpg"}, r"class_labels\.txt: 'a\.jpg' does not hold an id and 1 values"),
        ({"image_sizes": "a.jpg,40"}, r"image_sizes\.txt: 'a\.jpg,40' does not hold an id and 2 values"),
        ({"image_sizes": "a.jpg,40,3.5"}, r"image_sizes\.txt: a\.jpg has '3\.5' where a whole number"),
        ({"localization": "b.jpg,1,2,3,4"}, r"localization\.txt: 'b\.jpg' is not understood; no photo of this id"),
        ({"localization": "b.jpg,m.png,"}, r"localization\.txt: 'b\.jpg' is not understood; no photo of this id"),
        ({"localization": "a.jpg,1,2,3,4|a.jpg,1,2,3,x"}, r"localization\.txt: 'a\.jpg,1,2,3,x' .*; a box is id,x0"),
        ({"localization": "a.jpg,m.png"}, r"localization\.txt: 'a\.jpg,m\.png' is not understood; a mask is id,mask"),
        ({"localization": "a.jpg,none.png,"}, r"none\.png: this mask cannot be read; give the folder"),
        ({"localization": "a.jpg,1.png,2.png"}, r"1\.png: the masks of a\.jpg differ in size"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "2.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(WsolError, match=said):
        photos = Metadata(lists(tmp_path, **files), "test")
        photos.size(0), photos.truth(0)


@pytest.mark.parametrize("name", ["image_ids", "class_labels"])
def test_missing_and_unreadable_lists_are_named(tmp_path: Path, name: str) -> None:
    path = lists(tmp_path) / "metadata" / "test" / f"{name}.txt"
    path.write_bytes(b"caf\xe9.jpg\n")
    with pytest.raises(WsolError, match=rf"{name}\.txt: cannot be read"):
        Metadata(tmp_path, "test")
    path.unlink()
    with pytest.raises(WsolError, match=rf"{name}\.txt: cannot be read"):
        Metadata(tmp_path, "test")


def test_the_real_lists_of_cub(shared: Path) -> None:
    root = shared / "wsolevaluation" / "metadata" / "CUB"
    for split, count in zip(SPLITS, (5994, 1000, 5794), strict=True):
        photos = Metadata(root, split)
        assert len({sample.id for sample in photos.samples}) == len(photos) == count
        assert len(photos.classes) == 200
        assert all(len(photos.truth(index).boxes) == 1 for index in range(count))
        assert all(sample.label == int(sample.id[:3]) - 1 for sample in photos.samples)
    line = (root / "test" / "localization.txt").read_text().splitlines()[-1]
    assert photos.truth(count - 1).boxes.tolist() == [list(map(float, line.split(",")[1:]))]


def test_the_real_lists_of_openimages(shared: Path) -> None:
    root = shared / "wsolevaluation" / "metadata" / "OpenImages"
    for split, count in zip(SPLITS, (29819, 2500, 5000), strict=True):
        photos = Metadata(root, split)
        assert (len(photos), len(photos.classes), photos.has_boxes) == (count, 100, False)
    assert sum(map(len, photos._mask_paths.values())) == 7632


def test_the_real_masks(shared: Path) -> None:
    masks = shared / "wsolevaluation" / "test_data" / "test_masks"
    photos = Metadata(shared / "wsolevaluation" / "metadata" / "OpenImages", "val", masks=masks)
    index = [sample.id for sample in photos.samples].index("val/0bt_c3/3a29f0b33894d4a6.jpg")
    truth = photos.truth(index)
    instances = [open_image(path) for path in sorted(masks.glob("val/0bt_c3/3a29f0b33894d4a6_m*.png"))]
    expected = np.any([np.asarray(instance)[:, :, 0] > 0 for instance in instances], 0)
    assert len(instances) == 2 and truth.mask is not None and truth.ignore is not None
    np.testing.assert_array_equal(truth.mask, expected)
    assert 0 < truth.mask.sum() < truth.mask.size and not truth.ignore.any()


def test_the_real_boxes_of_ilsvrc(shared: Path) -> None:
    photos = Metadata(shared / "ilsvrc_val_500", "test")
    several = sum(len(photos.truth(index).boxes) > 1 for index in range(len(photos)))
    assert several > 50 and all(sample.path.is_file() for sample in photos.samples)
    for index in range(len(photos)):
        check_boxes(photos.truth(index).boxes, photos.size(index), photos.samples[index].id)


def test_boxes_of_another_format_are_found_out_and_read(tmp_path: Path) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "image_ids.txt").write_text("a\nb\n")
    (folder / "class_labels.txt").write_text("a,0\nb,1\n")
    (folder / "image_sizes.txt").write_text("a,200,100\nb,200,100\n")
    (folder / "localization.txt").write_text("a,0.1,0.1,0.6,0.6\nb,0.5,0.5,0.2,0.25\n")
    with pytest.raises(WsolError, match=r"localization.txt: all 2 boxes lie in 0..1, .*--box-format xywh-shares"):
        Metadata(tmp_path, "test").truth(0)
    assert Metadata(tmp_path, "test", box_format="xywh-shares").truth(1).boxes.tolist() == [[100, 50, 140, 75]]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("image_ids", "a.jpg\na.jpg\n"),
        ("image_sizes", "a.jpg,0,30\n"),
        ("image_sizes", f"a.jpg,40,{'9' * 400}\n"),
        ("class_labels", f"a.jpg,{'9' * 5000}\n"),
        ("localization", "a.jpg,nan,1,2,3\n"),
        ("localization", "a.jpg,1_0,1,20,30\n"),
    ],
)
def test_what_no_list_can_hold_is_named(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "test").mkdir()
    lists = {"image_ids": "a.jpg\n", "class_labels": "a.jpg,0\n", "image_sizes": "a.jpg,40,30\n"}
    lists |= {"localization": "a.jpg,1,2,20,25\n", file: text}
    for name, lines in lists.items():
        (tmp_path / "test" / f"{name}.txt").write_text(lines)

    def read() -> None:
        photos = Metadata(tmp_path, "test")
        photos.size(0)
        photos.truth(0)

    with pytest.raises(WsolError, match=rf"{file}\.txt: "):
        read()
