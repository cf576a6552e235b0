"""Locating beside itself: photos opened and boxes cut by threads, in order, with bounds, errors in their place."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from costless import Costless
from PIL import Image

import wsol
from wsol.cli.app import main
from wsol.errors import WsolError
from wsol.export import Writer, write_results
from wsol.export.parts import Shard, write_part
from wsol.locating import results as locating
from wsol.locating.result import Result


def test_threads_change_nothing_in_what_is_found(tmp_path: Path) -> None:
    """Order and every value, with bad photos between and several classes."""
    chance = np.random.default_rng(0)
    for index in range(23):
        pixels = chance.integers(0, 256, (30 + index, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02d}.png")
        if index in (0, 7, 8, 22):
            (tmp_path / f"{index:02d}.png").write_bytes(b"no image")
    options = {"batch_size": 4, "classes": 2, "on_bad_image": "skip"}
    with pytest.warns(UserWarning, match="skipped"):
        alone = list(wsol.locate(Costless(), tmp_path, workers=0, **options).outcomes())
        assert [outcome.path for outcome in alone] == [f"{index:02d}.png" for index in range(23)]
        bad = [outcome.path for outcome in alone if isinstance(outcome, locating.Unread)]
        assert bad == ["00.png", "07.png", "08.png", "22.png"]
        for workers in (1, 2, 7):
            assert list(wsol.locate(Costless(), tmp_path, workers=workers, **options).outcomes()) == alone
        assert len(list(wsol.locate(Costless(), tmp_path, **options))) == 19


@pytest.mark.parametrize(("workers", "opened_by_first", "looked_at_by_first"), [(0, 2, 1), (3, 8, 2)])
def test_photos_are_opened_and_looked_at_at_most_so_far_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, opened_by_first: int, looked_at_by_first: int
) -> None:
    for index in range(30):
        Image.new("RGB", (9, 9), (index,) * 3).save(tmp_path / f"{index:02d}.png")
    opened: list[Path] = []
    whole = locating.reduced
    monkeypatch.setattr(locating, "reduced", lambda path, *given: opened.append(path) or whole(path, *given))
    network = Costless()
    results = iter(wsol.locate(network, tmp_path, batch_size=2, workers=workers))
    assert (opened, network.batches) == ([], [])
    next(results)
    assert len(network.batches) == looked_at_by_first and len(opened) <= opened_by_first
    list(results)
    assert network.batches == [2] * 15 and len(opened) == 30


@pytest.mark.parametrize("workers", [0, 3])
def test_results_before_a_bad_photos_batch_come_before_its_error(tmp_path: Path, workers: int) -> None:
    for index in range(8):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index}.png")
    (tmp_path / "5.png").write_bytes(b"no image")
    got = []
    with pytest.raises(WsolError, match=r"5\.png: is no image .* Or skip such photos: --on-bad-image skip$"):
        for result in wsol.locate(Costless(), tmp_path, batch_size=2, workers=workers):
            got.append(result.path)
    assert got == ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.parametrize("workers", [0, 3])
def test_bad_photos_are_skipped_until_there_are_too_many(tmp_path: Path, workers: int) -> None:
    for index in range(9):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index}.png")
    for index in (1, 4, 6):
        (tmp_path / f"{index}.png").write_bytes(b"")
    options = {"batch_size": 2, "workers": workers}
    with pytest.warns(UserWarning, match=r"skipped: .*4\.png"):
        assert len(list(wsol.locate(Costless(), tmp_path, max_errors=3, **options))) == 6
        with pytest.raises(WsolError, match=r"6\.png: is an empty file.* It is bad photo 3, and --max-errors is 2$"):
            list(wsol.locate(Costless(), tmp_path, max_errors=2, **options))
    with pytest.raises(WsolError, match=r"1\.png: is an empty file.* Or skip such photos"):
        list(wsol.locate(Costless(), tmp_path, max_errors=0, on_bad_image="skip", **options))
    for wrong in ({"max_errors": -1}, {"workers": -1}):
        with pytest.raises(WsolError, match=f"{next(iter(wrong))} cannot be -1"):
            wsol.locate(Costless(), tmp_path, **wrong)


def test_the_network_runs_in_the_thread_that_asks(tmp_path: Path) -> None:
    for index in range(6):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index}.png")
    network, threads = Costless(), set()
    look = network.look
    network.look = lambda *given, **named: threads.add(threading.get_ident()) or look(*given, **named)  # type: ignore[method-assign]
    assert len(list(wsol.locate(network, tmp_path, batch_size=2, workers=3))) == 6
    assert threads == {threading.get_ident()}


def test_results_are_written_by_one_thread_beside_the_network_and_in_order(tmp_path: Path) -> None:
    written: list[tuple[str, int]] = []

    class Noting(Writer):
        def add(self, result: Result) -> None:
            written.append((result.path, threading.get_ident()))

    for index in range(20):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index:02d}.png")
    results = wsol.locate(Costless(), tmp_path, batch_size=3, workers=3)
    assert write_results(results, tmp_path / "found", ["dark", "bright"], [Noting]) == 20
    assert [path for path, _ in written] == [f"{index:02d}.png" for index in range(20)]
    assert len({thread for _, thread in written} - {threading.get_ident()}) == 1


def test_what_a_writer_cannot_write_ends_locating(tmp_path: Path) -> None:
    class Refusing(Writer):
        def add(self, result: Result) -> None:
            raise WsolError(f"{result.path}: no room")

    for index in range(200):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index:03d}.png")
    network = Costless()
    with pytest.raises(WsolError, match=r"^000\.png: no room$"):
        write_results(wsol.locate(network, tmp_path, batch_size=2), tmp_path / "found", ["dark", "bright"], [Refusing])
    assert sum(network.batches) < 80


def test_the_command_counts_bad_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for index in range(5):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{index}.png")
    (tmp_path / "3.png").write_bytes(b"")
    monkeypatch.setattr("wsol.cli.locate.load", lambda run, **_: Costless(run))
    asked = ["locate", "runs/x", str(tmp_path), "--format", "json", "--output"]
    found = tmp_path.with_name("found")
    main([*asked, str(found), "--max-errors", "1", "--workers", "2"])
    told = capsys.readouterr()
    assert told.out == f"{found}: 4 photos located, 1 could not be read\n" and "skipped: " in told.err
    assert [json.loads(line)["path"] for line in (found / "results.jsonl").read_text().splitlines()] == [
        "0.png",
        "1.png",
        "2.png",
        "4.png",
    ]
    with pytest.raises(SystemExit):
        main([*asked, str(tmp_path.with_name("none")), "--max-errors", "0"])
    assert not tmp_path.with_name("none").exists()


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "list.parquet").write_bytes(b"")
    results = wsol.locate(Costless(), tmp_path / "a.png")
    for asked in (
        lambda: write_part(results, tmp_path / "found", Shard()),
        lambda: wsol.locate(Costless(), tmp_path / "list.parquet"),
    ):
        with pytest.raises(WsolError, match=r"^Parquet needs pyarrow: pip install 'wsol\[scale\]'$"):
            asked()
    assert not (tmp_path / "found").exists()
