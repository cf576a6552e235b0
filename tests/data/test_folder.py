"""Folders of class folders: which photos belong to which split and class, and what is said of wrong ones."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data import Folder, Split
from wsol.data.finding import find_images
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
        (
            ("val/a/1.jpg", "valid/a/2.jpg"),
            r"photos: the folders val and valid both mean val; merge or rename one of them",
        ),
        (("train/a/1.jpg", "Train/a/2.jpg"), r"photos: the folders .*rain and .*rain both mean train"),
        (
            ("train/a/1.jpg", "car/2.jpg"),
            r"photos: train holds folders as a split does, but lies beside car; move away",
        ),
        (("test/a/1.jpg",), r"photos: no folder gives the split train, there is only test; add a folder train"),
        (("train/Cat/1.jpg", "val/cat/1.jpg"), r"photos.val: cat is no class of the training photos; call it Cat"),
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


@pytest.mark.parametrize(
    "spelled", [("train", "valid", "test"), ("Train", "Validation", "Test"), ("TRAIN", "dev", "Holdout")]
)
def test_splits_are_known_as_people_spell_them(tmp_path: Path, spelled: tuple[str, ...]) -> None:
    tree(tmp_path, *(f"{folder}/{kind}/{folder}.jpg" for folder in spelled for kind in "ab"))
    assert list(ids(tmp_path).values()) == [[f"{folder}/{kind}/{folder}.jpg" for kind in "ab"] for folder in spelled]


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{kind}/{number}.jpg" for kind in ("car", "train") for number in range(3)))
    with pytest.warns(UserWarning, match="train is read as a class, as not all folders here are splits"):
        assert Folder(tmp_path, "train").classes == ["car", "train"]


@pytest.mark.parametrize("above", ["photos", "a/b", "dataset/train", "train/images"])
def test_a_folder_that_only_holds_another_one_is_read_as_that(tmp_path: Path, above: str) -> None:
    tree(tmp_path, *(f"{above}/{kind}/{number}.jpg" for kind in "ab" for number in range(3)), "__MACOSX/a/._1.jpg")
    photos = Folder(tmp_path, "train")
    assert (photos.classes, len(photos)) == (["a", "b"], 4)
    assert photos.samples[0].id == f"{above}/a/0.jpg"


def test_folders_beside_two_splits_are_left_out_and_named(tmp_path: Path) -> None:
    tree(tmp_path, "train/a/1.jpg", "val/a/2.jpg", "unlabelled/3.jpg", "extra/b/4.jpg")
    with pytest.warns(UserWarning, match=r"2 photos lie outside any class folder .*: extra/b/4.jpg, unlabelled/3.jpg"):
        assert (ids(tmp_path)["train"], Folder(tmp_path, "train").classes) == (["train/a/1.jpg"], ["a"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_without_photos_to_train_on_classes_are_those_that_are_there(tmp_path: Path, split: str) -> None:
    photos = Folder(tree(tmp_path, f"{split}/b/1.jpg", f"{split}/a/1.jpg"), "test")
    assert (photos.classes, [sample.id for sample in photos.samples]) == (
        ["a", "b"],
        [f"{split}/{c}/1.jpg" for c in "ab"],
    )
    assert not photos.by_rule


def test_all_photos_of_a_set_without_splits_can_be_had(tmp_path: Path) -> None:
    names = [f"a/{number:02d}.jpg" for number in range(12)]
    photos = Folder(tree(tmp_path, *names), None)
    assert [sample.id for sample in photos.samples] == names
    assert [Folder(tmp_path, split).by_rule for split in (*SPLITS, None)] == [False, True, True, False]


def test_an_empty_class_folder_is_no_reason_not_to_measure_the_others(tmp_path: Path) -> None:
    (tree(tmp_path, "a/1.jpg") / "owl").mkdir()
    with pytest.warns(UserWarning, match="1 folder holds no photo: owl"):
        assert Folder(tmp_path, None).classes == ["a"]


def test_classes_that_are_numbers_stand_in_their_order(tmp_path: Path) -> None:
    assert Folder(tree(tmp_path, *(f"{number}/1.jpg" for number in range(12))), "train").classes == [
        *map(str, range(12))
    ]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    tree(tmp_path / "stored", "a/1.jpg", "a/2.jpg", "3.jpg")
    (root := tmp_path / "photos").mkdir()
    (root / "b").mkdir()
    (root / "a").symlink_to(tmp_path / "stored" / "a")
    (root / "b" / "3.jpg").symlink_to(tmp_path / "stored" / "3.jpg")
    (root / "b" / "up").symlink_to("..")
    (root / "b" / "gone.jpg").symlink_to("nowhere")
    (root / "self").symlink_to("self")
    names = ["a/1.jpg", "a/2.jpg", "b/3.jpg"]
    assert [name for _, name in find_images(root)] == names
    with pytest.warns(UserWarning, match="2 links lead nowhere and are left out: b/gone.jpg, self"):
        assert [sample.id for sample in Folder(root, None).samples] == names


def test_names_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg")
    os.rename(tmp_path / "a", os.fsencode(tmp_path) + b"/c\xe4t")
    with pytest.raises(WsolError, match=r"the name c\\xe4t/1\.jpg is not UTF-8; rename it"):
        Folder(tmp_path, "train")


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "a/old/2.jpg", "b/3.jpg", "a/@eaDir/1.jpg/thumb.jpg")
    for name in ("a/Thumbs.db", ".DS_Store", "a/film.mp4", "b/raw.CR2", "b/film.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    said = (
        f"{tmp_path}: 3 files are of no known photo format (2 .mp4, 1 .cr2) and are left out: a/film.mp4, b/film.mp4, "
    )
    with pytest.warns(UserWarning) as warned:
        photos = Folder(tmp_path, "train")
    assert [str(warning.message) for warning in warned] == [f"{said}b/raw.CR2"]
    assert photos.notes() == [
        f"{tmp_path}: no split folders: every tenth photo of a class is held back",
        f"{tmp_path}: 1 file is text (1 .txt) and is left out: notes.txt",
        f"{tmp_path}: 3 files are hidden or the system's and are left out: "
        ".DS_Store, a/@eaDir/1.jpg/thumb.jpg, a/Thumbs.db",
        f"{tmp_path}: 1 photo lies in a folder below the class: a/old/2.jpg",
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Cat/1.jpg", "cat/1.jpg"), "Cat and cat are two classes, though they look alike"),
        (("1/1.jpg", "01/1.jpg"), "01 and 1 are two classes, though they look alike"),
        (("a/x/1.jpg", "b/x/1.jpg"), r"all photos of a, b lie in folders below \(a/x\); the classes are a, b"),
    ],
)
def test_trees_that_can_be_read_otherwise_are_remarked_on(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        Folder(tree(tmp_path, *names), "train")
