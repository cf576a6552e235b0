"""RUN/report.html and `wsol compare`: what they say, from whatever the folders hold."""

import base64
import io
import json
import re
import shlex
from contextlib import redirect_stderr
from html import unescape
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from PIL import Image

import wsol
from wsol.cli import app
from wsol.data import Creatures
from wsol.methods.cam import CAM
from wsol.runs.folder import Run
from wsol.show import report
from wsol.show.measured import _pairs
from wsol.show.story import read_story

SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "image_size": 32, "batch_size": 8, "workers": 0}
SMALL |= {"epochs": 2, "precision": "fp32", "sheet_every": 1, "map_stride": 8}
AWKWARD = '<b>Fanned & "cap"</b>'


def photos(split: str = "train", images: int = 24, awkward: bool = True) -> Creatures:
    shown = Creatures(split, images=images, size=36)  # type: ignore[arg-type]
    if awkward:
        shown.classes = [AWKWARD, *shown.classes[1:]]
    return shown


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two runs that were measured on the same photos, and the figures of the first."""
    folder = tmp_path_factory.mktemp("runs")
    wsol.train("eil", (photos(), photos()), folder / "eil", sigma=1.5, **SMALL)
    wsol.train("cam", (photos(), photos()), folder / "cam", learning_rate=0.02, **SMALL)
    figures = wsol.evaluate(folder / "eil", photos("test"), threshold=0.3, workers=0)
    wsol.evaluate(folder / "cam", photos("test"), threshold=0.4, workers=0)
    return folder, figures


@pytest.fixture
def runs(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of both that a test may damage."""
    return copytree(trained[0], tmp_path / "runs")


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


