"""Where photos are found: folders, patterns and lists, here and behind addresses."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsol.data.finding import find_images
from wsol.data.images import open_image
from wsol.data.inputs import open_held
from wsol.data.stored import Stored
from wsol.errors import WsolError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name, "PNG")
    return root


def test_folder_is_searched_in_order_and_keeps_its_structure(tmp_path: Path) -> None:
    tree(tmp_path, "b/2.JPG", "b/1.png", "a b/ü.jpeg", "z.webp", "b/deep/er/3.tif", ".hidden/x.jpg", "b/._1.png")
    (tmp_path / "b" / "notes.txt").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    names = ["a b/ü.jpeg", "b/1.png", "b/2.JPG", "b/deep/er/3.tif", "z.webp"]
    assert find_images(tmp_path) == [(tmp_path / name, name) for name in names]
    assert find_images(str(tmp_path / "b"))[0] == (tmp_path / "b" / "1.png", "1.png")


def test_patterns(tmp_path: Path) -> None:
    tree(tmp_path, "cat/1.jpg", "cat/2.png", "dog/1.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("no photo")
    assert [name for _, name in find_images(f"{tmp_path}/*/1.jpg")] == ["cat/1.jpg", "dog/1.jpg"]
    assert [name for _, name in find_images(f"{tmp_path}/**")] == ["cat/1.jpg", "cat/2.png", "dog/1.jpg"]
    assert find_images(f"{tmp_path}/cat/[12].*") == [(tmp_path / "cat" / name, name) for name in ("1.jpg", "2.png")]


def test_pattern_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path, "a.jpg", "b[1].jpg"))
    assert find_images("*.jpg") == [(Path(name), name) for name in ("a.jpg", "b[1].jpg")]
    assert find_images("b[1].jpg") == [(Path("b[1].jpg"), "b[1].jpg")]  # a file of that name comes before a pattern


def test_a_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    tree(tmp_path, "photo.upload")
    assert find_images(tmp_path / "photo.upload") == [(tmp_path / "photo.upload", "photo.upload")]


def test_photos_given_twice_come_once(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "a/2.jpg")
    found = find_images([tmp_path / "a" / "1.jpg", tmp_path, tmp_path / "a" / ".." / "a"])
    assert [name for _, name in found] == ["1.jpg", "a/2.jpg"]


@given(st.lists(st.sampled_from(["a", "b", "a/b", "b/a", "a/b/a"]), min_size=1, max_size=4))
def test_names_are_unique_and_inside(tmp_path_factory: pytest.TempPathFactory, places: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "unique"
    tree(root, *(f"{place}/x.jpg" for place in ("a", "b", "a/b", "b/a", "a/b/a")))
    found = find_images([root / place for place in places])
    names = [name for _, name in found]
    assert len(set(names)) == len(names) == len({os.path.realpath(path) for path, _ in found})
    assert all(".." not in name and not name.startswith("/") for name in names)
    assert all(str(path).endswith(name) for path, name in found)


def test_nothing_found_is_said(tmp_path: Path) -> None:
    tree(tmp_path, "a.jpg")
    (tmp_path / "empty").mkdir()
    for where, cause in (
        (tmp_path / "none.jpg", r"none\.jpg: there is no such file or folder"),
        (tmp_path / "empty", r"empty: no image found; looked for \.jpg, .* and whatever Pillow reads"),
        ([tmp_path / "a.jpg", f"{tmp_path}/*.png"], r"\*\.png: no image found"),
        ([], "no image given"),
    ):
        with pytest.raises(WsolError, match=cause):
            find_images(where)


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("s3://bucket/a/1.jpg\ns3://bucket/../../x.jpg\n")
    with pytest.raises(WsolError, match=r"x\.jpg: the name \.\./\.\./x\.jpg leads out of its folder; rename it"):
        find_images(tmp_path / "list.txt")


# --- behind addresses


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def coloured(index: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2 + index, 2), (40 * index, 0, 0)).save(file, "PNG")
    return file.getvalue()


NAMES = ["b/2.JPG", "b-c/1.png", "b/1.png", "a b/ü.jpeg", "z.webp", "b/d/3.tif", ".h/x.jpg", "b/._1.png", "b/notes.txt"]
WHAT = ["", "/", "/b", "/b/", "/b/1.png", "/*/1.png", "/**", "/b/[12].*", "/b*/*.png"]


@pytest.mark.parametrize("what", WHAT)
def test_an_address_gives_the_photos_of_a_local_folder(memory: Any, tmp_path: Path, what: str) -> None:
    for index, name in enumerate(NAMES):
        memory.pipe(f"/bucket/photos/{name}", coloured(index))
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(coloured(index))
    here = find_images(f"{tmp_path}{what}")
    assert len(here) > 0
    for root in ("memory://bucket/photos", f"file://{tmp_path}"):
        away = find_images(f"{root}{what}")
        assert [name for _, name in away] == [name for _, name in here]
        for (there, name), (path, _) in zip(away, here, strict=True):
            assert isinstance(there, Stored) and isinstance(path, Path)
            assert there.file == f"{root.replace('memory://', 'memory:///')}/{path.relative_to(tmp_path).as_posix()}"
            assert np.array_equal(open_held(there, name), open_image(path))


def test_photos_of_several_stores_have_names_of_their_own(memory: Any, tmp_path: Path) -> None:
    memory.pipe({"/b/x/1.png": coloured(1), "/b/y/1.png": coloured(2)})
    (tmp_path / "1.png").write_bytes(coloured(3))
    away = ["memory://b/x", "memory://b/y/1.png", "memory://b/x/1.png"]
    assert [name for _, name in find_images(away)] == ["x/1.png", "y/1.png"]
    names = [name for _, name in find_images([*away, tmp_path])]
    assert names == ["memory/b/x/1.png", "memory/b/y/1.png", str(tmp_path / "1.png").lstrip("/")]


def test_a_list_may_hold_addresses_and_lie_behind_one(memory: Any, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    memory.pipe({f"/b/photos/{name}": coloured(1) for name in ("1.png", "x/2.png")})
    (tmp_path / "3.png").write_bytes(coloured(1))
    words = ["memory://b/photos/1.png", f"{tmp_path}/3.png", "photos/x/2.png", "../b/./photos/1.png"]
    memory.pipe("/b/list.txt", "\n".join(words).encode())
    with memory.open("/b/list.parquet", "wb") as file:
        parquet.write_table(pyarrow.table({"path": words}), file)
    for listed in ("memory://b/list.txt", "memory://b/list.parquet"):
        found = find_images(listed)
        first, here, second = (photo for photo, _ in found)  # the last one is the first again
        assert (first, here, second) == (
            Stored("memory://b/photos/1.png"),
            tmp_path / "3.png",
            Stored("memory://b/photos/x/2.png"),
        )
        assert [name for _, name in found][::2] == ["memory/b/photos/1.png", "memory/b/photos/x/2.png"]
    (tmp_path / "list.txt").write_text("memory://b/photos/x/2.png\n")
    assert find_images(tmp_path / "list.txt") == [(second, "2.png")]


class Refusing(LocalFileSystem):
    """A store whose bucket may not be read, as libraries of clouds say it."""

    protocol = "refusing"

    def info(self, path: str, **given: Any) -> Any:
        raise PermissionError("AccessDenied: you may not list this bucket\nRequestId: 7")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere://bucket", "cannot be read (Protocol not known: nowhere); check the address, your access and the"),
        ("memory://none", "there is no such file, folder or bucket"),
        ("memory://none/list.txt", "there is no such file, folder or bucket"),
        ("memory://b/*.jpg", "no image found; looked for .jpg"),
        ("memory://b/list.parquet", "not readable as Parquet ("),
        ("refusing://b/photos", "cannot be read (AccessDenied: you may not list this bucket); check the address, your"),
        ("lacking://b/photos", "needs a library that is not installed (Install lackingfs to access Lacking)"),
    ],
)
def test_an_address_that_gives_nothing_is_named_in_one_line(
    memory: Any, address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe({"/b/a.png": coloured(1), "/b/list.parquet": b"PAR1 no"})
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    lacking = {"class": "lackingfs.System", "err": "Install lackingfs to access Lacking"}
    monkeypatch.setitem(known_implementations, "lacking", lacking)
    with pytest.raises(WsolError) as raised:
        find_images(address)
    assert str(raised.value).startswith(f"{address}: {said}") and "\n" not in str(raised.value)


def test_without_fsspec_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(WsolError, match=r"^s3://bucket: needs fsspec: pip install fsspec$"):
        find_images("s3://bucket")


def test_photos_that_come_later_are_found(memory: Any) -> None:
    memory.pipe("/b/1.png", coloured(1))
    assert len(find_images("memory://b")) == 1
    memory.pipe("/b/2.png", coloured(1))
    assert len(find_images("memory://b")) == 2
