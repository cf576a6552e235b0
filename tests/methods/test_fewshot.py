"""The few-shot baseline: its loss, what it is given, and what it never sees."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from oracles import methods as oracle
from oracles.networks import batch, plain
from PIL import Image

import wsol
from wsol import registry
from wsol.benchmark.run import benchmark
from wsol.data import Creatures
from wsol.data.classes import Relabelled
from wsol.data.dataset import Truth
from wsol.data.layouts import creatures
from wsol.errors import WsolError
from wsol.methods.fewshot import FewShot
from wsol.methods.references import reference
from wsol.nn.maps import drawn
from wsol.runs.card import card

IMAGES, LABELS = batch()
SMALL: dict[str, Any] = {"backbone": "resnet18", "weights": "none", "end": "layer2", "image_size": 64, "batch_size": 8}
SMALL |= {"map_stride": 8, "workers": 0, "epochs": 1, "precision": "fp32", "sheet_every": 0}
# in pixels: side by side, one within another, and one that is cut down to an edge by the crop
BOXES = torch.tensor([[[3.0, 5, 17, 30], [20, 0, 32, 9]], [[0, 0, 32, 32], [8, 8, 16, 16]]] * 2)
BOXES[2, 1] = torch.tensor([32.0, 4, 32, 20])


def made() -> FewShot:
    torch.manual_seed(4)
    method = FewShot(plain(), 5)
    torch.nn.init.normal_(method.head.weight)
    return method


def photos(split: Any = "val", images: int = 16) -> Creatures:
    return Creatures(split, images=images, size=73)


class Partly(Creatures):
    """Every third photo has no box."""

    def truth(self, index: int) -> Truth:
        return Truth() if index % 3 == 0 else super().truth(index)


class White(Partly):
    """White boxes on black."""

    def image(self, index: int) -> Image.Image:
        picture = Image.new("RGB", self.size(index))
        picture.paste("white", tuple(map(int, Creatures.truth(self, index).boxes[0])))
        return picture


class Untouched(Creatures):
    """Photos of which nobody may ask anything."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__init__", "__dict__"):
            return super().__getattribute__(name)
        raise AssertionError(f"{name} of the training photos was asked for")


def on_disk(folder: Path, splits: str = "train val") -> Path:
    """photos.csv: 20 photos a split, boxes for those to validate on alone."""
    lines = ["path,label,x0,y0,x1,y1,split"]
    for split in splits.split():
        shown = Creatures(split, images=20, size=36)  # type: ignore[arg-type]
        for index, sample in enumerate(shown.samples):
            path = folder / split / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            shown.image(index).save(path)
            box = shown.truth(index).boxes[0].tolist() if split == "val" and index < 9 else ["", "", "", ""]
            lines.append(",".join(map(str, [path.relative_to(folder), sample.label, *box, split])))
    (folder / "photos.csv").write_text("\n".join(lines))
    return folder / "photos.csv"


def test_the_loss_equals_the_slow_twin() -> None:
    terms = made().loss(IMAGES, LABELS, BOXES)
    expected = oracle.fewshot(made(), IMAGES, (BOXES / 32).tolist())
    assert list(terms) == ["cover"] and terms["cover"].item() == pytest.approx(expected, rel=1e-5)


def test_no_label_changes_the_loss_and_of_classes_it_says_nothing() -> None:
    method = made().eval()
    for labels in (LABELS, (LABELS + 1) % 5, torch.rand(4, 5), torch.rand(4, 5) > 0.5):
        assert torch.equal(method.loss(IMAGES, labels, BOXES)["cover"], method.loss(IMAGES, LABELS, BOXES)["cover"])
    prediction = method.predict(IMAGES)
    assert prediction.logits.shape == (4, 5) and not prediction.logits.any()
    one, other = method.heatmaps(prediction, torch.tensor([[4, 0]] * 4)).unbind(1)
    assert torch.equal(one, other)
    torch.testing.assert_close(one, method.head(method.backbone(IMAGES))[:, 0].sigmoid())


def test_it_learns_to_draw_the_boxes_of_a_batch() -> None:
    method = made().train()
    optimiser = torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(200):
        optimiser.zero_grad()
        method.loss(IMAGES, LABELS, BOXES)["cover"].backward()
        optimiser.step()
    heatmaps = method.predict(IMAGES).evidence["covered"]
    assert (heatmaps - drawn(BOXES / 32, 8).amax(1)).abs().mean() < 0.1


def test_without_boxes_it_says_where_they_come_from() -> None:
    with pytest.raises(WsolError, match="learns from the true boxes of validation photos"):
        made().loss(IMAGES, LABELS)
    assert made().asked == {"true_boxes"}


def test_what_learns_from_boxes_says_so_wherever_methods_are_listed() -> None:
    for entry in registry.entries("methods"):
        about = reference(entry)
        assert about is not None
        assert ("true boxes" in about.paper) == (entry.load().learns_from == "validation boxes"), entry.name


