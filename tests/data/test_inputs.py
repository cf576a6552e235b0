"""Photos as programs hold them: what means one thing is read, all else is named with its place."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from wsol.boxes.rule import find_boxes
from wsol.data import inputs as module
from wsol.data.crops import evaluation_view
from wsol.data.images import open_image
from wsol.data.inputs import inputs, one_large_at_a_time, open_held, open_reduced
from wsol.errors import WsolError

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]
RGBA = np.dstack([RGB, np.full((6, 5), 255, np.uint8)])


def encoded(pixels: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file  # its position is at the end


def pixels_of(given: Any) -> list[list]:
    return [np.asarray(open_held(photo.held(), photo.where)).tolist() for photo in inputs(given)]


@pytest.mark.parametrize(
    "given",
    [
        RGB,
        RGB.transpose(2, 0, 1),
        RGBA,
        RGB[:, ::-1][:, ::-1],
        RGB / 255,
        (RGB / 255).astype(np.float16),
        torch.from_numpy(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1),
        (torch.from_numpy(RGB).permute(2, 0, 1) / 255).requires_grad_(),
        (torch.from_numpy(RGB) / 255).bfloat16().float(),
        encoded(RGB),
        encoded(RGB).getvalue(),
        bytearray(encoded(RGB).getvalue()),
        Image.fromarray(RGB),
        [RGB],
        (photo for photo in [RGB]),
        RGB[None],
        torch.from_numpy(RGB).permute(2, 0, 1)[None],
    ],
)
def test_one_photo_in_any_form_is_the_same_pixels(given: Any) -> None:
    (pixels,) = pixels_of(given)
    assert np.abs(np.array(pixels) - RGB).max() <= (1 if getattr(given, "dtype", None) == torch.float32 else 0)


@pytest.mark.parametrize("given", [GREY, GREY[:, :, None], GREY[None], torch.from_numpy(GREY / 255)])
def test_grey_photos_become_rgb(given: Any) -> None:
    assert pixels_of(given) == [np.dstack([GREY] * 3).tolist()]


def test_a_mask_is_black_and_white() -> None:
    assert pixels_of(np.array([[True, False]] * 2)) == [[[[255] * 3, [0] * 3]] * 2]


def test_batches_generators_and_mixes_are_photos_in_order(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    batch = np.stack([RGB, RGB[::-1]])
    given = [str(tmp_path / "a.png"), batch, encoded(GREY), tmp_path / "a.png"][:3]
    assert [(photo.name, photo.where) for photo in inputs(iter(given))] == [
        ("a.png", str(tmp_path / "a.png")),
        ("image_00000", "images[1][0]"),
        ("image_00001", "images[1][1]"),
        ("image_00002", "images[2]"),
    ]
    assert pixels_of(given) == pixels_of([RGB, RGB, RGB[::-1], GREY])
    assert [photo.name for photo in inputs(np.array([str(tmp_path / "a.png")]))] == ["a.png"]


def test_pixels_are_copied_as_a_camera_writes_the_next_frame_into_them() -> None:
    frame = RGB.copy()
    (photo,) = inputs(frame)
    held = photo.held()
    frame[:] = 0
    assert np.asarray(held).tolist() == RGB.tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"images: None is no photo: cv2\.imread gives it"),
        ([RGB, None], r"images\[1\]: None is no photo"),
        ([RGB, 7], r"images\[1\]: int is no photo; give a file, an array, a tensor or a PIL image"),
        ([[RGB]], r"images\[0\]: list is no photo"),
        (RGB.astype(np.float32), r"images: an array \(6, 5, 3\) of float32 has values from \d to 2\d\d; give uint8"),
        (RGB / 255 - 0.5, r"values from -0\.\d+ to 0\.\d+; give uint8"),
        (np.full((6, 5), np.nan), "values from nan to nan"),
        (RGB.astype(np.uint16), "of uint16: its range of values is not clear"),
        (RGB.astype(np.int64), "of int64: its range of values is not clear"),
        (RGB[:3], r"\(3, 5, 3\).* could be \(H, W, channels\) or \(channels, H, W\)"),
        (RGB[:3, :3], r"\(3, 3, 3\).* could be"),
        (torch.zeros(2, 3, 5, 3), r"images: a batch \(2, 3, 5, 3\) could be"),
        (np.zeros((6, 5, 2), np.uint8), "no axis of 1, 3 or 4 channels"),
        (np.zeros((0, 5, 3), np.uint8), "is no photo"),
        (np.zeros((1, 1, 6, 5, 3), np.uint8), "is no photo"),
        (np.zeros(5, np.uint8), "is no photo"),
        (b"", "images: is an empty file; replace or remove it"),
        ([b"some text"], r"images\[0\]: is no image of a known format; replace or remove it"),
        (encoded(RGB).getvalue()[:60], r"images: cannot be read \(.*truncated.*\); replace or remove it"),
        (io.StringIO("some text"), "opened as text; open it with 'rb'"),
    ],
)
def test_what_means_nothing_or_two_things_is_named(given: Any, said: str) -> None:
    with pytest.raises(WsolError, match=said) as error:
        pixels_of(given)
    assert "\n" not in str(error.value)


def test_a_closed_file_is_named() -> None:
    file = encoded(RGB)
    file.close()
    with pytest.raises(WsolError, match=r"images\[0\]: this file cannot be read .*open it anew"):
        pixels_of([file])


def test_two_photos_of_one_name_around_an_array_are_refused(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        Image.fromarray(RGB).save(tmp_path / folder / "x.png")
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    assert [photo.name for photo in inputs(paths)] == ["a/x.png", "b/x.png"]
    with pytest.raises(WsolError, match=r"another photo is called x\.png too"):
        list(inputs([paths[0], RGB, paths[1]]))


# --- large photos


def rectangle(path: Path, size: tuple[int, int], turn: int | None = None) -> np.ndarray:
    """A photo with a bright rectangle, and where it is, as shares."""
    (width, height), exif = size, Image.Exif()
    image = Image.new("RGB", size, (20, 30, 40))
    box = (width // 5, height // 3, width // 2, height * 6 // 7)
    image.paste((250, 240, 230), box)
    if turn:
        exif[0x0112] = turn
    image.save(path, quality=90, exif=exif)
    return np.array(box) / [width, height, width, height]


@pytest.mark.parametrize("size", [(2401, 1803), (1807, 1999), (3601, 3607)])
def test_boxes_in_a_reduced_photo_move_by_less_than_a_pixel_of_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(module, "LARGE", 1_000_000)
    box = rectangle(tmp_path / "a.jpg", size) * 224
    for photo in (tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes()):
        reduced, whole = open_reduced(photo, 224)
        assert whole == size and 4 * 224 <= min(reduced.size) < min(size) / 1.9
        boxes = [
            find_boxes(evaluation_view(image, 224).mean(0).numpy().astype(np.float64), 0.5, "largest")
            for image in (reduced, open_image(tmp_path / "a.jpg"))
        ]
        assert np.abs(boxes[0] - boxes[1]).max() < 1 and np.abs(boxes[0] - box).max() < 1.5


def test_a_reduced_photo_that_lies_on_its_side_is_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1_000_000)
    rectangle(tmp_path / "a.jpg", (2001, 1999), turn=6)
    reduced, size = open_reduced(tmp_path / "a.jpg", 100)
    assert (size, reduced.size) == ((1999, 2001), (500, 501))


def test_ordinary_photos_and_other_formats_are_the_same_to_the_bit(tmp_path: Path) -> None:
    Image.effect_noise((900, 700), 90).convert("RGB").save(tmp_path / "a.jpg")
    reduced, size = open_reduced(tmp_path / "a.jpg", 16)
    assert size == (900, 700) and np.array_equal(reduced, open_image(tmp_path / "a.jpg"))


def test_other_formats_are_not_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    Image.fromarray(RGB).resize((64, 48)).save(tmp_path / "a.png")
    assert open_reduced(tmp_path / "a.png", 1)[0].size == (64, 48)


def test_a_damaged_large_photo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)
    rectangle(tmp_path / "a.jpg", (900, 700))
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:3000])
    with pytest.raises(WsolError, match=r"a\.jpg: cannot be read \(.*truncated"):
        open_reduced(tmp_path / "a.jpg", 16)


def test_one_large_photo_is_checked_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    inside, most = [], {}

    def check(limit: int) -> None:
        with one_large_at_a_time(tmp_path / "a.png"):
            inside.append(1)
            most[limit] = max(most.get(limit, 0), len(inside))
            time.sleep(0.05)
            inside.pop()

    for limit in (29, 30):
        monkeypatch.setattr(module, "LARGE", limit)
        threads = [threading.Thread(target=check, args=(limit,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most[29] == 1 and most[30] > 1


@pytest.mark.parametrize("name", ["deep.png", "turned.jpg", "white.tif", "moving.gif"])
def test_bytes_are_opened_exactly_as_their_file_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "deep.png":  # 12 of 16 bits, in colours: what Pillow opens alone would be dark
        values = np.random.default_rng(0).integers(0, 4096, (6, 5, 3), dtype=np.uint16)
        cv2.imwrite(str(path), values)
    elif name == "turned.jpg":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        Image.fromarray(RGB).save(path, exif=exif)
    elif name == "white.tif":
        Image.fromarray(GREY.astype(np.uint16) * 200).save(path)
    else:
        Image.fromarray(RGB).save(path, save_all=True, append_images=[Image.fromarray(RGB[::-1])])
    expected = np.asarray(open_image(path))
    assert pixels_of(path.read_bytes()) == pixels_of(path) == [expected.tolist()]
    assert name != "deep.png" or expected.max() > 200
