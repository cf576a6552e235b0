"""Training by two processes, which torchrun starts, against training by one."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st
from torch import Tensor, nn

import wsol
from wsol.cli.app import main
from wsol.data import Creatures
from wsol.data.crops import Shuffled, Together
from wsol.data.layouts import creatures
from wsol.errors import WsolError
from wsol.methods.cam import CAM
from wsol.methods.contract import Method
from wsol.methods.stack import stack
from wsol.registry import register
from wsol.runs.folder import Run
from wsol.runs.settings import resolve
from wsol.system import processes
from wsol.system.locks import locked
from wsol.training.loop import Loop
from wsol.training.parallel import Sliced, average_step, meet, share_batch_norms

SMALL: dict[str, Any] = {
    "backbone": "squeezenet1_1",
    "weights": "none",
    "image_size": 48,
    "map_stride": 8,
    "workers": 0,
}
SMALL |= {"batch_size": 8, "epochs": 2, "precision": "fp32", "sheet_every": 0, "watch_boxes": True}
SMALL |= {"learning_rate": 0.001, "head_rate": 1.0, "schedule": "constant"}
HEAD = {"head_width": 8}
# name of the folder: method and settings; none has batch statistics or draws anything
ALIKE: dict[str, tuple[str, dict[str, Any]]] = {
    "cam": ("cam", {}),
    "cached": ("cam", {"freeze": "pool3", "cache_features": True}),
    "eil": ("eil", {"clip": 0.5}),
    "bas": ("bas", HEAD | {"area_ramp": 0.7}),
    # small steps: large ones enlarge rounding, as the signs do that EGA's attack takes; on some processors more
    "ega": ("ega", HEAD | {"save_memory": True, "epsilon": 0.01, "step": 0.01}),
    "i2c": ("i2c", HEAD | {"dropout": 0.0, "global_weight": 0.0, "classes_first": 0.4}),
    "sometimes": ("sometimes", {"weight_decay": 0.1}),
}
BATCH_NORM = {"backbone": "resnet18", "end": "layer1", "map_stride": 4}


class Sometimes(CAM):
    """One parameter that only photos of the first classes reach, and one that nothing does."""

    def __init__(self, backbone: Any, classes: int) -> None:
        super().__init__(backbone, classes)
        self.rare, self.never = (nn.Parameter(torch.ones(())) for _ in range(2))

    def loss(self, images: Any, labels: Any) -> dict[str, Tensor]:
        reached = (labels < 2).sum()
        rare = 10 * self.rare * reached / len(labels) if reached else torch.zeros(())
        return super().loss(images, labels) | {"rare": rare}


class Pairs(CAM):
    together = 2


def splits(images: int = 24, checked: int = 9) -> tuple[Creatures, Creatures]:
    return Creatures("train", images=images, size=54), Creatures("val", images=checked, size=54)


class Recorder:
    """The loss of each step and the network in memory, of each training from now on."""

    def __init__(self) -> None:
        step = Loop.training_step
        self.losses: list[float] = []

        def recording(loop: Loop, batch: Any) -> Tensor:
            total, self.loop = step(loop, batch), loop
            self.losses.append(total.item())
            return total

        Loop.training_step = recording  # type: ignore[method-assign]

    def train(self, method: str, folder: Path, **given: Any) -> dict[str, Any]:
        self.losses.clear()
        wsol.train(method, splits(checked=1 if folder.name == "eil" else 9), folder, **SMALL | given)
        return {"losses": list(self.losses), "network": digest(self.loop.method)}


def digest(method: Method) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in method.state_dict().values())).hexdigest()


def rows(folder: Path) -> list[dict[str, float]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def launched(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """This file in two processes of one thread each."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, *map(str, words)]
    return subprocess.run([sys.executable, *launch], env=environment, capture_output=True, text=True, timeout=600)


