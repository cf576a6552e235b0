"""Every method's card says what its code, its results and its paper say, and its figure can be read."""

import inspect
import json
import re
import shutil
import sys
from itertools import combinations, pairwise
from pathlib import Path
from statistics import mean

import pytest
import yaml
from matplotlib.textpath import TextPath

from wsol import registry
from wsol.benchmark.published import published
from wsol.methods.around import Around
from wsol.methods.references import reference
from wsol.methods.stack import stack
from wsol.runs.recipes import recipes_of
from wsol.runs.settings import resolve

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from cards import key as key_of  # noqa: E402
from cards import stale  # noqa: E402
from method_figures import DRAWINGS, WIDTH, corners, pixels  # noqa: E402

CARDS = ROOT / "docs" / "methods"
METHODS = registry.names("methods")
EVERY = pytest.mark.parametrize("name", METHODS)
Box = tuple[float, float, float, float]


def card(name: str) -> str:
    return (CARDS / f"{name}.md").read_text(encoding="utf-8")


def test_cards_and_figures_are_up_to_date() -> None:
    assert stale() == [], "run: python benchmarks/cards.py"


def test_what_is_out_of_date_is_named(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("*.png", "*.jpg"))
    assert stale(docs) == []
    eil, cam, ega = (docs / "methods" / name for name in ("eil.md", "cam.svg", "ega.svg"))
    eil.write_text(eil.read_text(encoding="utf-8").replace("| `0.7` |", "| `0.6` |"), encoding="utf-8")
    cam.write_text(cam.read_text(encoding="utf-8").replace("each class's weights", "weights"), encoding="utf-8")
    ega.unlink()
    assert sorted(stale(docs)) == sorted([eil, cam, ega])


@EVERY
def test_the_settings_of_a_card_are_the_constructors(name: str) -> None:
    listed = re.findall(r"(?m)^\| `(\w+)` \| `(.*?)` \|.*\w.* \|$", card(name))
    kinds = [registry.find("methods", name)]
    begins = 2 if issubclass(kinds[0], Around) else 3
    while any(each.kind is each.VAR_KEYWORD for each in inspect.signature(kinds[-1].__init__).parameters.values()):
        kinds.append(kinds[-1].__base__)  # AEPL's ends in BAS's
    given = [each for kind in kinds for each in list(inspect.signature(kind.__init__).parameters.values())[begins:]]
    heatmaps = inspect.signature(kinds[0].heatmaps).parameters.values()
    given += [each for each in heatmaps if each.kind is each.KEYWORD_ONLY]
    assert listed == [(each.name, str(each.default)) for each in given if each.kind is not each.VAR_KEYWORD]


@EVERY
def test_the_figures_of_a_card_are_those_of_the_results(name: str) -> None:
    stored = list((ROOT / "docs" / "results").glob(f"*/{name}-0.json"))
    if not stored:
        assert "Not measured yet." in card(name)
        return
    lines = [[cell.strip() for cell in line.split("|")] for line in card(name).splitlines()]
    (head,) = [line for line in lines if "comparison" in line]
    for first in stored:
        runs, cams = [
            {path.stem[-1]: json.loads(path.read_text()) for path in first.parent.glob(f"{kind}-?.json")}
            for kind in (name, "cam")
        ]
        (row,) = [line for line in lines if line[1:] and line[1].startswith(f"[{first.parent.name}]")]
        for figure in ("Top1Cls", "GTKnownLoc", "MaxBoxAccV2", "PxAP"):
            shown = row[head.index(figure)] if figure in head else ""
            if runs["0"].get(figure) is None:
                assert not shown
                continue
            assert shown.split()[0] == f"{mean(run[figure] for run in runs.values()):.1f}"
            if name != "cam" and cams:
                assert shown.endswith(f"({mean(cams[seed][figure] for seed in runs):.1f})")


