"""Imports run one way: from the command down to what knows nothing of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wsol"
# each room may import from rooms further up in this list, never from one below it
ROOMS = [
    ["errors"],
    ["system", "registry"],
    ["nn", "boxes"],
    ["answer"],
    ["metrics"],
    ["show.draw"],  # pictures of photos, heatmaps and boxes; the rest of show is about results
    ["backbones"],
    ["methods"],
    ["readouts", "testing"],
    ["localizer", "data"],
    ["portable"],
    ["runs"],
    ["locating"],
    ["show", "export"],
    ["scale"],
    ["evaluation", "training"],
    ["benchmark", "serve"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return "show.draw" if parts == ("show", "draw") else parts[0]


def imports_of(path: Path) -> set[str]:
    """Rooms that a file imports from, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wsol":
            parts = node.module.split(".")[1:]
            if parts[:1] == ["show"]:
                drawn = parts[1:] == ["draw"] or [name.name for name in node.names] == ["draw"]
                found.add("show.draw" if drawn else "show")
            else:
                found |= set(parts[:1]) or {name.name for name in node.names}
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_arrows_point_one_way(path: Path) -> None:
    own = room_of(path)
    wrong = {other for other in imports_of(path) if other != own and FLOOR[other] >= FLOOR[own]}
    assert not wrong, f"{own} may not import {', '.join(sorted(wrong))}"


def test_a_method_knows_its_paper_alone() -> None:
    for path in (SOURCE / "methods").glob("*.py"):
        assert imports_of(path) <= {"backbones", "boxes", "nn", "methods", "registry", "errors"}, path


def test_boxes_need_no_network() -> None:
    for path in (SOURCE / "boxes").glob("*.py"):
        assert imports_of(path) <= {"boxes", "errors"}, path


@pytest.mark.parametrize("path", sorted((SOURCE.parents[1] / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_what_there_is(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wsol":
            exec(compile(ast.Module([node], []), str(path), "exec"), {})


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import wsol", ("torch", "lightning", "numba")),
        ("import wsol.cli.app", ("torch", "lightning", "numba")),
        ("import wsol.data", ("torch", "lightning")),
        ("import wsol.boxes.rule", ("torch", "lightning")),
    ],
)
def test_what_is_light_imports_nothing_heavy(statement: str, absent: tuple[str, ...]) -> None:
    code = f"import sys\n{statement}\nprint(*(name for name in {absent} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
