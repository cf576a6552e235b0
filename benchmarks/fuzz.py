"""Damages every kind of file that a command reads, runs the command on it, and looks at what comes of it.

    python benchmarks/fuzz.py --minutes 10 --output fuzz.md

What must hold: a sound answer, or one line of at most 500 characters that says what is wrong. No traceback, no 30
seconds, no 4 GB, nothing written outside of the output folder, nothing wrong that is not said: output files are parsed
and their numbers compared with their ranges, and of `WRONG` changes each must be noticed.

Commands run in a process that is begun again when it dies, as starting Python takes longer than most of them.
"""

import csv
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import torch
import yaml
from cyclopts import App
from fuzz_files import KINDS, Kind, make_files
from mutations import mutated

from wsol.cli.app import main as command
from wsol.errors import WsolError
from wsol.registry import check_key

app = App(help=__doc__)
SECONDS, MEMORY, LONGEST = 30, 4 << 30, 500
NOTHING = "nothing"
FINE, SAID = "answered", "one clear line"
AGAIN = 1000  # inputs after which the process is begun anew
TURN = 1.0  # seconds that each kind has before it is the next one's turn
OUTCOMES = (
    FINE,
    SAID,
    "traceback",
    "hang",
    "memory",
    "several lines",
    "too long",
    "written outside",
    "silent",
    "ended",
)
HERE = ("trial", "a", "b")  # deep, so that names like ../../x stay in the temporary folder


