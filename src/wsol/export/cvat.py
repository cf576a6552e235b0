"""A run as a serverless function of CVAT, which then offers it among its automatic annotation models."""

import json
import re
import shutil
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from wsol.errors import WsolError
from wsol.system.files import unwritable

FILES = ("run.json", "best.safetensors", "best.json", "threshold.json")  # of a run, what `wsol.load` reads


def write_cvat(run_folder: str | Path, classes: list[str], folder: str | Path) -> None:
    """Writes a folder that `nuctl deploy --project-name cvat --path FOLDER --platform local` makes a model of CVAT.

    run_folder: a run, as `wsol train` left it; what it needs to answer is copied.
    classes: its names, by index.
    folder: holds function.yaml, main.py and run/ in the end; it must not exist.

    Raises WsolError, naming the file or folder, where the run is not whole, the folder is there already, or the disk
    refuses.
    """
    run_folder, folder = Path(run_folder), Path(folder)
    if missing := [name for name in FILES[:3] if not (run_folder / name).is_file()]:
        raise WsolError(f"{run_folder / missing[0]}: a run has this file; give the --output of wsol train")
    if folder.exists():
        raise WsolError(f"{folder}: is there already; give another --output")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as beside:
            whole = Path(beside) / "function"
            (whole / "run").mkdir(parents=True)
            for name in FILES:
                if (run_folder / name).is_file():
                    shutil.copyfile(run_folder / name, whole / "run" / name)
            (whole / "main.py").write_bytes((files("wsol.export") / "cvat_function.py").read_bytes())
            text = yaml.safe_dump(function(run_folder.resolve().name, classes), sort_keys=False)
            (whole / "function.yaml").write_text(text, encoding="utf-8")
            whole.replace(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def function(name: str, classes: list[str]) -> dict:
    """What Nuclio is told of the function.

    name: of the run; functions have small letters, digits and hyphens.
    classes: names, by index.
    """
    plain = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:40].strip("-")
    labels = [{"id": label, "name": named, "type": "rectangle"} for label, named in enumerate(classes)]
    commands = (
        ("ENV", "PIP_ROOT_USER_ACTION=ignore"),
        ("WORKDIR", "/opt/nuclio"),
        ("RUN", f"pip install --no-cache-dir wsol=={version('wsol')}"),
    )
    return {
        "metadata": {
            "name": f"wsol-{plain}".strip("-"),
            "namespace": "cvat",
            "annotations": {
                "name": f"wsol {name}",
                "type": "detector",
                "framework": "pytorch",
                "spec": json.dumps(labels),
            },
        },
        "spec": {
            "description": f"boxes by wsol ({name})",
            "runtime": "python:3.11",
            "handler": "main:handler",
            "eventTimeout": "60s",
            "build": {
                "image": f"cvat.wsol.{plain or 'run'}",
                "baseImage": "python:3.11-slim",
                "directives": {"preCopy": [{"kind": kind, "value": value} for kind, value in commands]},
            },
            "triggers": {
                "http": {
                    "kind": "http",
                    "maxWorkers": 1,
                    "workerAvailabilityTimeoutMilliseconds": 10000,
                    "attributes": {"maxRequestBodySize": 33554432},  # bytes; a photo comes as base64
                }
            },
            "platform": {
                "attributes": {"restartPolicy": {"name": "always", "maximumRetryCount": 3}, "mountMode": "volume"}
            },
        },
    }
