"""The same photo is known again whatever its file is called, and hardly any file is read for that."""

from pathlib import Path

import pytest
from PIL import Image

from wsol.data import Chosen, Folder
from wsol.data.contents import digest, digests, in_both


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in (("train/a/1", "one"), ("train/b/2", "two"), ("val/a/3", "two"), ("val/b/4", "longer")):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_equal_files_have_equal_digests(root: Path) -> None:
    one, two = digests(Folder(root, "train"))
    assert one != two == digest(root / "val/a/3.jpg") and len(two) == 16
    assert digest(root / "nothing.jpg") == ""


def test_photos_of_two_sets_are_found_by_what_they_hold(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = Folder(root, "train"), Folder(root, "val")
    assert in_both(train, val) == [(root / "val/a/3.jpg", root / "train/b/2.jpg")]
    monkeypatch.setattr("wsol.data.contents.digest", lambda path: pytest.fail(f"{path} was read"))
    (root / "val/a/3.jpg").write_text("of another size")
    assert in_both(train, val) == []


def test_a_link_is_the_photo_that_it_leads_to(root: Path) -> None:
    (root / "val/a/3.jpg").unlink()
    (root / "val/a/3.jpg").symlink_to(root / "train/a/1.jpg")
    assert in_both(Folder(root, "train"), Folder(root, "val")) == [(root / "val/a/3.jpg", root / "train/a/1.jpg")]


def test_photos_that_are_no_files_of_their_own_are_not_compared(root: Path) -> None:
    class Parts(Folder):
        def image(self, index: int) -> Image.Image:
            return super().image(0)

    assert digests(Parts(root, "train")) == ["", ""]
    assert (
        in_both(Parts(root, "train"), Folder(root, "val")) == in_both(Folder(root, "train"), Parts(root, "val")) == []
    )
    assert len(digests(Chosen(Folder(root, "train"), [1]))[0]) == 16
