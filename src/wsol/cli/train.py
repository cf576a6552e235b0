"""`wsol train METHOD`: one command a method, made when it is asked for."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Annotated, Any

from cyclopts import Parameter

from wsol.cli.app import out
from wsol.cli.derive import DATA, documented, option
from wsol.methods.references import reference
from wsol.methods.stack import Stack, stack
from wsol.runs.recipes import recipes_of
from wsol.runs.settings import GONE, Settings
from wsol.show.report import REPORT
from wsol.system import processes
from wsol.training.train import train


def __getattr__(name: str) -> Callable[..., None]:
    """The command of a method, or of several around one another, by its name."""
    if name.startswith("__"):
        raise AttributeError(name)
    return train_command(stack(name))


def train_command(methods: Stack) -> Callable[..., None]:
    """`wsol train METHOD`, with every setting and hyper-parameter as an option that is None unless given."""

    def command(data: str, *, output: str, recipe: str | None = None, resume: bool = False, **given: Any) -> None:
        chosen = {name: value for name, value in given.items() if value is not None}
        run = train(methods.key, data, output, recipe=recipe, resume=resume, **chosen)
        if processes.place()[0]:
            return
        figures = run.figures()
        said = f", validation Top1Cls {figures['Top1Cls']:.1f} %" if "Top1Cls" in figures else ""
        out.print(f"{run.folder}: {methods.title} trained, best of epoch {figures['epoch']}{said}")
        out.print(f"open {run.folder / REPORT}")

    texts = {name: text for name, (text, _) in documented(train).items()}
    recipes = ", ".join(recipes_of(methods.recipes_from)) or "none"
    empty = inspect.Parameter.empty
    options = [
        option("data", str, empty, DATA, where=True),
        option("output", str, empty, texts["output"]),
        option("recipe", str, None, f"one of {recipes}, or a YAML file"),
        option("resume", bool, False, texts["resume"]),
    ]
    said = {name: entry for kind in methods.kinds for name, entry in documented(kind).items()}
    for name, parameter in (methods.options | methods.at_test).items():
        text, heading = said.get(name, ("", ""))
        group = f"{methods.title}: {heading.lower()}" if heading else methods.title
        options.append(_setting(name, parameter.annotation, parameter.default, text, group))
    settings = documented(Settings)
    for field in fields(Settings):
        default = methods.settings.get(field.name, None if field.default is MISSING else field.default)
        options.append(_setting(field.name, field.type, default, settings[field.name][0], "Training"))
    gone = Annotated[str | None, Parameter(show=False)]  # the error says what stands in its place
    options += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=gone)
        for name in GONE
        if name not in methods.options
    ]
    inspectable: Any = command
    inspectable.__signature__ = inspect.Signature(options, return_annotation=None)
    inspectable.__annotations__ = {each.name: each.annotation for each in options}
    inspectable.__doc__ = _paper(methods)
    return command


def _setting(name: str, annotation: Any, default: Any, text: str, group: str) -> inspect.Parameter:
    shown = " ".join(map(str, default)) or "none" if isinstance(default, tuple) else str(default).lower()
    return option(name, annotation, None, f"{text.rstrip('.')} [default: {shown}]", group)


def _paper(methods: Stack) -> str:
    papers = (reference(entry) for entry in methods.entries[: 1 if methods.alone else None])
    return " ".join(f"{paper.paper} ({paper.venue} {paper.year}). {paper.link}" for paper in papers if paper)
