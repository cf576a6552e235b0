"""`wsol export` and `wsol push`: a run for other programs and other people."""

from pathlib import Path
from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived, settings_of
from wsol.errors import WsolError
from wsol.runs import export as exporting
from wsol.runs import hub
from wsol.runs.opening import load


@derived(exporting.export_network, load, positional=("run",))
def export(*, output: Path, **given: Any) -> None:
    stored = Path(given["run"]) / "heatmaps.jsonl"
    if stored.is_file():
        raise WsolError(f"{stored.parent}: holds heatmaps, which are cut again by: wsol cut {stored.parent}")
    given["settings"] = settings_of(given["settings"])
    path = exporting.export_network(given.pop("run"), output, **given)
    out.print(f"{path}: written, {_size(path)}")


@derived(hub.push, positional=("run", "to"))
def push(**given: Any) -> None:
    out.print(f"{hub.push(given.pop('run'), given.pop('to'), **given)}: pushed")


def _size(path: Path) -> str:
    files = [path] if path.is_file() else path.rglob("*")
    return f"{sum(file.stat().st_size for file in files if file.is_file()) / 1e6:.1f} MB"
