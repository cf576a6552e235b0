"""The command `wsol`: which commands there are. Each is imported when it is used; none of this imports torch."""

import io
import logging
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from wsol import registry
from wsol.errors import WsolError, one_line
from wsol.methods.references import reference
from wsol.system.console import PlainConsole

FIRST = """Find objects in photos with a network that was trained on class labels alone, without any box.

A first look, with nothing at hand:      wsol demo
Your photos, one folder a class:         wsol data check photos
                                         wsol train bas photos --recipe own_photos --output runs/bas
                                         wsol locate runs/bas new_photos --output found --format coco,overlay
How good is it, where boxes are known:   wsol evaluate runs/bas photos
A network that you have already:         wsol locate timm:resnet50 photos --readout gradcam --output found

All commands: wsol --help. All methods: wsol methods. One command: wsol train bas --help."""

COMMANDS = {
    "evaluate": ("wsol.cli.evaluate:evaluate", "Measure a run by the field's metrics."),
    "locate": ("wsol.cli.locate:locate", "Say what is in each photo and where."),
    "colocate": ("wsol.cli.colocate:colocate", "Say where the photos of each class show what they have in common."),
    "cut": ("wsol.cli.locate:cut", "Write boxes again from stored heatmaps, without the network."),
    "serve": ("wsol.cli.serve:serve", "Open a page to try a run on photos, and to check what it located."),
    "export": ("wsol.cli.export:export", "Write a run's network to one file: ONNX or TorchScript."),
    "push": ("wsol.cli.export:push", "Put a run on the Hugging Face Hub."),
    "benchmark": ("wsol.cli.benchmark:benchmark", "Train and measure every row of a grid, in one table."),
    "compare": ("wsol.cli.compare:compare", "Put runs side by side on one page."),
    "methods": ("wsol.cli.lists:methods", "List the methods, with their papers."),
    "readouts": ("wsol.cli.lists:readouts", "List the ways to ask a trained network where."),
    "cite": ("wsol.cli.lists:cite", "Print a method's BibTeX entry."),
    "doctor": ("wsol.cli.doctor:doctor", "Say what this machine has and how fast it trains."),
    "demo": ("wsol.cli.demo:demo", "Train two methods on generated creatures and show what they find."),
}
SETS = {
    "check": ("wsol.cli.data:check", "Say what a data set holds and what must be fixed."),
    "download": ("wsol.cli.data:download", "Fetch a published data set."),
}


class UsageError(Exception):
    """A command line whose options do not go together."""


out, err = (PlainConsole(stderr=stderr) for stderr in (False, True))
SHARED: dict[str, Any] = {"help_format": "markdown", "suppress_keyboard_interrupt": False}
app = App(name="wsol", help=FIRST.partition("\n")[0], version_flags=["--version"], **SHARED)
training = App(
    name="train",
    help="Train a method on photos with class labels and leave a run folder.\n\n"
    "`wsol train eil --help` lists the settings of one method; `wsol train has+eil` puts one around another.",
    **SHARED,
)
sets = App(name="data", help="Look at data sets before they are used.", **SHARED)
app.command(training)
app.command(sets)
for _app, _commands in ((app, COMMANDS), (sets, SETS)):
    for _name, (_path, _help) in _commands.items():
        _app.command(_path, name=_name, help=_help)
for _entry in {each.name: each for each in registry.entries("methods")}.values():
    _reference = reference(_entry)
    _said = f"{_reference.paper} ({_reference.venue} {_reference.year})" if _reference else f"from {_entry.source}"
    training.command(f"wsol.cli.train:{_entry.name}", name=_entry.name, help=f"{_said}.")


@app.default
def first(*words: Annotated[str, Parameter(show=False)]) -> None:
    """What `wsol` alone says."""
    if words:
        try:
            registry.check_key(words[0], [*COMMANDS, "train", "data"], "there is no command")
        except WsolError as error:
            raise UsageError(str(error)) from error
    out.print(FIRST)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0 on success, 2 on wrong usage, 1 otherwise with one line on what to do.

    Where a signal ends it, it says so and how to go on, and exits with 128 + its number, as shells do.
    """
    warnings.showwarning = _warn
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it remarks on every home that cannot be written
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8, nor the terminal
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["train"] and len(words) > 1 and "+" in words[1]:
        training.command(f"wsol.cli.train:{words[1]}", name=words[1], help="Methods around one another.")
    stopped_by: list[int] = [signal.SIGINT]
    try:
        with _stoppable(stopped_by):
            app(words, exit_on_error=False, print_error=not _several(), result_action="return_value")
    except UsageError as error:
        _end(f"{error}; wsol COMMAND --help says more", 2)
    except CycloptsError as error:
        if _several():
            _end(str(error), 2)
        sys.exit(2)
    except WsolError as error:
        _end(str(error), 1)
    except KeyboardInterrupt as error:
        resume = ["--resume"] * (words[:1] == ["train"] and "--resume" not in words)
        again = shlex.join([*_started_by(), *words, *resume])
        goes_on = words[:1] in (["train"], ["benchmark"])
        said = f"{str(error) or 'stopped'}; {'continue with' if goes_on else 'begin again with'}"
        _end(f"{said}: {again}", 128 + stopped_by[-1])
    except OSError as error:
        said = f"{error.filename or 'disk'}: {error.strerror or error}"
        _end(f"{said}; fix that and run it again", 1)


def _end(said: str, code: int) -> NoReturn:
    """Says why the command ends. Of several processes, which torchrun started, the first to know says it."""
    if not _several() or _speaks():
        err.print(f"wsol: {one_line(said)}", style="red")
    sys.exit(code)


def _several() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1"


def _speaks() -> bool:
    from wsol.system import processes  # imports torch

    return processes.speaks()


def _started_by() -> list[str]:
    """The words before those of the command."""
    nodes, per_node = (os.environ.get(name, "1") for name in ("GROUP_WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if (nodes, per_node) == ("1", "1"):
        return ["wsol"]
    return ["torchrun", *(["--nnodes", nodes] if nodes != "1" else []), "--nproc-per-node", per_node, "-m", "wsol"]


@contextmanager
def _stoppable(stopped_by: list[int]) -> Iterator[None]:
    """What a batch system or a closed terminal sends ends the command as Ctrl-C does, and is noted."""

    def stop(number: int, _: Any) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _warn(message: Warning | str, *_: Any) -> None:
    err.print(f"wsol: {one_line(str(message))}", style="yellow")