def told(folder: Path) -> None:
    """What each of the processes does, and writes down in FOLDER/RANK.json."""
    recorder, said = Recorder(), {}
    for kind in (Sometimes, Pairs):
        register(kind)
    for name, (method, given) in ALIKE.items():
        said[name] = recorder.train(method, folder / "two" / name, **given)
    said["norms"] = recorder.train("cam", folder / "two" / "norms", **BATCH_NORM)
    said["begun"] = recorder.train("cam", folder / "two" / "begun", epochs=1, **BATCH_NORM)
    said["gone on"] = recorder.train("cam", folder / "two" / "begun", resume=True, **BATCH_NORM)
    said["for one"] = recorder.train("cam", folder / "two" / "for one", epochs=1)
    said["from one"] = recorder.train("cam", folder / "one" / "begun", resume=True)
    wrong: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "odd batch": ("cam", splits(), {"batch_size": 9}),
        "cut pairs": ("pairs", splits(), {"batch_size": 6}),
        "one to train on": ("cam", splits(1), {}),
        "no GPU": ("cam", splits(), {"sync_batch_norm": True}),
        "locked": ("cam", splits(), {}),
        "taken": ("cam", splits(), {}),
    }
    for name, (method, data, given) in wrong.items():
        try:
            wsol.train(method, data, folder / ("two/cam" if name == "taken" else name), **SMALL | given)
        except WsolError as error:
            said[name] = str(error)
    said["means"] = means()
    try:
        with processes.agreed():
            if processes.place()[0]:
                raise WsolError("of the second alone")
    except WsolError as error:
        said["agreed"] = str(error)
    if processes.place()[0]:
        (folder / "1.json").write_text(json.dumps(said))
        os._exit(0)  # without a word
    try:
        with processes.in_touch():
            processes.gather([])
    except WsolError as error:
        said["lost"] = str(error)
    (folder / "0.json").write_text(json.dumps(said))


