"""Ends commands at random moments and file operations, fills their disk, starts two at once, changes bytes; then looks.

    python benchmarks/faults.py --minutes 10 --output faults.md

Each trial is a command in a process of its own. What must hold: at most a few lines and no traceback; no half file;
`--resume` ends in the same bytes of both networks and of metrics.csv as a training that nobody disturbed.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from cyclopts import App

import wsol
from wsol import registry
from wsol.cli.app import main as command
from wsol.cli.demo import WEIGHTS
from wsol.data import Creatures
from wsol.data.layouts import creatures
from wsol.errors import WsolError
from wsol.export import find_formats, write_results
from wsol.runs.tensors import read_tensors

app = App(help=__doc__)
SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM", "SIGHUP")
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")  # and opening, to write
SAME = ("best.safetensors", "last.safetensors", "metrics.csv")
MOST_LINES = 4  # of a command that fails or is ended, beside those of epochs
AS_IT_MUST = "as it must be"
FORMATS = "json,csv,coco,voc,yolo,labelstudio,overlay,heatmap"
SMALL = ["--backbone", "test_resnet", "--weights", str(WEIGHTS), "--image-size", "32", "--map-stride", "8"]
SMALL += ["--batch-size", "4", "--epochs", "3", "--sheet-every", "2", "--freeze", "none"]


@app.default
def main(
    minutes: float = 10,
    methods: str = "",
    workers: str = "0,2",
    only: str = "",
    seed: int = 0,
    output: Path | None = None,
) -> None:
    """
    minutes: for all trials.
    methods: separated by commas; by default all.
    workers: numbers of processes that read photos, separated by commas.
    only: trials whose name holds this.
    seed: of the random choices.
    output: a Markdown table.
    """
    torch.set_num_threads(1)
    creatures.COUNTS = {"train": 16, "val": 8, "test": 8}
    draw = random.Random(seed)
    trials = {name: trial for name, trial in TRIALS.items() if only in name}
    counts: dict[str, Counter[str]] = {}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        trainings = list(begun(root, methods.split(",") if methods else registry.names("methods"), workers.split(",")))
        ends = time.monotonic() + 60 * minutes
        while time.monotonic() < ends:
            for training in draw.sample(trainings, len(trainings)):
                name, trial = draw.choice(list(trials.items()))
                said = "; ".join(trial(training, draw)) or AS_IT_MUST
                counts.setdefault(name, Counter())[said] += 1
                if said != AS_IT_MUST:
                    print(f"{name}, {training.name}: {said}", flush=True)
                shutil.rmtree(training.folder, ignore_errors=True)
                if time.monotonic() > ends:
                    break
    lines = [f"{len(trainings)} trainings, {sum(of.total() for of in counts.values())} trials.", ""]
    lines += [f"| what was done | trials | {AS_IT_MUST} | otherwise |", "|---|---:|---:|---|"]
    for name, of in sorted(counts.items()):
        other = "; ".join(f"{count} × {fault}" for fault, count in of.items() if fault != AS_IT_MUST)
        lines.append(f"| {name} | {of.total()} | {of[AS_IT_MUST]} | {other} |")
    print(text := "\n".join(lines))
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Training:
    """A training to disturb.

    name: for people.
    words: the command without its output.
    folder: where it is disturbed.
    undisturbed: what it leaves else.
    seconds: how long it takes.
    operations: on files, in the folder.
    """

    name: str
    words: list[str]
    folder: Path
    undisturbed: dict[str, bytes]
    seconds: float
    operations: int

    def command(self, *more: str) -> list[str]:
        return [*self.words, "--output", str(self.folder), *more]


def begun(root: Path, methods: list[str], workers: list[str]) -> Iterator[Training]:
    """Trainings of each method, run to the end once; the regressor learns the boxes of the first."""
    boxes = root / "boxes" / "results.jsonl"
    for method in methods:
        words = ["train", method, "creatures", *SMALL]
        if method == "regressor":
            if not boxes.exists():
                finding(root, boxes.parent)
            words += ["--pseudo-boxes", str(boxes)]
        for number in workers:
            for precision in ("fp32", "bf16") if number == "0" else ("fp32",):
                name = f"{method} {precision} --workers {number}"
                given = [*words, "--workers", number, "--precision", precision]
                training = Training(name, given, root / name.replace(" ", "_"), {}, 0, 0)
                operations, began = root / "operations", time.monotonic()
                code, said = ended(started(training.command(), training.folder, note=operations))
                if code:
                    print(f"{name} is left out: {said.strip().splitlines()[-1]}", flush=True)
                    continue
                kept, counted = contents(training.folder), int(operations.read_text())
                shutil.rmtree(training.folder)
                yield replace(training, undisturbed=kept, seconds=time.monotonic() - began, operations=counted)


def finding(root: Path, folder: Path) -> None:
    """Boxes for all training photos."""
    photos = Creatures("train", images=16)
    settings: dict[str, Any] = {"backbone": "test_resnet", "weights": str(WEIGHTS), "map_stride": 8, "image_size": 32}
    run = wsol.train("cam", (photos, photos), root / "finder", epochs=0, workers=0, **settings)
    found = wsol.locate(run, [photos.image(index) for index in range(len(photos))])
    named = [replace(result, path=sample.id) for result, sample in zip(found, photos.samples, strict=True)]
    write_results(named, folder, photos.classes, find_formats("json").values())


# --- processes


def started(
    words: list[str],
    folder: Path,
    at: int | None = None,
    sent: int = 0,
    note: Path | None = None,
    limit: int | None = None,
) -> tuple[int, Path]:
    """The process of a command, and the file of what it says.

    folder: in which file operations are counted.
    at: number of the file operation before which it gets a signal.
    sent: which signal.
    note: file for the number of file operations.
    limit: largest size of a file, bytes.
    """
    log = folder.with_name(f"{folder.name}.{random.randrange(10**9)}.log")
    sys.stdout.flush()  # or the child says it again
    if process := os.fork():
        return process, log
    code, count, own, within = 99, 0, os.getpid(), str(folder)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in OPERATIONS) and str(arguments[0]).startswith(within) and os.getpid() == own:
            count += 1
            if count - 1 == at:
                os.kill(own, sent)

    try:
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.addaudithook(watch)
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        command(words)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        if note is not None:
            note.write_text(str(count))
    finally:
        os._exit(code)


def ended(process: tuple[int, Path]) -> tuple[int, str]:
    """Its exit status, negative where a signal killed it, and what it said."""
    _, status = os.waitpid(process[0], 0)
    said = process[1].read_text(encoding="utf-8", errors="replace") if process[1].exists() else ""
    process[1].unlink(missing_ok=True)
    return os.waitstatus_to_exitcode(status), said


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME if (folder / name).exists()}


def loud(said: str) -> list[str]:
    lines = [line for line in said.splitlines() if line and not line.startswith(("epoch", "step"))]
    return ["a traceback"] * ("Traceback" in said) or [f"{len(lines)} lines"] * (len(lines) > MOST_LINES)


def goes_on(training: Training) -> list[str]:
    """What is wrong where a disturbed training was resumed."""
    code, said = ended(started(training.command("--resume"), training.folder))
    if code:
        return [f"--resume ends with {code}: {said.strip().splitlines()[-1][-200:] if said.strip() else ''}"]
    now = contents(training.folder)
    faults = [f"another {name}" for name in SAME if now.get(name) != training.undisturbed[name]]
    left = [path.name for path in training.folder.rglob("*") if path.suffix in (".part", ".lock")]
    return faults + [f"{path} stays" for path in left] + loud(said)


# --- trials: what is wrong after each


def at_a_moment(training: Training, draw: random.Random) -> list[str]:
    return _killed(training, draw, None)


def at_an_operation(training: Training, draw: random.Random) -> list[str]:
    return _killed(training, draw, draw.randrange(training.operations))


def while_resuming(training: Training, draw: random.Random) -> list[str]:
    ended(started(training.command(), training.folder, draw.randrange(training.operations), signal.SIGKILL))
    return _killed(training, draw, draw.randrange(60), "--resume")


def _killed(training: Training, draw: random.Random, at: int | None, *more: str) -> list[str]:
    number = getattr(signal, draw.choice(SIGNALS))
    process = started(training.command(*more), training.folder, at, number)
    if at is None:
        time.sleep(draw.uniform(0.2, training.seconds))
        os.kill(process[0], number)
    code, said = ended(process)
    faults = loud(said)
    if number != signal.SIGKILL and code not in (0, 128 + number):
        faults.append(f"exit status {code} after {signal.Signals(number).name}")
    if code == 128 + number and "continue with: wsol train" not in said:
        faults.append("not said how to go on")
    return faults + goes_on(training)


def on_a_full_disk(training: Training, draw: random.Random) -> list[str]:
    size = draw.randrange(20_000, 6_000_000)
    with disk(training.folder, size) as mounted:
        code, said = ended(started(training.command(), training.folder, limit=None if mounted else size))
        faults = loud(said)
        if code and "could not be written" not in said:
            faults.append(f"not said what has no room: {said.strip().splitlines()[-1][-200:]}")
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=200m", str(training.folder)], check=True)
        return faults + goes_on(training)


@contextmanager
def disk(folder: Path, size: int) -> Iterator[bool]:
    """A disk of so many bytes, where this account may mount one."""
    folder.mkdir(parents=True)
    asked = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(asked, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def two_at_once(training: Training, draw: random.Random) -> list[str]:
    processes = [started(training.command(), training.folder) for _ in range(2)]
    codes, texts = zip(*map(ended, processes), strict=True)
    faults = [] if sorted(codes) == [0, 1] else [f"exit statuses {codes}"]
    refusal = "is writing there; wait for it, or choose another --output"
    if refusal not in "".join(texts) and "a run is stored here already" not in "".join(texts):
        faults.append("the second is not refused")
    return faults + loud("".join(texts)) + goes_on(training)


def with_a_changed_byte(training: Training, draw: random.Random) -> list[str]:
    """Two epochs, damage, and the third: refused, or the same as ever."""
    ended(started(training.command(), training.folder, training.operations * 2 // 3, signal.SIGKILL))
    path = draw.choice([path for path in sorted(training.folder.rglob("*")) if path.is_file() and path.stat().st_size])
    changed = bytearray(path.read_bytes())
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)
    code, said = ended(started(training.command("--resume"), training.folder))
    faults = [f"{fault} ({path.name})" for fault in loud(said)]
    now = contents(training.folder)
    if path.suffix == ".safetensors" and now.get(path.name) == bytes(changed):
        try:
            read_tensors(path, "")
            faults.append(f"a changed byte is not noticed ({path.name})")
        except WsolError:  # the best network stays as it is; it is refused when it is opened
            del now[path.name]
    if code == 0:
        faults += [f"another {name} ({path.name})" for name in now if now[name] != training.undisturbed[name]]
    return faults if code in (0, 1) else [*faults, f"exit status {code} ({path.name})"]


def locating(training: Training, draw: random.Random) -> list[str]:
    """Ended, without room, and two at once: what stands under its final name is whole."""
    ended(started(training.command(), training.folder))
    photos, found = training.folder.with_name("photos"), training.folder / "found"
    if not photos.exists():
        photos.mkdir()
        for index in range(8):
            Creatures("test", images=8).image(index).save(photos / f"{index}.jpg")
    words = ["locate", str(training.folder), str(photos), "--format", FORMATS, "--overwrite", "--output"]
    whole = training.folder / "whole"
    note = training.folder / "operations"
    code, said = ended(started([*words, str(whole)], whole, note=note))
    if code:
        return [f"locate ends with {code}: {said[-200:]}"]
    number = getattr(signal, draw.choice(SIGNALS))
    kind = draw.choice(["ended", "full", "two"])
    if kind == "two":
        processes = [started([*words, str(found)], found) for _ in range(2)]
        codes, texts = zip(*map(ended, processes), strict=True)
        faults = loud("".join(texts)) + ([] if 0 in codes else [f"exit statuses {codes}"])
    elif kind == "full":
        with disk(found, draw.randrange(10_000, 400_000)) as mounted:
            code, said = ended(started([*words, str(found)], found, limit=None if mounted else 20_000))
            faults = loud(said) + _halves(found, whole)
            return faults if not code or "could not be written" in said else [*faults, "not said what has no room"]
    else:
        at = draw.randrange(int(note.read_text()))
        code, said = ended(started([*words, str(found)], found, at, number))
        faults = loud(said)
    if kind == "ended" and number == signal.SIGKILL:  # its half files go when the next one begins
        ended(started([*words, str(found)], found))
    return faults + _halves(found, whole)


def _halves(found: Path, whole: Path) -> list[str]:
    files = {path.relative_to(found): path.read_bytes() for path in found.rglob("*") if path.is_file()}
    return [f"half a {name}" for name, content in files.items() if _content(whole / name) != content]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


TRIALS: dict[str, Callable[[Training, random.Random], list[str]]] = {
    "training, ended at a random moment": at_a_moment,
    "training, ended before a file operation": at_an_operation,
    "training, killed, and ended while it resumes": while_resuming,
    "training on a disk that fills up": on_a_full_disk,
    "two trainings into one folder": two_at_once,
    "training on after a byte of a file has changed": with_a_changed_byte,
    "locating in eight formats: ended, on a full disk, two at once": locating,
}

if __name__ == "__main__":
    app()
