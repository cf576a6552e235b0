"""Any layout is recognised, its photos and truth are read as they are, and what is wrong is named."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import CUB, Creatures, Csv, Flowers17, Folder, Metadata, open_data, readable, write_metadata
from wsol.data.dataset import check_boxes, every_tenth
from wsol.errors import WsolError


def photo(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)
    return path


def lines(path: Path, *text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in text), encoding="utf-8")
    return path


# --- folders


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for index in range(20):
            photo(tmp_path / name / f"deeper{index % 2}" / f"{index:02d}.jpg")
    splits = {split: Folder(tmp_path, split) for split in ("train", "val", "test")}
    assert [len(splits[split]) for split in ("train", "val", "test")] == [36, 4, 4]
    assert splits["train"].classes == ["cat", "dog"]
    ids = {split: {sample.id for sample in photos.samples} for split, photos in splits.items()}
    assert not ids["train"] & ids["val"] and ids["val"] == ids["test"]
    assert all(sample.id.startswith(splits["train"].classes[sample.label]) for sample in splits["train"].samples)


def test_a_folder_with_splits_of_its_own(tmp_path: Path) -> None:
    for split, count in (("train", 11), ("test", 3)):
        for name in ("cat", "dog"):
            for index in range(count):
                photo(tmp_path / split / name / f"{index}.png")
    assert [len(Folder(tmp_path, split)) for split in ("train", "val", "test")] == [20, 2, 6]
    assert {sample.path.parts[-3] for sample in Folder(tmp_path, "test").samples} == {"test"}
    photo(tmp_path / "test" / "elk" / "1.png")
    with pytest.raises(WsolError, match="elk is no class of the training photos"):
        Folder(tmp_path, "test")
    (tmp_path / "test" / "elk").rename(tmp_path / "train" / "bear")
    assert [sample.label for sample in Folder(tmp_path, "test").samples] == [1, 1, 1, 2, 2, 2]
    (tmp_path / "train" / "bear" / "1.png").unlink()
    (tmp_path / "train" / "bear").rmdir()
    (tmp_path / "test").rename(tmp_path / "val")
    assert [len(Folder(tmp_path, split)) for split in ("train", "val", "test")] == [22, 6, 6]


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match="no class folders here"):
        Folder(tmp_path, "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WsolError, match="empty: no photos in this class folder"):
        Folder(tmp_path, "train")
    photo(tmp_path / "empty" / "1.jpg")
    photo(tmp_path / "stray.jpg")
    with pytest.warns(UserWarning, match="1 photos lie outside any class folder"):
        Folder(tmp_path, "train")


@given(st.integers(2, 60))
def test_every_tenth_is_held_back(count: int) -> None:
    items = list(range(count))
    train, val, test = (every_tenth(items, split) for split in ("train", "val", "test"))
    assert val == test and sorted(train + val) == items
    assert len(val) == max(count // 10, 1)


# --- CSV

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='/\0\n\r\\"', exclude_categories=("C", "Z")), min_size=1
)
BOX = st.tuples(st.integers(0, 19), st.integers(0, 14), st.integers(20, 40), st.integers(15, 30))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NAMES, st.lists(BOX, max_size=3), st.sampled_from(["train", "val", "test"])), min_size=1))
def test_a_csv_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    root = tmp_path_factory.mktemp("csv")
    with open(root / "photos.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "x0", "y0", "x1", "y1", "split"])
        for index, (label, boxes, split) in enumerate(rows):
            photo(root / f"a, {index}.png")
            for box in boxes or [("",) * 4]:
                writer.writerow([f"a, {index}.png", label, *box, split])
    seen = 0
    for split in ("train", "val", "test"):
        own = {f"a, {index}.png": row for index, row in enumerate(rows) if row[2] == split}
        if not own:
            continue
        photos = Csv(root / "photos.csv", split)
        assert {sample.id for sample in photos.samples} == set(own)
        for index, sample in enumerate(photos.samples):
            label, boxes, _ = own[sample.id]
            assert photos.classes[sample.label] == label or label.isdecimal()
            assert photos.truth(index).boxes.tolist() == [list(map(float, box)) for box in boxes]
            seen += 1
    assert seen == len(rows)


def test_numbers_are_classes_from_zero(tmp_path: Path) -> None:
    for index in range(3):
        photo(tmp_path / f"{index}.png")
    path = lines(tmp_path / "p.csv", "path,label,split", "0.png,0,train", "1.png,2,train", "2.png,2,val")
    assert Csv(path, "train").classes == ["0", "1", "2"]
    assert [sample.label for sample in Csv(path, "train").samples] == [0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["path,class", "0.png,a"], "first line must name the columns"),
        (["path,label,x0", "0.png,a,3"], "all four columns"),
        (["path,label", "0.png,"], "line 2: path and label must both be filled"),
        (["path,label", "0.png,a", "0.png,b"], "line 3: 0.png has two labels"),
        (["path,label,split", "0.png,a,training"], "line 2: split 'training' must be"),
        (["path,label", "1.png,a"], "1.png is listed but there is no such file"),
        (["path,label,split", "0.png,a,train"], "no photo belongs to the split val"),
    ],
)
def test_wrong_csv_files_are_named(tmp_path: Path, text: list[str], said: str) -> None:
    photo(tmp_path / "0.png")
    with pytest.raises(WsolError, match=r"p\.csv") as error:
        Csv(lines(tmp_path / "p.csv", *text), "val")
    assert said in str(error.value)


@pytest.mark.parametrize("box", ["0,0,41,30", "5,5,5,9", "9,0,3,9", "-1,0,3,3", "a,0,3,3", ",0,3,3"])
def test_boxes_that_are_none_are_named_when_they_are_asked_for(tmp_path: Path, box: str) -> None:
    photo(tmp_path / "0.png")
    photos = Csv(lines(tmp_path / "p.csv", "path,label,x0,y0,x1,y1", f"0.png,a,{box}"), "train")
    with pytest.raises(WsolError, match=r"p\.csv.*(0\.png|line 2)"):
        photos.truth(0)


def test_a_box_outside_is_said_in_full() -> None:
    with pytest.raises(WsolError, match=r"here: box 0 0 41 30 .* 40 x 30"):
        check_boxes(np.array([[0.0, 0, 40, 30], [0, 0, 41, 30]]), (40, 30), "here")


# --- CUB


def cub(root: Path, photos: int = 14) -> Path:
    """A miniature in the native layout: two classes in turn, every other photo of a class for training."""
    numbers = range(1, photos + 1)
    for number in numbers:
        photo(root / "images" / f"00{1 + number % 2}.Bird" / f"{number}.jpg")
    lines(root / "images.txt", *(f"{n} 00{1 + n % 2}.Bird/{n}.jpg" for n in numbers))
    lines(root / "image_class_labels.txt", *(f"{n} {1 + n % 2}" for n in numbers))
    lines(root / "train_test_split.txt", *(f"{n} {n // 2 % 2}" for n in numbers))
    lines(root / "bounding_boxes.txt", *(f"{n} {n}.5 2.0 10.0 {n}.0" for n in numbers))
    lines(root / "classes.txt", "1 001.Red_Bird", "2 002.Blue_Bird")
    return root


def test_cub_in_miniature(tmp_path: Path) -> None:
    splits = {split: CUB(cub(tmp_path), split, val_per_class=1) for split in ("train", "val", "test")}
    ids = {split: [int(number) for number in photos.numbers] for split, photos in splits.items()}
    training = [n for n in range(1, 15) if n // 2 % 2]
    assert ids["val"] == sorted([max(n for n in training if n % 2), max(n for n in training if n % 2 == 0)])
    assert ids["train"] == [n for n in training if n not in ids["val"]]
    assert ids["test"] == [n for n in range(1, 15) if n // 2 % 2 == 0]
    assert splits["test"].classes == ["Red Bird", "Blue Bird"]
    for split, photos in splits.items():
        for index, n in enumerate(ids[split]):
            assert photos.truth(index).boxes.tolist() == [[n + 0.5, 2, n + 10.5, 2 + n]]
            assert photos.samples[index].label == n % 2


def test_wrong_cub_files_are_named(tmp_path: Path) -> None:
    root = cub(tmp_path)
    (root / "bounding_boxes.txt").write_text("1 3 4\n")
    with pytest.raises(WsolError, match=r"bounding_boxes\.txt: no box of four numbers for photo"):
        CUB(root, "test").truth(0)
    lines(root / "image_class_labels.txt", "1 9")
    with pytest.raises(WsolError, match=r"image_class_labels\.txt: photo 1 has no class"):
        CUB(root, "test")
    (root / "classes.txt").unlink()
    with pytest.raises(WsolError, match=r"classes\.txt"):
        CUB(root, "test")


def test_the_real_cub(shared: Path) -> None:
    root = shared / "CUB_200_2011"
    splits = {split: open_data(root, split) for split in ("train", "val", "test")}
    assert [len(photos) for photos in splits.values()] == [1250, 250, 1389]
    val = splits["val"]
    assert np.bincount([sample.label for sample in val.samples]).tolist() == [5] * 50
    truth = dict(line.split(maxsplit=1) for line in (root / "bounding_boxes.txt").read_text().splitlines())
    assert isinstance(val, CUB)
    for index in (0, 100, 249):
        x, y, w, h = map(float, truth[val.numbers[index]].split())
        assert val.truth(index).boxes.tolist() == [[x, y, x + w, y + h]]


# --- the evaluator's metadata

ID = st.text(st.sampled_from("abc,. é"), min_size=1, max_size=8).map(lambda text: f"{text.strip()}x.png")


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(ID, st.tuples(st.integers(0, 4), st.lists(BOX, min_size=1, max_size=3)), min_size=1), st.booleans()
)
def test_metadata_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, photos: dict, windows: bool
) -> None:
    root = tmp_path_factory.mktemp("metadata")
    rows = [["path", "label", "x0", "y0", "x1", "y1", "split"]]
    for id, (label, boxes) in photos.items():
        photo(root / "images" / id)
        rows += [[f"images/{id}", label, *box, "test"] for box in boxes]
    with open(root / "p.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    given_photos = Csv(root / "p.csv", "test")
    write_metadata(given_photos, root / "metadata" / "test")
    for sample in given_photos.samples:
        photo(root / "images" / sample.id)
    if windows:
        for path in (root / "metadata" / "test").iterdir():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    again = Metadata(root, "test")
    assert [(s.id, s.label) for s in again.samples] == [(s.id, s.label) for s in given_photos.samples]
    for index in range(len(again)):
        assert np.array_equal(again.truth(index).boxes, given_photos.truth(index).boxes)
        assert again.size(index) == (40, 30)


def metadata(root: Path, **files: list[str]) -> Path:
    photo(root / "images" / "a.png")
    content = {
        "image_ids": ["a.png"],
        "class_labels": ["a.png,1"],
        "image_sizes": ["a.png,40,30"],
        "localization": ["a.png,1,2,3.5,4", "a.png,0,0,40,30"],
    }
    for name, text in (content | files).items():
        lines(root / "metadata" / "test" / f"{name}.txt", *text)
    return root


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"class_labels": []}, "class_labels.txt: no label for a.png"),
        ({"class_labels": ["a.png,one"]}, "class_labels.txt: a.png has 'one'"),
        ({"class_labels": ["a.png"]}, "class_labels.txt: 'a.png' does not hold an id and 1 values"),
        ({"localization": ["a.png,1,2,3,4", "a.png,1,2,3"]}, "localization.txt: 'a.png,1,2,3' is not understood"),
        ({"localization": ["b.png,1,2,3,4"]}, "localization.txt: 'b.png' is not understood; no photo of this id"),
        ({"localization": ["a.png"]}, "localization.txt: 'a.png' is not understood"),
        ({"localization": ["a.png,m.png,"]}, "m.png: this mask cannot be read"),
    ],
)
def test_wrong_metadata_are_named(tmp_path: Path, files: dict, said: str) -> None:
    with pytest.raises(WsolError) as error:
        Metadata(metadata(tmp_path, **files), "test").truth(0)
    assert said in str(error.value)


def test_metadata_know_several_boxes_and_the_range_of_labels(tmp_path: Path) -> None:
    root = metadata(tmp_path)
    assert Metadata(root, "test").truth(0).boxes.tolist() == [[1, 2, 3.5, 4], [0, 0, 40, 30]]
    with pytest.raises(WsolError, match="label 1 is out of range for 1 classes"):
        Metadata(root, "test", classes=1)


def test_masks_of_several_instances_and_what_is_ignored(tmp_path: Path) -> None:
    def mask(name: str, *place: slice) -> None:
        pixels = np.zeros((30, 40), np.uint8)
        pixels[place] = 255
        Image.fromarray(pixels).save(tmp_path / name)

    root = metadata(tmp_path, localization=["a.png,m0.png,i.png", "a.png,m1.png,"])
    mask("m0.png", slice(0, 5), slice(0, 5))
    mask("m1.png", slice(10, 12), slice(0, 40))
    mask("i.png", slice(20, 30), slice(0, 40))
    truth = Metadata(root, "test").truth(0)
    assert truth.mask is not None and truth.ignore is not None
    assert (truth.mask.sum(), truth.ignore.sum()) == (25 + 80, 400)


def test_the_real_lists(shared: Path) -> None:
    root = shared / "ilsvrc_val_500"
    photos = open_data(root, "test")
    assert (len(photos), photos.has_boxes) == (500, True)
    listed = (root / "metadata" / "test" / "localization.txt").read_text().splitlines()
    assert sum(len(photos.truth(index).boxes) for index in range(500)) == len(listed)


# --- flowers17


def test_flowers_in_miniature(tmp_path: Path) -> None:
    names = [f"images/{index:02d}.jpg" for index in range(16)]
    for name in names:
        photo(tmp_path / name, (4, 3))
    (tmp_path / "masks").mkdir()
    values = np.array([[0, 1, 1, 2], [3, 4, 5, 1], [0, 0, 3, 3]], np.uint8)
    palette = Image.fromarray(values, "P")
    palette.putpalette(list(range(18)))
    palette.save(tmp_path / "masks" / "03.png")
    lines(
        tmp_path / "labels.csv", "image,class,has_mask", *(f"{name},{index % 2},1" for index, name in enumerate(names))
    )
    splits = {split: open_data(tmp_path, split) for split in ("train", "val", "test")}
    ids = {split: {sample.id for sample in photos.samples} for split, photos in splits.items()}
    assert ids["test"] == {names[index] for index in (6, 7, 14, 15)}
    assert set.union(*ids.values()) == set(names) and sum(map(len, ids.values())) == 16
    everything = {
        sample.id: (photos, index) for photos in splits.values() for index, sample in enumerate(photos.samples)
    }
    photos, index = everything[names[3]]
    truth = photos.truth(index)
    assert truth.mask is not None and truth.ignore is not None
    assert (truth.mask == (values == 1)).all() and (truth.ignore == (values == 0)).all()
    photos, index = everything[names[4]]
    assert photos.truth(index).mask is None


def test_the_real_flowers(shared: Path) -> None:
    splits = [Flowers17(shared / "flowers17", split) for split in ("train", "val", "test")]
    assert sum(map(len, splits)) == 1360 and len(splits[0].classes) == 17
    masks = [photos.truth(index).mask is not None for photos in splits for index in range(len(photos))]
    assert sum(masks) == 846


# --- any of them


def test_layouts_are_recognised(tmp_path: Path) -> None:
    photo(tmp_path / "folder" / "a" / "1.jpg")
    photo(tmp_path / "0.png")
    table = lines(tmp_path / "p.csv", "path,label", "0.png,a")
    assert isinstance(open_data("creatures", "test"), Creatures)
    assert isinstance(open_data(tmp_path / "folder", "train"), Folder)
    assert isinstance(open_data(table, "train"), Csv)
    assert isinstance(open_data(cub(tmp_path / "cub"), "train"), CUB)
    assert isinstance(open_data(metadata(tmp_path / "metadata"), "test"), Metadata)
    with pytest.raises(WsolError, match="did you mean creatures"):
        open_data("creature", "train")
    with pytest.raises(WsolError, match="there is no such data"):
        open_data(tmp_path / "nothing", "train")


def test_layouts_have_variants(tmp_path: Path) -> None:
    lists = metadata(tmp_path / "lists")
    (lists / "metadata" / "test").rename(lists / "test")
    assert isinstance(open_data(lists, "test"), Metadata)
    photo(tmp_path / "0.png")
    assert isinstance(open_data(lines(tmp_path / "P.CSV", "path,label", "0.png,a"), "train"), Csv)
    photo(tmp_path / "folder" / "a" / "labels.csv.png")
    photos = open_data(str(tmp_path / "folder"), "train")
    assert isinstance(photos, Folder) and open_data(photos, "test") is photos
    assert open_data("creatures", "val", size=40).image(0).size == (40, 40)
    assert len(open_data(cub(tmp_path / "cub"), "val", val_per_class=2)) == 4


def test_photos_that_can_be_read_pass(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "1.jpg")
    whole, generated = Folder(tmp_path, "train"), Creatures("val", size=32)
    assert readable(whole, "raise") is whole and readable(generated, "raise") is generated


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
