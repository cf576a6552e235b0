"""`wsol export` and `wsol push`: a run for other programs and other people."""

from pathlib import Path
from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived, settings_of
from wsol.errors import WsolError
from wsol.export.cvat import write_cvat
from wsol.runs import export as exporting
from wsol.runs import hub
from wsol.runs.opening import load


@derived(exporting.export_network, load, positional=("run",), unlisted=("format",))
def export(*, run: str, output: Path, format: str = "onnx", **given: Any) -> None:
    """
    format: what to write: onnx; torchscript for torch.jit.load and C++; or cvat, a folder of which CVAT makes a model.
    """
    if (Path(run) / "heatmaps.jsonl").is_file():
        raise WsolError(f"{run}: holds heatmaps; they are cut again by: wsol cut {run} --output {output}")
    if format == "cvat":
        write_cvat(run, list(load(run).classes), output)
    else:
        given["settings"] = settings_of(given["settings"])
        exporting.export_network(run, output, format=format, **given)
    out.print(f"{output}: written, {_size(output)}")


@derived(hub.push, positional=("run", "to"))
def push(**given: Any) -> None:
    out.print(f"{hub.push(given.pop('run'), given.pop('to'), **given)}: pushed")


def _size(path: Path) -> str:
    files = [path] if path.is_file() else path.rglob("*")
    return f"{sum(file.stat().st_size for file in files if file.is_file()) / 1e6:.1f} MB"
