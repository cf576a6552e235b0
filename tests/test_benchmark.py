"""A benchmark: nothing runs twice, nothing stops the rest, and the table says what the figures say."""

import base64
import copy
import csv
import io
import json
import random
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import wsol
from wsol import registry
from wsol.backbones import Backbone, build_backbone
from wsol.benchmark import run as module
from wsol.benchmark.grid import Grid, grids, read_grid
from wsol.benchmark.published import published
from wsol.benchmark.run import benchmark, command
from wsol.benchmark.table import COLUMNS, METRICS, markdown, tabulate
from wsol.cli.app import app, main
from wsol.data.layouts import creatures
from wsol.errors import WsolError
from wsol.evaluation.tally import BASELINES

ROOT = Path(__file__).parents[1]
SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "end": "layer2",
    "weights": "none",
    "image_size": 32,
    "batch_size": 8,
    "workers": 0,
}
SMALL |= {"epochs": 1, "precision": "fp32", "sheet_every": 0, "schedule": "constant"}
PACKAGED = pytest.mark.parametrize("name", grids())


def write(path: Path, rows: list[dict[str, Any]], **entries: Any) -> Path:
    path.write_text(yaml.safe_dump({"data": "creatures", "settings": SMALL, "rows": rows} | entries))
    return path


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creatures, "COUNTS", {"train": 16, "val": 12, "test": 12})


