"""Photos as programs hold them: files, bytes, arrays, tensors and Pillow's images, opened no larger than is needed."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, Union

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from wsol.data.finding import find_images
from wsol.data.images import JPEGS, decoded, opened, to_rgb, upright_size
from wsol.data.remarks import without_remarks
from wsol.data.stored import Content, File, Stored
from wsol.errors import WsolError

if TYPE_CHECKING:
    import torch  # what reads data sets works without it

Photo = Union[str, os.PathLike, Stored, bytes, IO[bytes], Image.Image, np.ndarray, "torch.Tensor"]
Held = Path | Stored | bytes | Image.Image  # what a result keeps of its photo
CHANNELS = (1, 3, 4)
LARGE = 24_000_000  # pixels; JPEGs above are reduced while they are decoded
SPARE = 4  # how many times the side of a view a reduced photo has at least
WANTED = "give uint8, bool, or floats from 0 to 1, as (H, W), (H, W, 3) or (3, H, W) in RGB"
_one_large = RLock()


@dataclass(frozen=True)
class Input:
    """One photo that was given.

    name: of its result.
    photo: a file, or whatever else was given.
    where: how errors name it: its file, or its place such as images[3].
    """

    name: str
    photo: Any
    where: str

    def held(self) -> Held:
        """What to keep of it: where it lies, bytes of an encoded photo, or pixels as upright RGB.

        Pixels are copied, as whoever gave them may write the next photo into the same memory.

        Raises WsolError, naming its place, for what is no photo or could mean two things.
        """
        photo = self.photo
        if isinstance(photo, Path):
            return photo.absolute()
        if isinstance(photo, Stored):
            return photo
        if isinstance(photo, bytes | bytearray | memoryview):
            return bytes(photo)
        if hasattr(photo, "read"):
            return self._read(photo)
        if _is_tensor(photo):
            photo = photo.detach().cpu()
            photo = (photo.float() if photo.is_floating_point() else photo).numpy()  # NumPy has no bfloat16
        if isinstance(photo, np.ndarray):
            return to_rgb(from_array(photo, self.where))
        if not isinstance(photo, Image.Image):
            hint = ": cv2.imread gives it where it finds no image" if photo is None else ""
            kind = "None" if photo is None else type(photo).__name__
            raise WsolError(f"{self.where}: {kind} is no photo{hint}; give a file, an array, a tensor or a PIL image")
        try:
            return to_rgb(photo)
        except (OSError, ValueError, SyntaxError) as error:  # a lazy image whose file is damaged or closed
            raise WsolError(f"{self.where}: this image cannot be read ({error}); replace or remove it") from error

    def _read(self, file: Any) -> bytes:
        try:
            if file.seekable():
                file.seek(0)
            content = file.read()
        except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
            raise WsolError(f"{self.where}: this file cannot be read ({error}); open it anew with 'rb'") from error
        if not isinstance(content, bytes):
            raise WsolError(f"{self.where}: this file was opened as text; open it with 'rb'")
        return content


def inputs(images: Any) -> Iterator[Input]:
    """Each photo of what was given, in order. Those of a generator that are no files are taken one at a time.

    images: See `wsol.locate`.

    Raises WsolError for a path that is missing or gives no photo, and where two photos would have the same name.
    """
    alone = not several(images)
    unnamed, taken = count(), set()
    items = enumerate([images] if alone else images)  # type: ignore[arg-type]
    for stored, some in groupby(items, lambda item: isinstance(item[1], str | os.PathLike)):
        if stored:  # all at once, so that no two have the same name
            for path, name in find_images([os.fspath(path) for _, path in some]):  # type: ignore[arg-type]
                if name in taken:
                    raise WsolError(f"{path}: another photo is called {name} too; list all files before any array")
                taken.add(name)
                yield Input(name, path, str(path))
            continue
        for place, photo in some:
            where = "images" if alone else f"images[{place}]"
            batch = (isinstance(photo, np.ndarray) or _is_tensor(photo)) and photo.ndim == 4
            for index, one in enumerate(_unstacked(photo, where) if batch else [photo]):
                yield Input(f"image_{next(unnamed):05d}", one, f"{where}[{index}]" if batch else where)


def several(images: Any) -> bool:
    """Whether it is many photos; a batch of pixels counts as one, and text in an array as files."""
    if isinstance(images, np.ndarray):
        return images.dtype.kind in "OU" and images.ndim == 1
    single = isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    return isinstance(images, Iterable) and not (single or _is_tensor(images) or hasattr(images, "read"))


def _is_tensor(photo: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(photo, torch.Tensor)


def _unstacked(batch: Any, where: str) -> Any:
    """The photos of a batch, whose order of axes all of them share."""
    _channels_first(tuple(batch.shape[1:]), f"{where}: a batch {tuple(batch.shape)}")
    return batch


def from_array(pixels: np.ndarray, where: str) -> UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W c"]:
    """The pixels as `wsol.data.images.to_rgb` takes them. Floats are rounded to the nearest of 256 levels.

    pixels: uint8, bool, or floats from 0 to 1: (H, W), (H, W, c) or (c, H, W) of 1, 3 (RGB) or 4 (RGBA) channels.
    where: What to name in an error.

    Raises WsolError for other types, ranges and shapes, and for a shape that could be read either way.
    """
    shape = tuple(pixels.shape)
    said = f"{where}: an array {shape} of {pixels.dtype}"
    if pixels.ndim not in (2, 3) or 0 in shape:
        raise WsolError(f"{said} is no photo; {WANTED}")
    if pixels.ndim == 3 and _channels_first(shape, said):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype.kind == "f":
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):  # holds for NaN as well
            raise WsolError(f"{said} has values from {low:.4g} to {high:.4g}; {WANTED}")
        pixels = (pixels.astype(np.float32) * 255).round().astype(np.uint8)
    elif pixels.dtype != np.uint8:
        raise WsolError(f"{said}: its range of values is not clear; {WANTED}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return np.ascontiguousarray(pixels)


def _channels_first(shape: tuple[int, ...], said: str) -> bool:
    """Whether (c, H, W) rather than (H, W, c). Raises WsolError where it could be both, or neither."""
    first, last = shape[0] in CHANNELS, shape[-1] in CHANNELS
    if first and last:
        raise WsolError(f"{said} could be (H, W, channels) or (channels, H, W); give a PIL image, or a larger photo")
    if not first and not last:
        raise WsolError(f"{said} has no axis of 1, 3 or 4 channels at either end; {WANTED}")
    return first


def encoded(photo: Held | File, where: str) -> File | Image.Image:
    """The photo as it is decoded: bytes under a name, an image as it is.

    photo: As that of `open_held`.
    where: What to name in an error, for bytes.

    Raises WsolError for one that lies elsewhere and cannot be read.
    """
    if isinstance(photo, Stored):
        return photo.read()
    return Content(photo, where) if isinstance(photo, bytes) else photo


def open_held(photo: Held | File, where: str) -> Image.Image:
    """The whole photo as upright RGB.

    photo: Where it lies, the bytes of an encoded photo, or an image that was opened before.
    where: What to name in an error, for bytes.

    Raises WsolError when it cannot be read.
    """
    file = encoded(photo, where)
    if isinstance(file, Image.Image):
        return file
    with opened(file) as image:
        return decoded(image, file)


def open_reduced(photo: Held | File, side: int, where: str = "") -> tuple[Image.Image, tuple[int, int]]:
    """The photo as upright RGB, large enough for a view of it, and (W, H) of the whole one.

    JPEGs of more than 24 megapixels come smaller, as they are decoded at a half, a quarter or an eighth of their size:
    at least 4 times `side`, so that boxes stay where they are to a fraction of a pixel of the heatmaps' grid of 224.
    All others come whole.

    photo: As that of `open_held`.
    side: Of the view, pixels.
    where: As that of `open_held`.

    Raises WsolError when it cannot be read.
    """
    with reduced(photo, side, where) as found:
        return found


@contextmanager
def reduced(photo: Held | File, side: int, where: str = "") -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """`open_reduced`, and other threads wait with their photos of more than 24 megapixels while one is in here."""
    file = encoded(photo, where)
    if isinstance(file, Image.Image):
        yield file, file.size
        return
    with ExitStack() as turn:
        with opened(file) as image:
            size = None
            if _is_large(image):
                turn.enter_context(_one_large)
                if image.format in JPEGS:
                    size = upright_size(image, file)
                    image.draft(None, (SPARE * side, SPARE * side))
            pixels = decoded(image, file)
        yield pixels, size or pixels.size


def _is_large(image: Image.Image) -> bool:
    return image.width * image.height > LARGE


@contextmanager
def one_large_at_a_time(file: File) -> Iterator[None]:
    """Waits while another thread of this process is in here with a photo of more than 24 megapixels.

    file: Of the photo; one that cannot be read waits for nobody.
    """
    try:
        with file.open("rb") as stream, without_remarks(), Image.open(stream) as image:
            large = _is_large(image)
    except Exception:
        large = False
    with _one_large if large else nullcontext():
        yield


def framed(image: Image.Image, size: int, crop: bool = False) -> Image.Image:
    """The photo resized straight to `size`, so that the whole object is seen; Pillow's bilinear.

    image: The photo, RGB.
    size: The side of the view in pixels.
    crop: Resize to 8/7 of `size` (256 for 224) instead, and keep the centre.
    """
    large = size * 8 // 7 if crop else size
    margin = (large - size) // 2
    image = image.resize((large, large), Image.Resampling.BILINEAR)
    return image.crop((margin, margin, margin + size, margin + size))


def view_of(image: Image.Image, size: int) -> Float[np.ndarray, "3 {size} {size}"]:
    """`framed` as float32 in [0, 1]: what networks look at, as `wsol.data.crops.evaluation_view` without torch."""
    return np.array(framed(image, size)).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
