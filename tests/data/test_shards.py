"""Photos in tar files: found, read where they lie, and what is damaged is named."""

import io
import tarfile
import warnings
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from costless import Costless
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import wsol
from wsol.data import scaling
from wsol.data.finding import find_images
from wsol.data.inputs import open_held
from wsol.data.shards import spelled_out
from wsol.data.stored import Stored
from wsol.errors import WsolError


def png(index: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2 + index % 200, 2), (index % 256, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]], mode: Any = "w", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def shards(folder: Path, count: int = 3) -> list[Path]:
    """Each of three samples, a photo and its class."""
    for shard in range(count):
        members = [
            (f"{number:06d}.{ending}", content)
            for number in range(3 * shard, 3 * shard + 3)
            for ending, content in (("cls", b"1"), ("png", png(number)))
        ]
        write_tar(folder / f"shard-{shard:03d}.tar", members)
    return sorted(folder.glob("*.tar"))


# --- names


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{1..2}/{2..1}.tar", ["1/2.tar", "1/1.tar", "2/2.tar", "2/1.tar"]),
        ("s3://b/{0..0}.jpg", ["s3://b/0.jpg"]),
        ("a-{08..}.tar", ["a-{08..}.tar"]),
        ("a.tar", ["a.tar"]),
    ],
)
def test_ranges_are_spelled_out_as_a_shell_does(place: str, expected: list[str]) -> None:
    assert spelled_out(place) == expected


def test_a_range_that_fills_the_memory_is_refused() -> None:
    with pytest.raises(WsolError, match=r"a-\{0\.\.999999999\}\.tar: a range of more than 1000000 numbers; give fewer"):
        spelled_out("a-{0..999999999}.tar")


def test_a_file_that_is_called_like_a_range_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "{1..2}.png").write_bytes(png(1))
    assert [name for _, name in find_images(tmp_path / "{1..2}.png")] == ["{1..2}.png"]


def test_shards_are_a_file_a_pattern_a_range_or_a_folder_of_a_store(tmp_path: Path) -> None:
    paths = shards(tmp_path / "shards")
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path}/shards/", "/shards/", recursive=True)
    try:
        places = [
            f"{root}/shard-{some}.tar"
            for root in (tmp_path / "shards", "memory://shards")
            for some in ("*", "{000..002}")
        ]
        for place in ([*paths], *places):
            found = find_images(place)
            assert [name for _, name in found] == [f"{number:06d}.png" for number in range(9)]
            for number, (photo, name) in enumerate(found):
                assert isinstance(photo, Stored)
                assert str(photo).endswith(f"/shards/shard-{number // 3:03d}.tar/{name}")
                assert photo.read().data == png(number)
                assert np.asarray(open_held(photo, name))[0, 0].tolist() == [number, 0, 0]
    finally:
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]


def test_a_pattern_that_does_not_end_so_passes_tar_files_by(tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / "a.png").write_bytes(png(0))
    assert (
        [name for _, name in find_images(f"{tmp_path}/*")] == [name for _, name in find_images(tmp_path)] == ["a.png"]
    )


def test_members_of_one_name_in_two_shards_are_told_by_their_shards(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, [("1.png", png(1))])
    assert [name for _, name in find_images(f"{tmp_path}/*.tar")] == ["a.tar/1.png", "b.tar/1.png"]


LONG = "é" * 60 + "/" + "long" * 20 + "/d.png"
NAMES = {"a.png": "a.png", "./b.png": "b.png", LONG: LONG, "/e.png": "e.png"}  # as members are called, as photos are
OTHERS = ["../f.png", "g/../../h.png", ".i.png", "j/.k/l.png", "m.txt"]  # hidden, leading out, or no photos


@given(
    st.lists(st.sampled_from([*NAMES, *OTHERS])),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_each_name_is_inside_and_gives_its_last_bytes(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], kind: int
) -> None:
    members = [(name, png(index)) for index, name in enumerate(names)]
    path = write_tar(tmp_path_factory.getbasetemp() / "any.tar", members, format=kind)
    expected = {NAMES[name]: content for name, content in members if name in NAMES}
    if not expected:
        with pytest.raises(WsolError, match=r"any\.tar: no image found"):
            find_images(path)
        return
    assert {name: photo.read().data for photo, name in find_images(path)} == expected  # type: ignore[union-attr]


