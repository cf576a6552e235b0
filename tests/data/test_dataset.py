"""The contract of data sets: fingerprints, sizes, and what is imported for them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from wsol.data import Chosen, Creatures, Dataset, Folder, Sample, Truth
from wsol.data.dataset import split_named


def folder(root: Path) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"):
        (root / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / "train" / name)
    return root


def test_a_fingerprint_does_not_depend_on_the_place_of_the_folder(tmp_path: Path) -> None:
    one, two = (Folder(folder(tmp_path / name), "train") for name in ("one", "two"))
    assert one.fingerprint() == two.fingerprint() and len(one.fingerprint()) == 16
    assert Creatures("val", size=32).fingerprint() != one.fingerprint() != Folder(tmp_path / "one", "val").fingerprint()


def test_a_fingerprint_changes_with_order_labels_ids_and_class_names() -> None:
    class Listed(Dataset):
        name = "listed"

        def __init__(self, classes: list[str], *samples: Sample) -> None:
            self.classes, self.samples = classes, list(samples)

        def truth(self, index: int) -> Truth:
            return Truth()

    one, two = Sample("1.jpg", 0, Path("1.jpg")), Sample("2.jpg", 1, Path("2.jpg"))
    classes = ["cat", "dog"]
    prints = [
        Listed(classes, one, two).fingerprint(),
        Listed(classes, two, one).fingerprint(),
        Listed(classes, one).fingerprint(),
        Listed(classes, one, replace(two, label=0)).fingerprint(),
        Listed(classes, one, replace(two, id="3.jpg")).fingerprint(),
        Listed(classes, one, replace(two, present=(0, 1))).fingerprint(),
        Listed(["cat", "wolf"], one, two).fingerprint(),
        Listed(["dog", "cat"], one, two).fingerprint(),
        Listed(["catdog"], one, two).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert Listed(classes, one, replace(two, path=Path("/elsewhere/2.jpg"))).fingerprint() == prints[0]
    assert Chosen(Listed(classes, one, two), [0, 1]).fingerprint() == prints[0]
    assert prints[0] == "91f152871c8777fe"  # stored with runs: it must not change between versions


def test_a_size_is_that_of_the_photo_where_a_layout_makes_its_own_photos(tmp_path: Path) -> None:
    class Halved(Folder):
        def image(self, index: int) -> Image.Image:
            photo = super().image(index)
            return photo.resize((photo.width // 2, photo.height))

    folder(tmp_path)
    assert (Folder(tmp_path, "train").size(0), Halved(tmp_path, "train").size(0)) == ((4, 3), (2, 3))
    assert Creatures("val", images=1, size=36).size(0) == Creatures("val", images=1, size=36).image(0).size == (36, 36)


@pytest.mark.parametrize("module", ["torch", "lightning", "timm", "torchvision", "matplotlib", "numba", "scipy"])
def test_data_sets_need_no_networks(module: str, imported: list[str]) -> None:
    assert module not in imported


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """The modules that a fresh process holds after `import wsol.data`."""
    code = "import sys, wsol.data; wsol.data.known_layouts(); print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Training", "TRAIN "]),
        ("val", ["val", "valid", "Validation", "dev"]),
        ("test", ["test", "Testing", "holdout"]),
        (None, ["", "trainval", "fold 1", "a"]),
    ],
)
def test_splits_have_many_spellings(split: str | None, names: list[str]) -> None:
    assert {split_named(name) for name in names} == {split}
