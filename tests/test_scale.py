"""Locating inside another engine: batches of any kind in, the rows of `wsol locate --format parquet` out."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas
import pytest
from costless import Costless
from PIL import ExifTags, Image

import wsol
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.errors import WsolError
from wsol.export import write_results
from wsol.export.coco import CocoWriter
from wsol.export.parts import Shard, write_part
from wsol.scale import Locator

pyarrow = pytest.importorskip("pyarrow", reason="rows need pyarrow, which the extra `scale` brings")
parquet = pytest.importorskip("pyarrow.parquet", reason="rows need pyarrow, which the extra `scale` brings")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven grey photos, the left half of each white; the one in the middle is broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(7):
        pixels = np.full((40, 80 + index, 3), 10 * index, np.uint8)
        pixels[:, :40] = 255
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"")
    return folder


def written(run: Any, photos: Path, found: Path, **asked: Any) -> Any:
    """The table that `wsol locate --format parquet` writes of a folder."""
    write_part(wsol.locate(run, photos, on_bad_image="skip", **asked), found, Shard())
    return parquet.read_table(found / Shard().file)


def columns(photos: Path) -> dict[str, Any]:
    paths = sorted(photos.iterdir())
    return {"path": np.array([str(path) for path in paths], object), "key": np.array([path.name for path in paths])}


@pytest.mark.parametrize("asked", [{}, {"classes": 2, "threshold": "auto", "keep": "all", "workers": 0}])
@pytest.mark.filterwarnings("ignore:skipped")
def test_rows_are_those_of_the_command(photos: Path, tmp_path: Path, asked: dict[str, Any]) -> None:
    expected = written(Costless("runs/a"), photos, tmp_path / "found", **asked)
    locator, batch = Locator(Costless("runs/a"), **asked), columns(photos)
    whole = locator(batch)
    assert whole.schema == expected.schema and whole.equals(expected)
    assert whole.num_rows == 1 + 6 * asked.get("classes", 1)
    halves = [locator({name: values[part] for name, values in batch.items()}) for part in (np.s_[:4], np.s_[4:])]
    assert pyarrow.concat_tables(halves).equals(expected)
    assert locator(pandas.DataFrame(batch)).equals(locator(pyarrow.table(batch))) and locator(batch).equals(expected)


@pytest.mark.filterwarnings("ignore:skipped")
def test_bytes_are_opened_where_there_are_any(photos: Path) -> None:
    batch, locator = columns(photos), Locator(Costless())
    found = locator(batch).to_pylist()
    batch["bytes"] = np.array([Path(path).read_bytes() for path in batch["path"]], object)
    batch["path"] = np.array(["s3://away"] * len(batch["path"]), object)
    again = locator(batch).to_pylist()
    assert [row.pop("path") for row in again] == [None] * 7
    errors = [row.pop("error") for row in again]
    assert errors == [None] * 3 + ["3.png: is an empty file; replace or remove it"] + [None] * 3
    assert again == [{name: row[name] for name in row if name not in ("path", "error")} for row in found]
    del batch["path"]
    assert locator(batch).column("key").to_pylist() == list(batch["key"])


@pytest.mark.filterwarnings("ignore:skipped")
def test_a_row_without_a_photo_is_a_row_with_an_error(photos: Path) -> None:
    path = str(photos / "1.png")
    table = Locator(Costless())(pyarrow.table({"path": [path, None, str(photos / "gone.png"), path]}))
    first, empty, gone, last = table.to_pylist()
    assert (first["key"], first["path"], first["error"]) == (path, path, None) and first == last
    assert (empty["key"], empty["path"], empty["width"]) == ("", None, None)
    assert empty["error"] == "a row without a path: is an empty file; replace or remove it"
    assert gone["error"] == f"{photos / 'gone.png'}: there is no such image file"
    assert Locator(Costless())({"path": []}).schema == table.schema


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"image": ["a.png"]}, "a batch has the columns image; it needs path, or bytes and key: rename what is called"),
        ({"bytes": [b""]}, "a batch has the columns bytes; it needs path, or bytes and key"),
        ({"key": ["a.png"]}, "a batch has the columns key; it needs path, or bytes and key"),
        ({}, "a batch has no columns; it needs path, or bytes and key"),
    ],
)
def test_a_batch_without_photos_is_named(batch: dict[str, list], said: str) -> None:
    with pytest.raises(WsolError, match=f"^{re.escape(said)}"):
        Locator(Costless())(batch)


def test_what_makes_no_sense_is_refused_when_the_network_is_opened() -> None:
    with pytest.raises(WsolError, match="classes 3: costless knows 2"):
        Locator(Costless(), classes=3)
    with pytest.raises(WsolError, match="no run is stored here"):
        Locator("nowhere")


# --- photos that are no files here


@pytest.fixture
def bucket(photos: Path) -> Iterator[str]:
    """The address of the same photos in a store."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{photos}/", "/bucket/photos/", recursive=True)
    yield "memory:///bucket/photos"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.mark.filterwarnings("ignore:skipped")