def words(page: str) -> str:
    """The page without tags and pictures."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page.partition("</style>")[2])).split())


def renewed(folder: Path) -> str:
    """The words of the page, made anew from what the folder holds."""
    assert report.write_report(Run.read(folder)) == folder / "report.html"
    return words(page_of(folder))


def test_the_page_needs_nothing_from_outside_and_is_small(trained: tuple[Path, dict[str, Any]]) -> None:
    page = page_of(trained[0] / "eil")
    assert len(page) < 3_000_000
    assert set(re.findall(r'href="([^"#]+)', page)) == {"https://doi.org/10.1109/CVPR42600.2020.00879"}
    assert not re.search(r'src="(?!data:)|@import|url\(|<link', page) and "<script>" in page
    pictures = [Image.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"base64,([^\"]+)", page)]
    six = (10 + 6 * 170, 10 + 160 + 30)
    assert [picture.size for picture in pictures[:3]] == [six] * 3 and len(pictures) == 5


def test_names_of_classes_are_text(trained: tuple[Path, dict[str, Any]]) -> None:
    page = page_of(trained[0] / "eil")
    assert AWKWARD not in page and AWKWARD in words(page)
    assert "<th>&lt;b&gt;Fanned &amp; &quot;cap&quot;&lt;/b&gt;</th>" in page


def test_the_page_says_what_was_measured(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = trained
    said = words(page_of(folder / "eil"))
    ends = figures["Interval95"]["GTKnownLoc"]
    shown = f"{figures['GTKnownLoc']:.1f} {ends[0]:.1f} – {ends[1]:.1f} {figures['CentreBox']['GTKnownLoc']:.1f}"
    assert f"GTKnownLoc box right at the threshold in use {shown} {figures['WholeImage']['GTKnownLoc']:.1f}" in said
    assert "creatures test, 24 photos, protocol clova" in said and "24 to train, 24 to validate" in said
    page = page_of(folder / "eil")
    for place, share in enumerate(figures["IoUs"]):
        assert f"IoU of the box with the true one {place / 20:.2f} to {place / 20 + 0.05:.2f}: {share:.4g} %" in page
    height = figures["Curves"]["IoU50"][30]
    assert f'class="c0 mark" cx="{44 + 0.3 * 286:.1f}" cy="{182 - 1.54 * height:.1f}"' in page
    for name, row in figures["Confusion"].items():
        for other, count in row.items():
            assert f"{name}, taken for {other}: {count} of {sum(row.values())}" in unescape(page)
    rows = re.findall(r'<tr><th>([^<]*)</th><td data-value="2">2</td><td data-value="([\d.]+)">', page)
    assert {unescape(name): float(value) for name, value in rows} == {
        name: row["Top1Cls"] for name, row in figures["PerClass"].items()
    }


def test_an_evaluation_is_kept_with_its_command(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = trained
    kept = json.loads((folder / "eil" / "evaluations" / "creatures-test-clova.json").read_text())
    assert kept.pop("date") and kept == figures | {
        "command": ["wsol", "evaluate", str(folder / "eil"), "creatures", "--threshold", "0.3"]
    }


def test_other_ways_to_measure_are_kept_beside(runs: Path) -> None:
    run = runs / "eil"
    wsol.evaluate(run, photos("test"), readout="gradcam", checkpoint="last", split="val", protocol="psol", workers=0)
    names = {path.name for path in (run / "evaluations").glob("*.json")}
    assert names == {"creatures-test-clova.json", "creatures-val-psol-gradcam-last.json"}
    said = words(page_of(run))
    assert "Earlier evaluations" in said and "protocol psol, readout gradcam" in said
    assert "--split val --protocol psol --checkpoint last --readout gradcam" in said


def test_settings_say_where_they_are_from_and_the_command_repeats_them(tmp_path: Path) -> None:
    shown = photos(awkward=False)
    for index, sample in enumerate(shown.samples):
        path = tmp_path / "my photos" / shown.classes[sample.label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.image(index).save(path)
    given = {"recipe": "own_photos", **SMALL, "epochs": 0, "area_weight": 0.5}
    wsol.train("bas", tmp_path / "my photos", tmp_path / "run", **given)
    said = words(page_of(tmp_path / "run"))
    assert "area_weight 0.5" in said and "image_size 32 224 given" in said
    assert re.search(r"\w+ \S+ \S+ recipe own_photos", said)
    command = shlex.split(re.search(r"wsol train .*?(?= wsol evaluate)", said)[0])  # type: ignore[index]
    again = [*command[1:-1], str(tmp_path / "again")]
    assert command[-1] == str(tmp_path / "run") and command[2:4] == ["bas", str(tmp_path / "my photos")]
    app.main(again)
    assert (tmp_path / "again" / "run.json").read_text() == (tmp_path / "run" / "run.json").read_text()


def test_each_epoch_renews_the_page_and_a_resumed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs, minutes = [], []

    def watched(run: Run) -> None:
        report.write_report(run)
        story = read_story(run, "run")
        assert f"{story.epochs} of 3 epochs" in page_of(run.folder) or story.epochs == 3
        epochs.append([story.epochs, *(len(curve) for curve in story.curves.values())])
        minutes.append(story.training["minutes"])

    monkeypatch.setattr("wsol.training.record.write_report", watched)
    loss, steps = CAM.loss, []

    def killed_in_the_third_epoch(self: CAM, images: Any, labels: Any) -> Any:
        steps.append(1)
        if len(steps) == 8:
            raise ArithmeticError
        return loss(self, images, labels)

    monkeypatch.setattr(CAM, "loss", killed_in_the_third_epoch)
    with pytest.raises(ArithmeticError):
        wsol.train("cam", (photos(), photos()), tmp_path / "run", **SMALL | {"epochs": 3})
    assert epochs == [[0], [1, 1, 1], [2, 2, 2]]
    wsol.train("cam", (photos(), photos()), tmp_path / "run", resume=True, **SMALL | {"epochs": 3})
    assert epochs[3:] == [[2, 2, 2], [3, 3, 3]]
    assert minutes[4] > minutes[3] > minutes[1] > minutes[0]  # what the first part took counts
    assert not list((tmp_path / "run").glob("*.part"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "metrics.csv: is missing"),
        (b"", "There are no curves"),
        (b"\x00\xff\x80,epoch\n1,2,3,4\n", "metrics.csv: 1 damaged entries are left out"),
        (b"Top1Cls,epoch\n50,0\n5x,1\n25,nine\n,1\nnan,2\n75,2", "metrics.csv: 2 damaged entries are left out"),
    ],
)
def test_a_damaged_log_is_said(runs: Path, content: bytes | None, said: str) -> None:
    path = runs / "eil" / "metrics.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert said in renewed(runs / "eil")
    if content and b"75" in content:
        assert read_story(Run.read(runs / "eil"), "").curves == {"Top1Cls": {1: 50.0, 3: 75.0}}


def test_damaged_figures_and_pictures_are_said_or_left_out(runs: Path) -> None:
    run = runs / "eil"
    kept = run / "evaluations" / "creatures-test-clova.json"
    kept.write_text(kept.read_text()[:400])
    (run / "evaluations" / "other.json").write_text('{"data": "birds"}')
    (run / "training.json").write_bytes(b"\xff")
    (run / "sheets" / "epoch_001.png").write_bytes(b"no picture")
    said = renewed(run)
    assert "creatures-test-clova.json: not readable as JSON" in said and "training.json: not readable" in said
    assert "other.json: holds no figures (split cannot be None" in said
    assert "not measured yet: wsol evaluate" in said and "epoch 2" in said and "epoch 1 " not in said


def test_a_page_that_cannot_be_written_ends_nothing(runs: Path) -> None:
    run = runs / "cam"
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.warns(UserWarning, match=r"report\.html: could not be written .* \(the report is not renewed\)"):
        assert wsol.evaluate(run, photos("test"), threshold=0.4, workers=0)["images"] == 24


def test_an_evaluation_that_cannot_be_kept_is_a_warning(tmp_path: Path) -> None:
    run = wsol.train("cam", (photos(), photos()), tmp_path, **SMALL | {"epochs": 0})
    (tmp_path / "evaluations").touch()
    with pytest.warns(UserWarning, match="the run's report does not show this evaluation"):
        assert wsol.evaluate(run, photos("test"), workers=0)["images"] == 24


def test_of_several_processes_the_first_alone_keeps_the_figures(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsol.system.processes.place", lambda: (1, 2))
    monkeypatch.setattr("wsol.system.processes.gather", lambda some: some)  # there is no other process
    wsol.evaluate(runs / "cam", photos("test"), split="val", workers=0)
    assert [path.name for path in (runs / "cam" / "evaluations").glob("*.json")] == ["creatures-test-clova.json"]


def test_two_runs_stand_side_by_side(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, figures = trained
    assert wsol_says("compare", folder / "eil", folder / "cam", "--output", tmp_path / "page.html") == ""
    page = (tmp_path / "page.html").read_text()
    said = words(page)
    other = json.loads((folder / "cam" / "evaluations" / "creatures-test-clova.json").read_text())
    for name in ("MaxBoxAcc", "Top1Cls", "PxAP"):
        values = [figures[name], other[name]]
        cells = re.search(rf"<tr><th>{name}<small>.*?</tr>", page)
        assert cells and [float(value) for value in re.findall(r"<td>(?:<b>)?([\d.]+)", cells[0])][:2] == [
            round(value, 1) for value in values
        ]
        assert f"<b>{max(values):.1f}</b>" in cells[0]
    assert "learning_rate 0.001 0.02" in said and "sigma 1.5 –" in said and "image_size 32" not in said
    assert "eil, epoch 2" in said and "cam, epoch 2" in said and "cannot be compared" not in said
    top = page[page.index('aria-label="validation Top1Cls, %"') :].partition("</svg>")[0]
    assert top.count("<polyline") == 2 and "eil, epoch 1: " in top and "cam, epoch 2: " in top


def test_runs_without_common_figures_are_not_compared(runs: Path, tmp_path: Path) -> None:
    wsol.train("cam", (photos(), photos(images=36)), runs / "new", **SMALL | {"epochs": 0})
    report.compare([runs / "eil", runs / "new"], output=tmp_path / "page.html")
    said = words((tmp_path / "page.html").read_text())
    assert f"new: not measured yet: wsol evaluate {runs / 'new'} DATA" in said
    assert "new: There are no curves" in said and "new: no heatmaps are stored" in said
    assert "The runs saw different photos" in said
    wsol.evaluate(runs / "new", photos("test", 36), workers=0)
    report.compare([runs / "eil", runs / "new"], output=tmp_path / "page.html")
    said = words((tmp_path / "page.html").read_text())
    assert "measured on different photos, so their figures cannot be compared" in said
    assert (
        "CentreBox" not in said
        and "eil: creatures test, 24 photos" in said
        and "new: creatures test, 36 photos" in said
    )


def test_what_is_no_run_is_one_line(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run = trained[0] / "eil"
    assert "no run is stored here" in wsol_says("compare", run, tmp_path, "--output", tmp_path / "page.html")
    assert "give two or more run folders" in wsol_says("compare", run, run, "--output", tmp_path / "page.html")
    assert "could not be written" in wsol_says("compare", run, trained[0] / "cam", "--output", tmp_path)
    assert not (tmp_path / "page.html").exists()


def wsol_says(*arguments: str | Path) -> str:
    """The error of a command, empty where it has none."""
    caught = io.StringIO()
    app.err.file = caught
    try:
        with redirect_stderr(caught):
            app.main([str(argument) for argument in arguments])
    except SystemExit as error:
        assert error.code == 1 and caught.getvalue().count("\n") == 1
    finally:
        app.err.file = None  # type: ignore[assignment]
    return caught.getvalue()


def test_commands_say_the_path_last(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown, lines = photos(awkward=False), ["path,label,x0,y0,x1,y1,split"]
    for index, sample in enumerate(shown.samples):
        shown.image(index).save(tmp_path / f"{index}.png")
        lines.append(f"{index}.png,{shown.classes[sample.label]},1,2,30,31,{('train', 'val', 'test')[index % 3]}")
    (tmp_path / "set.csv").write_text("\n".join(lines))
    options = [f"--{name.replace('_', '-')}={value}" for name, value in (SMALL | {"epochs": 0}).items()]
    for arguments in (
        ["train", "cam", tmp_path / "set.csv", "--output", tmp_path / "run", *options],
        ["evaluate", tmp_path / "run", tmp_path / "set.csv", "--workers", "0"],
    ):
        app.main([str(argument) for argument in arguments])
        assert capsys.readouterr().out.splitlines()[-1] == f"open {tmp_path / 'run' / 'report.html'}"


def test_many_classes_have_a_table_of_pairs() -> None:
    confusion = {str(label): {str(label): 5, str((label + 1) % 40): label % 3} for label in range(40)}
    confusion = {name: {other: count for other, count in row.items() if count} for name, row in confusion.items()}
    said = words(f"</style>{_pairs(confusion)}")
    assert said.startswith("class taken for photos of the class 11 12 2 29 % 14 15 2 29 %")
    assert _pairs({"a": {"a": 3}}) == "<p>No class is taken for another.</p>"


def test_in_a_browser_the_table_sorts_and_a_phone_shows_all(trained: tuple[Path, dict[str, Any]]) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("chromium is not installed")
    folder, figures = trained
    faults: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or faults.append(asked.url))
        page.goto((folder / "eil" / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        column = page.locator("table.sorted tbody tr td:nth-child(5)")
        for ascending in (True, False):
            page.locator("table.sorted thead th:nth-child(5)").click()
            shown = [float(value) for value in column.all_inner_texts()]
            values = [row["MeanBoxIoU"] for row in figures["PerClass"].values()]
            assert shown == [round(value, 1) for value in sorted(values, reverse=not ascending)]
        browser.close()
    assert faults == []