def means() -> dict[str, Any]:
    """What becomes of gradients and buffers that processes 0 and 1 have."""
    rank, _ = processes.place()
    method = Method()
    method.both, method.one, method.none = (nn.Parameter(torch.zeros(2, 3, 2, 2)) for _ in range(3))
    method.both.grad = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last) * (1 + rank)
    if rank:
        method.one.grad = torch.full((2, 3, 2, 2), 4.0)
    terms = average_step(method, {"a": torch.tensor(1.0 + rank), "b": torch.tensor(2.0)})
    method.norm, method.frozen = (nn.BatchNorm1d(1) for _ in range(2))
    method.frozen.eval()
    for norm in (method.norm, method.frozen):
        norm.running_mean += rank
        norm.running_var += rank
    method.register_buffer("bank", torch.tensor([[1.0, 2.0]]) + rank)
    method.register_buffer("flags", torch.tensor([rank == 0]))
    meet(method)
    gradients = [None if tensor.grad is None else tensor.grad.flatten().tolist() for tensor in method.parameters()]
    buffers = {name: buffer.flatten().tolist() for name, buffer in method.named_buffers()}
    return {"terms": {name: term.item() for name, term in terms.items()}, "gradients": gradients[:3]} | buffers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes trained; one process began a run for them, and keeps a folder locked."""
    folder = tmp_path_factory.mktemp("distributed")
    wsol.train("cam", splits(), folder / "one" / "begun", **SMALL | {"epochs": 1})
    with locked(folder / "locked"):
        done = launched("told", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def told_by(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(Loop, "training_step", Loop.training_step)
    monkeypatch.setattr("wsol.registry._registered", {})
    register(Sometimes)
    return Recorder()


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_learn_what_one_does(
    folder: Path, told_by: list[dict[str, Any]], recorder: Recorder, name: str
) -> None:
    method, given = ALIKE[name]
    alone = recorder.train(method, folder / "alone" / name, **given)
    first, second = (told[name] for told in told_by)
    assert first == second and len(first["losses"]) == 6
    assert first["losses"][:4] == pytest.approx(alone["losses"][:4], abs=1e-5)
    one, two = rows(folder / "alone" / name), rows(folder / "two" / name)
    assert [row.keys() for row in one] == [row.keys() for row in two]
    for mine, theirs in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    networks = [wsol.load(folder / who / name, checkpoint="last").method for who in ("alone", "two")]
    mine, theirs = (dict(network.named_parameters()) for network in networks)
    for key, tensor in mine.items():
        torch.testing.assert_close(theirs[key], tensor, rtol=1e-3, atol=1e-5, msg=key)
    if name == "sometimes":
        assert theirs["never"] == 1 and theirs["rare"] < 0.99
    assert len(list((folder / "two" / name).glob("events*"))) <= 1
    if name == "eil":  # fewer validation photos than processes
        assert two[0]["Top1Cls"] in (0, 100) and two[0]["MaxBoxAcc"] in (0, 100)


def test_batch_norms_see_slices_and_end_alike(folder: Path, told_by: list[dict[str, Any]], recorder: Recorder) -> None:
    alone = recorder.train("cam", folder / "alone" / "norms", **BATCH_NORM)
    assert told_by[0]["norms"] == told_by[1]["norms"]
    losses = told_by[0]["norms"]["losses"]
    assert losses == pytest.approx(alone["losses"], rel=0.1) and losses != pytest.approx(alone["losses"], abs=1e-5)
    saved = wsol.load(folder / "two" / "norms", checkpoint="last").method
    assert digest(saved) == told_by[1]["norms"]["network"]


def test_gradients_and_statistics_become_means_and_other_buffers_the_first_ones(told_by: list[dict[str, Any]]) -> None:
    assert (
        told_by[0]["means"]
        == told_by[1]["means"]
        == {
            "terms": {"a": 1.5, "b": 2.0},
            "gradients": [[1.5 * value for value in range(24)], [2.0] * 24, None],
            "norm.running_mean": [0.5],
            "norm.running_var": [1.5],
            "norm.num_batches_tracked": [0],
            "frozen.running_mean": [0.0],
            "frozen.running_var": [1.0],
            "frozen.num_batches_tracked": [0],
            "bank": [1.0, 2.0],
            "flags": [True],
        }
    )


def test_a_run_that_goes_on_ends_in_the_same_weights(told_by: list[dict[str, Any]]) -> None:
    for told in told_by:
        assert told["gone on"]["network"] == told["norms"]["network"]
        assert told["begun"]["losses"] + told["gone on"]["losses"] == told["norms"]["losses"]


def test_a_run_goes_on_with_another_number_of_processes(
    folder: Path, told_by: list[dict[str, Any]], recorder: Recorder
) -> None:
    whole = told_by[0]["cam"]["losses"]
    assert told_by[0]["from one"]["losses"] == pytest.approx(whole[3:], abs=1e-4)
    with pytest.warns(UserWarning, match="1 of 2 epochs are done"):
        by_one = recorder.train("cam", folder / "two" / "for one", resume=True)
    assert by_one["losses"] == pytest.approx(whole[3:], abs=1e-4)
    for run in ("two/for one", "one/begun"):
        assert [row["epoch"] for row in rows(folder / run)] == [0, 1]


def test_all_processes_say_what_one_finds_wrong(folder: Path, told_by: list[dict[str, Any]]) -> None:
    host = f"process {os.getpid()} on "
    for told in told_by:
        assert told["odd batch"] == "batch_size 9: 2 processes share it; give a multiple of 2"
        assert told["cut pairs"] == "batch_size 6: 2 processes share it; give a multiple of 4"
        assert told["one to train on"] == "creatures: 1 training photos are too few for 2 processes; start fewer"
        assert told["no GPU"] == "sync_batch_norm needs a GPU for each process; leave it out"
        assert told["locked"].startswith(f"{folder / 'locked'}: {host}") and "is writing there" in told["locked"]
        assert told["taken"].endswith("a run is stored here already; add --resume or choose another --output")
        assert told["agreed"] == "of the second alone"
    lost = "process 0 of 2 lost another one, which was killed or is out of reach; start all again, with --resume"
    assert told_by[0]["lost"] == lost


COMMAND = ["train", "cam", "creatures", "--weights", "none", "--image-size", "32", "--backbone", "resnet18"]
COMMAND += ["--end", "layer1", "--map-stride", "4", "--batch-size", "4", "--workers", "0", "--precision", "fp32"]
COMMAND += ["--sheet-every", "0", "--output"]


def commanded(folder: str) -> None:
    """A whole command, then one that fails in the second step of the second process."""
    creatures.COUNTS = {"train": 8, "val": 4, "test": 4}
    main([*COMMAND, f"{folder}/whole", "--epochs", "1"])
    loss, steps = CAM.loss, []

    def failing(self: CAM, images: Any, labels: Any) -> dict[str, Tensor]:
        steps.append(1)
        wrong = len(steps) == 2 and processes.place()[0] == 1
        return {name: term * torch.nan if wrong else term for name, term in loss(self, images, labels).items()}

    CAM.loss = failing  # type: ignore[method-assign]
    main([*COMMAND, f"{folder}/fails", "--epochs", "2"])


def test_one_process_speaks_for_all_and_ends_all(tmp_path: Path) -> None:
    done = launched("commanded", tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("CAM trained, best of epoch 1") == 1 and done.stderr.count("epoch 1/1") == 1
    assert Run.read(tmp_path / "whole").figures()["epoch"] == 1
    said, _, _ = done.stderr.partition("torch/distributed/elastic")  # torchrun's own report
    fix = "lower --learning-rate or set --clip 5"
    assert said.count("wsol: ") == said.count(f"wsol: the loss is no longer finite (classification nan); {fix}") == 1
    assert "Traceback" not in said and not (tmp_path / "fails" / ".wsol.lock").exists()


def test_batch_norms_that_are_shared_keep_names_weights_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training with them needs several GPUs."""
    settings = {"head_width": 8, "backbone": "resnet18", "weights": "none", "end": "layer2", "map_stride": 8}
    method = Run(Path(), stack("ega"), resolve(stack("ega"), None, settings), ("a", "b"), "", False, "").build().eval()
    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    before, names = method.loss(images, labels), list(method.state_dict())
    monkeypatch.setattr(processes, "device", lambda: torch.device("cuda"))
    share_batch_norms(method)
    norms = [module for module in method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == 2 * 10 and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert list(method.state_dict()) == names and method.loss(images, labels) == before


def test_who_is_ended_is_told_how_several_processes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(creatures, "COUNTS", {"train": 8, "val": 4, "test": 4})
    monkeypatch.setattr(CAM, "loss", interrupted)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    with pytest.raises(SystemExit):
        main([*COMMAND, str(tmp_path / "run")])
    words = "torchrun --nnodes 3 --nproc-per-node 2 -m wsol train cam creatures"
    assert f"stopped in the first epoch; continue with: {words} " in capsys.readouterr().err


@drawn(st.integers(1, 4), st.integers(1, 5), st.integers(0, 40), st.integers(0, 3), st.booleans())
def test_slices_together_are_the_batches_of_one_process(
    count: int, size: int, photos: int, seed: int, paired: bool
) -> None:
    def order() -> Shuffled:
        labels = [index % 3 for index in range(photos)]
        return Together(labels, 2, seed, epoch=1) if paired else Shuffled(photos, seed, epoch=1)

    whole, batch = list(order()), count * size * (2 if paired else 1)
    with pytest.MonkeyPatch.context() as patched:
        slices = []
        for rank in range(count):
            patched.setattr(processes, "place", lambda rank=rank: (rank, count))
            sliced = Sliced(order(), batch)
            slices.append(list(sliced))
            assert len(sliced) == len(slices[-1]) and len(sliced) % sliced.size == 0
    share = batch // count
    taken = [
        place for first in range(0, len(slices[0]), share) for own in slices for place in own[first : first + share]
    ]
    assert taken == whole[: len(whole) // batch * batch]


if __name__ == "__main__":
    if sys.argv[1] == "told":
        told(Path(sys.argv[2]))
    else:
        commanded(*sys.argv[2:])
