"""Flowers-102 in miniature, its lists in MATLAB files."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat, savemat

from wsol.data import Flowers102, Split, open_data
from wsol.data.layouts.matlab import read_matrix
from wsol.errors import WsolError

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def flowers(root: Path) -> Path:
    (root / "jpg").mkdir(parents=True)
    savemat(root / "imagelabels.mat", {"labels": np.array([[3, 1, 2, 3, 1, 2]], np.uint8)})
    lists = {"trnid": [[5, 1]], "valid": [[2]], "tstid": [[6, 4, 3]]}
    savemat(root / "setid.mat", {name: np.array(values, np.uint16) for name, values in lists.items()})
    return root


def test_official_splits_and_labels(tmp_path: Path) -> None:
    flowers(tmp_path / "flowers-102")
    found = {split: open_data(tmp_path, split) for split in SPLITS}
    assert all(isinstance(photos, Flowers102) and len(photos.classes) == 3 for photos in found.values())
    expected = {"train": [(5, 0), (1, 2)], "val": [(2, 0)], "test": [(6, 1), (4, 2), (3, 1)]}
    for split, photos in found.items():
        assert [(int(each.path.stem[-5:]), each.label) for each in photos.samples] == expected[split]
        assert all(each.path == tmp_path / "flowers-102" / each.id for each in photos.samples)
    assert found["val"].truth(0).mask is None and not found["val"].has_boxes


def test_the_mask_is_what_was_not_painted_blue(tmp_path: Path) -> None:
    photos = Flowers102(flowers(tmp_path), "val")
    mask = np.zeros((64, 48), bool)
    mask[16:48, 8:32] = True
    painted = np.where(mask[..., None], (200, 40, 90), (0, 0, 254)).astype(np.uint8)
    (tmp_path / "segmim").mkdir()
    Image.fromarray(painted).save(tmp_path / "segmim" / "segmim_00002.jpg", quality=95)
    found = np.asarray(photos.truth(0).mask)
    assert found.shape == mask.shape and (found != mask).mean() < 0.05
    assert (found[18:46, 10:30]).all() and not found[:14].any()


@pytest.mark.parametrize(
    ("name", "said"), [("imagelabels", "holds no matrix labels"), ("setid", "holds no matrix trnid")]
)
def test_wrong_files_are_named(tmp_path: Path, name: str, said: str) -> None:
    path = flowers(tmp_path) / f"{name}.mat"
    whole = path.read_bytes()
    savemat(path, {"other": np.eye(2)})
    with pytest.raises(WsolError, match=rf"{name}\.mat: {said}"):
        Flowers102(tmp_path, "train")
    path.write_bytes(whole[:150])
    with pytest.raises(WsolError, match=rf"{name}\.mat: "):
        Flowers102(tmp_path, "train")


def test_photos_without_a_label_are_refused(tmp_path: Path) -> None:
    savemat(flowers(tmp_path) / "setid.mat", {"trnid": np.array([[7]])})
    with pytest.raises(WsolError, match=r"setid\.mat: lists photos without a label"):
        Flowers102(tmp_path, "train")


KINDS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_matrices_are_read_as_scipy_reads_them(tmp_path: Path, kind: type, compressed: bool) -> None:
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    matrices = {
        name: rng.integers(0, 100, shape).astype(kind)
        for name, shape in {
            "a": (1, 3),
            "long_name": (1, 1000),
            "square": (3, 4),
            "one": (1, 1),
            "none": (1, 0),
        }.items()
    }
    savemat(path, {"text": "no number", **matrices}, do_compression=compressed)
    expected = loadmat(path)
    for name in matrices:
        np.testing.assert_array_equal(read_matrix(path, name), expected[name].T.flatten())


def big_endian(values: list[int]) -> bytes:
    """A file with one matrix `x` of 16-bit numbers, the highest byte first, as Solaris and PowerPC wrote them."""
    content = np.array(values, ">u2").tobytes()
    parts = [
        struct.pack(">IIII", 6, 8, 11, 0),
        struct.pack(">IIii", 5, 8, 1, len(values)),
        struct.pack(">HH4s", 1, 1, b"x"),
        struct.pack(">II", 4, len(content)) + content + bytes(-len(content) % 8),
    ]
    matrix = b"".join(parts)
    return b"text".ljust(124) + struct.pack(">H2s", 0x0100, b"MI") + struct.pack(">II", 14, len(matrix)) + matrix


def test_the_other_order_of_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(big_endian([1, 513, 7]))
    assert read_matrix(path, "x").tolist() == loadmat(path)["x"].flatten().tolist() == [1, 513, 7]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([[1.5]]), "values that are no whole numbers"),
        (np.array([[np.nan]]), "values that are no whole numbers"),
        ("text", "no matrix of numbers"),
        ({"field": 1}, "no matrix of numbers"),
    ],
)
def test_what_is_no_matrix_of_whole_numbers_is_refused(tmp_path: Path, value: object, said: str) -> None:
    savemat(tmp_path / "a.mat", {"x": value})
    with pytest.raises(WsolError, match=rf"a\.mat: cannot be read as a MATLAB file \(x (is|holds) {said}"):
        read_matrix(tmp_path / "a.mat", "x")


def test_other_versions_of_the_format_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.eye(2)}, format="4")
    with pytest.raises(WsolError, match=r"a\.mat: .*not of version 5 to 7"):
        read_matrix(tmp_path / "a.mat", "x")


def test_the_byte_that_ended_the_process_is_only_an_error(tmp_path: Path) -> None:
    """scipy 1.17.1 ends by signal 11 on this file."""
    path = tmp_path / "setid.mat"
    savemat(path, {"trnid": [1, 2], "valid": [3], "tstid": [3, 4]})
    content = bytearray(path.read_bytes())
    assert content[336] == 12
    content[336] = 0
    path.write_bytes(content)
    with pytest.raises(WsolError, match=r"setid\.mat: cannot be read as a MATLAB file"):
        read_matrix(path, "tstid")


def test_files_that_are_cut_short_say_so(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.arange(20)})
    content = (tmp_path / "a.mat").read_bytes()
    for length in (len(content) - 1, 200, 136):
        (tmp_path / "a.mat").write_bytes(content[:length])
        with pytest.raises(WsolError, match=r"an element of \d+ bytes is cut short"):
            read_matrix(tmp_path / "a.mat", "x")


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4), st.floats(0.2, 1))
def test_damaged_files_give_numbers_or_an_error_of_one_line(
    tmp_path: Path, compressed: bool, changes: list[tuple[float, int]], length: float
) -> None:
    path = tmp_path / "setid.mat"
    savemat(path, {"trnid": [1, 2], "valid": [3], "tstid": [3, 4]}, do_compression=compressed)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[126 + int(place * (len(content) - 127))] = value
    path.write_bytes(content[: int(length * len(content))])
    try:
        assert read_matrix(path, "tstid").dtype == np.int64
    except WsolError as error:
        assert "\n" not in str(error) and "setid.mat" in str(error)
