"""Opening any photo as upright RGB, and finding photos on disk."""

import warnings
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from wsol.errors import WsolError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif"}
LARGEST = 200_000_000  # pixels; more is a mistake or an attack

Image.MAX_IMAGE_PIXELS = LARGEST


def open_image(path: str | Path) -> Image.Image:
    """A photo as upright RGB: EXIF rotation applied, first frame of an animation, transparency laid on white.

    Grey, palette, CMYK and 16-bit files are converted. Raises WsolError, naming the file and what is wrong, for a
    file that is missing, empty, truncated, larger than LARGEST or no image.
    """
    path = Path(path)
    if not path.is_file():
        raise WsolError(f"{path}: there is no such image file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.seek(0)
                return to_rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise WsolError(f"{path}: more than {LARGEST // 1_000_000} megapixels; scale it down first") from error
    except Exception as error:  # decoders raise whatever a damaged file makes of them
        raise WsolError(f"{path}: cannot be read as an image ({error or type(error).__name__}); replace it") from error


def to_rgb(image: Image.Image | np.ndarray) -> Image.Image:
    """An opened image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, as upright RGB.

    Raises WsolError for an array of another kind.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
            raise WsolError(f"an array image must be uint8 (H, W, 3) RGB, not {image.dtype} {image.shape}")
        image = Image.fromarray(image)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.nan_to_num(np.asarray(image)).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def find_images(where: str | Path | Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Photos as (path, name): files, folders searched through in sorted order, and glob patterns.

    A photo's name is its path within the folder that was given, with "/" between folders, or its file name; a
    name that occurs twice gets its folder in front. Raises WsolError for a path that is missing or when there is no
    photo at all.
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    found: dict[Path, str] = {}
    for place in places:
        path = Path(place)
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
            found |= {each: each.relative_to(path).as_posix() for each in inside}
        elif path.exists():
            found[path] = path.name
        elif has_magic(str(place)):
            found |= {Path(each): Path(each).name for each in sorted(glob(str(place), recursive=True))}
        else:
            raise WsolError(f"{place}: there is no such file or folder")
    if not found:
        raise WsolError(f"no image found in {', '.join(map(str, places))}; looked for {', '.join(sorted(SUFFIXES))}")
    names = list(found.values())
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return [
        (path, path.absolute().relative_to(path.anchor or path.absolute().anchor).as_posix() if name in twice else name)
        for path, name in found.items()
    ]
