"""Shape checking is on for the whole package, and the shared data is found or its tests skip."""

import gc
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process of several has a core, not all of them

# what numba compiles cannot be wrapped by a checker: it is imported before the hook is in place
for name in ("compiling", "hills", "sweep"):
    spec = spec_from_file_location(f"wsol.boxes.{name}", ROOT / "src" / "wsol" / "boxes" / f"{name}.py")
    assert spec and spec.loader
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])

install_import_hook("wsol", "checking.check")

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """What was imported stays: looking through it for garbage took half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights: $WSOL_SHARED_DATA, else ../shared/data beside the project."""
    path = Path(os.environ.get("WSOL_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path}; set WSOL_SHARED_DATA to its folder")
    return path
