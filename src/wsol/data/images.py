"""Opening any photo as upright RGB."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import ExifTags, Image, UnidentifiedImageError

from wsol.data.remarks import without_remarks
from wsol.data.scaling import rescaled, say_once, unread_tiff
from wsol.data.stored import File
from wsol.errors import WsolError
from wsol.system.files import unreadable

# EXIF orientation -> what undoes it
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
JPEGS = ("JPEG", "MPO")
SEVERAL_FRAMES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
PNG_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
# Formats of Pillow that hold no photo (data, films, captions) or are drawn by programs that few have installed
NO_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
HEIC_SUFFIXES = {".heic", ".heif", ".hif"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@cache
def suffixes() -> frozenset[str]:
    """Endings of photos, in small letters: what the installed Pillow opens, and HEIC whether it opens or not.

    Asked for when photos are first looked for, since Pillow takes a quarter of a second to load all its formats.
    """
    Image.init()
    formats = (Image.OPEN.keys() | {"MPO"}) - NO_PHOTOS  # an MPO is opened as a JPEG
    return frozenset(end for end, format in Image.registered_extensions().items() if format in formats) | HEIC_SUFFIXES


@cache
def _register_heic() -> None:
    """Lets Pillow open HEIC photos where pillow-heif is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]

        register_heif_opener()


def open_image(path: str | File) -> Image.Image:
    """A photo as upright RGB: EXIF rotation applied, first frame of an animation, transparency laid on white.

    Grey, palette, CMYK, Lab, 16-bit and float files are converted, as `scaling.to_8_bits` says.

    path: The file of the photo, or its bytes.

    Raises WsolError, naming the file and what is wrong, for a file that is missing, empty, truncated or no image, or
    that has more pixels than Pillow accepts (twice its MAX_IMAGE_PIXELS, 179 million).
    """
    file = Path(path) if isinstance(path, str) else path
    with opened(file) as image:
        return decoded(image, file)


def decoded(image: Image.Image, file: File) -> Image.Image:
    """The pixels of an `opened` photo as upright RGB, as `open_image` gives them.

    image: What `opened` gives.
    file: The file of the photo, or its bytes.
    """
    _say_frames(image, file)
    if image.format in JPEGS and image.mode == "RGB" and _orientation(image) == 1:
        image.load()  # as it is: no second copy in memory
        return image
    return to_rgb(image, file)


def _say_frames(image: Image.Image, path: File) -> None:
    """Of an animation or a TIFF of several pages; other formats keep previews, depth or layers beside the photo."""
    with suppress(Exception):  # a damaged frame behind the first one does no harm
        if image.format in SEVERAL_FRAMES and image.is_animated:  # pyright: ignore[reportAttributeAccessIssue]
            say_once("frames", f"{path}: holds {image.n_frames} images, the first one is taken")  # pyright: ignore


def image_size(path: str | Path) -> tuple[int, int]:
    """(W, H) of the photo that `open_image` gives, from the file's header: the pixels are not decoded.

    path: The file of the photo.

    Raises WsolError as `open_image` does, but not for damage behind the header.
    """
    with opened(Path(path)) as image:
        return upright_size(image, Path(path))


def upright_size(image: Image.Image, file: File) -> tuple[int, int]:
    """(W, H) of an `opened` photo once it is upright.

    image: What `opened` gives, whose pixels are not decoded yet.
    file: The file of the photo, or its bytes.
    """
    width, height = image.size
    if image.format == "TIFF":  # Pillow gives the size of the upright photo
        return width, height
    return (height, width) if _orientation(image, file) in SIDEWAYS else (width, height)


def orientation(path: File) -> int:
    """How the stored pixels lie, 1 to 8 as in EXIF: 1 is upright, also where nothing is said; 5 to 8 are on their side.

    `open_image` and `image_size` give the upright photo; programs that ignore EXIF see it as it is stored. HEIC
    is 1, since whatever opens it turns it.

    path: The file of the photo, or its bytes.

    Raises WsolError as `image_size` does.
    """
    with opened(path) as image:
        return _orientation(image, path)


def _orientation(image: Image.Image, path: File | None = None) -> int:
    if image.format == "PNG" and path and not any(chunk in path.read_bytes() for chunk in PNG_METADATA):
        return 1  # Pillow would decode it to look for metadata behind the pixels
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata say nothing about the pixels
        return 1
    return int(value) if value in range(1, 9) else 1


@contextmanager
def opened(path: File) -> Iterator[Image.Image]:
    """The file as Pillow opens it, its pixels not decoded yet.

    path: The file of the photo, or its bytes.

    Raises WsolError, as `open_image`, for whatever Pillow raises while it is used.
    """
    _register_heic()
    try:
        if isinstance(path, Path) and not path.is_file():
            raise WsolError(f"{path}: there is no such image file")
        with path.open("rb") as file, without_remarks(), Image.open(file) as image:
            yield image
    except WsolError:
        raise
    except Image.DecompressionBombError as error:
        raise WsolError(f"{path}: more pixels than Pillow accepts, 179 megapixels; scale it down first") from error
    except UnidentifiedImageError as error:
        raise WsolError(f"{path}: {_unknown(path)}") from error
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        said = f"cannot be read ({error or type(error).__name__}); replace or remove it"
        raise unreadable(path, error, said) from error


def _unknown(path: File) -> str:
    """What a file is that Pillow does not open, and what to do about it."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        return "is an empty file; replace or remove it"
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS and not HEIC_SUFFIXES & Image.EXTENSION.keys():
        return "is a HEIC photo; to open it: pip install 'wsol[heic]'"
    return unread_tiff(start, path) or "is no image of a known format; replace or remove it"


def read_mask(path: str | Path) -> Int[np.ndarray, "H W"]:
    """The values of a mask's pixels: places in its palette, or grey levels.

    path: The file of the mask.

    Raises WsolError, naming the file, when it cannot be read or has colours instead.
    """
    try:
        with Image.open(path) as image:
            values = np.array(image)
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        raise unreadable(path, error, f"this mask cannot be read ({error}); replace or remove it") from error
    if values.ndim != 2:
        raise WsolError(f"{path}: this mask has colours instead of a palette; fetch the original file")
    return values.astype(np.int64)


def to_rgb(image: Image.Image | np.ndarray, path: File | None = None) -> Image.Image:
    """An image as upright RGB; values of more than 8 bits, signed and float values are scaled by `scaling.to_8_bits`.

    image: An opened image, or an array of uint8, (H, W), (H, W, 3) or (H, W, 4).
    path: The file or bytes that an image was opened from.

    Raises WsolError for an array of another kind.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
            raise WsolError(f"an array image must be uint8 (H, W, 3) RGB, not {image.dtype} {image.shape}")
        image = Image.fromarray(image)
    levels = rescaled(image, path)
    stored = _orientation(image)  # 1 for a TIFF, which Pillow has turned by now
    image = levels.transpose(TURNS[stored]) if stored in TURNS else levels
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
