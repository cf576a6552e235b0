"""Locating on many machines: shards, their Parquet files, and what is refused."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from costless import Costless
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import wsol
from wsol.cli.app import main
from wsol.data.finding import find_images
from wsol.errors import WsolError
from wsol.export.parts import Shard, write_part
from wsol.runs.fingerprint import fingerprint

parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow, which the extra `scale` brings")
SCHEMA = {
    "key": "string",
    "path": "string",
    "width": "int32",
    "height": "int32",
    "class": "string",
    "score": "float",
    "boxes": "list<element: fixed_size_list<element: float>[4]>",
    "confidence": "list<element: float>",
    "unsure": "bool",
    "threshold": "float",
    "error": "string",
    "run": "string",
    "version": "string",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten grey photos, the left half of each white; the one in the middle is broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(10):
        pixels = np.full((40, 80, 3), 10 * index, np.uint8)
        pixels[:, :40] = 255
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "5.png").write_bytes(b"")
    return folder


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsol.cli.locate.load", lambda run, **_: Costless(run))


def call(*words: Any) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def rows(*files: Path) -> list[dict[str, Any]]:
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


# --- shards


@given(st.integers(0, 200), st.integers(1, 40))
def test_shards_cover_all_photos_once_and_in_order(total: int, count: int) -> None:
    shares = [range(total)[Shard(index, count).of(total)] for index in range(count)]
    assert [place for share in shares for place in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("text", "rank", "ranks", "file"),
    [
        (None, None, None, "part-00000-of-00001.parquet"),
        ("3/16", None, None, "part-00003-of-00016.parquet"),
        (None, "1", "4", "part-00001-of-00004.parquet"),
        ("1/4", "1", "2", "part-00003-of-00008.parquet"),
    ],
)
def test_a_shard_is_what_the_option_and_torchrun_say(
    text: str | None, rank: str | None, ranks: str | None, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", ranks)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert Shard.parse(text).file == file


@pytest.mark.parametrize("text", ["", "4", "4/4", "-1/4", "a/b", "1/0", "0/100000", "1/2/3", "٣/٤"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WsolError, match="write i/n, such as 0/4"):
        Shard.parse(text)


# --- parts


def test_a_part_holds_a_row_a_photo_also_of_a_broken_one(photos: Path, tmp_path: Path, capsys: Any) -> None:
    found = tmp_path / "found"
    words = ("locate", "runs/a", photos, "--output", found, "--format", "parquet", "--shard", "1/2")
    assert call(*words, "--on-bad-image", "skip") == 0
    file = found / "part-00001-of-00002.parquet"
    assert capsys.readouterr().out == f"{file}: 4 photos located, 1 could not be read\n"
    assert [path.name for path in found.iterdir()] == [file.name]
    schema = parquet.read_schema(file)
    assert {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)} == SCHEMA
    run = fingerprint(Costless("runs/a"), threshold=0.5, classes=1, keep="largest")
    broken, *others = rows(file)
    made_by = {"run": run, "version": version("wsol")}
    assert broken == dict.fromkeys(SCHEMA) | made_by | {
        "key": "5.png",
        "path": str(photos / "5.png"),
        "error": f"{photos / '5.png'}: is an empty file; replace or remove it",
    }
    assert [row["key"] for row in others] == ["6.png", "7.png", "8.png", "9.png"]
    results = list(wsol.locate(Costless("runs/a"), [photos / f"{index}.png" for index in (6, 7, 8, 9)]))
    for row, result in zip(others, results, strict=True):
        assert row == made_by | {
            "key": result.path,
            "path": str(photos / result.path),
            "width": 80,
            "height": 40,
            "class": "bright",
            "score": np.float32(result.score),
            "boxes": result.boxes.astype(np.float32).tolist(),
            "confidence": result.confidence.astype(np.float32).tolist(),
            "unsure": False,
            "threshold": 0.5,
            "error": None,
        }
        np.testing.assert_allclose(result.boxes, [[0, 0, 40, 40]], atol=6)


def test_parts_together_are_the_whole_in_order(photos: Path, tmp_path: Path) -> None:
    words = ("locate", "runs/a", photos, "--format", "parquet", "--max-errors", "1", "--classes", "2", "--output")
    assert call(*words, tmp_path / "whole") == 0
    for index in (2, 0, 3, 1):
        assert call(*words, tmp_path / "parts", "--shard", f"{index}/4") == 0
    parts = sorted((tmp_path / "parts").iterdir())
    assert [part.name for part in parts] == [f"part-{index:05d}-of-00004.parquet" for index in range(4)]
    whole = rows(tmp_path / "whole" / "part-00000-of-00001.parquet")
    assert rows(*parts) == whole and len(whole) == 19
    assert [(row["key"], row["class"]) for row in whole[:2]] == [("0.png", "bright"), ("0.png", "dark")]


def test_more_shards_than_photos_leave_empty_parts(photos: Path, tmp_path: Path) -> None:
    words = ("locate", "runs/a", photos / "0.png", "--format", "parquet", "--output", tmp_path / "found", "--shard")
    assert [call(*words, f"{index}/3") for index in range(3)] == [0, 0, 0]
    counts = [len(rows(part)) for part in sorted((tmp_path / "found").iterdir())]
    assert counts == [0, 0, 1]


def test_a_part_that_is_there_is_not_located_again(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("locate", "runs/a", photos, "--format", "parquet", "--max-errors", "9", "--output", tmp_path / "found")
    assert call(*words) == 0
    file = tmp_path / "found" / "part-00000-of-00001.parquet"
    before = file.read_bytes()
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(Costless, "look", lambda *_, **__: pytest.fail("the network was asked"))
        assert call(*words) == 0
    assert capsys.readouterr().out == f"{file}: is there already\n" and file.read_bytes() == before
    assert call(*words, "--overwrite") == 0
    assert capsys.readouterr().out == f"{file}: 9 photos located, 1 could not be read\n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"run": "runs/b"}, "was located by another run, or with other settings; give another --output"),
        ({"threshold": "0.3"}, "was located by another run, or with other settings; give another --output"),
        ({"classes": "2"}, "was located by another run, or with other settings; give another --output"),
        ({"shard": "1/3"}, "is a part of another number of shards than 3; give another --output"),
    ],
)
@pytest.mark.parametrize("again", ["0/2", "1/2"])
def test_what_does_not_go_with_the_parts_that_are_there_is_refused(
    photos: Path, tmp_path: Path, capsys: Any, changed: dict[str, str], said: str, again: str
) -> None:
    def locate(shard: str, run: str = "runs/a", threshold: str = "0.5", classes: str = "1") -> int:
        words = ("locate", run, photos, "--output", tmp_path / "found", "--format", "parquet", "--max-errors", "9")
        return call(*words, "--shard", shard, "--threshold", threshold, "--classes", classes)

    assert locate("0/2") == 0
    first = tmp_path / "found" / "part-00000-of-00002.parquet"
    before = first.read_bytes()
    capsys.readouterr()
    assert locate(**{"shard": again} | changed) == 1  # type: ignore[arg-type]
    assert capsys.readouterr().err == f"wsol: {first}: {said}\n"
    assert [path.name for path in first.parent.iterdir()] == [first.name] and first.read_bytes() == before


def test_a_part_of_other_photos_is_refused(photos: Path, tmp_path: Path, capsys: Any) -> None:
    words = ("locate", "runs/a", photos, "--format", "parquet", "--max-errors", "9", "--output", tmp_path / "found")
    assert call(*words) == 0
    (photos / "9.png").unlink()
    capsys.readouterr()
    assert call(*words) == 1
    assert "holds other photos than those given" in capsys.readouterr().err
    assert call(*words, "--overwrite") == 0


def test_a_damaged_part_is_named(photos: Path, tmp_path: Path, capsys: Any) -> None:
    words = ("locate", "runs/a", photos, "--format", "parquet", "--max-errors", "9", "--output", tmp_path / "found")
    assert call(*words) == 0
    file = tmp_path / "found" / "part-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    capsys.readouterr()
    assert call(*words) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"wsol: {file}: not readable as Parquet (") and said.count("\n") == 1
    assert said.endswith("; remove it, or give another --output\n")


def test_too_many_bad_photos_leave_no_part(photos: Path, tmp_path: Path, capsys: Any) -> None:
    words = ("locate", "runs/a", photos, "--format", "parquet", "--output", tmp_path / "found")
    assert call(*words) == 1
    assert "5.png: is an empty file" in capsys.readouterr().err
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "0/2"], "several processes share the photos only with --format parquet"),
        (["--format", "parquet,json"], "--format parquet,json: parquet goes alone, since a part"),
        (["--format", "parquet", "--shard", "2/2"], "--shard 2/2: write i/n, such as 0/4 for the first of four"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    photos: Path, tmp_path: Path, capsys: Any, words: list[str], said: str
) -> None:
    assert call("locate", "runs/a", photos, "--output", tmp_path / "found", *words) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_two_processes_do_not_write_one_part(photos: Path, tmp_path: Path) -> None:
    results = wsol.locate(Costless(), photos, on_bad_image="skip")

    def meanwhile(outcomes: Any) -> Any:
        with pytest.raises(WsolError, match=r"part-00000-of-00002\.parquet: process \d+ on .* is writing there"):
            write_part(results, tmp_path / "found", Shard(0, 2))
        assert write_part(results, tmp_path / "found", Shard(1, 2)) == 4
        return outcomes

    assert write_part(results, tmp_path / "found", Shard(0, 2), watch=meanwhile) == 5


def test_a_name_that_is_no_utf8_becomes_escapes(photos: Path, tmp_path: Path) -> None:
    name = b"\xe9.png"
    (photos / "0.png").rename(photos / name.decode("utf-8", "surrogateescape"))
    results = wsol.locate(Costless(), photos, on_bad_image="skip")
    write_part(results, tmp_path / "found", Shard())
    keys = {row["key"] for row in rows(tmp_path / "found" / Shard().file)}
    assert "\\udce9.png" in keys and len(keys) == 10


# --- which network


def test_a_fingerprint_tells_networks_and_how_they_are_asked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 2),
    )
    localizer = wsol.adopt(network, ["a", "b"], image_size=32)
    first = fingerprint(localizer, threshold=0.5)
    assert first == fingerprint(localizer, threshold=0.5) and len(first) == 16
    others = [
        fingerprint(localizer, threshold=0.4),
        fingerprint(wsol.adopt(network, ["a", "c"], image_size=32), threshold=0.5),
        fingerprint(wsol.adopt(network, ["a", "b"], image_size=64), threshold=0.5),
        fingerprint(wsol.load(localizer, readout="gradcam"), threshold=0.5),
        fingerprint(localizer.with_(classes=localizer), threshold=0.5),
    ]
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] += 1e-6
    others.append(fingerprint(localizer, threshold=0.5))
    assert len({first, *others}) == 7


# --- lists


def test_photos_are_listed_in_text_and_in_parquet(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(
        b"\xef\xbb\xbfphotos/3.png\n\n./photos/1.png\r\n%s\n" % str(photos / "2.png").encode()
    )
    import pyarrow

    table = pyarrow.table({"id": [1, 2, 3], "path": ["photos/3.png", "photos/1.png", str(photos / "2.png")]})
    parquet.write_table(table, tmp_path / "table.parquet")
    expected = [(photos / f"{index}.png", f"{index}.png") for index in (3, 1, 2)]
    assert find_images(tmp_path / "text.txt") == find_images(tmp_path / "table.parquet") == expected
    results = wsol.locate(Costless(), tmp_path / "text.txt")
    assert [result.path for result in results] == ["3.png", "1.png", "2.png"]


def test_a_photo_that_is_listed_and_not_there_is_a_bad_photo(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("photos/0.png\nphotos/gone.png\n")
    results = wsol.locate(Costless(), tmp_path / "list.txt", max_errors=1)
    with pytest.warns(UserWarning, match=r"gone\.png: there is no such image file"):
        assert [outcome.path for outcome in results.outcomes()] == ["0.png", "gone.png"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"file": ["a.png"]}, "has no column 'path'; name the column with the photos' paths so"),
        ({"path": ["a.png", None]}, "row 1 has no path; remove it"),
        ({"path": [7]}, "row 0 has no path; remove it"),
    ],
)
def test_a_list_without_paths_is_named(tmp_path: Path, columns: dict[str, list], said: str) -> None:
    import pyarrow

    parquet.write_table(pyarrow.table(columns), file := tmp_path / "list.parquet")
    with pytest.raises(WsolError) as raised:
        wsol.locate(Costless(), file)
    assert str(raised.value) == f"{file}: {said}"


def test_what_is_no_parquet_and_an_empty_list_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(WsolError, match=r"^\S+list\.parquet: not readable as Parquet \(.*\); name the column"):
        wsol.locate(Costless(), tmp_path / "list.parquet")
    with pytest.raises(WsolError, match=r"list\.txt: no image found"):
        wsol.locate(Costless(), tmp_path / "list.txt")
