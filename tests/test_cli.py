"""The command: the interface that scripts rely on, and what it says when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from wsol import registry
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.methods.references import reference

METHODS = registry.names("methods")

SMALL = ["--backbone", "resnet18", "--weights", "none", "--epochs", "0", "--image-size", "64", "--seed", "1"]
SMALL += ["--batch-size", "4"]


def call(*arguments: str | Path) -> int:
    """The exit status of a command."""
    try:
        main([str(each) for each in arguments])
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, shown = tmp_path_factory.mktemp("data") / "photos", Creatures("test", images=24, size=48, classes=2)
    lines = ["path,label,x0,y0,x1,y1,split"]
    for index, sample in enumerate(shown.samples):
        path = root / shown.classes[sample.label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.image(index).save(path)
        box = ",".join(str(int(value)) for value in shown.truth(index).boxes[0])
        split = ("train", "train", "val", "test")[index // 6]
        lines.append(f"photos/{shown.classes[sample.label]}/{index}.png,{shown.classes[sample.label]},{box},{split}")
    (root.parent / "photos.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    folder = photos.parent / "run"
    assert call("train", "eil", photos, "--output", folder, *SMALL) == 0
    return folder


def test_the_main_job_end_to_end(photos: Path, tmp_path: Path) -> None:
    table = photos.parent / "photos.csv"
    assert call("train", "cam", table, "--output", tmp_path / "run", *SMALL) == 0
    assert call("evaluate", tmp_path / "run", table, "--output", tmp_path / "figures.json") == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["images"] == 6 and figures["threshold_source"] == "validation"
    assert {"MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc", "Top1Loc"} <= set(figures["CentreBox"]) & set(
        figures["WholeImage"]
    )
    formats = "coco,yolo,voc,json,csv,overlay,heatmap,coco"
    assert call("locate", tmp_path / "run", photos, "--output", tmp_path / "found", "--format", formats) == 0
    assert len(COCO(str(tmp_path / "found" / "coco.json")).imgs) == 24
    assert call("cut", tmp_path / "found", "--output", tmp_path / "again", "--threshold", "0.7") == 0
    assert len(COCO(str(tmp_path / "again" / "coco.json")).imgs) == 24


def test_an_option_of_many_values_ends_where_the_next_begins(photos: Path, tmp_path: Path) -> None:
    given = ["--boundaries", "-3", "-2", "--output", tmp_path / "run", *SMALL]
    assert call("train", "meil", photos, *given) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["options"]["boundaries"] == ["-3", "-2"]


def test_methods_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("methods", "--json") == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in entries} == set(METHODS)
    assert set(entries[0]) == {"name", "class", "package", "paper", "year", "link", "cost", "recipes", "error"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_cited_and_explained(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("cite", method) == 0
    cited = capsys.readouterr().out
    assert reference(registry.entry("methods", method)).title.split(":")[0] in cited and "cost" not in cited
    assert call("methods", method) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("creatures", "cost", reference(registry.entry("methods", method)).cost))
    assert call("train", method, "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--learning-rate", "--recipe", "--resume", *(["--sigma"] if method == "eil" else [])):
        assert option in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train", "eill", "x", "--output", "y"],
        ["train", "eil", "x", "--output", "y", "--sigm", "1"],
        ["train", "eil", "x"],
        ["train", "eil", "x", "--output", "y", "--epochs", "many"],
        ["locate"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert call(*arguments) == 2


def test_a_typo_is_answered_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evalute", "x") == 2
    shown = capsys.readouterr()
    assert "evaluate" in shown.out + shown.err


def wrong(what: str, run: Path, photos: Path, tmp_path: Path) -> list[str | Path]:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('{"state_dict": 1}')
    (tmp_path / "truncated.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    found = ["--output", tmp_path / "found"]
    return {
        "no data": ["train", "eil", tmp_path / "nothing", "--output", tmp_path / "run", *SMALL],
        "empty data": ["train", "eil", tmp_path / "empty", "--output", tmp_path / "run", *SMALL],
        "run exists": ["train", "eil", photos, "--output", run, *SMALL],
        "no recipe": ["train", "eil", photos, "--output", tmp_path / "run", "--recipe", "cub"],
        "no weights": ["train", "eil", photos, "--output", tmp_path / "run", "--weights", tmp_path / "w.pth"],
        "no backbone": ["train", "eil", photos, "--output", tmp_path / "run", "--backbone", "resnet19"],
        "no boundary": ["train", "eil", photos, "--output", tmp_path / "run", "--boundary", "pool9", *SMALL],
        "no run": ["evaluate", tmp_path, photos],
        "foreign run": ["evaluate", tmp_path / "foreign", photos],
        "other classes": ["evaluate", run, "creatures"],
        "threshold": ["evaluate", run, photos, "--threshold", "2"],
        "no images": ["locate", run, tmp_path / "empty", *found],
        "bad image": ["locate", run, tmp_path / "truncated.jpg", *found],
        "no format": ["locate", run, photos, *found, "--format", "cocoo"],
        "no batch": ["locate", run, photos, *found, "--batch-size", "0"],
        "no batch to measure": ["evaluate", run, photos, "--batch-size", "0"],
        "no heatmaps": ["cut", tmp_path / "empty", *found],
        "no method": ["cite", "eill"],
    }[what]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no data", "there is no such data"),
        ("empty data", "empty: no class folders here"),
        ("run exists", "a run is stored here already; add --resume"),
        ("no recipe", "there is no recipe 'cub'"),
        ("no weights", "w.pth"),
        ("no backbone", "resnet18"),
        ("no boundary", "pool9"),
        ("no run", "no run is stored here"),
        ("foreign run", "run.json: method is missing"),
        ("other classes", "12 classes"),
        ("threshold", "threshold 2"),
        ("no images", "no image found"),
        ("bad image", "truncated.jpg"),
        ("no format", "did you mean coco"),
        ("no batch", "batch_size cannot be 0"),
        ("no batch to measure", "batch_size cannot be 0"),
        ("no heatmaps", "holds no heatmaps"),
        ("no method", "did you mean eil"),
    ],
)
def test_wrong_input_is_status_1_and_one_line(
    what: str, said: str, run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = wrong(what, run, photos, tmp_path)
    capsys.readouterr()
    assert call(*arguments) == 1
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1 and said in shown[0], shown


FULL = """
import resource, signal, sys
from wsol.cli.app import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
main(sys.argv[1:])
"""


@pytest.mark.parametrize("verb", ["train", "locate"])
def test_a_full_disk_is_said_and_nothing_broken_stands(verb: str, run: Path, photos: Path, tmp_path: Path) -> None:
    """Files may not grow beyond 3 kB: a stand-in for a disk without space."""
    arguments = {
        "train": ["train", "cam", str(photos), "--output", str(tmp_path / "out"), *SMALL],
        "locate": [
            "locate",
            str(run),
            str(photos),
            "--output",
            str(tmp_path / "out"),
            "--format",
            "coco,heatmap,overlay",
        ],
    }[verb]
    limited = [argument for argument in (sys.executable, "-c", FULL, *arguments)]
    done = subprocess.run(limited, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "could not be written" in done.stderr
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "out" / "best.safetensors").exists() and not (tmp_path / "out" / "coco.json").exists()


@pytest.mark.parametrize(
    ("words", "instead"),
    [(("bas", "--head-prefix", "head"), "mask_rate"), (("sltnet", "--parts", "localizer"), "train `regressor`")],
)
def test_a_setting_that_is_gone_says_what_stands_in_its_place(
    words: tuple[str, ...], instead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", words[0], "creatures", "--output", str(tmp_path / "run"), *words[1:]])
    assert ended.value.code == 1 and instead in capsys.readouterr().err
