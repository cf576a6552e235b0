"""Folders of class folders: which photos belong to which split and class, and what is said of wrong ones."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import Folder, Split
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name, "PNG")
    return root


def ids(root: Path) -> dict[Split, list[str]]:
    return {split: [sample.id for sample in Folder(root, split).samples] for split in SPLITS}


def test_every_tenth_photo_of_a_class_by_name_is_held_back(tmp_path: Path) -> None:
    names = [f"{kind}/{number:02d}.jpg" for kind in ("cat", "dog") for number in range(25)]
    found = ids(tree(tmp_path, *reversed(names)))
    held = ["cat/09.jpg", "cat/19.jpg", "dog/09.jpg", "dog/19.jpg"]
    assert (found["val"], found["test"]) == (held, held)
    assert found["train"] == [name for name in names if name not in held]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b c", "é", "[x]", "1"]), st.integers(2, 23), min_size=1))
def test_each_photo_is_trained_on_or_held_back(tmp_path_factory: pytest.TempPathFactory, counts: dict) -> None:
    root = tmp_path_factory.mktemp("folder")
    for name, count in counts.items():
        (root / name).mkdir()
        for number in range(count):
            (root / name / f"{number}.png").touch()
    for split in SPLITS:
        photos = Folder(root, split)
        assert photos.classes == sorted(counts)
        assert [photos.classes[sample.label] for sample in photos.samples] == [
            sample.path.parent.name for sample in photos.samples
        ]
    found = ids(root)
    assert sorted(found["train"] + found["val"]) == sorted(f"{n}/{i}.png" for n, c in counts.items() for i in range(c))
    assert len(found["val"]) == sum(max(count // 10, 1) for count in counts.values())


def test_a_single_photo_is_on_both_sides(tmp_path: Path) -> None:
    assert set(map(tuple, ids(tree(tmp_path, "a/1.jpg")).values())) == {("a/1.jpg",)}


def test_split_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{split}/{kind}/{number}.jpg" for split in SPLITS for kind in "ab" for number in range(12)))
    for split, found in ids(tmp_path).items():
        assert found == sorted(f"{split}/{kind}/{number}.jpg" for kind in "ab" for number in range(12))


def test_a_missing_split_is_taken_from_another(tmp_path: Path) -> None:
    tree(tmp_path, *(f"train/a/{number:02d}.jpg" for number in range(20)), "val/a/x.jpg")
    assert ids(tmp_path)["val"] == ids(tmp_path)["test"] == ["val/a/x.jpg"]
    (tmp_path / "val").rename(tmp_path / ".other")
    assert ids(tmp_path)["val"] == ids(tmp_path)["test"] == ["train/a/09.jpg", "train/a/19.jpg"]
    (tmp_path / ".other").rename(tmp_path / "test")
    assert (ids(tmp_path)["val"], ids(tmp_path)["test"]) == (["train/a/09.jpg", "train/a/19.jpg"], ["test/a/x.jpg"])


def test_a_split_may_lack_classes(tmp_path: Path) -> None:
    photos = Folder(tree(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "val/c/1.jpg"), "val")
    assert (photos.classes, [sample.label for sample in photos.samples]) == (["a", "b", "c"], [2])


def test_photos_may_lie_deeper_and_what_is_hidden_or_no_photo_is_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "a/x/y/1.JPG", "a/0.webp", "a/._0.webp", "a/.thumbs/1.jpg", ".cache/1.jpg")
    (tmp_path / "a" / "album.jpg").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("no photo")
    found = ids(tmp_path)
    assert found["train"] + found["val"] == ["a/0.webp", "a/x/y/1.JPG"]


def test_there_is_no_truth_to_read(tmp_path: Path) -> None:
    photos = Folder(tree(tmp_path, "a/1.jpg"), "train")
    assert not photos.has_boxes and not len(photos.truth(0).boxes) and photos.truth(0).mask is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), r"photos: no class folders here; put the photos"),
        (("1.jpg",), r"photos: no class folders here"),
        (("train/1.jpg",), r"photos.train: no class folders here"),
        (("a/1.jpg", "b/._1.jpg"), r"photos.b: no photos in this class folder; fill it or remove it"),
        (("train/a/1.jpg", "val/b/1.jpg"), r"photos.val: b is no class of the training photos; remove it"),
    ],
)
def test_wrong_folders_are_named(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(WsolError, match=said):
        ids(tree(tmp_path / "photos", *names))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WsolError, match="nothing: no class folders here"):
        Folder(tmp_path / "nothing", "train")


def test_photos_beside_the_class_folders_are_counted(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "stray.jpg", "other.png")
    with pytest.warns(UserWarning, match="2 photos lie outside any class folder and are left out"):
        assert [sample.id for sample in Folder(tmp_path, "train").samples] == ["a/1.jpg"]