class Loop:
    """Stands for training and measuring, which have their own tests: notes each call, fails and stops when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, bool]] = []
        self.stop_at = ""
        for name in ("train", "evaluate"):
            monkeypatch.setattr(module, name, getattr(self, name))
        monkeypatch.setattr(module, "_page", lambda *_: None)

    def train(self, method: str, data: str, output: Path, *, resume: bool, **given: Any) -> None:
        self.calls.append((output.name, resume))
        assert resume == (output / "run.json").exists()
        output.mkdir(parents=True, exist_ok=True)
        (output / "run.json").write_text("{}")
        if given.get("boundary") == "nowhere":
            raise WsolError("there is no boundary 'nowhere'")
        if self.stop_at == output.name:
            raise KeyboardInterrupt

    def evaluate(self, run: Path, data: str, output: Path, **opened: Any) -> dict[str, Any]:
        return made_up(random.Random(run.name)) | {"Curves": {}, "run": str(run)}


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(monkeypatch)


def made_up(draw: random.Random) -> dict[str, Any]:
    """Figures that nobody measured."""
    figures: dict[str, Any] = {name: draw.uniform(0, 100) for name in COLUMNS} | {"PeakOnPart": None}
    figures |= {name: {metric: draw.uniform(0, 100) for metric in METRICS} for name in BASELINES}
    figures |= {"threshold": draw.random(), "data": "creatures", "images": 7, "split": "test", "protocol": "clova"}
    return figures


def figures(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def test_an_interrupted_benchmark_goes_on_where_it_stopped(tmp_path: Path, loop: Loop) -> None:
    rows = [{"method": "cam"}, {"method": "cam", "name": "CAM, slow", "learning_rate": 0.001}]
    grid = write(tmp_path / "g.yaml", rows, seeds=2)
    loop.stop_at = "cam-slow-0"
    with pytest.raises(KeyboardInterrupt):
        benchmark(grid, output=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["cam-0.json"]
    loop.stop_at = ""
    assert benchmark(grid, output=tmp_path / "out") == {}
    begun = [("cam-0", False), ("cam-slow-0", False)]
    assert loop.calls == [*begun, ("cam-slow-0", True), ("cam-1", False), ("cam-slow-1", False)]
    assert figures(tmp_path / "out", "cam-0")["minutes"] is not None
    assert figures(tmp_path / "out", "cam-slow-0")["minutes"] is None  # nobody knows what came before
    assert benchmark(grid, output=tmp_path / "out") == {}
    assert len(loop.calls) == 5


def test_a_row_that_fails_is_listed_and_the_others_go_on(
    tmp_path: Path, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write(tmp_path / "g.yaml", [{"method": "eil", "boundary": "nowhere"}, {"method": "cam"}])
    with pytest.raises(SystemExit) as status:
        main(["benchmark", str(grid), "--output", str(tmp_path / "out")])
    assert status.value.code == 1
    assert "1 runs failed: EIL, seed 0" in " ".join(capsys.readouterr().err.split())
    text = (tmp_path / "out" / "table.md").read_text()
    assert re.search(r"^\| CAM \|", text, re.M) and not re.search(r"^\| EIL \|", text, re.M)
    assert re.search(r"^\* EIL, seed 0 failed: there is no boundary 'nowhere'", text, re.M)


def test_figures_of_another_data_set_are_not_taken_for_ours(tmp_path: Path, loop: Loop) -> None:
    grid = write(tmp_path / "g.yaml", [{"method": "cam"}])
    benchmark(grid, output=tmp_path / "out")
    kept = tmp_path / "out" / "cam-0.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"data": "birds"}))
    with pytest.raises(WsolError, match=r"cam-0\.json: holds the figures of data birds, not creatures;"):
        benchmark(grid, output=tmp_path / "out")


def test_a_stored_figure_is_known_by_its_settings_and_not_by_its_command(tmp_path: Path, loop: Loop) -> None:
    grid = write(tmp_path / "g.yaml", [{"method": "cam"}])
    benchmark(grid, output=tmp_path / "out")
    kept = tmp_path / "out" / "cam-0.json"
    figures = json.loads(kept.read_text()) | {"command": "wsol train cam --an-option-of-old"}
    figures["settings"]["head_prefix"] = "head."
    kept.write_text(json.dumps(figures))
    benchmark(grid, output=tmp_path / "out")
    assert len(loop.calls) == 1


def test_figures_of_another_command_are_not_taken_for_ours(tmp_path: Path, loop: Loop) -> None:
    fast = write(tmp_path / "fast.yaml", [{"method": "cam", "learning_rate": 0.5}])
    slow = write(tmp_path / "slow.yaml", [{"method": "cam", "learning_rate": 0.1}])
    benchmark(fast, output=tmp_path / "out")
    with pytest.raises(WsolError, match=r"cam-0\.json: holds the figures of learning_rate 0\.5, not 0\.1;"):
        benchmark(slow, output=tmp_path / "out")


def test_a_search_is_measured_on_validation_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def evaluate(run: Path, data: str, output: Path, *, split: str, **opened: Any) -> dict[str, Any]:
        asked.append(split)
        return made_up(random.Random(run.name)) | {"Curves": {}, "run": str(run), "split": split}

    loop = Loop(monkeypatch)
    monkeypatch.setattr(module, "evaluate", evaluate)
    rows = [{"method": "cam"}]
    grid = write(tmp_path / "grid.yaml", rows, split="val")
    assert not benchmark(grid, output=tmp_path / "out")
    assert asked == ["val"] and len(loop.calls) == 1
    figures = json.loads((tmp_path / "out" / "cam-0.json").read_text())
    assert "--split val" in figures["command"]
    assert "val photos" in (tmp_path / "out" / "table.md").read_text()
    write(tmp_path / "grid.yaml", rows)  # the same rows on test photos are other figures
    with pytest.raises(WsolError, match="split val, not test"):
        benchmark(grid, output=tmp_path / "out")
    with pytest.raises(WsolError, match="split"):
        read_grid(write(tmp_path / "wrong.yaml", rows, split="validation"))


def test_figures_of_a_changed_recipe_are_not_taken_for_ours(tmp_path: Path, loop: Loop) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("weight_decay: 0.5\n")
    grid = write(tmp_path / "g.yaml", [{"method": "cam"}], recipe=str(recipe))
    benchmark(grid, output=tmp_path / "out", weights=str(tmp_path / "resnet18.safetensors"))
    assert str(tmp_path) not in (tmp_path / "out" / "cam-0.json").read_text()
    benchmark(grid, output=tmp_path / "out", weights=str(tmp_path / "elsewhere" / "resnet18.safetensors"))
    assert len(loop.calls) == 1
    recipe.write_text("weight_decay: 0.1\n")
    with pytest.raises(WsolError, match=r"cam-0\.json: holds the figures of weight_decay 0\.5, not 0\.1;"):
        benchmark(grid, output=tmp_path / "out", weights=str(tmp_path / "resnet18.safetensors"))


def test_rows_that_differ_at_test_alone_share_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And show what they would have shown had each been trained; the page says so too."""
    rows = [
        {"method": "acol", "head_width": 8},
        {"method": "acol", "head_width": 8, "name": "<A>", "heads": "a"},
        {"method": "acol", "head_width": 8, "name": "cut high", "threshold": 0.9},
        {"method": "acol", "head_width": 8, "name": "mean", "readout": "mean"},
    ]
    train, calls = module.train, []
    monkeypatch.setattr(module, "train", lambda *args, **given: calls.append(args[2].name) or train(*args, **given))
    benchmark(write(tmp_path / "g.yaml", rows, about="One network"), output=tmp_path / "out")
    assert calls == ["acol-0"]
    fused, alone, high = (figures(tmp_path / "out", name) for name in ("acol-0", "a-0", "cut-high-0"))
    given = SMALL | {"head_width": 8, "seed": 0}
    again = wsol.evaluate(wsol.train("acol", "creatures", tmp_path / "again", heads="a", **given), "creatures")
    for name in (*METRICS, "threshold"):
        assert alone[name] == again[name], name
    assert alone["PxAP"] != fused["PxAP"]
    assert high["threshold"] == 0.9 and high["PxAP"] == fused["PxAP"]
    assert fused["minutes"] == alone["minutes"] == high["minutes"]
    mean = figures(tmp_path / "out", "mean-0")
    asked = wsol.evaluate(tmp_path / "out" / "runs" / "acol-0", "creatures", readout="mean")
    assert mean["PxAP"] == asked["PxAP"] != fused["PxAP"] and mean["settings"]["readout"] == "mean"
    assert mean["command"].endswith(" --readout mean") and "readout" not in fused["settings"]

    text = (tmp_path / "out" / "index.html").read_text()
    assert "<h1>One network</h1>" in text and "<A>" not in text
    for row in ("ACoL", "&lt;A&gt;", "cut high", "mean", "CentreBox", "WholeImage"):
        assert re.search(rf"<tr><th>{row}</th>(<td>[^<]*</td>)+</tr>", text)
    assert not re.search(r'(src|href)="(?!data:)', text)
    (picture,) = (Image.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"base64,([^\"]+)", text))
    assert picture.width > 5 * module.SIDE and picture.height > module.PHOTOS * module.SIDE