@EVERY
def test_a_card_prints_what_its_paper_prints(name: str) -> None:
    for entry in published(method=name, source=key_of(registry.entry("methods", name)), setting=None):
        row = [line for line in card(name).splitlines() if f"| {entry['backbone']} |" in line and entry["data"] in line]
        assert row
        figures = [value for value in entry.values() if isinstance(value, int | float)]
        assert all(any(f" {value:g} " in line for line in row) for value in figures)


@EVERY
def test_what_a_card_tells_to_type_exists(name: str) -> None:
    text = card(name)
    assert set(re.findall(r"wsol train (\w+)", text)) == {name}
    assert set(re.findall(r"--recipe\s(\w+)", text)) <= set(recipes_of(registry.entry("methods", name)))
    settings = dict(re.findall(r"`(\w+)=(.*?)`", text)) | dict(re.findall(r"--([a-z]+) (\w+)", text))
    for told in ("output", "recipe"):
        settings.pop(told, None)
    resolve(stack(name), None, {key: yaml.safe_load(value) for key, value in settings.items()})
    assert len(text.splitlines()) <= 100


def test_a_reconstruction_is_called_one_in_the_first_line() -> None:
    for name in METHODS:
        about = reference(registry.entry("methods", name))
        assert about and about.note in card(name).splitlines()[0]


def test_links_lead_somewhere() -> None:
    for page in (*CARDS.glob("*.md"), ROOT / "README.md"):
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
            leads_to = page.parent / target if target else page
            assert leads_to.exists(), f"{page.name}: {target}"
            if anchor:
                heads = re.findall(r"(?m)^#+ (.*)", leads_to.read_text(encoding="utf-8"))
                slugs = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
                assert anchor in slugs, f"{page.name}: {target}#{anchor}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "choosing.md"], ids=["project", "index"])
def test_every_card_is_linked(page: Path) -> None:
    assert all(f"{name}.md)" in page.read_text(encoding="utf-8") for name in METHODS)


@EVERY
def test_nothing_overlaps_in_a_figure(name: str) -> None:
    drawing = DRAWINGS[name]
    boxes = {key: around(node) for key, node in drawing.nodes.items()}
    for one, other in combinations(boxes, 2):
        assert not meet(boxes[one], boxes[other], 8), f"{one} and {other}"
    for key, (x0, _, x1, _) in boxes.items():
        assert x0 >= 12 and x1 <= WIDTH - 12, key
    for start, way, end in drawing.arrows():
        pieces = list(pairwise(corners(start, way, end)))
        for (xa, ya), (xb, yb) in pieces:
            line = min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)
            ends = (start if (xa, ya) == pieces[0][0] else None, end if (xb, yb) == pieces[-1][1] else None)
            crossed = [key for key, node in drawing.nodes.items() if node not in ends and meet(line, boxes[key], 2)]
            assert not crossed, f"{start.label} {way} {end.label} runs through {crossed}"
        assert sum(abs(xa - xb) + abs(ya - yb) for (xa, ya), (xb, yb) in pieces) >= 14, (
            f"{start.label} {way} {end.label}"
        )


@EVERY
def test_labels_fit_into_their_boxes(name: str) -> None:
    for node in DRAWINGS[name].nodes.values():
        if node.kind not in ("photo", "tensor"):
            for size, line in zip((9.5, 7.8, 7.8), node.lines, strict=False):
                wide = TextPath((0, 0), line, size=size * 96 / 72).get_extents().width
                assert wide <= node.width - 10, f"{line}: {wide:.0f} of {node.width}"


def around(node) -> Box:
    (x, y), (half_width, half_height) = pixels(node), node.half
    return x - half_width, y - half_height, x + half_width, y + half_height


def meet(one: Box, other: Box, apart: float) -> bool:
    """Whether two rectangles come nearer than that many pixels."""
    return all(one[i] < other[i + 2] + apart and other[i] < one[i + 2] + apart for i in (0, 1))
