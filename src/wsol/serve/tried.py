"""Photos that are dropped on the page, and what a network says of them."""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Literal

import torch
from PIL import Image

from wsol import registry
from wsol.answer import AnyLocalizer
from wsol.boxes.rule import Threshold
from wsol.data.images import image_size
from wsol.errors import WsolError
from wsol.export import find_formats, write_results
from wsol.localizer import Localizer
from wsol.locating.locate import locate
from wsol.locating.result import Keep, Result
from wsol.readouts.contract import Own
from wsol.runs.opening import find_readout, load
from wsol.serve.pictures import encoded

BYTES = 64_000_000  # of a file
PIXELS = 120_000_000  # of a photo: 360 MB once it is decoded
HELD = 8  # photos; of more the oldest are let go
CLASSES = 5  # the best ones are shown
AS_OPENED = "as opened"
Download = Literal["picture", "json", "coco"]


@dataclass(frozen=True)
class Dropped:
    """A photo that was dropped on the page.

    path: a file of ours that holds it.
    name: what its own file was called, for captions and downloads.
    size: (W, H).
    note: what should be known of it.
    """

    path: Path
    name: str
    size: tuple[int, int]
    note: str = ""


@dataclass(eq=False)
class Tried:
    """The photos that were dropped last, by number.

    localizer: the network, asked by one request at a time.
    """

    localizer: AnyLocalizer
    photos: dict[int, Dropped] = field(default_factory=dict)
    looked: dict[tuple[int, str], Result] = field(default_factory=dict)
    readouts: dict[str, str] | None = None
    lock: Lock = field(default_factory=Lock)
    numbers: count = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.folder = TemporaryDirectory(prefix="wsol-serve-")

    def add(self, content: bytes, name: str) -> int:
        """Takes a photo and gives its number. Raises WsolError, naming it, for what is no photo or is too large."""
        number = next(self.numbers)
        name = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())[-100:]
        name = name or "photo"
        path = Path(self.folder.name) / f"{number:06d}"
        path.write_bytes(content)
        try:
            width, height = image_size(path)
            if width * height > PIXELS:
                raise WsolError(f"{path}: has {width} x {height} pixels; scale it to {PIXELS // 10**6} megapixels")
            self.photos[number] = Dropped(path, name, (width, height), _frames(content))
            self.look(number)
        except WsolError as error:
            self.photos.pop(number, None)
            path.unlink()
            raise WsolError(str(error).replace(str(path), name)) from error
        for old in list(self.photos)[:-HELD]:
            self.photos.pop(old).path.unlink(missing_ok=True)
            self.looked = {key: result for key, result in self.looked.items() if key[0] != old}
        return number

    def photo(self, number: int) -> Dropped:
        """Raises WsolError for one that was let go."""
        if number not in self.photos:
            raise WsolError("this photo is not held any more; drop it again")
        return self.photos[number]

    def look(self, number: int, readout: str = AS_OPENED) -> Result:
        """The best classes of a photo, cut where the run does. The network is asked once for each read-out."""
        photo = self.photo(number)
        with self.lock:
            if (number, readout) not in self.looked:
                localizer = self.asked(readout)
                best = min(CLASSES, len(localizer.classes))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the page says what should be known of the photo
                    (result,) = locate(localizer, photo.path, classes=best)
                self.looked[number, readout] = replace(result, path=photo.name)
            return self.looked[number, readout]

    def cut(self, number: int, readout: str, labels: list[int], threshold: Threshold | None, keep: Keep) -> Result:
        """Some classes of a photo at a threshold, as `wsol locate --threshold` gives them; the network is not asked."""
        result = self.look(number, readout)
        findings = tuple(finding for finding in result.findings if not labels or finding.label in labels)
        if not findings:
            raise WsolError(f"{result.path}: none of the classes {labels} is among the best {CLASSES}")
        result = replace(result, findings=findings, keep=keep)
        return result.at(result.threshold if threshold is None else threshold)

    def download(self, result: Result, kind: Download) -> tuple[str, bytes]:
        """Name and content of a file that holds a result."""
        stem = Path(result.path).stem
        if kind == "picture":
            return f"{stem}_located.jpg", encoded(result.plot(), "JPEG", quality=92)
        if kind == "json":
            return f"{stem}.json", (result.to_json() + "\n").encode()
        with TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # upright copies are for whoever has the folder
            write_results([result], folder, list(self.localizer.classes), find_formats("coco").values())
            return f"{stem}.coco.json", (Path(folder) / "coco.json").read_bytes()

    def asked(self, readout: str) -> AnyLocalizer:
        """The network, asked in a way that `allowed` names."""
        if readout == AS_OPENED or not isinstance(self.localizer, Localizer):
            return self.localizer
        if readout == "own":
            return replace(self.localizer, readout=Own(), threshold="auto", threshold_source="auto")
        return load(self.localizer, readout=readout)

    def allowed(self) -> dict[str, str]:
        """The read-outs that the network can be asked by, and what each one does; tried once, on a grey image."""
        if not isinstance(self.localizer, Localizer):
            return {AS_OPENED: "the read-out with which the file was written"}
        with self.lock:
            if self.readouts is None:
                self.readouts = {AS_OPENED: self.localizer.readout.about}
                for entry in registry.entries("readouts"):
                    with suppress(WsolError):
                        kind = registry.find("readouts", entry.name)
                        if type(self.localizer.readout) is not kind and _allows(self.localizer, entry.name, kind):
                            self.readouts[entry.name] = kind.about
            return self.readouts


def _allows(localizer: Localizer, name: str, kind: type) -> bool:
    cheap = {"channels": 1} if any(each.name == "channels" for each in fields(kind)) else {}
    asked = replace(localizer, readout=Own() if name == "own" else find_readout(name, cheap))
    side = localizer.image_size
    try:
        # two classes apart in brightness, so that a constant image is not all that is seen
        asked.look(torch.linspace(0, 1, side).expand(1, 3, side, side))
    except (WsolError, RuntimeError):
        return False
    return True


def _frames(content: bytes) -> str:
    with suppress(Exception), Image.open(io.BytesIO(content)) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
            return f"holds {frames} images, the first one is taken"
    return ""
