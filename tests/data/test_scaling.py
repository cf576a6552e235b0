"""Photos of more than 8 bits, of signed numbers and of floats, as the 8 bits that they become."""

import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from wsol.data import scaling
from wsol.data.images import image_size, open_image, to_rgb
from wsol.data.scaling import to_8_bits
from wsol.errors import WsolError

pytestmark = pytest.mark.filterwarnings("ignore:.*said once")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "_said", set())


def tiff(path: Path, values: np.ndarray, **tags: int | tuple[int, ...]) -> Path:
    """A TIFF without compression; Pillow writes few of these kinds."""
    height, width, bands = (*values.shape, 1)[:3]
    header = TiffImagePlugin.ImageFileDirectory_v2()
    header[256], header[257], header[278], header[259] = width, height, height, 1
    header[258] = (values.itemsize * 8,) * bands
    header[262] = 2 if bands in (3, 4) else 1
    header[277], header[273], header[279] = bands, 0, values.nbytes
    header[339] = ({"u": 1, "i": 2, "f": 3}[values.dtype.kind],) * bands
    if bands > 3:
        header[338] = (2,) if bands == 4 else (0,) * (bands - 3)
    for number, value in tags.items():
        header[int(number[1:])] = value
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + header.tobytes(8) + values.tobytes())
    return path


def png(path: Path, values: np.ndarray, significant: int | None = None) -> Path:
    """A PNG of 16 bits; Pillow writes grey ones alone."""
    height, width, bands = (*values.shape, 1)[:3]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)]
    chunks += [b"sBIT" + bytes([significant] * bands)] if significant else []
    chunks += [b"IDAT" + zlib.compress(rows), b"IEND"]
    framed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    return path


