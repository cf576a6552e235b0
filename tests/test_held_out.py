"""Photos that come alone are all measured, but for those that the run was trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import wsol
from wsol.data import Csv, Folder
from wsol.errors import WsolError
from wsol.evaluation.evaluate import evaluate
from wsol.evaluation.report import table
from wsol.runs.folder import Run

OPTIONS = {"backbone": "resnet18", "weights": "none", "map_stride": 8, "image_size": 32, "batch_size": 4, "workers": 0}
CLASSES = ("cat", "dog", "fox")


def photos(root: Path, count: int = 14, shade: int = 0, classes: tuple[str, ...] = CLASSES) -> Path:
    """Class folders of photos that are all different; their names are the same whatever the shade."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (40, 40), (shade, 80 * label, 10 * index)).save(root / name / f"{index:02d}.png")
    return root


def table_of(root: Path) -> Path:
    """The same photos as a table with boxes and without a column of splits."""
    lines = [f"{path.relative_to(root.parent)},{path.parent.name},5,5,30,30" for path in sorted(root.glob("*/*"))]
    file = root.parent / f"{root.name}.csv"
    file.write_text("\n".join(["path,label,x0,y0,x1,y1", *lines]))
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("own") / "photos")


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    return wsol.train("cam", data, data.parent / "run", epochs=0, **OPTIONS)


def measured(run: Run, path: Path, **given: Any) -> tuple[int, str]:
    figures = evaluate(run, path, workers=0, **given)
    assert figures["measured"] in str(table(figures).title)
    return figures["images"], figures["measured"]


def test_a_folder_of_new_photos_is_measured_whole_though_its_files_are_called_alike(run: Run, tmp_path: Path) -> None:
    new = photos(tmp_path / "photos", shade=200)
    assert measured(run, new) == measured(run, new, split="val") == (42, "all photos given")
    assert measured(run, new / "..") == (42, "all photos given")  # one level too high
    assert evaluate(run, new, workers=0)["threshold_source"] == "auto"


def test_a_table_of_new_photos_is_measured_whole_and_chooses_no_threshold(run: Run, tmp_path: Path) -> None:
    figures = evaluate(run, table_of(photos(tmp_path / "new", shade=200)), workers=0)
    assert (figures["images"], figures["measured"]) == (42, "all photos given")
    assert (figures["threshold"], figures["threshold_source"]) == ("auto", "auto")
    assert not (run.folder / "threshold.json").exists()


def test_of_the_photos_of_the_training_the_held_back_ones_are_measured(run: Run, data: Path, tmp_path: Path) -> None:
    assert measured(run, data) == (3, "those of 42 given that it was not trained on")
    moved = Path(shutil.copytree(data, tmp_path / "elsewhere"))
    assert measured(run, moved) == (3, "those of 42 given that it was not trained on")
    Image.new("RGB", (40, 40), "white").save(moved / "cat" / "00a.png")  # every tenth is another one now
    assert measured(run, moved) == (4, "those of 43 given that it was not trained on")


def test_photos_that_were_all_trained_on_are_measured_with_a_warning(run: Run, data: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        shutil.copytree(data / name, tmp_path / "seen" / name)
        (tmp_path / "seen" / name / "09.png").unlink()
    with pytest.warns(UserWarning, match="seen: the run was trained on all of these photos: its figures are too good"):
        assert measured(run, tmp_path / "seen") == (39, "all photos given, all trained on")


def test_a_threshold_chosen_on_the_photos_that_are_measured_says_so(data: Path, tmp_path: Path) -> None:
    file = table_of(Path(shutil.copytree(data, tmp_path / "listed")))
    run = wsol.train("cam", file, tmp_path / "run", epochs=0, **OPTIONS)
    figures = evaluate(run, file, workers=0)
    assert (figures["images"], figures["threshold_source"]) == (3, "validation, the photos measured")
    assert figures["threshold"] == figures["BestThreshold"] == run.open().threshold
    assert evaluate(run, Csv(file, "test"), workers=0)["measured"] == "every tenth of a class"


def test_a_run_of_an_earlier_version_is_known_by_the_names_of_its_photos(run: Run, data: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(run.folder, tmp_path / "older"))
    (older / "photos.json").unlink()
    assert measured(Run.read(older), data) == (3, "every tenth photo, held back from training")
    assert measured(Run.read(older), photos(tmp_path / "new", 30)) == (90, "all photos given")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"trained_on": 3}'])
def test_a_damaged_list_of_photos_is_named(run: Run, data: Path, tmp_path: Path, text: str) -> None:
    damaged = Path(shutil.copytree(run.folder, tmp_path / "damaged"))
    (damaged / "photos.json").write_text(text)
    with pytest.raises(WsolError, match=r"photos\.json: .*; remove it: photos are then known by their names alone"):
        evaluate(damaged, data, workers=0)


@pytest.mark.parametrize("split", ["test", "holdout", "val", "Validation"])
def test_a_split_that_comes_alone_is_measured(run: Run, tmp_path: Path, split: str) -> None:
    photos(tmp_path / "new" / split, 2, 200, ("dog", "cat"))
    assert measured(run, tmp_path / "new") == (4, "test")
    with pytest.raises(WsolError, match=f"new: no folder gives the split train, there is only {split}; add a folder"):
        wsol.train("cam", tmp_path / "new", tmp_path / "run", epochs=0, **OPTIONS)


def test_splits_of_the_data_set_are_measured_as_they_are(run: Run, data: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(data, tmp_path / "split" / split)
    assert measured(run, tmp_path / "split") == (42, "test")
    assert evaluate(run, Folder(data, "train"), workers=0)["images"] == 39


def test_training_names_photos_that_judge_it_or_lie_in_two_classes(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 6)
    for split in ("train", "val", "test"):
        photos(root / split, 6, {"train": 0, "val": 90, "test": 180}[split])
    for name in CLASSES:
        shutil.rmtree(root / name)
    (root / "val/cat/00.png").write_bytes((root / "train/cat/03.png").read_bytes())
    (root / "test/cat/00.png").unlink()
    (root / "test/cat/00.png").symlink_to(root / "train/cat/04.png")
    (root / "train/dog/00.png").write_bytes((root / "train/cat/05.png").read_bytes())
    with pytest.warns(UserWarning) as warned:
        run = wsol.train("cam", root, tmp_path / "run", epochs=0, **OPTIONS)
    said = [str(warning.message) for warning in warned if "photos" in str(warning.message)]
    assert said == [
        f"1 of 18 training photos lie in another class too: {root}/train/dog/00.png (as {root}/train/cat/05.png); "
        "remove one of each",
        f"1 of 18 validation photos are trained on too, so their figures are too good: {root}/val/cat/00.png "
        f"(as {root}/train/cat/03.png); remove one of each, or add photos",
        f"1 of 18 test photos are trained on too, so their figures are too good: {root}/test/cat/00.png "
        f"(as {root}/train/cat/04.png); remove one of each, or add photos",
    ]
    assert len(json.loads((run.folder / "photos.json").read_text())["trained_on"]) == 18
