"""Maps made elsewhere: what is counted, what is said of odd ones, and what is refused, each by its id."""

import json
from pathlib import Path

import numpy as np
import pytest
from oracles import metrics as oracle
from PIL import Image

import wsol
from wsol.cli.app import main
from wsol.data import Creatures, write_metadata
from wsol.errors import WsolError
from wsol.evaluation.score_maps import write_map, write_predictions

IDS = ["a, b/1.jpg", "c/2.jpg", "c/3.jpg"]
BOXES = [[10.0, 20.0, 60.5, 70.0], [0.0, 0.0, 100.0, 80.0], [30.0, 30.0, 50.0, 60.0]]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Metadata with commas and CRLF, three images of 100 x 80 that are not there."""
    folder = tmp_path / "lists"
    folder.mkdir()
    files = {
        "image_ids": IDS,
        "class_labels": [f"{id},{label}" for label, id in enumerate(IDS)],
        "image_sizes": [f"{id},100,80" for id in IDS],
        "localization": [f"{id},{','.join(map(str, box))}" for id, box in zip(IDS, BOXES, strict=True)],
    }
    for name, lines in files.items():
        (folder / f"{name}.txt").write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return folder


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for id, box in zip(IDS, BOXES, strict=True):
        heatmap = rng.uniform(0, 0.2, (224, 224))
        x0, y0, x1, y1 = (int(value * scale) for value, scale in zip(box, (2.24, 2.8, 2.24, 2.8), strict=True))
        heatmap[y0:y1, x0:x1] += 0.5
        write_map(tmp_path / "maps", id, heatmap)
    return tmp_path / "maps"


def stored(folder: Path, shapes: list[tuple[int, int]]) -> Path:
    for id, shape in zip(IDS, shapes, strict=True):
        path = folder / f"{id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(0).uniform(size=shape))
    return folder


@pytest.mark.parametrize("shape", [(80, 100), (8, 10), (9, 11), (7, 7), (100, 100)])
def test_maps_of_the_photo_s_shape_are_taken(lists: Path, tmp_path: Path, shape: tuple[int, int]) -> None:
    with pytest.warns(UserWarning, match=f"resized to 224 x 224 and scaled: 3 of {shape[0]} x {shape[1]}"):
        wsol.evaluate_maps(stored(tmp_path / "maps", [shape] * 3), lists, threshold=0.4)


@pytest.mark.parametrize("shapes", [[(100, 80)] * 3, [(20, 16), (25, 20), (25, 20)], [(20, 16), (10, 10), (20, 16)]])
def test_transposed_maps_are_found_by_their_sizes(lists: Path, tmp_path: Path, shapes: list) -> None:
    with pytest.raises(WsolError, match=r"maps are transposed: those of a, b/1\.jpg.* are width x height"):
        wsol.evaluate_maps(stored(tmp_path / "maps", shapes), lists, threshold=0.4)


def test_a_map_of_another_photo_s_shape_is_named(lists: Path, tmp_path: Path) -> None:
    maps = stored(tmp_path / "maps", [(80, 100), (50, 100), (80, 100)])
    with pytest.raises(WsolError, match=r"not shaped as their photos: c/2\.jpg;"):
        wsol.evaluate_maps(maps, lists, threshold=0.4)


def test_one_oblong_grid_for_all_photos_is_taken(lists: Path, tmp_path: Path) -> None:
    (lists / "image_sizes.txt").write_text(
        "".join(f"{id},{size}\n" for id, size in zip(IDS, ("100,80", "80,100", "300,80"), strict=True))
    )
    (lists / "localization.txt").write_text("".join(f"{id},10,10,60,60\n" for id in IDS))
    with pytest.warns(UserWarning, match="3 of 14 x 20"):
        wsol.evaluate_maps(stored(tmp_path / "maps", [(14, 20)] * 3), lists, threshold=0.4)


def test_maps_of_the_grid_count_as_they_are(lists: Path, maps: Path) -> None:
    """Neither stretched to 0 .. 1 nor resized, as in the reference: their own maximum is the threshold's."""
    figures = wsol.evaluate_maps(maps, lists, threshold=0.4)
    photos = [
        oracle.Photo(np.load(maps / f"{id}.npy"), np.array([box]), (100, 80), 0)
        for id, box in zip(IDS, BOXES, strict=True)
    ]
    oracle_scale, oracle.scale_to_one = oracle.scale_to_one, lambda heatmap: heatmap
    try:
        expected = oracle.box_accuracy(photos, np.arange(0, 1, 0.001).tolist(), 0.4)
    finally:
        oracle.scale_to_one = oracle_scale
    for name in ("MaxBoxAcc", "MaxBoxAcc70", "MaxBoxAccV2", "GTKnownLoc"):
        assert figures[name] == expected[name]
    assert figures["Top1Cls"] is figures["Top1Loc"] is None
    assert (figures["protocol"], figures["threshold_source"], figures["images"]) == ("clova", "given", 3)


def test_predictions_bring_the_other_figures(lists: Path, maps: Path) -> None:
    write_predictions(maps, zip(IDS, [[0, 1], [0, 1], [7, 8]], strict=True))
    figures = wsol.evaluate_maps(maps, lists)
    assert figures["Top1Cls"] == pytest.approx(100 / 3)
    assert figures["Top5Cls"] is None  # three classes
    (maps / "predictions.csv").write_text("c/2.jpg,1\n")
    with pytest.raises(WsolError, match=r"predictions.csv: no classes for a, b/1.jpg, c/3.jpg"):
        wsol.evaluate_maps(maps, lists)