def levels(path: Path) -> list[int]:
    """Red of the photo's first row."""
    return np.asarray(open_image(path))[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("largest", "middle"), [(255, 128), (1023, 512), (2047, 1024), (4095, 2048), (16383, 8192), (65535, 32768)]
)
def test_grey_of_every_bit_depth_is_neither_black_nor_white(tmp_path: Path, largest: int, middle: int) -> None:
    values = np.array([[0, middle, largest]], np.uint16)
    expected = [0, middle * 255 // largest, 255]
    assert expected[1] in (127, 128)
    assert levels(png(tmp_path / "a.png", values)) == expected
    assert levels(tiff(tmp_path / "a.tif", values)) == expected


@pytest.mark.parametrize(("largest", "depth"), [(2047, 11), (4095, 12)])
def test_colours_of_few_bits_in_16_keep_their_colours(tmp_path: Path, largest: int, depth: int) -> None:
    values = np.array([[[largest, 0, largest // 2], [0, largest, 7]]], np.uint16)
    expected = [[[255, 0, 127], [0, 255, 7 * 255 // largest]]]
    cv2.imwrite(str(tmp_path / "lzw a.tif"), values[..., ::-1])
    for path in (png(tmp_path / "a.png", values), tiff(tmp_path / "a.tif", values), tmp_path / "lzw a.tif"):
        scaling._said.clear()
        with pytest.warns(UserWarning, match=rf"a\.(png|tif): its values, up to {largest}, are taken for {depth} bits"):
            assert np.asarray(open_image(path)).tolist() == expected


def test_colours_of_16_bits_are_kept_to_one_level(tmp_path: Path) -> None:
    values = np.array([[[65535, 0, 32768], [256, 40000, 514]]], np.uint16)
    for path in (png(tmp_path / "a.png", values), tiff(tmp_path / "a.tif", values)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.abs(np.asarray(open_image(path)).astype(int) - values // 257).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colours_of_12_bits_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    values = np.arange(18, dtype=np.uint16).reshape(2, 3, 3) * 240
    deep = tiff(tmp_path / "deep.tif", values, _274=orientation)
    eight = tiff(tmp_path / "eight.tif", to_8_bits(values, 12), _274=orientation)
    np.testing.assert_array_equal(np.asarray(open_image(deep)), np.asarray(open_image(eight)))
    assert image_size(deep) == open_image(deep).size


def test_a_declared_depth_counts_unless_a_value_exceeds_it(tmp_path: Path) -> None:
    dark = np.array([[0, 500, 1000]], np.uint16)
    assert levels(png(tmp_path / "a.png", dark, significant=12)) == [0, 31, 62]
    assert levels(tiff(tmp_path / "a.tif", dark, _281=4095)) == [0, 31, 62]
    assert levels(tiff(tmp_path / "full.tif", dark, _281=65535)) == [0, 124, 249]  # states nothing: 10 bits
    assert levels(png(tmp_path / "b.png", dark * 60, significant=12)) == [0, 116, 233]
    for nonsense in (16, 200):
        assert levels(png(tmp_path / "n.png", dark, significant=nonsense)) == [0, 124, 249]
    colours = np.array([[[1000, 500, 0]]], np.uint16)
    assert np.asarray(open_image(png(tmp_path / "c.png", colours, significant=12))).tolist() == [[[62, 31, 0]]]


def test_16_bits_with_alpha_are_laid_on_white(tmp_path: Path) -> None:
    values = np.array([[[4095, 0, 0, 65535], [4095, 0, 0, 0]]], np.uint16)
    for opaque in (65535, 4095):
        values[0, 0, 3] = opaque
        assert np.asarray(open_image(png(tmp_path / "a.png", values))).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-100, 0, 100]], np.int8), [0, 127, 255]),
        (np.array([[-1000, 0, 3000]], np.int16), [0, 63, 255]),
        (np.array([[0, 2048, 4095]], np.int16), [0, 127, 255]),
        (np.array([[-4, 0, 12]], np.int32), [0, 63, 255]),
        (np.array([[0, 500, 1023]], np.int32), [0, 124, 255]),
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), [0, 127, 255]),
        (np.array([[0, 2**19, 2**20 - 1]], np.uint32), [0, 127, 255]),
        (np.array([[0, 0.25, 1]], np.float32), [0, 63, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 127, 255]),
        (np.array([[100, 150, 300]], np.float32), [0, 63, 255]),
        (np.array([[np.nan, -np.inf, 0.5, np.inf]], np.float32), [0, 0, 127, 255]),
        (np.array([[np.nan, np.nan]], np.float32), [0, 0]),
    ],
)
def test_signed_wide_and_float_numbers(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    assert levels(tiff(tmp_path / "a.tif", values)) == expected


def test_a_photo_whose_zero_is_white(tmp_path: Path) -> None:
    for kind, largest in ((np.uint8, 255), (np.uint16, 65535)):
        assert levels(tiff(tmp_path / "a.tif", np.array([[0, largest]], kind), _262=0)) == [255, 0]


def test_formats_that_state_their_largest_value(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 4095\n" + np.array([0, 400, 800], ">u2").tobytes())
    assert levels(tmp_path / "a.pgm") == [0, 24, 49]


@given(st.integers(1, 2**32 - 1))
def test_the_largest_value_is_never_dark(largest: int) -> None:
    assert to_8_bits(np.array([0, largest], np.uint32))[1] >= (largest if largest < 256 else 63)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_order_is_kept(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    assert (np.diff(to_8_bits(np.sort(values)).astype(int)) >= 0).all()


def test_what_is_guessed_is_said_once_and_names_the_first_photo(tmp_path: Path) -> None:
    paths = [tiff(tmp_path / f"{name}.tif", np.array([[0, 4000]], np.uint16)) for name in "abc"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path in paths:
            open_image(path)
    assert [str(warning.message) for warning in caught] == [
        f"{paths[0]}: its values, up to 4000, are taken for 12 bits; said once, for the first such photo"
    ]


def test_what_is_declared_is_not_said(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_image(png(tmp_path / "a.png", np.array([[0, 4000]], np.uint16), significant=12))
        open_image(tiff(tmp_path / "b.tif", np.array([[0, 0.5]], np.float32)))
        open_image(tiff(tmp_path / "c.tif", np.array([[0, 60000]], np.uint16)))


def test_an_image_without_a_file_is_scaled_too() -> None:
    image = Image.fromarray(np.array([[0, 2048, 4095]], np.uint16))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 127, 255]


@pytest.mark.parametrize(
    ("bands", "kind", "said"),
    [
        (5, np.uint16, r"5 bands of 16-bit whole numbers, which Pillow does not open; choose the three .*red, green"),
        (2, np.uint16, "2 bands of 16-bit whole numbers, which Pillow does not open; choose the three"),
        (3, np.float32, "3 bands of 32-bit float numbers, which Pillow does not open; save it"),
        (1, np.float64, "1 band of 64-bit float numbers, which Pillow does not open; save it"),
    ],
)
def test_a_tiff_that_is_no_photo_says_what_it_is(tmp_path: Path, bands: int, kind: type, said: str) -> None:
    path = tiff(tmp_path / "a.tif", np.zeros((2, 3, bands), kind))
    for read in (open_image, image_size):
        with pytest.raises(WsolError, match=rf"a\.tif: is a TIFF of {said}"):
            read(path)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_of_several_images_is_taken_and_said_once(tmp_path: Path, suffix: str) -> None:
    pages = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    options = {"lossless": True} if suffix == "webp" else {}
    for name in "ab":
        pages[0].save(tmp_path / f"{name}.{suffix}", save_all=True, append_images=pages[1:], **options)
    with pytest.warns(UserWarning, match=rf"a\.{suffix}: holds 2 images, the first one is taken"):
        assert open_image(tmp_path / f"a.{suffix}").getpixel((0, 0)) == (255, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_image(tmp_path / f"b.{suffix}")
        pages[0].save(tmp_path / f"one.{suffix}")
        scaling._said.clear()
        open_image(tmp_path / f"one.{suffix}")


def test_colour_spaces(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (200, 40, 60))
    red.convert("YCbCr").save(tmp_path / "ycbcr.tif")
    Image.new("LAB", (16, 16), (128, 128, 128)).save(tmp_path / "lab.tif")
    red.convert("CMYK").save(tmp_path / "cmyk.tif")
    for name, expected in (("ycbcr", (200, 40, 60)), ("cmyk", (200, 40, 60)), ("lab", (119, 119, 119))):
        assert np.abs(np.asarray(open_image(tmp_path / f"{name}.tif")).astype(int) - expected).max() <= 2, name