def test_photos_behind_an_address_give_the_rows_of_files(
    photos: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsol.cli.locate.load", lambda run, **_: Costless(run))
    for place, found in ((photos, "here"), (bucket, "away")):
        words = ("locate", "runs/a", place, "--output", tmp_path / found, "--format", "parquet", "--max-errors", "1")
        main([*map(str, words)])
    here, away = (parquet.read_table(tmp_path / found / Shard().file).to_pylist() for found in ("here", "away"))
    assert [row["path"] for row in away] == [f"{bucket}/{row['key']}" for row in here]
    for row in here:
        row["path"] = f"{bucket}/{row['key']}"
        row["error"] = row["error"] and row["error"].replace(str(photos), bucket)
    assert away == here
    batch = columns(photos) | {"path": np.array([row["path"] for row in away])}
    assert Locator(Costless("runs/a"))(batch).to_pylist() == away


def test_a_photo_that_is_gone_from_its_store_is_a_bad_photo(bucket: str) -> None:
    results = wsol.locate(Costless(), [f"{bucket}/1.png", f"{bucket}/2.png"], on_bad_image="skip", workers=2)
    fsspec.filesystem("memory").rm("/bucket/photos/1.png")
    with pytest.warns(UserWarning, match=r"photos/1\.png: there is no such file, folder or bucket"):
        gone, found = results.outcomes()
    assert str(gone.photo) == f"{bucket}/1.png" and found.image.size == (82, 40)


def test_what_is_turned_in_a_store_is_known_to_be(bucket: str, tmp_path: Path) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (60, 40), "white").save(file, "JPEG", exif=exif)
    fsspec.filesystem("memory").pipe("/bucket/turned/a/1.jpg", file.getvalue())
    results = wsol.locate(Costless(), "memory://bucket/turned")
    with pytest.warns(UserWarning, match="1 photo is turned by EXIF"):
        write_results(results, tmp_path, ["dark", "bright"], [CocoWriter])
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["info"]["photos"] == "memory:///bucket/turned/"
    image = {"id": 1, "file_name": "a/1.jpg", "width": 40, "height": 60, "exif_orientation": 6}
    assert coco["images"] == [image]


# --- Ray


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and 40 photos, one of them broken."""
    folder = tmp_path_factory.mktemp("work")
    shown = Creatures("train", images=36, size=72)
    options = {"backbone": "resnet18", "weights": "none", "image_size": 64, "workers": 0}
    wsol.train("cam", (shown, shown), folder / "runs" / "bas", epochs=0, **options)
    (folder / "photos" / "a").mkdir(parents=True)
    for index in range(40):
        name = f"a/{index}.jpg" if index % 2 else f"{index}.png"
        shown.image(index % 36).resize((96 + index, 96)).save(folder / "photos" / name)
    (folder / "photos" / "a" / "7.jpg").write_bytes(b"no photo")
    return folder


def test_the_recipe_for_ray_gives_the_rows_of_one_process(work: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: it is no part of any extra, pip install 'ray[data]'")
    recipe = next(block for block in (ROOT / "docs" / "scale.md").read_text().split("```python")[1:] if "ray" in block)
    recipe = recipe.partition("```")[0].replace("/shared", str(work))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        exec(compile(recipe, "recipe", "exec"), {})
    finally:
        ray.shutdown()
    rows = sorted(parquet.read_table(work / "found").to_pylist(), key=lambda row: row["key"])
    words = ("locate", work / "runs" / "bas", work / "photos", "--output", work / "whole", "--format", "parquet")
    main([*map(str, words), "--on-bad-image", "skip"])
    table = parquet.read_table(work / "whole" / Shard().file)
    assert parquet.read_table(work / "found").schema.remove_metadata() == table.schema.remove_metadata()
    whole = sorted(table.to_pylist(), key=lambda row: row["key"])
    assert [row["error"] is None for row in whole].count(False) == 1
    assert len(rows) == len(whole) == 40
    for row, one in zip(rows, whole, strict=True):
        for name in ("score", "boxes", "confidence"):  # a network's last bits depend on the size of the batch
            found, expected = row.pop(name), one.pop(name)
            assert (found is None) == (expected is None)
            if expected is not None:
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert row == one
