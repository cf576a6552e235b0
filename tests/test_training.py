"""Training: groups and schedules as the papers give them, and nothing lost when a run is cut short."""

import csv
import json
import math
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import wsol
from wsol import registry
from wsol.data import Creatures, Dataset, Folder
from wsol.data.crops import Shuffled, training_box
from wsol.data.dataset import Truth
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.contract import Method
from wsol.registry import register
from wsol.runs.folder import Run
from wsol.runs.settings import Settings
from wsol.training.loop import Loop, parameter_groups, schedule

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "weights": "none",
    "image_size": 32,
    "batch_size": 8,
    "workers": 0,
    "epochs": 2,
    "precision": "fp32",
    "sheet_every": 1,
}


def photos(images: int = 24) -> Creatures:
    return Creatures("train", images=images, size=36)


def splits(images: int = 24) -> tuple[Creatures, Creatures]:
    """The same photos to train and to validate on."""
    return photos(images), photos(images)


def tensors(run: Run | Path, checkpoint: str = "best") -> dict[str, torch.Tensor]:
    return wsol.load(run, checkpoint=checkpoint).method.state_dict()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_registered", {})


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_log_file_gets_a_line_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here each minute is over at once, or never."""
    for every, steps in ((0.0, ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]), (1e9, [])):
        monkeypatch.setattr("wsol.training.progress.EVERY", every)
        wsol.train("cam", splits(), tmp_path / str(every), **SMALL)
        said = capsys.readouterr().err
        lines = re.findall(r"^step (\S+)  loss \d+\.\d{3}  \d+\.\d photos/s  \d+:\d\d left$", said, re.MULTILINE)
        assert lines == steps, said
        assert len(re.findall("^epoch", said, re.MULTILINE)) == 2


def test_a_run_folder_holds_what_it_says(tmp_path: Path) -> None:
    wsol.train("eil", splits(), tmp_path, sigma=1.5, **SMALL)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"run.json", "best.safetensors", "best.json", "last.safetensors", "last.json", "resume.safetensors"}
    assert len(list((tmp_path / "sheets").glob("epoch_*.png"))) == 2
    losses = [row for row in rows(tmp_path) if row["loss/total"]]
    assert len(losses) == 2
    for row in losses:
        assert float(row["loss/total"]) == pytest.approx(
            float(row["loss/intact"]) + float(row["loss/erased"]), rel=1e-5
        )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["options"]["sigma"] == 1.5
    assert about["versions"]["torch"] == torch.__version__.split("+")[0] or about["versions"]["torch"]


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    runs = [wsol.train("cam", splits(), tmp_path / str(i), seed=seed, **SMALL) for i, seed in enumerate((1, 1, 2))]
    one, same, other = map(tensors, runs)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.classifier.weight"], other["head.classifier.weight"])


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_resumes_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tensors(wsol.train("cam", splits(), tmp_path / "whole", **SMALL))
    loss, steps = CAM.loss, []

    def killed_in_the_second_epoch(self: CAM, images: Any, labels: Any) -> Any:
        steps.append(1)
        if len(steps) == 5:
            raise Killed
        return loss(self, images, labels)

    monkeypatch.setattr(CAM, "loss", killed_in_the_second_epoch)
    with pytest.raises(Killed):
        wsol.train("cam", splits(), tmp_path / "cut", **SMALL)
    monkeypatch.undo()
    with open(tmp_path / "cut" / "metrics.csv", "a") as file:
        file.write("12.5,")  # killed while it wrote
    wsol.train("cam", splits(), tmp_path / "cut", resume=True, **SMALL)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    resumed = tensors(tmp_path / "cut", "last")
    last = tensors(tmp_path / "whole", "last")
    assert all(torch.equal(last[name], resumed[name]) for name in whole)


def test_what_was_begun_is_not_overwritten_or_resumed_as_something_else(tmp_path: Path) -> None:
    wsol.train("cam", splits(), tmp_path, **SMALL | {"epochs": 0})
    with pytest.raises(WsolError, match="a run is stored here already"):
        wsol.train("cam", splits(), tmp_path, **SMALL)
    with pytest.raises(WsolError, match=r"begun with learning_rate 0\.\d+, not 0\.5; resume"):
        wsol.train("cam", splits(), tmp_path, resume=True, **SMALL | {"epochs": 0, "learning_rate": 0.5})
    renamed = photos()
    renamed.classes = ["zebra", *renamed.classes[1:]]
    with pytest.raises(WsolError, match="begun with other classes"):
        wsol.train("cam", (renamed, renamed), tmp_path, resume=True, **SMALL | {"epochs": 0})
    with pytest.raises(WsolError, match="creatures: 1 of its 12 classes is unknown to the training photos"):
        wsol.train("cam", (renamed, photos()), tmp_path / "other", **SMALL | {"epochs": 0})
    assert wsol.load(tmp_path).classes == tuple(photos().classes)
    (tmp_path / "run.json").unlink()
    with pytest.raises(WsolError, match=r"run\.json: not readable as JSON .*; choose another --output"):
        wsol.train("cam", splits(), tmp_path, resume=True, **SMALL)


def test_one_command_begins_a_run_and_goes_on_with_it(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"there is nothing to resume yet, so training begins$"):
        wsol.train("cam", splits(), tmp_path, resume=True, **SMALL | {"epochs": 1})
    assert not (tmp_path / "sheets" / "epoch_002.png").exists()
    wsol.train("cam", splits(), tmp_path, resume=True, **SMALL | {"workers": 1, "sheet_every": 2})
    assert (tmp_path / "sheets" / "epoch_002.png").exists()
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"epoch,step\n0,1,2,3\n", b""])
def test_the_rows_of_a_damaged_log_come_back(tmp_path: Path, content: bytes) -> None:
    wsol.train("cam", splits(), tmp_path, **SMALL | {"epochs": 1})
    (tmp_path / "metrics.csv").write_bytes(content)
    wsol.train("cam", splits(), tmp_path, resume=True, **SMALL | {"epochs": 2})
    assert [(row["epoch"], row["step"], row["loss/total"] > "0") for row in rows(tmp_path)] == [
        ("0", "3", True),
        ("1", "6", True),
    ]


def test_a_wrong_option_is_refused_before_any_photo_is_read(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    with pytest.raises(WsolError, match="no boundary 'pol4'"):
        wsol.train("eil", tmp_path / "photos", tmp_path / "run", boundary="pol4", **SMALL)
    with pytest.raises(WsolError, match="2 of 2 photos cannot be used"):
        wsol.train("eil", tmp_path / "photos", tmp_path / "run", **SMALL)


def test_what_fails_before_the_first_step_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise WsolError("no optimiser today")

    monkeypatch.setattr("wsol.training.train.Loop.configure_optimizers", refused)
    with pytest.raises(WsolError, match="no optimiser today"):
        wsol.train("cam", splits(), tmp_path, **SMALL)


@pytest.mark.parametrize("resume", [False, True])
def test_what_ended_before_it_learnt_may_be_fixed_and_begun_again(tmp_path: Path, resume: bool) -> None:
    with pytest.raises(WsolError, match="larger --batch-size or --image-size"):
        wsol.train("cam", splits(), tmp_path, **SMALL | {"batch_size": 1, "image_size": 16})
    wsol.train("cam", splits(), tmp_path, resume=resume, **SMALL)
    assert Run.read(tmp_path).resolved.settings.batch_size == SMALL["batch_size"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    wsol.train("cam", splits(), tmp_path, **SMALL)
    state = tmp_path / "resume.safetensors"
    whole = state.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        state.write_bytes(damaged)
        with pytest.raises(WsolError, match=r"resume\.safetensors: damaged .*; remove .*, and --resume begins anew"):
            wsol.train("cam", splits(), tmp_path, resume=True, **SMALL)
    state.unlink()
    last = tensors(tmp_path, "last")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wsol.train("cam", splits(), tmp_path, resume=True, **SMALL)
    assert all(torch.equal(last[name], again) for name, again in tensors(tmp_path, "last").items())


def test_a_state_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    wsol.train("cam", splits(), tmp_path, **SMALL)
    (tmp_path / "resume.safetensors").rename(tmp_path / "resume.ckpt")
    with pytest.raises(WsolError, match=r"resume\.ckpt: is of an earlier version, .*; remove it, and --resume begins"):
        wsol.train("cam", splits(), tmp_path, resume=True, **SMALL)


def test_an_interruption_leaves_a_network_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CAM, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wsol.train("cam", splits(), tmp_path, **SMALL)
    for checkpoint in ("best", "last"):
        assert wsol.locate(wsol.load(tmp_path, checkpoint=checkpoint), photos().image(0))[0].name in photos().classes


def contents(folder: Path) -> dict[str, bytes]:
    names = (f"{name}.{kind}" for name in ("best", "last") for kind in ("safetensors", "json"))
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("place", ["StateFile.load_checkpoint", "Loop.on_load_checkpoint", "Loop.training_step"])
def test_an_interruption_leaves_the_networks_of_the_last_whole_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    wsol.train("cam", splits(), tmp_path, **SMALL)
    before = contents(tmp_path)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"wsol.training.train.{place}", interrupted)
    for epochs in (3,) if place.endswith("step") else (2, 3):
        with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a finished run says so, one with more epochs as well
            wsol.train("cam", splits(), tmp_path, resume=True, **SMALL | {"epochs": epochs})
        assert contents(tmp_path) == before


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = CAM.loss
    monkeypatch.setattr(CAM, "loss", lambda *given: {"classification": loss(*given)["classification"] * math.nan})
    with pytest.raises(WsolError, match=r"no longer finite \(classification nan\)"):
        wsol.train("cam", splits(), tmp_path, **SMALL)


def test_too_little_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="3 training photos do not fill a batch of 8: each batch holds 3") as said:
        run = wsol.train("cam", splits(3), tmp_path / "few", **SMALL)
    assert len([warning for warning in said if "batch" in str(warning.message)]) == 1
    assert run.figures()["epoch"] == 2 and run.resolved.settings.batch_size == 8
    with pytest.raises(WsolError, match="no training photo is left"):
        wsol.train("cam", (photos(0), photos(3)), tmp_path / "none", **SMALL)
    path = tmp_path / "photos" / "only" / "one.png"
    path.parent.mkdir(parents=True)
    photos().image(0).save(path)
    only = Folder(tmp_path / "photos", "train")
    for given in ((only, only), tmp_path / "photos"):
        with pytest.raises(WsolError, match=r"photos: only one class \(only\)"):
            wsol.train("cam", given, tmp_path / "one", **SMALL)


def test_few_steps_on_photos_of_ones_own_are_said(tmp_path: Path) -> None:
    few = SMALL | {"recipe": "own_photos", "weights": "none", "batch_size": 16, "epochs": 1}
    with pytest.warns(UserWarning, match="^few steps in all, 1: a --batch-size of 8 takes 3$"):
        wsol.train("bas", splits(), tmp_path / "few", **few)
    for name, more in (("small", {"batch_size": 8}), ("frozen", {"freeze": "all"}), ("other", {"recipe": None})):
        with warnings.catch_warnings(record=True) as said:
            wsol.train("bas", splits(), tmp_path / name, **few | more)
        assert not [warning for warning in said if "few" in str(warning.message)]


class Sealed(Dataset):
    """Photos whose truth nobody may open."""

    name = "sealed"

    def __init__(self) -> None:
        self.open = photos()
        self.classes, self.samples = self.open.classes, self.open.samples

    def image(self, index: int) -> Any:
        return self.open.image(index)

    @property
    def has_boxes(self) -> bool:  # type: ignore[override]
        raise AssertionError("training asked for boxes")

    def truth(self, index: int) -> Truth:
        raise AssertionError("training opened the truth")


def test_training_reads_no_truth(tmp_path: Path) -> None:
    run = wsol.train("cam", (Sealed(), Sealed()), tmp_path, **SMALL)
    with pytest.raises(AssertionError, match="opened the truth"):
        wsol.evaluate(run, Sealed())


class Boxed(CAM):
    """Writes down the boxes it is given."""

    seen: ClassVar[list[list[float]]] = []

    def loss(self, images: Any, labels: Any, pseudo_boxes: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        assert pseudo_boxes is not None
        self.seen.extend(pseudo_boxes.tolist())
        return super().loss(images, labels)


@pytest.mark.usefixtures("registered")
def test_boxes_of_a_run_reach_a_method_that_asks_and_still_no_truth_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = Sealed()
    boxes = [[4 + index / 4, 3, 20, 30.5] for index in range(24)]
    lines = [
        {"path": sample.id, "width": 36, "height": 36, "findings": [{"boxes": [box]}]}
        for sample, box in zip(sealed.samples, boxes, strict=True)
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    seen: list[list[float]] = []
    monkeypatch.setattr(Boxed, "seen", seen)
    register(Boxed)
    wsol.train("boxed", (sealed, sealed), tmp_path / "run", pseudo_boxes=str(path), **SMALL | {"epochs": 1})
    places = Shuffled(24, 0)
    expected = [
        training_box(torch.tensor(boxes[place]) / 36, 32, torch.Generator().manual_seed(place)).tolist()
        for place in places
    ]
    assert len(seen) == 24
    for one, two in zip(seen, expected, strict=True):
        assert one == pytest.approx(two, abs=1e-4)
    with pytest.raises(WsolError, match="CAM learns from no boxes"):
        wsol.train("cam", (sealed, sealed), tmp_path / "other", pseudo_boxes=str(path), **SMALL)


class Pairs(CAM):
    """It learns from photos of one class side by side, and keeps what it was given."""

    together = 2
    seen: ClassVar[list[list[int]]] = []

    def loss(self, images: Any, labels: Any) -> dict[str, torch.Tensor]:
        self.seen.append(labels.tolist())
        return super().loss(images, labels)


@pytest.mark.usefixtures("registered")
def test_a_method_that_asks_for_pairs_gets_them_in_every_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    monkeypatch.setattr(Pairs, "seen", seen)
    register(Pairs)
    wsol.train("pairs", splits(30), tmp_path / "run", **SMALL)
    assert len(seen) == 2 * (36 // 8)  # 12 classes of two or three photos
    assert all(labels[::2] == labels[1::2] for labels in seen)
    with pytest.raises(
        WsolError, match="batch_size 7: the method takes 2 photos of a class at a time; give a multiple"
    ):
        wsol.train("pairs", splits(30), tmp_path / "odd", **SMALL | {"batch_size": 7})
    seen.clear()
    with pytest.warns(UserWarning, match="30 training photos do not fill a batch of 64: each batch holds 30"):
        wsol.train("pairs", splits(30), tmp_path / "few", **SMALL | {"batch_size": 64, "epochs": 1})
    assert [len(labels) for labels in seen] == [30]


class Parts(CAM):
    """Its loss comes whole, or in two parts."""

    apart: bool = False

    def loss(self, images: Any, labels: Any) -> dict[str, torch.Tensor]:
        return {name: term for part in self.both(images, labels) for name, term in part.items()}

    def both(self, images: Any, labels: Any) -> Iterator[dict[str, torch.Tensor]]:
        whole = super().loss(images, labels)["classification"]
        yield {"whole": whole, "half": whole / 2}
        yield {"mirrored": super().loss(images.flip(-1), labels)["classification"]}

    def loss_parts(self, images: Any, labels: Any, **_: Any) -> Iterator[dict[str, torch.Tensor]]:
        yield from self.both(images, labels) if self.apart else [self.loss(images, labels)]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_a_loss_in_parts_trains_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: float) -> None:
    register(Parts)
    found = []
    for apart in (False, True):
        monkeypatch.setattr(Parts, "apart", apart)
        folder = tmp_path / str(apart)
        run = wsol.train("parts", splits(), folder, clip=clip, **SMALL | {"learning_rate": 0.01})
        last = tensors(folder, "last")
        names = [f"loss/{name}" for name in ("whole", "half", "mirrored", "total")]
        logged = [[float(row[name]) for name in names] for row in rows(folder) if row["loss/total"]]
        found.append((last, logged))
        assert run.figures()["epoch"]
    (one, said), (two, also_said) = found
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    for mine, other in zip(said, also_said, strict=True):
        assert mine == pytest.approx(other, rel=1e-4) and mine[3] == pytest.approx(sum(mine[:3]), rel=1e-5)


def test_no_validation_photos_keep_the_last_network(tmp_path: Path) -> None:
    wsol.train("cam", (photos(), photos(0)), tmp_path, **SMALL)
    best, last = (tensors(tmp_path, name) for name in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)


class Layered(Method):
    """Parameters of an old and a new layer, and one whose name has a slash before its end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head, self.twins = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), torch.nn.Module()
        self.twins.register_parameter("bn/bias", torch.nn.Parameter(torch.zeros(1)))

    def new_layers(self) -> list[torch.nn.Module]:
        return [self.head]


