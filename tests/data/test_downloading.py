"""Names lead to torchvision's classes, and what these leave is recognised; the servers were not asked."""

from pathlib import Path
from typing import Any

import pytest
from torchvision import datasets

from wsol.cli import main
from wsol.data import download
from wsol.data.downloading import SOURCES
from wsol.data.opening import PUBLISHED
from wsol.errors import WsolError

# where each class of torchvision unpacks its files
PLACES = {
    "Caltech256": "caltech256",
    "Flowers102": "flowers-102",
    "OxfordIIITPet": "oxford-iiit-pet",
    "VOCDetection": "VOCdevkit/VOC2012",
}


@pytest.mark.parametrize("name", SOURCES)
def test_names_lead_to_classes_of_torchvision(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, options = SOURCES[name]
    asked: list[Any] = []
    getattr(datasets, kind)  # it exists
    monkeypatch.setattr(datasets, kind, lambda *given, **named: asked.append((given, named)))
    main(["data", "download", name, str(tmp_path)])
    assert asked == [((str(tmp_path),), {"download": True} | options)]
    assert any(PLACES[kind] in places for places, _ in PUBLISHED.values())


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
