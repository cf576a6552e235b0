"""Shape checking is on for the whole package, and the shared data is found or its tests skip."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("wsol", "checking.check")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights: $WSOL_SHARED_DATA, else ../shared/data beside the project."""
    root = Path(__file__).parents[1]
    path = Path(os.environ.get("WSOL_SHARED_DATA", root.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no shared data at {path}; set WSOL_SHARED_DATA to its folder")
    return path