@pytest.mark.parametrize(
    ("rows", "entries", "said"),
    [
        ([{"method": "cam"}], {"sed": 3}, "no entry 'sed'; did you mean seeds?"),
        ([{"method": "cam"}], {"published": {"dta": "CUB"}}, "published: there is no 'dta'; did you mean data?"),
        ([{"method": "eill"}], {}, "did you mean eil?"),
        ([{"method": "eil", "boundry": "x"}], {}, "EIL has no setting 'boundry'; did you mean boundary?"),
        ([{"method": "cam", "vary": {"sigma": [1]}}], {}, "CAM has no setting 'sigma'"),
        ([{"method": "eil", "vary": {"sigma": 1}}], {}, "vary.sigma cannot be 1; it must be list"),
        ([{"method": "eil", "sigma": "much"}], {}, "sigma cannot be 'much'; it must be float"),
        ([{"method": "eil", "paper": "gamma {gamma}"}], {}, "only the row's settings"),
        ([{"name": "CAM"}], {}, "names no method"),
        ([{"method": "cam", "seed": 1}], {}, "with `seeds`"),
        ([{"method": "cam"}, {"method": "cam"}], {}, "two rows are called 'CAM'"),
        ([{"method": "cam", "readout": "men"}], {}, "no read-out 'men'; did you mean mean?"),
        ([], {}, "0 rows"),
        ([{"method": "cam"}], {"seeds": "two"}, "seeds cannot be 'two'"),
        ([{"method": "cam"}], {"columns": ["MaxBoxAc"]}, "did you mean MaxBoxAcc"),
        ([{"method": "cam"}], {"data": None}, "data cannot be None"),
        ([{"method": "cam"}], {"protocols": [{"protocl": "bas"}]}, "there is no 'protocl'; did you mean protocol?"),
        ([{"method": "cam"}], {"protocols": [{"protocol": "livia"}]}, "protocols[0].protocol cannot be 'livia'"),
        ([{"method": "cam"}], {"protocols": [{"ten_crop": True}]}, "protocols[0].protocol is missing"),
        ([{"method": "cam"}], {"protocols": [{"protocol": "bas", "ten_crop": 1}]}, "ten_crop cannot be 1"),
        ([{"method": "cam"}], {"protocols": ["bas"]}, "protocols[0] cannot be 'bas'"),
    ],
)
def test_a_grid_that_cannot_be_is_named_before_anything_runs(
    tmp_path: Path, loop: Loop, rows: list[dict[str, Any]], entries: dict[str, Any], said: str
) -> None:
    grid = write(tmp_path / "g.yaml", rows, **entries)
    with pytest.raises(WsolError, match=r"g\.yaml") as error:
        benchmark(grid, output=tmp_path / "out")
    assert said in str(error.value)
    assert not loop.calls and not (tmp_path / "out").exists()