def test_training_photos_are_not_touched_and_labels_do_not_matter(tmp_path: Path) -> None:
    usual, other = photos(), Relabelled(photos(), photos().classes, {label: 0 for label in range(12)})
    untouched = Untouched.__new__(Untouched)
    runs = [
        wsol.train("fewshot", (untouched, given), tmp_path / name, **SMALL)
        for name, given in {"usual": usual, "other": other}.items()
    ]
    one, two = (wsol.load(run).method.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_only_validation_photos_are_shown_and_only_their_boxes_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[str]] = {"listed": set(), "image": set(), "truth": set()}
    begin = Creatures.__init__

    def listed(self: Creatures, split: Any = "train", **given: Any) -> None:
        asked["listed"].add(split)
        begin(self, split, **given)

    def noted(name: str) -> None:
        usual = getattr(Creatures, name)
        monkeypatch.setattr(
            Creatures, name, lambda self, index: asked[name].add(self.split) or usual(self, index), raising=True
        )

    monkeypatch.setattr(Creatures, "__init__", listed)
    monkeypatch.setattr(creatures, "COUNTS", {"train": 24, "val": 16, "test": 12})
    noted("image")
    noted("truth")
    wsol.train("fewshot", "creatures", tmp_path / "run", **SMALL)
    assert asked["image"] == asked["truth"] == {"val"} and "train" not in asked["listed"]
    asked["truth"].clear()
    wsol.train("cam", "creatures", tmp_path / "cam", **SMALL)
    assert asked["truth"] == set() and asked["image"] == {"train", "val"}


def test_boxes_reach_the_loss_as_the_view_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """White boxes on black photos, found again in the pixels of the views."""
    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    usual = FewShot.loss

    def loss(self: FewShot, images: Any, labels: Any, true_boxes: Any = None) -> Any:
        given.append((images, true_boxes))
        return usual(self, images, labels, true_boxes)

    monkeypatch.setattr(FewShot, "loss", loss)
    shown = White("val", images=24, size=73)
    wsol.train("fewshot", (shown, shown), tmp_path / "run", **SMALL)
    assert sum(len(images) for images, _ in given) == 16
    for images, boxes in given:
        for image, box in zip(images, boxes, strict=True):
            assert box.shape == (1, 4)
            torch.testing.assert_close(drawn(box[0] / 64, 64), image.mean(0), rtol=0, atol=1e-2)


def test_thirty_steps_on_a_few_boxes_draw_better_boxes_of_other_photos(tmp_path: Path) -> None:
    given = SMALL | {"batch_size": 4, "learning_rate": 0.05, "head_rate": 1.0, "schedule": "onecycle"}
    shown, accuracies = photos(images=40), []
    for epochs in (0, 3):
        run = wsol.train("fewshot", (shown, shown), tmp_path / str(epochs), **given | {"epochs": epochs})
        accuracies.append(wsol.evaluate(run, photos("test", 60), workers=0, threshold=0.5)["MaxBoxAccV2"])
    assert accuracies[1] > accuracies[0] + 10, accuracies
    assert run.figures()["epoch"] == 3  # the last, as there is nothing to choose by


def test_the_console_says_from_how_many_boxes_it_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Partly("val", images=18, size=36)
    run = wsol.train("fewshot", (shown, shown), tmp_path / "run", **SMALL)
    said = capsys.readouterr().err
    assert "FewShot learns from the true boxes of 12 of 18 validation photos, and no training photo\n" in said
    assert json.loads((tmp_path / "run" / "training.json").read_text())["photos"] == {"training": 12, "validation": 18}
    assert "trained on true boxes of a few photos" in card(run, "ann/birds")


def test_boxes_of_a_table_are_learnt_and_photos_trained_on_by_intention_are_no_fault(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run = wsol.train("fewshot", on_disk(tmp_path), tmp_path / "run", **SMALL)
    assert len(run.trained_on() or ()) == 9
    assert not [warning for warning in recwarn if "trained on too" in str(warning.message)]


@pytest.mark.parametrize("around", ["has+", "adl+"])
def test_methods_around_it_are_given_the_boxes_too(around: str, tmp_path: Path) -> None:
    run = wsol.train(f"{around}fewshot", (photos(), photos()), tmp_path / "run", **SMALL)
    assert run.stack.learns_from == "validation boxes"


def test_without_a_validation_split_it_is_refused(tmp_path: Path) -> None:
    table = on_disk(tmp_path, "val")
    lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines))
    with pytest.raises(WsolError, match=r"photos\.csv: no split for validation, whose boxes FewShot learns from; add"):
        wsol.train("fewshot", table, tmp_path / "run", **SMALL)
    assert not (tmp_path / "run" / "run.json").exists()


def test_without_boxes_or_with_another_runs_it_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    shown = photos()
    shown.truth = lambda index: Truth()  # type: ignore[method-assign]
    with pytest.raises(WsolError, match="creatures: no validation photo has a box; add some"):
        wsol.train("fewshot", (shown, shown), tmp_path / "run", **SMALL)
    with pytest.raises(WsolError, match="FewShot learns from true boxes; leave --pseudo-boxes out"):
        wsol.train("fewshot", (photos(), photos()), tmp_path / "run", pseudo_boxes="results.jsonl", **SMALL)
    assert not (tmp_path / "run" / "run.json").exists()


def test_it_is_a_row_of_a_benchmark_and_takes_classes_from_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creatures, "COUNTS", {"train": 16, "val": 16, "test": 24})
    grid = tmp_path / "grid.yaml"
    grid.write_text("data: creatures\nrecipe: creatures\nrows: [{method: cam}, {method: fewshot}]\n")
    errors = benchmark(grid, output=tmp_path / "out", **SMALL)
    assert errors == {}
    figures = json.loads((tmp_path / "out" / "fewshot-0.json").read_text())
    assert figures["images"] == 24 and figures["MaxBoxAcc"] > 0
    runs = tmp_path / "out" / "runs"
    composed, cam = wsol.load(runs / "fewshot-0", classes_from=runs / "cam-0"), wsol.load(runs / "cam-0")
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(composed.look(images).scores, cam.look(images).scores)
