"""Co-localization by class: DDT against its slow twin, and from photos to boxes that a regressor learns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.maps import ddt
from torchvision.models import resnet18

import wsol
from wsol.boxes.rule import largest_component
from wsol.cli.app import main
from wsol.data import Creatures, open_data
from wsol.errors import WsolError
from wsol.locating.colocate import common

SMALL = {"weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0, "precision": "fp32"}


@given(st.integers(0, 1000), st.sampled_from([(1, 5, 4, 4), (3, 2, 3, 5), (2, 30, 3, 3)]))
def test_maps_equal_the_slow_twin(seed: int, shape: tuple[int, ...]) -> None:
    features = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    features[:, 0] *= 5  # one direction varies far more than the others
    torch.testing.assert_close(common(features), ddt(features).float(), rtol=1e-3, atol=1e-4)


def test_what_the_photos_of_a_class_share_is_positive_and_the_rest_negative() -> None:
    """An object at other places in each photo, in a direction of its own."""
    places = [(0, 0), (2, 3), (4, 1)]
    features = 0.01 * torch.rand(3, 6, 6, 6) + 1
    for photo, (y, x) in zip(features, places, strict=True):
        photo[2, y : y + 2, x : x + 2] += 3
    for heatmap, (y, x) in zip(common(features), places, strict=True):
        expected = torch.zeros(6, 6, dtype=torch.bool)
        expected[y : y + 2, x : x + 2] = True
        assert torch.equal(heatmap > 0, expected)


def test_photos_without_any_difference_have_maps_of_zeros_and_whole_boxes() -> None:
    heatmaps = common(torch.ones(2, 4, 3, 3))
    assert not heatmaps.any() and largest_component(heatmaps[0].numpy() > 0).tolist() == [[0, 0, 1, 1]]


def weights(folder: Path) -> str:
    """A ResNet-18 as a file, as if it had learnt something."""
    torch.manual_seed(3)
    torch.save(resnet18().state_dict(), folder / "resnet18.pth")
    return str(folder / "resnet18.pth")


def mask(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


@pytest.mark.parametrize(
    ("cells", "box"),
    [
        (mask("....", ".##.", "#...", "...."), [0, 0.25, 0.75, 0.75]),  # corners touch
        (mask("#...#", "#...#", "....#", "....."), [0.8, 0, 1, 0.75]),  # three cells against two
        (mask("....", "....", "....", "...."), [0, 0, 1, 1]),
        (mask("#####", "#...#", "#####", ".....", "....."), [0, 0, 1, 0.6]),
    ],
)
def test_the_box_is_that_of_the_region_with_the_most_cells(cells: np.ndarray, box: list[float]) -> None:
    assert largest_component(cells)[0].tolist() == pytest.approx(box)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for index in range(12):
        path = root / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Creatures("train", images=12, size=48).image(index).resize((60, 48)).save(path)
    return root


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    wsol.train("cam", photos, folder, backbone="resnet18", epochs=0, **SMALL)
    return folder


def test_each_photo_gets_the_box_of_its_own_class(photos: Path, run: Path) -> None:
    results = wsol.colocate(run, photos, image_size=64, batch_size=2, boundary="layer3")
    known = open_data(photos, "train")
    found = {result.path: result for result in results}
    assert len(results) == len(known) == len(found)
    method = wsol.load(run).method
    for label in (0, 1):
        places = [place for place, sample in enumerate(known.samples) if sample.label == label]
        views = [known.image(place).resize((64, 64), 2) for place in places]
        images = torch.stack([torch.from_numpy(np.array(view)).permute(2, 0, 1) / 255 for view in views])
        with torch.no_grad():
            heatmaps = ddt(method.backbone(images, until="layer3")).float()
        for place, heatmap in zip(places, heatmaps, strict=True):
            result = found[known.samples[place].id]
            torch.testing.assert_close(torch.from_numpy(result.heatmap), heatmap, rtol=1e-3, atol=1e-3)
            box = largest_component(result.heatmap > 0)[0] * [60, 48, 60, 48]
            assert result.boxes[0].tolist() == pytest.approx(box.tolist())
            assert (result.name, result.score, result.size) == ("ab"[label], 1.0, (60, 48))


def test_psol_is_co_localization_then_a_regressor_of_its_boxes(photos: Path, run: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes"
    main(["colocate", str(run), str(photos), "--output", str(boxes), "--image-size", "64"])
    lines = [json.loads(line) for line in (boxes / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 10 and len(list((boxes / "overlays").rglob("*.jpg"))) == 10
    with pytest.raises(SystemExit):
        main(["colocate", str(run), str(photos), "--output", str(boxes), "--image-size", "64"])  # no --overwrite
    told = {"pseudo_boxes": str(boxes / "results.jsonl"), "backbone": "resnet18", "epochs": 1, "sheet_every": 0}
    regressor = wsol.train("regressor", photos, tmp_path / "two", **told, **SMALL)
    (result, *_) = wsol.locate(regressor, photos)
    assert result.findings[0].regressed


def test_generated_photos_can_be_drawn_too(run: Path) -> None:
    (result, *_) = wsol.colocate(run, Creatures("train", images=4, size=48), image_size=32)
    assert result.plot().size == (48, 48)


def test_a_librarys_network_with_a_file_of_weights_needs_no_names_of_classes(photos: Path, tmp_path: Path) -> None:
    network = resnet18()
    network.load_state_dict(torch.load(weights(tmp_path), weights_only=True))
    given = {"image_size": 64}
    ours = wsol.colocate("torchvision:resnet18", photos, weights=str(tmp_path / "resnet18.pth"), **given)
    for here, there in zip(ours, wsol.colocate(wsol.adopt(network.eval(), None), photos, **given), strict=True):
        np.testing.assert_allclose(here.heatmap, there.heatmap, atol=1e-4)


def test_what_cannot_be_is_said_in_one_line(photos: Path, run: Path) -> None:
    with pytest.raises(WsolError, match="batch_size cannot be 0"):
        wsol.colocate(run, photos, batch_size=0)
    with pytest.raises(WsolError, match="there is no boundary 'nowhere'"):
        list(wsol.colocate(run, photos, boundary="nowhere", image_size=32))


def test_psol_begins_with_the_boxes_of_its_own_backbone(photos: Path, tmp_path: Path) -> None:
    given = SMALL | {"weights": weights(tmp_path), "epochs": 1}
    wsol.train("cam", photos, tmp_path / "before", **given | {"epochs": 0})
    (tmp_path / "psol" / "boxes").mkdir(parents=True)
    (tmp_path / "psol" / "boxes" / "results.jsonl").write_text("of an earlier start, with another network")
    run = wsol.train("psol", photos, tmp_path / "psol", **given)
    assert run.stack.key == "regressor"
    said = [json.loads(line) for line in (run.folder / "boxes" / "results.jsonl").read_text().splitlines()]
    expected = {result.path: result for result in wsol.colocate(tmp_path / "before", photos, image_size=64)}
    assert {line["path"] for line in said} == set(expected)
    for line in said:
        box = line["findings"][0]["boxes"][0]
        assert box == pytest.approx(expected[line["path"]].findings[0].boxes[0].tolist(), abs=0.1)
    handed = wsol.train(
        "psol", photos, tmp_path / "handed", pseudo_boxes=str(run.folder / "boxes" / "results.jsonl"), **given
    )
    one, other = (wsol.load(each, checkpoint="last").method.state_dict() for each in (run, handed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (handed.folder / "boxes").exists()
    made = (run.folder / "boxes" / "results.jsonl").stat().st_mtime_ns
    wsol.train("psol", photos, run.folder, resume=True, **given | {"epochs": 2})
    assert (run.folder / "boxes" / "results.jsonl").stat().st_mtime_ns == made  # those that it learnt from before


def test_psol_is_not_begun_with_features_that_have_learnt_nothing(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(WsolError, match=r"learns from boxes; give --pseudo-boxes .*, or --weights"):
        wsol.train("psol", photos, tmp_path / "run", backbone="resnet18", epochs=1, **SMALL)