def test_other_sizes_are_resized_and_said(lists: Path, maps: Path) -> None:
    write_map(maps, IDS[1], np.eye(14))
    write_map(maps, IDS[2], np.ones((224, 224)) * 3)
    with pytest.warns(UserWarning) as said:
        wsol.evaluate_maps(maps, lists)
    assert any("resized to 224 x 224 and scaled: 1 of 14 x 14" in str(each.message) for each in said)
    assert any("maps scaled to 0 .. 1: c/3.jpg" in str(each.message) for each in said)


def test_nan_scores_as_zeros_and_is_named(lists: Path, maps: Path) -> None:
    broken = np.load(maps / f"{IDS[2]}.npy")
    whole = wsol.evaluate_maps(maps, lists, threshold=0.4)["GTKnownLoc"]
    broken[0, 0] = np.nan
    write_map(maps, IDS[2], broken)
    with pytest.warns(UserWarning, match="NaN counted as zeros: c/3.jpg"):
        nan = wsol.evaluate_maps(maps, lists, threshold=0.4)["GTKnownLoc"]
    write_map(maps, IDS[2], np.zeros((224, 224)))
    assert nan == wsol.evaluate_maps(maps, lists, threshold=0.4)["GTKnownLoc"] < whole


def test_strangers_are_named_and_not_counted(lists: Path, maps: Path) -> None:
    write_map(maps, "z/9.jpg", np.eye(224))
    with pytest.warns(UserWarning, match="no image is listed for z/9.jpg.npy"):
        assert wsol.evaluate_maps(maps, lists)["images"] == 3


def test_what_cannot_be_scored_is_listed_by_id(lists: Path, maps: Path) -> None:
    (maps / f"{IDS[0]}.npy").unlink()
    np.save(maps / "c/2.jpg.npy", np.zeros((3, 224, 224)))
    (maps / "c/3.jpg.npy").write_bytes(b"\x93NUMPY\x01\x00nonsense")
    with pytest.raises(WsolError, match=r"no map for a, b/1.jpg;.*2.jpg.npy: holds .*; .*3.jpg.npy: cannot be read"):
        wsol.evaluate_maps(maps, lists)
    (lists / "image_sizes.txt").write_text(f"{IDS[0]},100,80\n{IDS[1]},100,80\n")
    boxes = f"{IDS[0]},60,20,10,70\n{IDS[1]},0,0,10,10\n{IDS[2]},1,1,9,9\n"
    (lists / "localization.txt").write_text(boxes)
    with pytest.raises(WsolError, match=r"2 cannot be used: a, b/1.jpg: box .*no size for c/3.jpg"):
        wsol.evaluate_maps(maps, lists)


def test_boxes_beyond_their_image_count_and_are_named(lists: Path, maps: Path) -> None:
    (lists / "localization.txt").write_text(f"{IDS[0]},0,0,101,80\n{IDS[1]},0,0,10,10\n{IDS[2]},1,1,9,9\n")
    with pytest.warns(UserWarning, match="reach out of a, b/1.jpg: counted"):
        wsol.evaluate_maps(maps, lists)


def test_masks_lie_where_the_user_says(tmp_path: Path, lists: Path, maps: Path) -> None:
    mask = np.zeros((80, 100), np.uint8)
    mask[20:70, 10:60] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "1.png")
    (lists / "localization.txt").write_text("".join(f"{id},1.png,\n" for id in IDS))
    (lists / "image_sizes.txt").write_text("")
    with pytest.raises(WsolError, match=r"a, b/1.jpg: mask .*1.png is missing"):
        wsol.evaluate_maps(maps, lists)
    figures = wsol.evaluate_maps(maps, lists, mask_root=tmp_path / "masks")
    heatmaps = [np.load(maps / f"{id}.npy") for id in IDS]
    oracle_scale, oracle.scale_to_one = oracle.scale_to_one, lambda heatmap: heatmap
    try:
        taus = np.arange(0, 1, 0.001).tolist()
        expected = oracle.pixel_precision(heatmaps, [mask > 0] * 3, [None] * 3, taus)
    finally:
        oracle.scale_to_one = oracle_scale
    assert (figures["PxAP"], figures["PIoU"]) == pytest.approx(expected, rel=1e-12)
    assert figures["MaxBoxAcc"] is None


def test_an_id_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    for id in ("../x.jpg", "/x.jpg", "a/../../x.jpg"):
        with pytest.raises(WsolError, match="leads out of its folder; rename"):
            write_map(tmp_path / "maps", id, np.eye(224))


def test_a_run_s_maps_give_the_run_s_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4}
    shown = Creatures("train", images=24, size=36)
    run = wsol.train("cam", (shown, shown), tmp_path / "run", epochs=0, workers=0, **small)
    photos = Creatures("test", images=7, size=80)
    own = wsol.evaluate(run, photos, threshold=0.3, write_maps=tmp_path / "maps", workers=0)
    write_metadata(photos, tmp_path / "lists")
    arguments = ["--maps", tmp_path / "maps", "--metadata", tmp_path / "lists", "--threshold", "0.3"]
    main(["evaluate", *map(str, arguments), "--output", str(tmp_path / "figures.json")])
    again = json.loads((tmp_path / "figures.json").read_text())
    assert "protocol clova" in " ".join(capsys.readouterr().out.split())
    for name in ("Top1Cls", "MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc", "Top1Loc", "BestThreshold", "Errors"):
        assert again[name] == own[name], name
    assert again["CentreBox"]["MaxBoxAccV2"] == own["CentreBox"]["MaxBoxAccV2"]


def test_a_run_and_maps_at_once_are_wrong_usage(maps: Path, lists: Path) -> None:
    for wrong in (["run"], [], ["--maps", str(maps)], ["run", "data", "--maps", str(maps), "--metadata", str(lists)]):
        with pytest.raises(SystemExit) as stopped:
            main(["evaluate", *wrong])
        assert stopped.value.code == 2
