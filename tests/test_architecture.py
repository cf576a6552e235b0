"""Imports run one way: from the command down to what knows nothing of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wsol"
# each room may import from rooms further up in this list, never from one below it
ROOMS = [
    ["errors", "processes"],
    ["maps", "components", "views", "heads"],
    ["boxes", "backbones"],
    ["method", "confidence"],
    ["methods"],
    ["metrics", "settings", "progress"],
    ["grid", "published"],
    ["draw", "run"],
    ["data"],
    ["result", "tally", "score_maps"],
    ["snapshots", "export", "locating", "evaluation"],
    ["training", "page"],
    ["machine", "demo", "benchmark"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Rooms that a file imports from, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wsol":
            parts = node.module.split(".")[1:2]
            found |= set(parts) if parts else {each.name for each in node.names}
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_arrows_point_one_way(path: Path) -> None:
    own = room_of(path)
    wrong = {other for other in imports_of(path) if other != own and FLOOR[other] >= FLOOR[own]}
    assert not wrong, f"{own} may not import {', '.join(sorted(wrong))}"


def test_a_method_knows_its_paper_alone() -> None:
    for path in (SOURCE / "methods").glob("*.py"):
        assert imports_of(path) <= {"backbones", "boxes", "heads", "maps", "method", "methods", "views", "errors"}, path


def test_boxes_need_no_network() -> None:
    assert imports_of(SOURCE / "boxes.py") <= {"components", "errors"}
    code = "import sys, wsol.boxes; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