def test_new_layers_and_biases_have_rates_of_their_own() -> None:
    method = Layered()
    named = list(method.named_parameters())
    assert [name for name, _ in named] == ["a.weight", "a.bias", "head.weight", "head.bias", "twins.bn/bias"]
    groups = parameter_groups(method, Settings(learning_rate=0.1, head_rate=10.0, bias_rate=2.0))
    found = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    rates = [found[id(parameter)] for _, parameter in named]
    assert [round(rate, 6) for rate in rates] == [0.1, 0.2, 1.0, 2.0, 0.2]


def rate(settings: Settings, steps: int) -> Iterator[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = schedule(optimiser, settings, steps)
    for _ in range(steps):
        yield optimiser.param_groups[0]["lr"]
        optimiser.step()
        scheduler.step()


def test_schedules() -> None:
    steps = 40
    constant = Settings(schedule="constant", epochs=4, learning_rate=1.0)
    assert list(rate(constant, steps)) == [1.0] * steps
    step = Settings(schedule="step", milestones=(1.0, 3.0), decay=0.1, epochs=4, learning_rate=1.0)
    expected = [0.1 ** sum(i / 10 >= milestone for milestone in (1, 3)) for i in range(steps)]
    assert list(rate(step, steps)) == pytest.approx(expected)
    cosine = Settings(schedule="cosine", epochs=4, learning_rate=1.0)
    assert list(rate(cosine, steps)) == pytest.approx([(1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)])
    polynomial = Settings(schedule="polynomial", epochs=4, learning_rate=1.0)
    assert list(rate(polynomial, steps)) == pytest.approx([(1 - i / steps) ** 0.9 for i in range(steps)])
    warm = list(rate(Settings(schedule="constant", warmup=1.0, epochs=4, learning_rate=1.0), steps))
    assert all(one < two for one, two in pairwise(warm[:10]))
    assert warm[10:] == [1.0] * 30
    onecycle = list(rate(Settings(schedule="onecycle", epochs=4, learning_rate=1.0), steps))
    top = onecycle.index(max(onecycle))
    assert onecycle[:top] == sorted(onecycle[:top])
    assert onecycle[top:] == sorted(onecycle[top:], reverse=True)
    assert max(onecycle) == pytest.approx(1.0)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of all steps that are made from now on."""
    rates, step = [], Loop.training_step

    def recording(self: Loop, batch: Any) -> torch.Tensor:
        optimiser: Any = self.optimizers()
        rates.append(optimiser.param_groups[0]["lr"])
        return step(self, batch)

    monkeypatch.setattr(Loop, "training_step", recording)
    return rates


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_a_finished_run_goes_on_by_the_schedule_of_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    given = SMALL | {"batch_size": 4, "schedule": kind, "learning_rate": 1.0, "head_rate": 1.0}
    rates = recorded(monkeypatch)
    wsol.train("cam", splits(8), tmp_path, **given)
    with pytest.warns(UserWarning, match=f"2 of 4 epochs are done, where .* 2; .* {kind} schedule of 4 "):
        wsol.train("cam", splits(8), tmp_path, resume=True, **given | {"epochs": 4, "workers": 1})
    short, long = (list(rate(Settings(**given | {"epochs": epochs}), 2 * epochs)) for epochs in (2, 4))
    assert rates == pytest.approx(short + long[4:])
    assert [row["epoch"] for row in rows(tmp_path) if row["loss/total"]] == ["0", "1", "2", "3"]
    assert Run.read(tmp_path).resolved.settings.epochs == 4
    with pytest.warns(UserWarning, match="4 of 4 epochs are done; to train on, give more --epochs"):
        wsol.train("cam", splits(8), tmp_path, resume=True, **given | {"epochs": 4})
    with pytest.raises(WsolError, match="4 epochs are done already; give --epochs 4 or more"):
        wsol.train("cam", splits(8), tmp_path, resume=True, **given | {"epochs": 3})
    assert Run.read(tmp_path).resolved.settings.epochs == 4 and len(rates) == 8


def test_a_run_that_goes_on_at_a_constant_rate_is_that_of_more_epochs(tmp_path: Path) -> None:
    given = SMALL | {"batch_size": 4, "schedule": "constant"}
    whole = tensors(wsol.train("cam", splits(8), tmp_path / "whole", **given | {"epochs": 3}), "last")
    wsol.train("cam", splits(8), tmp_path / "longer", **given)
    longer = tensors(wsol.train("cam", splits(8), tmp_path / "longer", resume=True, **given | {"epochs": 3}), "last")
    assert all(torch.equal(whole[name], longer[name]) for name in whole)


def test_a_run_of_an_earlier_version_goes_on_with_the_settings_that_it_did_not_know(tmp_path: Path) -> None:
    wsol.train("cam", splits(8), tmp_path, **SMALL)
    about = json.loads((tmp_path / "run.json").read_text())
    for name in ("freeze", "cache_features", "optimiser", "test_size"):
        del about["settings"][name]
    (tmp_path / "run.json").write_text(json.dumps(about))
    with pytest.raises(WsolError, match="begun with optimiser sgd, not adamw"):
        wsol.train("cam", splits(8), tmp_path, resume=True, **SMALL | {"epochs": 3, "optimiser": "adamw"})
    with pytest.warns(UserWarning, match="2 of 3 epochs are done"):
        assert wsol.train("cam", splits(8), tmp_path, resume=True, **SMALL | {"epochs": 3}).figures()


def test_a_batch_of_one_trains_and_says_what_is_wrong_where_it_cannot(tmp_path: Path) -> None:
    one = SMALL | {"batch_size": 1, "epochs": 1}
    assert wsol.train("cam", splits(3), tmp_path / "works", **one).figures()["epoch"] == 1
    with pytest.raises(WsolError, match="give a larger --batch-size or --image-size"):
        wsol.train("cam", splits(3), tmp_path / "fails", **one | {"image_size": 16})
