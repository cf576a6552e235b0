"""Layouts of other packages: recognised through entry points like ours, and harmless where they are broken."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from wsol import registry
from wsol.data import CUB, Csv, Dataset, Folder, Metadata, Sample, Truth, check, known_layouts, open_data
from wsol.data.layouts.ilsvrc import ILSVRC
from wsol.errors import WsolError


class BoxesJson(Dataset):
    """boxes.json: {photo: [class, box]}."""

    about = "a folder with boxes.json"
    has_boxes = True

    @classmethod
    def found(cls, path: Path) -> Path | None:
        return path if (path / "boxes.json").is_file() else None

    def __init__(self, root: Path, split: str, val_per_class: int) -> None:
        self.name, self.val_per_class = root.name, val_per_class
        self.content = json.loads((root / "boxes.json").read_text())
        self.classes = sorted({name for name, _ in self.content.values()})
        self.samples = [Sample(id, self.classes.index(name), root / id) for id, (name, _) in self.content.items()]

    def truth(self, index: int) -> Truth:
        return Truth(np.array([self.content[self.samples[index].id][1]], np.float64))


Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Makes installed packages offer layouts: offer(package, name, target)."""
    offered: list[EntryPoint] = []
    module = ModuleType("boxes_json_package")
    vars(module).update(BoxesJson=BoxesJson)
    monkeypatch.setitem(sys.modules, "boxes_json_package", module)

    def entry_points(group: str) -> list[EntryPoint]:
        return [point for point in offered if point.group == group]

    def offer(package: str, name: str = "boxes_json", target: str = "boxes_json_package:BoxesJson") -> None:
        point = EntryPoint(name, target, "wsol.layouts")
        vars(point).update(dist=SimpleNamespace(name=package))
        offered.append(point)
        registry._installed.cache_clear()

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._installed.cache_clear()
    yield offer
    registry._installed.cache_clear()


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    root = tmp_path / "boxed"
    for name in ("cat/1.png", "dog/1.png"):
        (root / name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 30), (len(name), ord(name[0]), 0)).save(root / name)
    (root / "boxes.json").write_text(
        json.dumps({"cat/1.png": ["cat", [1, 2, 9, 8]], "dog/1.png": ["dog", [0, 0, 5, 5]]})
    )
    return root


def test_a_layout_of_another_package_opens_before_the_plain_folder(offer: Offer, boxed: Path) -> None:
    assert isinstance(open_data(boxed, "train"), Folder)
    offer("boxes-package")
    photos = open_data(boxed, "train", val_per_class=3)
    assert isinstance(photos, BoxesJson) and photos.val_per_class == 3
    assert photos.truth(0).boxes.tolist() == [[1, 2, 9, 8]] and photos.size(0) == (40, 30)
    report = check(boxed, ["test"])
    assert (report.layout, report.splits["test"].boxes, report.problems) == ("a folder with boxes.json", 2, [])


def test_a_layout_of_a_running_program_opens_too(offer: Offer, boxed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(BoxesJson, "__module__", "boxes_json_package")
    registry.register(BoxesJson, "layouts")
    assert isinstance(open_data(boxed, "test"), BoxesJson)


def test_all_layouts_are_listed_where_there_is_no_data(offer: Offer, tmp_path: Path) -> None:
    offer("boxes-package")
    offer("broken", "broken", "no_such_module:Layout")
    with pytest.warns(UserWarning, match="broken"), pytest.raises(WsolError, match="there is no such data") as error:
        open_data(tmp_path / "nothing", "train")
    lines = known_layouts()
    assert list(lines)[-2:] == ["boxes_json", "folder"] and "broken" not in lines
    assert set(lines) == set(registry.OURS["layouts"]) | {"boxes_json"}
    for about in lines.values():
        assert about.removeprefix("the folder of ") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_no_layout_recognises_is_named(offer: Offer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(WsolError, match=r"notes\.txt: no layout recognises this file; give the word creatures"):
        open_data(tmp_path / "notes.txt", "train")


def test_a_layout_that_two_packages_offer_is_refused_for_its_data_only(offer: Offer, boxed: Path) -> None:
    offer("one-package")
    offer("other-package")
    with pytest.raises(WsolError, match="'boxes_json' is offered by one-package and other-package; remove one"):
        open_data(boxed, "train")
    (boxed / "boxes.json").unlink()
    assert isinstance(open_data(boxed, "train"), Folder)


def test_a_package_that_takes_one_of_our_names_does_not_replace_it_silently(offer: Offer, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("path,label\n")
    offer("other-package", "csv")
    with pytest.raises(WsolError, match="'csv' is offered by wsol and other-package"):
        open_data(tmp_path / "p.csv", "train")


class Failing(BoxesJson):
    @classmethod
    def found(cls, path: Path) -> Path | None:
        raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module:Layout", r"'broken' of the package bad-package cannot be loaded \(No module named"),
        ("boxes_json_package:Missing", "'broken' of the package bad-package cannot be loaded"),
        ("boxes_json_package:Failing", r"'broken' of the package bad-package fails \(division by zero\)"),
        ("boxes_json_package:no_layout", "'broken' of the package bad-package fails .*no attribute 'found'"),
    ],
)
def test_a_broken_layout_is_named_only_where_nothing_else_recognises_the_data(
    offer: Offer, boxed: Path, target: str, said: str
) -> None:
    vars(sys.modules["boxes_json_package"]).update(Failing=Failing, no_layout=object())
    offer("bad-package", "broken", target)
    with pytest.warns(UserWarning, match=said) as warned:
        assert isinstance(open_data(boxed, "train"), Folder)
    assert len(warned) == 1
    offer("boxes-package")
    (boxed / "p.csv").write_text("path,label\ncat/1.png,cat\ndog/1.png,dog\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(open_data(boxed, "train"), BoxesJson)
        assert isinstance(open_data(boxed / "p.csv", "train"), Csv)


def test_where_two_layouts_match_the_first_one_is_taken(tmp_path: Path) -> None:
    for wnid in ("n01440764", "n01484850"):
        for split in ("train", "val"):
            (tmp_path / split / wnid).mkdir(parents=True)
    assert isinstance(open_data(tmp_path, "train"), ILSVRC)
    for name in ("image_ids", "class_labels"):
        (tmp_path / "val" / f"{name}.txt").touch()
    assert isinstance(open_data(tmp_path, "val"), Metadata)
    for name in ("images", "image_class_labels", "train_test_split", "classes"):
        (tmp_path / f"{name}.txt").touch()
    assert isinstance(open_data(tmp_path, "val"), CUB)


def test_every_layout_says_what_it_is() -> None:
    lines = [entry.load().about for entry in registry.entries("layouts")]
    assert all(lines) and len(set(lines)) == len(lines)
    assert not any("\n" in line or line.endswith(".") for line in lines)
