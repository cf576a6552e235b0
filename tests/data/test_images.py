"""Photos of every kind that people have, opened and compared pixel by pixel."""

import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFile

from wsol.data import images
from wsol.data.finding import find_images
from wsol.data.images import image_size, open_image, orientation, suffixes, to_rgb
from wsol.errors import WsolError

pytestmark = pytest.mark.filterwarnings("ignore:.*said once")

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
COLOURS = np.array([[RED, GREEN, BLUE], [GREY, (0, 0, 0), (255, 255, 255)]], np.uint8)


def stored(path: Path, image: Image.Image, **options: object) -> np.ndarray:
    image.save(path, **options)  # type: ignore[arg-type]
    opened = open_image(path)
    assert opened.mode == "RGB"
    return np.asarray(opened)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: COLOURS[::-1].transpose(1, 0, 2),
        7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
        8: COLOURS[:, ::-1].transpose(1, 0, 2),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = stored(tmp_path / "a.png", Image.fromarray(COLOURS), exif=exif)
    np.testing.assert_array_equal(found, upright[orientation])


WITH_EXIF = [".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".avif", ".mpo"]
WRITABLE = [*WITH_EXIF, ".jpe", ".bmp", ".gif", ".jp2", ".ppm", ".pgm", ".pbm", ".tga", ".pcx", ".sgi", ".dds", ".qoi"]


@pytest.mark.parametrize("suffix", [*WITH_EXIF, ".bmp", ".gif", ".jp2"])
def test_a_size_from_the_header_is_that_of_the_upright_photo(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with_exif = suffix in WITH_EXIF
    for turned in range(1, 9) if with_exif else (1,):
        exif = Image.Exif()
        exif[0x0112] = turned
        Image.new("RGB", (30, 20), RED).save(path, **({"exif": exif} if with_exif else {}))
        assert image_size(path) == open_image(path).size == ((30, 20) if turned < 5 else (20, 30))
        assert orientation(path) == turned


def test_a_photo_of_a_phone_with_a_preview_is_turned_and_its_preview_passes_unsaid(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo, preview = Image.new("RGB", (30, 20), RED), Image.new("RGB", (6, 4), BLUE)
    photo.save(tmp_path / "a.mpo", save_all=True, append_images=[preview], exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(tmp_path / "a.mpo").size == image_size(tmp_path / "a.mpo") == (20, 30)
    assert orientation(tmp_path / "a.mpo") == 6


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert orientation(tmp_path / "a.jpg") == 1 and image_size(tmp_path / "a.jpg") == (30, 20)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_without_its_extra_counts_as_a_photo_and_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.init()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "_register_heic", lambda: None)
    for end in images.HEIC_SUFFIXES:
        monkeypatch.delitem(Image.EXTENSION, end, raising=False)
    monkeypatch.setattr(Image, "ID", [format for format in Image.ID if format != "HEIF"])
    for name in ("a.HEIC", "renamed.jpg"):
        (tmp_path / name).write_bytes(HEIC)
        with pytest.raises(WsolError, match=rf"{name}: is a HEIC photo; to open it: pip install 'wsol\[heic\]'$"):
            open_image(tmp_path / name)
    assert [name for _, name in find_images(tmp_path)] == ["a.HEIC", "renamed.jpg"]


def test_heic_with_its_extra(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs wsol[heic]")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), RED).save(tmp_path / "a.heic", quality=-1)
    assert image_size(tmp_path / "a.heic") == open_image(tmp_path / "a.heic").size == (64, 48)
    assert orientation(tmp_path / "a.heic") == 1
    assert np.abs(np.asarray(open_image(tmp_path / "a.heic")).astype(int) - RED).max() <= 3


def test_endings_are_those_that_pillow_opens_as_photos() -> None:
    assert {*WRITABLE, ".heic", ".heif", ".hif", ".apng", ".psd"} <= suffixes()
    assert not {".pdf", ".eps", ".ps", ".mpg", ".h5", ".hdf", ".grib", ".bufr", ".wmf", ".emf", ".fits"} & suffixes()


def test_formats_are_loaded_when_photos_are_looked_for(tmp_path: Path) -> None:
    seen = "import wsol.data.images, PIL.Image; print(PIL.Image._initialized)"
    assert subprocess.check_output([sys.executable, "-c", seen], text=True).strip() != "2"


def test_a_size_with_damaged_exif_is_that_of_the_photo(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp"):
        path = tmp_path / f"a.{suffix}"
        Image.new("RGB", (30, 20)).save(path, exif=b"Exif\0\0 this is no EXIF block")
        assert image_size(path) == open_image(path).size == (30, 20)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_a_size_needs_no_pixels(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    Image.fromarray(noise).save(path)
    loaded: list[str] = []
    for kind in {type(Image.open(path)), ImageFile.ImageFile}:
        monkeypatch.setattr(kind, "load", lambda image, load=kind.load: (loaded.append("decoded"), load(image))[1])
    assert image_size(path) == (48, 64) and loaded == []
    assert open_image(path).size == (48, 64) and loaded


def test_the_size_of_a_png_that_is_turned_by_metadata_behind_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    path.write_bytes(content[:start] + content[end:-12] + content[start:end] + content[-12:])
    assert path.read_bytes().index(b"IDAT") < path.read_bytes().index(b"eXIf")
    assert image_size(path) == open_image(path).size == (20, 30)


def test_files_without_a_size_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo")
    for name, said in (("empty", "is an empty file"), ("text", "is no image"), ("none", "there is no such image file")):
        with pytest.raises(WsolError, match=rf"{name}\.jpg: {said}"):
            image_size(tmp_path / f"{name}.jpg")


def test_damaged_exif_does_not_lose_the_photo(tmp_path: Path) -> None:
    found = stored(tmp_path / "a.png", Image.fromarray(COLOURS), exif=b"Exif\0\0 this is no EXIF block")
    np.testing.assert_array_equal(found, COLOURS)


def test_grey_and_black_and_white(tmp_path: Path) -> None:
    values = np.array([[0, 7, 255], [128, 64, 1]], np.uint8)
    np.testing.assert_array_equal(stored(tmp_path / "l.png", Image.fromarray(values)), grey(values))
    bits = Image.fromarray(np.where(values > 60, 255, 0).astype(np.uint8)).convert("1")
    np.testing.assert_array_equal(stored(tmp_path / "1.png", bits), grey(np.where(values > 60, 255, 0)))


@given(arrays(np.uint8, (2, 3, 4)))
def test_alpha_is_laid_on_white(pixels: np.ndarray) -> None:
    found = np.asarray(to_rgb(pixels)).astype(float)
    alpha = pixels[:, :, 3:] / 255
    assert np.abs(found - (pixels[:, :, :3] * alpha + 255 * (1 - alpha))).max() <= 1


def test_grey_with_alpha(tmp_path: Path) -> None:
    pixels = np.array([[[0, 255], [0, 0], [100, 255]]], np.uint8)
    found = stored(tmp_path / "la.png", Image.fromarray(pixels, "LA"))
    np.testing.assert_array_equal(found, grey(np.array([[0, 255, 100]])))


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    np.testing.assert_array_equal(stored(tmp_path / "p.png", image), [[RED, GREEN, BLUE]])
    white = (255, 255, 255)
    np.testing.assert_array_equal(stored(tmp_path / "one.png", image, transparency=1), [[RED, white, BLUE]])
    half = stored(tmp_path / "each.png", image, transparency=bytes([255, 0, 128]))
    np.testing.assert_array_equal(half, [[RED, white, (127, 127, 255)]])


def test_one_colour_declared_transparent(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    expected = COLOURS.copy()
    expected[0, 1] = 255
    np.testing.assert_array_equal(stored(tmp_path / "a.png", image, transparency=GREEN), expected)


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (200, 40, 60))
    found = stored(tmp_path / "a.jpg", image.convert("CMYK"), quality=100)
    assert np.abs(found.astype(int) - (200, 40, 60)).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 256, 257, 514], [32768, 40000, 65534, 65535]], np.uint16)
    found = stored(tmp_path / f"a.{suffix}", Image.fromarray(values))
    np.testing.assert_array_equal(found, grey(np.array([[0, 0, 1, 2], [127, 155, 254, 255]])))


def test_floats_count_from_0_to_1_or_from_their_minimum_to_their_maximum(tmp_path: Path) -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    np.testing.assert_array_equal(stored(tmp_path / "a.tif", Image.fromarray(values)), grey(np.array([[0, 127, 255]])))
    values = np.array([[0, np.nan, 100, 900]], np.float32)
    expected = grey(np.array([[0, 0, 28, 255]]))
    np.testing.assert_array_equal(stored(tmp_path / "b.tif", Image.fromarray(values)), expected)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if suffix == "webp" else {}
    found = stored(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(found, np.full((8, 8, 3), RED))


def test_limit_on_pixels_is_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("L", (40, 49)).save(tmp_path / "large.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(tmp_path / "large.png").size == (40, 49)
    Image.new("L", (40, 51)).save(tmp_path / "larger.png")
    with pytest.raises(WsolError, match=r"larger\.png: more pixels .*scale it down"):
        open_image(tmp_path / "larger.png")


def test_header_that_claims_gigapixels(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT" + zlib.compress(b"")]
    framed = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    with pytest.raises(WsolError, match=r"bomb\.png: more pixels than Pillow accepts, 179 megapixels"):
        open_image(tmp_path / "bomb.png")


def test_damaged_files_are_named_with_their_cause(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("jpg", "png", "webp", "tif", "bmp", "gif"):
        whole = tmp_path / f"whole.{suffix}"
        Image.fromarray(noise).save(whole)
        (tmp_path / f"cut.{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(WsolError, match=rf"cut\.{suffix}: (cannot be read \(.+\)|is no image).*; replace"):
            open_image(tmp_path / f"cut.{suffix}")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    for name, cause in (("empty.jpg", "is an empty file"), ("text.jpg", "is no image"), ("none.jpg", "no such image")):
        with pytest.raises(WsolError, match=rf"{name}: .*{cause}") as caught:
            open_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(WsolError, match="no such image file"):
        open_image(tmp_path)


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(WsolError, match="must be uint8"):
        to_rgb(array)


def test_arrays(tmp_path: Path) -> None:
    np.testing.assert_array_equal(np.asarray(to_rgb(COLOURS)), COLOURS)
    np.testing.assert_array_equal(np.asarray(to_rgb(COLOURS[:, :, 0].copy())), grey(COLOURS[:, :, 0]))


def test_every_known_suffix_can_be_opened(tmp_path: Path) -> None:
    Image.init()
    grey_alone = (".pgm", ".pbm")
    for suffix in WRITABLE:
        Image.new("RGB", (20, 20), RED).convert("L" if suffix in grey_alone else "RGB").save(tmp_path / f"a{suffix}")
    found = find_images(tmp_path)
    assert {path.suffix for path, _ in found} == {*WRITABLE}
    for path, _ in found:
        expected = (76, 76, 76) if path.suffix in grey_alone else RED
        assert np.abs(np.asarray(open_image(path)).astype(int) - expected).max() <= 5, path
