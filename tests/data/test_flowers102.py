"""Flowers-102 in miniature, its lists in MATLAB files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from wsol.data import Flowers102, Split, open_data
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
