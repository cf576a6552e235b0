"""A package and a home that cannot be written, as in containers and web services."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import wsol
from wsol.boxes.sweep import sweep

CODE = """
import numpy as np
import wsol
from wsol.boxes import sweep

assert sweep.sweep._cache.__class__.__name__ == "NullCache", "it should have nowhere to keep what it compiles"
assert all((wsol.train, wsol.evaluate, wsol.locate))
levels = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
for values in sweep.sweep(levels, np.array([[2.0, 1.0, 6.0, 4.0]]), 1, False)[:2]:
    print(*values[::50].round(6))
"""


def test_boxes_are_compiled_without_a_cache(tmp_path: Path) -> None:
    shutil.copytree(Path(wsol.__file__).parent, tmp_path / "wsol", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "wsol" / "boxes" / "__pycache__").touch()  # even root cannot make a folder of it, nor of this home
    (tmp_path / "home").touch()
    gone = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, cwd="/")
    levels = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    expected = sweep(levels, np.array([[2.0, 1.0, 6.0, 4.0]]), 1, False)[:2]
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(" ".join(map(str, values[::50].round(6))) + "\n" for values in expected)