def test_what_belongs_to_a_photo_of_its_sample_is_no_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "_said", set())
    kept = ["1.png", "a.b/2.png", "2.x.png", "3.left.png", "3.right.png", "4.jpg", "4.png"]
    names = ["1.depth.png", kept[0], "1.seg.png", *kept[1:]]
    path = write_tar(tmp_path / "a.tar", [(name, png(1)) for name in names])
    with pytest.warns(UserWarning, match=r"a\.tar: 1\.depth\.png and the like belong to another photo of their sample"):
        found = [name for _, name in find_images(path)]
    assert found == kept


# --- what is damaged


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: b"", "no whole tar file (empty file); copy it again, and unpack a compressed one to .tar"),
        (lambda whole: b"text " * 300, "no whole tar file ("),
        (lambda whole: whole[:700], "no whole tar file (unexpected end of data); copy it again"),
        (lambda whole: whole[:2600] + b"?" * 20 + whole[2620:], "no whole tar file (damaged at byte 2560); copy it"),
        (lambda whole: whole[:2700], "no whole tar file (damaged at byte 2560); copy it again"),
    ],
)
def test_a_damaged_tar_file_is_named_in_one_line(tmp_path: Path, change: Any, said: str) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.cls", b"1"), ("1.txt", b"1" * 600), ("2.png", png(1))])
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    memory = fsspec.filesystem("memory")
    memory.pipe("/a.tar", path.read_bytes())
    for place in (path, "memory://a.tar"):
        with pytest.raises(WsolError) as raised:
            find_images(place)
        assert said in str(raised.value) and "a.tar: " in str(raised.value) and "\n" not in str(raised.value)
    memory.store.clear()


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w:gz"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_a_compressed_tar_file_is_refused(tmp_path: Path, name: str, mode: str) -> None:
    path = write_tar(tmp_path / name, [("1.png", png(1))], mode)
    with pytest.raises(
        WsolError, match=rf"{name}: no whole tar file \(.*\); copy it again, and unpack a compressed one"
    ):
        find_images(path)


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    shards(tmp_path)
    with pytest.raises(WsolError, match=r"shard-003\.tar: there is no such file or folder$"):
        find_images(f"{tmp_path}/shard-{{000..004}}.tar")
    with pytest.raises(WsolError, match=r"memory://none-0\.tar: there is no such file, folder or bucket$"):
        find_images("memory://none-{0..1}.tar")


def test_a_tar_file_without_its_end_mark_gives_what_it_has(tmp_path: Path) -> None:
    (path,) = shards(tmp_path, 1)
    path.write_bytes(path.read_bytes().rstrip(b"\0").ljust(6 * 1024, b"\0")[: 6 * 1024])
    with pytest.warns(UserWarning, match=r"shard-000\.tar: has no end mark, as a tar file that was cut off"):
        assert len(find_images(path)) == 3


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=40))
def test_whatever_bytes_a_tar_file_holds_one_line_is_said_at_most(
    tmp_path_factory: pytest.TempPathFactory, place: int, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = write_tar(folder / "fuzzed.tar", [(f"{index}.png", png(index)) for index in range(4)]).read_bytes()
    (folder / "fuzzed.tar").write_bytes(whole[:place] + content + whole[place + len(content) :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for photo, name in find_images(folder / "fuzzed.tar"):
                open_held(photo, name)
        except WsolError as error:
            assert "\n" not in str(error) and "fuzzed.tar" in str(error)


def test_photos_of_a_tar_file_are_located_and_seen(tmp_path: Path) -> None:
    (path, *_) = shards(tmp_path)
    results = wsol.locate(Costless(), path, on_bad_image="skip", workers=2)
    first, second, third = results
    assert [result.path for result in (first, second, third)] == ["000000.png", "000001.png", "000002.png"]
    assert second.image.size == (3, 2) and second.save(tmp_path / "found").name == "000001.png.jpg"
    path.write_bytes(path.read_bytes()[:4200])
    with pytest.warns(UserWarning, match=r"shard-000\.tar: changed since it was listed; locate it again"):
        assert len(list(results)) == 2