@app.default
def main(
    minutes: float = 10, kinds: str = "", seed: int = 0, output: Path | None = None, keep: Path | None = None
) -> None:
    """
    minutes: for all inputs.
    kinds: names of kinds of files, separated by semicolons; by default all.
    seed: of the random choices.
    output: a Markdown table.
    keep: folder for inputs that went wrong.
    """
    torch.set_num_threads(1)
    known = {kind.name: kind for kind in KINDS}
    for name in (asked := kinds.split(";") if kinds else list(known)):
        check_key(name, known, "there is no kind")
    chosen = [known[name] for name in asked]
    counts = {kind.name: Counter[str]() for kind in chosen}
    seen: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        os.chdir(root)
        make_files(root / "whole")
        child = Child(root, seed)
        ends = time.monotonic() + 60 * minutes
        while time.monotonic() < ends:
            for kind in chosen:
                turn = time.monotonic() + TURN
                while time.monotonic() < turn:
                    number = counts[kind.name].total()
                    name, outcome, why = child.asked(kind, number)
                    counts[kind.name][outcome] += 1
                    if outcome not in (FINE, SAID):
                        seen[fault := f"{kind.name}: {outcome}: {why}"] += 1
                        if seen[fault] == 1:
                            print(f"{fault}   [{name}, input {number}]", flush=True)
                        if keep is not None and seen[fault] == 1:
                            there = keep / f"{number} {kind.name}".replace("/", "_")
                            shutil.copytree(root.joinpath(*HERE), there, dirs_exist_ok=True)
        child.end()
    total = sum(counts.values(), Counter[str]())
    columns = [name for name in OUTCOMES if total[name] or name in OUTCOMES[:5]]
    lines = [f"| file | inputs | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]
    for name, of in [*sorted(counts.items()), ("**all**", total)]:
        lines.append(f"| {name} | {of.total():,} | {' | '.join(f'{of[column]:,}' for column in columns)} |")
    print(text := "\n".join(lines))
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")


class Child:
    """The process that runs the commands."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed, self.process, self.count = root, seed, 0, 0

    def asked(self, kind: Kind, number: int) -> tuple[str, str, str]:
        """What was changed, what came of it, and why that is wrong."""
        if not self.process or self.count >= AGAIN:
            self.end()
            self._begin()
        self.count += 1
        os.write(self.to, f"{kind.name} {number}\n".encode())
        name, ends = self._line(time.monotonic() + SECONDS), time.monotonic() + SECONDS
        line = self._line(ends)
        if name is not None and line is not None:
            return (name, *json.loads(line))
        hung = time.monotonic() >= ends
        how = "hang" if hung else "ended"
        status = self.end(kill=True)
        return name or "?", how, f"over {SECONDS} s" if hung else f"status {status}"

    def _begin(self) -> None:
        there, self.to = os.pipe()
        self.fro, back = os.pipe()
        sys.stdout.flush()
        self.rest, self.count = b"", 0
        self.process = os.fork()
        if self.process:
            os.close(there)
            os.close(back)
            return
        try:
            os.close(self.to)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
            answer(self.root, self.seed, there, back)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def _line(self, ends: float) -> str | None:
        while b"\n" not in self.rest:
            if not select.select([self.fro], [], [], max(0.0, ends - time.monotonic()))[0]:
                return None
            if not (more := os.read(self.fro, 1 << 16)):
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def end(self, kill: bool = False) -> int:
        if not self.process:
            return 0
        if kill:
            os.kill(self.process, signal.SIGKILL)
        os.close(self.to)
        os.close(self.fro)
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return status


def answer(root: Path, seed: int, there: int, back: int) -> None:
    """Runs what is asked for, a line `KIND NUMBER` each, and says what was changed and then what came of it."""
    by_name, folder = {kind.name: kind for kind in KINDS}, root.joinpath(*HERE)
    watch = Watch(root, folder)
    sys.addaudithook(watch)
    with os.fdopen(there) as lines, os.fdopen(back, "w") as said:
        for line in lines:
            name, number = line.rsplit(maxsplit=1)
            kind, draw = by_name[name], Random(f"{seed} {line}")
            shutil.rmtree(folder.parents[1], ignore_errors=True)
            folder.mkdir(parents=True)
            for part in kind.needs:
                whole = root / "whole" / part
                (shutil.copytree if whole.is_dir() else shutil.copy)(whole, folder / part)
            os.chdir(folder)
            changed, must_be_said = damage(kind, folder, draw, int(number))
            said.write(changed + "\n")
            said.flush()
            watch.outside.clear()
            watch.on = True
            outcome = ran(kind, folder, draw, must_be_said)
            watch.on = False
            if changed == NOTHING and outcome[0] == SAID and kind.files:
                outcome = "silent", f"a whole file is refused: {outcome[1]}"
            if watch.outside:
                outcome = "written outside", watch.outside[0]
            said.write(json.dumps(outcome) + "\n")
            said.flush()


class Watch:
    """Notes what is written outside of the trial's folder."""

    EVENTS = ("os.rename", "os.mkdir", "os.link", "os.symlink")

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder, self.on, self.outside = str(root), str(folder), False, list[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or (event != "open" and event not in self.EVENTS):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        target = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
        if not isinstance(target, str | bytes):
            return
        path = os.path.abspath(os.fsdecode(target))
        if not path.startswith((self.folder, "/dev/", "/proc/")) and "__pycache__" not in path:
            self.outside.append(os.path.relpath(path, self.folder))


def damage(kind: Kind, folder: Path, draw: Random, number: int) -> tuple[str, bool]:
    """Changes a file of the trial; what was done, and whether it must be noticed."""
    if number == 0:
        return NOTHING, False
    if kind.change is not None:
        return kind.change(folder, draw), False
    if kind.wrong and draw.random() < 0.25:
        file, old, new = draw.choice(kind.wrong)
        content = (folder / file).read_bytes()
        places = list(re.finditer(old, content))
        assert places, f"{kind.name}: {file} holds no {old!r}"
        place = draw.choice(places)
        (folder / file).write_bytes(content[: place.start()] + place.expand(new) + content[place.end() :])
        return f"{file} {old!r} -> {new!r}"[:300].replace("\n", " "), True
    path = draw.choice(sorted(folder.glob(draw.choice(kind.files))))
    name, content = mutated(path.read_bytes(), path.suffix, draw)
    path.write_bytes(content)
    return f"{path.name} {name}", False


def ran(kind: Kind, folder: Path, draw: Random, must_be_said: bool) -> tuple[str, str]:
    """What came of a command, and why that is wrong."""
    out, err = io.StringIO(), io.StringIO()
    code, wrong = 0, None
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("always")
            for words in kind.words(draw):
                command(words)
            if kind.call is not None:
                wrong = kind.call(folder)
    except SystemExit as error:
        code = int(error.code or 0)
    except WsolError as error:
        code = 1
        err.write(f"wsol: {error}\n")
    except MemoryError:
        return "memory", where()
    except BaseException:
        return "traceback", where()
    said = err.getvalue()
    lines = [line for line in said.splitlines() if line.strip()]
    strange = [line for line in lines if not line.startswith(("wsol: ", *kind.says)) and code != 2]
    if "Traceback" in said:
        return "traceback", said.strip().splitlines()[-1][:200]
    if "MemoryError" in said or "Unable to allocate" in said or "not enough memory" in said:
        return "memory", lines[-1][:200]
    if strange:
        return "several lines", f"{strange[0][:120]!r}"
    if too_long := [line for line in lines if len(line.removeprefix("wsol: ")) > LONGEST]:
        return "too long", f"{len(too_long[0])} characters: {too_long[0][-100:]}"
    if any(not character.isprintable() for character in said.replace("\n", "")):
        return "several lines", f"control characters: {said[:150]!r}"
    if code in (1, 2):
        return SAID, lines[-1] if lines else ""
    if code:
        return "ended", f"exit status {code}"
    wrong = wrong or next(unsound(folder / "out"), None)
    if wrong is None and must_be_said and not lines and "fix:" not in out.getvalue():
        wrong = "a wrong value is not noticed"
    return ("silent", wrong) if wrong else (FINE, "")


def where() -> str:
    """The error, and the place in the package that it came from."""
    kind, error, trace = sys.exc_info()
    frames = [frame for frame in traceback.extract_tb(trace) if f"src{os.sep}wsol" in frame.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{kind.__name__ if kind else ''} {place} {str(error).splitlines()[0][:100] if str(error) else ''}"


# --- files that were written


def unsound(out: Path) -> Iterator[str]:
    """What is wrong with output files."""
    for path in sorted(out.rglob("*")) if out.is_dir() else [out] if out.is_file() else []:
        if path.is_file() and path.name != ".wsol":
            try:
                yield from (f"{path.name}: {fault}" for fault in CHECKS.get(path.suffix, no_check)(path))
            except Exception as error:
                yield f"{path.name}: {type(error).__name__} {str(error)[:100]}"
            if path.suffix in (".part", ".lock"):
                yield f"{path.name} stays"


def no_check(path: Path) -> list[str]:
    return []


def json_faults(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for part in text.splitlines() if path.suffix == ".jsonl" else [text]:
        yield from _entry_faults(json.loads(part, parse_constant=_no_number))


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _entry_faults(entry: Any) -> Iterator[str]:
    if isinstance(entry, list):
        for inner in entry:
            yield from _entry_faults(inner)
    if not isinstance(entry, dict):
        return
    for name in ("score", "confidence"):
        values = entry.get(name, 0)
        if not all(0 <= value <= 1 for value in (values if isinstance(values, list) else [values])):
            yield f"{name} {str(values)[:50]}"
    for name in ("Top1Cls", "Top5Cls", "MaxBoxAcc", "GTKnownLoc", "PxAP", "MeanBoxIoU"):
        if isinstance(entry.get(name), int | float) and not 0 <= entry[name] <= 100:
            yield f"{name} {entry[name]}"
    width, height = entry.get("width"), entry.get("height")
    if "findings" in entry:
        for finding in entry["findings"]:
            for x0, y0, x1, y1 in finding["boxes"]:
                if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                    yield f"box {x0, y0, x1, y1} in {width} x {height}"
    if "bbox" in entry and not (min(entry["bbox"]) >= 0 and max(entry["bbox"]) <= 10**5):
        yield f"bbox {entry['bbox']}"
    for inner in entry.values():
        yield from _entry_faults(inner)


def csv_faults(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if len({len(row) for row in rows}) > 1:
        yield "rows of several lengths"
    for row in rows:
        for cell in row:
            with suppress(ValueError):
                float(cell)
                continue
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                yield "a formula"


def xml_faults(path: Path) -> list[str]:
    ElementTree.parse(path)
    return []


def yaml_faults(path: Path) -> list[str]:
    yaml.safe_load(path.read_text(encoding="utf-8"))
    return []


def yolo_faults(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.parent.parent.name == "labels" else []:
        label, *box = (float(word) for word in line.split())
        if not (len(box) == 4 and label >= 0 and all(0 <= value <= 1 for value in box)):
            yield f"line {line[:60]}"


class Page(HTMLParser):
    """Whether a page runs something that came from a name."""

    ran = False

    def handle_data(self, data: str) -> None:
        self.ran |= self.lasttag == "script" and data.startswith("alert(1)")


def html_faults(path: Path) -> list[str]:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return ["a name runs as a script"] * page.ran


CHECKS: dict[str, Callable[[Path], Any]] = {
    ".json": json_faults,
    ".jsonl": json_faults,
    ".csv": csv_faults,
    ".xml": xml_faults,
    ".yaml": yaml_faults,
    ".txt": yolo_faults,
    ".html": html_faults,
}

if __name__ == "__main__":
    app()
