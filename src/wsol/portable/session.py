"""A network in an ONNX file that answers like the run from which it was exported; none of this imports torch."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from wsol.answer import Answer
from wsol.boxes.rule import Threshold, check_threshold
from wsol.errors import WsolError
from wsol.system.files import unreadable

KEY = "wsol"  # of the metadata, as JSON
RESULTS = ("logits", "scores", "classes", "heatmaps", "boxes", "unsure")
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
AGAIN = "export it again with wsol export RUN --format onnx"


@dataclass(frozen=True, eq=False)
class Portable:
    """A trained network in an ONNX file, with all that is needed to ask it: a localizer without torch.

    session: onnxruntime's.
    about: what the file says of itself, see `wsol.portable.write.described`.
    name: the file.
    """

    session: Any
    about: dict[str, Any]
    name: str

    folder = None  # no run: evaluating chooses no threshold for it to keep

    def __repr__(self) -> str:
        about = self.about
        return f"Portable({about['method']}, {len(self.classes)} classes, {self.image_size} px, {self.name})"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.about["classes"])

    @property
    def image_size(self) -> int:
        return self.about["image_size"]

    @property
    def several(self) -> bool:
        return self.about["several"]

    @property
    def names_classes(self) -> bool:
        return self.about["names_classes"]

    @property
    def threshold(self) -> Threshold:
        return self.about["threshold"]

    @property
    def threshold_source(self) -> str:
        return self.about["threshold_source"]

    @property
    def background(self) -> str | None:
        return self.about["background"]

    @property
    def facts(self) -> dict[str, Any]:
        return self.about["facts"]

    def look(
        self,
        images: Float[Any, "b 3 S S"],
        classes: Int[Any, "b n"] | None = None,
        best: int = 1,
    ) -> Answer:
        """Says what is in each image, and where.

        images: RGB in [0, 1], `image_size` pixels a side: an array, or a tensor, which gives tensors.
        classes: those to look for; None for the `best` ones of each image.
        best: how many.
        """
        if not isinstance(images, np.ndarray):
            asked = None if classes is None else np.asarray(classes)
            return self.look(images.detach().cpu().float().numpy(), asked, best).of(sys.modules["torch"].from_numpy)
        asked = -1 - np.arange(best)[None] if classes is None else np.asarray(classes)
        inputs = {"images": images.astype(np.float32), "asked": asked.astype(np.int64)}
        logits, scores, chosen, heatmaps, boxes, unsure = self.session.run(list(RESULTS), inputs)
        chosen = chosen.astype(np.int64)  # onnxruntime's are long long, which some take for another type
        return Answer(logits, scores, chosen, heatmaps, unsure, boxes[:, 0] if self.about["regresses"] else None)

    def judge(self, images: Float[Any, "b 3 S S"]) -> Float[Any, "b k"]:
        """The logits alone."""
        return self.look(images).logits

    def scores(self, logits: Float[Any, "b k"]) -> Float[Any, "b k"]:
        """How likely each class is, 0 to 1."""
        if not isinstance(logits, np.ndarray):
            return sys.modules["torch"].from_numpy(self.scores(logits.numpy()))
        if self.several:
            return 1 / (1 + np.exp(-logits))
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


def open_portable(path: Path) -> Portable:
    """A file that `wsol export` wrote. Raises WsolError, naming it, where it is none or damaged, or cannot be run."""
    try:
        import onnxruntime
    except ImportError as error:
        raise WsolError(f"{path}: to run it, pip install 'wsol[onnx]'") from error
    if not path.is_file():
        raise WsolError(f"{path}: there is no such file; {AGAIN}")
    try:
        path.open("rb").close()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; it remarks on every node that no GPU takes
        available = onnxruntime.get_available_providers()
        providers = [provider for provider in PROVIDERS if provider in available]
        session = onnxruntime.InferenceSession(str(path), options, providers)
    except Exception as error:  # onnxruntime has a class for each of its many errors, none public
        said = str(error).partition("\n")[0][:200]
        raise unreadable(path, error, f"is no whole ONNX file ({said}); {AGAIN}") from error
    return Portable(session, read_about(session.get_modelmeta().custom_metadata_map.get(KEY), path), str(path))


def read_about(text: str | None, path: Path) -> dict[str, Any]:
    """What a file says of itself. Raises WsolError, naming it, where that is not what `wsol export` writes."""
    if text is None:
        raise WsolError(f"{path}: was not written by wsol export, so its classes are unknown; run it by onnxruntime")
    try:
        about = {"names_classes": True} | json.loads(text)  # earlier versions did not say
        check_threshold(about["threshold"])
        for name, kind in KINDS.items():
            if not isinstance(about[name], kind):
                raise TypeError(f"{name} is {about[name]!r}")
    except (ValueError, KeyError, TypeError, WsolError) as error:
        raise WsolError(f"{path}: what it says of itself is damaged ({error}); {AGAIN}") from error
    return about


KINDS: dict[str, Any] = {
    "method": str,
    "classes": list,
    "image_size": int,
    "several": bool,
    "names_classes": bool,
    "threshold": int | float | str,
    "threshold_source": str,
    "background": str | None,
    "regresses": bool,
    "facts": dict,
}
