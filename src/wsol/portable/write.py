"""Writing a localizer to a file that other programs run."""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.portable.graph import OUTPUTS, Graph
from wsol.portable.session import KEY
from wsol.readouts.contract import Own
from wsol.readouts.features import GradientReadout
from wsol.system.files import write_bytes, write_whole

BEST = torch.tensor([[-1]])
SHAPES = {"images": {0: Dim.DYNAMIC}, "asked": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
INPUTS = {
    "images": "float32 (b, 3, S, S), RGB from 0 to 1, S is image_size: the photo resized to it, whatever its aspect",
    "asked": "int64 (1 or b, n): classes, or -1 for the best of the image, -2 for the second ...; by default -1",
}
MEANINGS = {
    "logits": "float32 (b, k), by which classes rank",
    "scores": "float32 (b, k), how likely each class is, 0 to 1",
    "classes": "int64 (b, n), those that were asked for, as indices of `classes`",
    "heatmaps": "float32 (b, n, h, w), of any range, higher is more",
    "normalised": "float32 (b, n, 224, 224), the heatmaps resized and scaled to [0, 1]",
    "boxes": "float32 (b, n, 4), x0 y0 x1 y1 as shares of the photo, around all that lies above the threshold; 0 0 1 1 "
    "where nothing does, 0 0 0 0 for the background",
    "confidence": "float32 (b, n), the chance that the box is right if the class is",
    "unsure": "bool (b,), whether the image may show no known class",
}


def write_onnx(localizer: Localizer, path: Path) -> None:
    """Writes an ONNX file, whole or not at all.

    localizer: what the file answers like; MEANINGS says what it gives.
    path: of the file.

    Raises WsolError where onnx is missing or the network cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter wants it
    except ImportError as error:
        raise WsolError(f"{path}: to write ONNX files, pip install 'wsol[onnx]'") from error
    with _ready(localizer, path) as (graph, example):
        model = torch.onnx.export(
            graph,
            example,
            dynamo=True,
            verbose=False,
            optimize=False,  # its optimiser takes the 1e-8 of a denominator for 0; onnxruntime has its own
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=SHAPES,
        )
        assert model is not None
        proto = model.model_proto
    proto.graph.initializer.append(onnx.numpy_helper.from_array(BEST.numpy(), "asked"))  # by default
    onnx.helper.set_model_props(proto, {KEY: json.dumps(described(localizer), ensure_ascii=False)})
    proto.producer_name, proto.producer_version = "wsol", version("wsol")
    try:
        content = proto.SerializeToString()
    except Exception as error:  # protobuf's own
        raise WsolError(f"{path}: ONNX files hold up to 2 GB ({error}); export as torchscript") from error
    write_bytes(path, content)


def write_torchscript(localizer: Localizer, path: Path) -> None:
    """Writes a TorchScript file, whole or not at all; its metadata are the extra file `wsol.json`.

    Raises WsolError where the network cannot be written.
    """
    with _ready(localizer, path) as (graph, example):
        program = torch.jit.trace(graph, example, check_trace=False)
        files = {f"{KEY}.json": json.dumps(described(localizer), ensure_ascii=False)}
        write_whole(path, lambda temporary: torch.jit.save(program, str(temporary), files))


FORMATS: dict[str, Callable[[Localizer, Path], None]] = {"onnx": write_onnx, "torchscript": write_torchscript}


def described(localizer: Localizer) -> dict[str, Any]:
    """What a file says of itself, as JSON holds it."""
    readout = localizer.readout
    settings = readout.settings if isinstance(readout, Own) else vars(readout)
    return {
        "wsol": version("wsol"),
        "method": str(localizer.facts.get("method", type(localizer.method).__name__)),
        "run": Path(localizer.name).name,
        "readout": type(readout).__name__,
        "settings": settings,
        "classes": list(localizer.classes),
        "image_size": localizer.image_size,
        "several": localizer.several,
        "names_classes": localizer.names_classes,
        "threshold": localizer.threshold,
        "threshold_source": localizer.threshold_source,
        "background": localizer.background,
        "least_energy": localizer.least_energy,
        "regresses": _regresses(localizer),
        "facts": localizer.facts,
        "inputs": INPUTS,
        "outputs": MEANINGS,
    }


def _regresses(localizer: Localizer) -> bool:
    side = localizer.image_size
    return localizer.look(torch.zeros(1, 3, side, side)).boxes is not None


@contextmanager
def _ready(localizer: Localizer, path: Path) -> Iterator[tuple[nn.Module, tuple[Tensor, Tensor]]]:
    """The graph, on the CPU and in eval mode, and inputs to try it on; what torch says of it becomes one line."""
    name = type(localizer.readout).__name__
    if isinstance(localizer.readout, GradientReadout):
        raise WsolError(
            f"{localizer.name}: the read-out {name} asks for gradients, which a file cannot give; export with "
            "another, such as own or scorecam"
        )
    side = localizer.image_size
    example = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    localizer.look(example)  # what it refuses to answer, it says here
    graph = deepcopy(Graph(localizer)).eval().cpu().requires_grad_(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's remarks on its own rules
            yield graph, (example, BEST.repeat(3, 2))
    except WsolError:
        raise
    except Exception as error:  # whatever the exporter says of an operator that it does not know
        said = str(error).strip().partition("\n")[0][:200]
        raise WsolError(f"{path}: {localizer.name or name} cannot be written ({said})") from error
