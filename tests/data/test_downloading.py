"""Names lead to torchvision's classes, and the folders that these write are recognised; no server is asked."""

from pathlib import Path
from typing import Any

import pytest
from torchvision import datasets

from wsol.data import VOC, Caltech256, Dataset, Flowers102, Pet, download
from wsol.data.download import SOURCES
from wsol.errors import WsolError

# where each class of torchvision unpacks its files, and the files that tell the layout
PLACES: dict[str, tuple[type[Dataset], str, tuple[str, ...]]] = {
    "Caltech256": (Caltech256, "caltech256", ("256_ObjectCategories",)),
    "Flowers102": (Flowers102, "flowers-102", ("jpg", "imagelabels.mat", "setid.mat")),
    "OxfordIIITPet": (Pet, "oxford-iiit-pet", ("images", "annotations/trainval.txt")),
    "VOCDetection": (VOC, "VOCdevkit/VOC2012", ("JPEGImages", "Annotations", "ImageSets")),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torchvision's classes are asked for; they fetch nothing."""
    asked: list[Any] = []
    for kind, _ in SOURCES.values():
        getattr(datasets, kind)  # it exists
        monkeypatch.setattr(datasets, kind, lambda *given, kind=kind, **named: asked.append((kind, given, named)))
    return asked


@pytest.mark.parametrize("name", SOURCES)
def test_names_lead_to_classes_of_torchvision(name: str, tmp_path: Path, asked: list[Any]) -> None:
    kind, options = SOURCES[name]
    download(name, tmp_path)
    assert asked == [(kind, (str(tmp_path),), {"download": True} | options)]


@pytest.mark.parametrize("kind", PLACES)
def test_the_folder_of_a_download_is_recognised(kind: str, tmp_path: Path) -> None:
    layout, place, files = PLACES[kind]
    for file in files:
        assert layout.found(tmp_path) is None
        (tmp_path / place / file).mkdir(parents=True)
    assert layout.found(tmp_path) == layout.found(tmp_path / place) == tmp_path / place


def test_the_help_names_all_data_sets() -> None:
    assert all(name in (download.__doc__ or "") for name in SOURCES)


def test_the_command(tmp_path: Path, asked: list[Any]) -> None:
    from wsol.cli.app import main

    main(["data", "download", "voc2012", str(tmp_path)])
    assert asked == [("VOCDetection", (str(tmp_path),), {"download": True} | SOURCES["voc2012"][1])]


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets, "Caltech256", refuse)
    with pytest.raises(WsolError, match=r"caltech256 could not be fetched \(no network\)"):
        download("caltech256", tmp_path)
    with pytest.raises(WsolError, match="imagenet: torchvision does not fetch it; there are caltech256"):
        download("imagenet", tmp_path)


def test_what_torchvision_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'gdown'", name="gdown")

    monkeypatch.setattr(datasets, "Caltech256", missing)
    with pytest.raises(WsolError, match="caltech256: torchvision fetches it by gdown; pip install gdown"):
        download("caltech256", tmp_path)
