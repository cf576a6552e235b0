"""Values of more than 8 bits, signed and float values of photos, as the 8 bits that networks and people see."""

import warnings
from typing import Any

import cv2
import numpy as np
from jaxtyping import Num, UInt8, UInt16
from PIL import Image, TiffImagePlugin

from wsol.data.remarks import without_remarks
from wsol.data.stored import File

DEPTHS = (8, 10, 11, 12, 14, 16)  # of cameras, scanners and satellites
NUMBERS = {1: "whole", 2: "signed", 3: "float"}  # SampleFormat of TIFF
MAXSAMPLEVALUE, SMAXSAMPLEVALUE = 281, 341  # tags of TIFF
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WHOLE_RANGE = ("PPM", "JPEG2000")  # formats whose values Pillow has already stretched to 16 bits
_said: set[str] = set()


def say_once(kind: str, message: str) -> None:
    """A warning for the first photo of a kind; further photos of that kind pass without a word."""
    if kind not in _said:
        _said.add(kind)
        warnings.warn(f"{message}; said once, for the first such photo", stacklevel=2)


def to_8_bits(
    values: Num[np.ndarray, "..."], declared: int | None = None, name: str = "an image"
) -> UInt8[np.ndarray, "..."]:
    """The values of a photo as 8 bits, by a rule that is the same for all photos of a camera where it can be.

    Whole numbers without negative ones are scaled by their bit depth, so that its largest value becomes 255: the
    declared one, else the next above the largest value of the photo: 255 is 8 bits, 1023 is 10, 2047 is 11, 4095 is
    12, 16383 is 14, 65535 is 16, and beyond that any number of bits. Floats from 0 to 1 become 0 to 255. Photos with
    negative values, and floats above 1, are scaled from their own minimum and maximum. Values that are no numbers
    become 0; infinite ones become the minimum or the maximum. Whatever is not declared by the file is said once.

    values: Whole or float numbers.
    declared: Bits of a value as the file states them; ignored where a value is larger.
    name: The photo, for the warning.
    """
    if values.dtype == np.uint8:
        return values
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8)
    low, high = finite.min().item(), finite.max().item()
    if low < 0 or (values.dtype.kind == "f" and high > 1):
        say_once(
            "own range", f"{name}: its values, {low:g} to {high:g}, are scaled to 0 to 255 by this minimum and maximum"
        )
    elif values.dtype.kind == "f":
        low, high = 0, 1
    else:
        if declared is None or high >= 2**declared:
            declared = next((bits for bits in DEPTHS if high < 2**bits), int(high).bit_length())
            if high and (declared != 16 or values.itemsize > 2):
                say_once(f"{declared} bits", f"{name}: its values, up to {high}, are taken for {declared} bits")
        low, high = 0, 2**declared - 1
    if values.dtype.kind == "f":
        numbers = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    else:
        numbers = values.astype(np.int64)
    span = high - low or 1
    return ((numbers - low) * 255 // span).astype(np.uint8)


def rescaled(image: Image.Image, path: File | None = None) -> Image.Image:
    """An image whose values are those of `to_8_bits` where it is not of 8 bits; other images as they are.

    image: An opened image. It is loaded, and stays turned as Pillow loads it.
    path: The file that it comes from, for what the file says about its values and for all bits of its colours.
    """
    cut = path is not None and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    tags: Any = getattr(image, "tag_v2", {})  # a TIFF's
    image.load()
    number = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0]
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I" and number == 1 and tags.get(TiffImagePlugin.BITSPERSAMPLE) == (32,):
            values = values.view(np.uint32)  # which Pillow keeps as signed
    elif image.mode == "L" and number == 2:
        values = np.asarray(image).view(np.int8)
    elif path and cut and image.mode in ("RGB", "RGBA") and np.asarray(image)[..., :3].max() < 64:
        values = _colours(path, image)  # Pillow keeps the upper 8 of 16 bits, which hold little of fewer than 15
    else:
        return image
    if values is None:
        return image
    declared = _declared(image, path, tags)
    name = str(path or "an image")
    levels = to_8_bits(values[..., :3] if values.ndim == 3 else values, declared, name)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        levels = 255 - levels  # white is zero
    if image.mode == "RGBA":
        levels = np.dstack([levels, to_8_bits(values[..., 3], declared, name)])
    return Image.fromarray(levels)


def _colours(path: File, image: Image.Image) -> UInt16[np.ndarray, "H W c"] | None:
    """All 16 bits of red, green and blue, which Pillow cuts to 8; turned as Pillow loads them."""
    values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if (
        values is None
        or values.dtype != np.uint16
        or values.ndim != 3
        or values.shape[:2] != (image.height, image.width)
    ):
        return None
    return values[..., [2, 1, 0, 3][: values.shape[2]]]


def _declared(image: Image.Image, path: File | None, tags: Any) -> int | None:
    """Bits of a value, where the file says that they are fewer than those it is kept in."""
    if image.format in WHOLE_RANGE:
        return 16
    if image.format == "PNG" and path:
        return _significant_bits(path)
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
    largest = tags.get(SMAXSAMPLEVALUE) or tags.get(MAXSAMPLEVALUE)
    if largest:
        largest = max(largest) if isinstance(largest, tuple) else largest
    depth = int(largest).bit_length() if largest else bits
    return depth if depth < bits or bits % 8 else None  # to state all bits of 16 is to state nothing


def _significant_bits(path: File) -> int | None:
    """What the chunk sBIT of a PNG says, if there is one before the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"sBIT":
                bits = max(file.read(length), default=16)
                return bits if bits < 16 else None
            file.seek(length + 4, 1)
    return None


def unread_tiff(start: bytes, path: File) -> str | None:
    """What a TIFF holds that Pillow does not open, and what to do about it; None for other files.

    start: The first 16 bytes of the file.
    path: The file.
    """
    if start[:4] not in SIGNATURES:
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(start if b"+" in start[2:4] else start[:8])
        with path.open("rb") as file, without_remarks():
            file.seek(tags.next)
            tags.load(file)
        bands, bits = tags[TiffImagePlugin.SAMPLESPERPIXEL], tags[TiffImagePlugin.BITSPERSAMPLE][0]
        number = NUMBERS.get(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0], "other")
    except Exception:  # damaged headers raise many kinds of errors
        return None
    choice = "choose the three that are red, green and blue, or one, and " if bands not in (1, 3) else ""
    holds = f"is a TIFF of {bands} band{'s' * (bands != 1)} of {bits}-bit {number} numbers, which Pillow does not open"
    return f"{holds}; {choice}save it with one or three bands of 8 or 16 bits"