def test_an_unknown_grid_is_answered_with_a_suggestion() -> None:
    with pytest.raises(WsolError, match="no grid 'acol_deltas'; did you mean acol_delta"):
        read_grid("acol_deltas")


def test_a_network_is_measured_by_further_protocols_each_in_a_table_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that was measured before the grid asked for them, but not one that is gone."""
    train, trained = module.train, []
    monkeypatch.setattr(module, "train", lambda *args, **given: trained.append(args[2].name) or train(*args, **given))
    rows, out = [{"method": "cam"}, {"method": "cam", "name": "mean", "readout": "mean"}], tmp_path / "out"
    benchmark(write(tmp_path / "g.yaml", rows), output=out)
    by_clova = (out / "table.md").read_text()
    assert [path.name for path in out.glob("table*.md")] == ["table.md"]

    asked = [{"protocol": "bas"}, {"protocol": "cvpr16", "ten_crop": True}]
    grid = write(tmp_path / "g.yaml", rows, protocols=asked)
    assert benchmark(grid, output=out) == {} and trained == ["cam-0"]
    assert (out / "table.md").read_text() == by_clova
    for row, opened in (("cam-0", {}), ("mean-0", {"readout": "mean"})):
        for name, measure in zip(("bas", "cvpr16, ten crops"), asked, strict=True):
            by = figures(out, row)["protocols"][name]
            expected = wsol.evaluate(out / "runs" / row, "creatures", **measure, **opened)
            assert {key: by[key] for key in (*METRICS, *BASELINES, "threshold")} == {
                key: expected[key] for key in (*METRICS, *BASELINES, "threshold")
            }
    by, by_bas = (figures(out, "cam-0")["protocols"][name] for name in ("cvpr16, ten crops", "bas"))
    assert by["ten_crop"] and by["threshold"] == 0.2
    assert not by_bas["ten_crop"] and by_bas["threshold"] == figures(out, "cam-0")["threshold"] != 0.2
    table = (out / "table-cvpr16-ten-crops.md").read_text()
    assert "protocol `cvpr16`, classes by ten crops" in table
    assert re.search(rf"^\| CAM \| {by['Top1Cls']:.1f} \|", table, re.M)
    assert re.search(r"^\| CentreBox \|", table, re.M)
    page = (out / "index.html").read_text()
    assert [page.count(f"photos, protocol {name},") for name in ("clova", "bas", "cvpr16")] == [1, 1, 1]

    for path in out.glob("runs/*/best.safetensors"):
        path.unlink()
    kept = {path: path.read_text() for path in out.glob("*.json")}
    write(tmp_path / "g.yaml", rows, protocols=[*asked, {"protocol": "psol"}])
    assert benchmark(grid, output=out) == {} and trained == ["cam-0"]
    assert {path: path.read_text() for path in out.glob("*.json")} == kept and not (out / "table-psol.md").exists()


def fill(output: Path, grid: Grid) -> dict[str, list[dict[str, Any]]]:
    """Made up figures as files, and by row."""
    draw = random.Random(0)
    found = {row.name: [made_up(draw) for _ in range(grid.seeds)] for row in grid.rows}
    output.mkdir()
    for row in grid.rows:
        for seed, each in enumerate(found[row.name]):
            (output / f"{row.slug}-{seed}.json").write_text(json.dumps(each))
    return found


def test_the_table_is_what_the_figures_say(tmp_path: Path) -> None:
    rows = [{"method": "cam"}, {"method": "eil", "vary": {"sigma": [0.5, 2]}, "paper": "gamma 0.7, sigma {sigma}"}]
    columns = ["Top1Cls", "Top1Loc", "MaxBoxAcc", "PeakOnPart", "threshold"]
    asked = {"data": "CUB", "backbone": "VGG16"}
    path = write(tmp_path / "g.yaml", rows, seeds=3, columns=columns, published=asked, settings={})
    found = fill(tmp_path / "out", read_grid(path))
    assert benchmark(path, output=tmp_path / "out", only_table=True) == {}
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (tmp_path / "out" / "table.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    assert lines[0] == ["", "Top1Cls", "paper", "Top1Loc", "paper", "MaxBoxAcc", "threshold"]
    printed = {"CAM": (71.24, 44.15), "EIL, sigma 0.5": (70.61, 53.23), "EIL, sigma 2": (72.26, 56.21)}
    for line in lines[1:4]:
        runs, paper = found[line[0]], printed[line[0]]
        own = [np.array([run[name] for run in runs]) for name in ("Top1Cls", "Top1Loc", "MaxBoxAcc")]
        cut = np.array([run["threshold"] for run in runs])
        said = [f"{each.mean():.1f} ± {each.std(ddof=1):.1f}" for each in own]
        expected = [
            said[0],
            str(paper[0]),
            said[1],
            str(paper[1]),
            said[2],
            f"{cut.mean():.2f} ± {cut.std(ddof=1):.2f}",
        ]
        assert line[1:] == expected
    first = found["CAM"][0]
    for line, name in zip(lines[4:], BASELINES, strict=True):
        values = [f"{first[name][metric]:.1f}" for metric in ("Top1Cls", "Top1Loc", "MaxBoxAcc")]
        assert line == [name, values[0], "", values[1], "", values[2], ""]
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        table = {row["row"]: row for row in csv.DictReader(file)}
    late = table["EIL, sigma 2"]
    assert float(late["MaxBoxAcc"]) == pytest.approx(np.mean([run["MaxBoxAcc"] for run in found["EIL, sigma 2"]]))
    assert float(late["MaxBoxAcc_sd"]) == pytest.approx(
        np.std([run["MaxBoxAcc"] for run in found["EIL, sigma 2"]], ddof=1)
    )
    assert (late["Top1Loc_paper"], late["seeds"], table["CentreBox"]["seeds"]) == ("56.21", "3", "1")


def test_a_method_that_names_no_class_has_no_figures_of_names(tmp_path: Path) -> None:
    columns = ["Top1Cls", "Top1Loc", "MaxTop5Loc", "MaxBoxAcc"]
    path = write(
        tmp_path / "g.yaml",
        [{"method": "cam"}, {"method": "psol"}, {"method": "fewshot"}],
        columns=columns,
        settings={},
    )
    found = fill(tmp_path / "out", read_grid(path))
    body = tabulate(read_grid(path), tmp_path / "out").body
    assert "" not in body["CAM"]
    for who in (name for name in found if name != "CAM"):
        assert body[who] == ["", "", "", f"{found[who][0]['MaxBoxAcc']:.1f}"]


@pytest.mark.parametrize("folder", sorted(path.parent for path in (ROOT / "docs" / "results").glob("*/table.md")))
def test_the_tables_of_the_docs_come_from_their_figures(folder: Path) -> None:
    grid = read_grid(folder.name)
    tables = {"table.md": tabulate(grid, folder)}
    tables |= {f"table-{each.slug}.md": tabulate(grid, folder, measure=each) for each in grid.protocols}
    made = {name: markdown(table) for name, table in tables.items() if table.figures}
    assert made == {path.name: path.read_text() for path in folder.glob("table*.md")}


@PACKAGED
def test_a_packaged_grid_holds_commands_that_the_command_line_takes(name: str) -> None:
    grid = read_grid(name)
    assert grid.about and grid.data and set(grid.columns) <= set(COLUMNS)
    for row in grid.rows:
        said = command(row, 0, grid.data, grid.recipe, protocols=grid.protocols)
        for each in said.split(" && "):
            _, bound, _ = app.parse_args(shlex.split(each)[1:], print_error=False, exit_on_error=False)
            if "train" in each:
                given = bound.arguments.get("given", bound.arguments)
                assert set(row.given) <= set(given), said


@cache
def untrained(name: str, end: str | None, map_stride: int | str, kept_strides: int) -> Backbone:
    return build_backbone(name, None, end, None if map_stride == "own" else int(map_stride), kept_strides)


@PACKAGED
def test_every_row_of_a_packaged_grid_builds_its_network_and_answers(name: str) -> None:
    """With 50 classes and narrow heads; of rows that train alike but for epochs and rate one."""
    rows = {str(row.trained | {"epochs": 0, "learning_rate": 0}): row for row in read_grid(name).rows}
    for row in rows.values():
        settings, options = row.resolved.settings, row.resolved.options
        shape = settings.backbone or "resnet50", settings.end, settings.map_stride, settings.kept_strides
        narrow = {"head_width": 4} if "head_width" in options else {}
        network = row.stack.build(copy.deepcopy(untrained(*shape)), 50, **options | narrow).eval()
        with torch.no_grad():
            prediction = network.predict(torch.rand(1, 3, 64, 64))
            heatmaps = network.heatmaps(prediction, torch.tensor([[0, 1]]), **row.resolved.at_test)
        assert heatmaps.shape[:2] == (1, 2) and heatmaps.isfinite().all()


def test_a_command_says_how_boxes_were_read() -> None:
    (row, *_) = read_grid("untrained_vgg16").rows
    said = command(row, 0, "birds.csv", None, "xywh")
    assert said.endswith("wsol evaluate runs/mean-conv5-3-0 birds.csv --readout mean --box-format xywh")


@PACKAGED
def test_a_packaged_grid_names_figures_that_papers_print(name: str) -> None:
    grid = read_grid(name)
    for row in (row for row in grid.rows if row.paper):
        assert published(method=row.stack.key, setting=row.paper, **grid.published), row


def test_published_figures_are_percentages_with_a_source() -> None:
    fields = {"method", "data", "backbone", "source", "setting", "note", "mIoU", *METRICS}
    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "src" / "wsol" / "methods" / "references.bib").read_text()))
    for entry in published():
        assert set(entry) <= fields
        assert {"method", "data", "backbone", "source"} <= set(entry)
        assert entry["data"] in ("CUB", "ILSVRC", "OpenImages", "VOC2012")
        assert entry["method"] not in registry.names("methods") or entry["source"] in known | {
            "BAS-Extension",
            "choe2020evaluating",
        }
        values = [value for key, value in entry.items() if key in METRICS]
        assert (values or "mIoU" in entry) and all(20 < value < 100 for value in values)


def test_a_quotation_under_another_network_says_whose_figure_it_is() -> None:
    for entry in published():
        quoted, _, wrong = entry.get("note", "").partition(": ")
        if quoted == "quoted" and " in " in wrong:
            backbone, source = wrong.split(",")[0].split("'s in ")
            (own,) = published(
                method=entry["method"], data=entry["data"], backbone=backbone, source=source, setting=None
            )
            assert backbone != entry["backbone"] and abs(own["Top1Loc"] - entry["Top1Loc"]) < 0.05


def test_errors_became_accuracies() -> None:
    """What another paper quotes as an accuracy is what the first one printed as an error."""
    for data in ("CUB", "ILSVRC"):
        own, quoted = (
            published(method="acol", data=data, backbone="VGG16", source=source, setting=None)
            for source in ("zhang2018acol", "mai2020eil")
        )
        for metric in ("Top1Cls", "Top1Loc"):
            assert own[0][metric] == quoted[0][metric]
    (best,) = published(method="ega", data="CUB", backbone="VGG16", setting="lambda 1, 0.01")
    assert (best["Top1Cls"], best["Top1Loc"]) == (78.13, 59.16)  # 21.87 and 40.84 as errors
