"""A package of somebody else brings one thing of each kind; nothing of ours is edited."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PLUGIN = Path(__file__).parent / "plugin"


def wsol(*words: str | Path, path: Path | None = None) -> subprocess.CompletedProcess:
    """The command in a fresh process, with the packages of a folder beside those that are installed."""
    environment = os.environ | {"COLUMNS": "300", "PYTHONPATH": str(path) if path else ""}
    command = [sys.executable, "-m", "wsol", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, built and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    ran = subprocess.run([*pip, "--target", folder / "site", folder / "source"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(12):
        Image.new("RGB", (40, 40), (20 * index, 90, 10)).save(folder / f"{index}.png")
    (folder / "photos.txt").write_text("".join(f"{index}.png {'ab'[index % 2]}\n" for index in range(12)))
    return folder


def test_what_a_package_brings_is_listed(site: Path, photos: Path) -> None:
    listed = json.loads(wsol("methods", "--json", path=site).stdout)
    (row,) = [row for row in listed if row["name"] == "forgetful"]
    assert (row["class"], row["package"], row["year"]) == ("Forgetful", "wsol-plugin", 2026)
    assert (row["recipes"], row["link"], row["error"]) == (["quick"], "https://example.org/forgetful", "")
    assert "@article{forgetful2026" in wsol("cite", "forgetful", path=site).stdout
    helped = wsol("train", "forgetful", "--help", path=site).stdout
    assert "How many places are dropped" in helped and "One of quick" in helped and "--head-depth" in helped
    assert "brightness" in wsol("readouts", path=site).stdout
    assert re.search(r"overlay, heatmap, lines", wsol("locate", "--help", path=site).stdout)
    assert "photos.txt with `file class` on each line" in wsol("data", "check", photos, path=site).stdout


def test_a_run_made_with_a_package_opens_with_it_and_names_it_without(site: Path, photos: Path, tmp_path: Path) -> None:
    small = ["--backbone", "tiny", "--weights", "none", "--map-stride", "own", "--image-size", "32", "--epochs", "1"]
    small += ["--batch-size", "4", "--workers", "0", "--recipe", "quick"]
    run, found = tmp_path / "run", tmp_path / "found"
    trained = wsol("train", "forgetful", photos, "--output", run, *small, path=site)
    assert trained.returncode == 0, trained.stderr
    about = json.loads((run / "run.json").read_text())
    assert about["packages"]["forgetful"] == ["wsol-plugin", "0.3.0"] and about["options"]["share"] == 0.25
    asked = ["--readout", "brightness", "--set", "power=2", "--format", "lines"]
    located = wsol("locate", run, photos, "--output", found, *asked, path=site)
    assert located.returncode == 0, located.stderr
    assert len((found / "lines.txt").read_text().splitlines()) == 12
    without = wsol("locate", run, photos, "--output", found)
    assert without.returncode == 1 and len(without.stderr.splitlines()) == 1
    assert "no method 'forgetful'" in without.stderr and "wsol-plugin 0.3.0: pip install wsol-plugin" in without.stderr


def test_a_name_that_is_taken_is_an_error_that_names_both(site: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    shutil.copytree(site, taken)
    (listing,) = taken.glob("*.dist-info/entry_points.txt")
    listing.write_text(listing.read_text().replace("forgetful =", "eil ="))
    ran = wsol("train", "eil", "photos", "--output", tmp_path / "run", path=taken)
    assert ran.returncode == 1 and "'eil' is offered by wsol and wsol-plugin" in ran.stderr
    assert wsol("cite", "cam", path=taken).returncode == 0


def test_a_broken_package_is_listed_with_its_error_and_costs_nothing_else(site: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(site, broken)
    (broken / "wsol_plugin" / "method.py").write_text("import nothing_of_that_name\n")
    listed = json.loads(wsol("methods", "--json", path=broken).stdout)
    (row,) = [row for row in listed if row["name"] == "forgetful"]
    assert "wsol-plugin cannot be loaded (No module named 'nothing_of_that_name')" in row["error"]
    assert wsol("train", "cam", "--help", path=broken).returncode == 0
    ran = wsol("train", "forgetful", "photos", "--output", tmp_path / "run", path=broken)
    assert ran.returncode == 1 and "nothing_of_that_name" in ran.stderr and len(ran.stderr.splitlines()) == 1
