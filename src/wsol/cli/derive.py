"""Options of the command line, read off the signatures and docstrings of the functions that they call."""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import Parameter

from wsol import registry
from wsol.errors import WsolError
from wsol.registry import Kind
from wsol.system.files import parse_yaml

PLAIN = (str, Path, int, float, bool, NoneType)  # what a word of a command line can stand for
LISTED: dict[str, Kind] = {"format": "formats", "readout": "readouts"}  # options that take names of the registry
HEADINGS = ("Readings of the paper", "At test")  # of groups of settings in a docstring
VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
DATA = "a folder of class folders, a CSV, a known data set's folder, or `creatures`"


def documented(described: Any) -> dict[str, tuple[str, str]]:
    """What a docstring says of each name, and the heading above it, if any.

    It says it in lines `name: text`, continued where they are indented further. A class has the names of those it
    extends, too.
    """
    said: dict[str, tuple[str, str]] = {}
    for kind in reversed(described.__mro__) if isinstance(described, type) else (described,):
        heading = ""
        for line in re.findall(r"(?m)^\w.*(?:\n +.*)*", inspect.cleandoc(kind.__doc__ or "")):
            if (words := line.strip().removesuffix(":")) in HEADINGS:
                heading = words
            elif match := re.match(r"((?:\w+, )*\w+): (.*)", line, re.DOTALL):
                said |= {name: (" ".join(match[2].split()), heading) for name in match[1].split(", ")}
    return said


def derived(
    *functions: Callable[..., Any],
    positional: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    unlisted: tuple[str, ...] = (),
) -> Callable[[Callable], Callable]:
    """A decorator: the command takes the arguments of the functions, beside those that it declares itself.

    functions: whose arguments are passed on; what one of several requires and another lacks becomes optional.
    positional: arguments that are given without their names, in this order.
    without: arguments that the command line does not take.
    unlisted: arguments that take other names than those of the registry.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters: dict[str, inspect.Parameter] = {}
        texts: dict[str, str] = {}
        declared = inspect.signature(command).parameters
        for function in (*reversed(functions), command):
            texts |= {name: text for name, (text, _) in documented(function).items()}
            for name, parameter in inspect.signature(function).parameters.items():
                if parameter.kind not in VARIABLE and name not in without:
                    parameters[name] = parameter
        shared = [set(inspect.signature(function).parameters) for function in functions]
        options = []
        for name, parameter in parameters.items():
            default = parameter.default
            if default is inspect.Parameter.empty and name not in declared and not all(name in some for some in shared):
                default = None
            text, listed = texts.get(name, ""), name not in unlisted
            options.append(option(name, parameter.annotation, default, text, where=name in positional, listed=listed))
        options.sort(key=lambda each: positional.index(each.name) if each.name in positional else len(positional))
        signature = inspect.Signature(options, return_annotation=None)
        several = [each.name for each in options if each.kind is inspect.Parameter.VAR_POSITIONAL]

        def called(*words: Any, **given: Any) -> None:
            bound = signature.bind(*words, **given)
            bound.apply_defaults()
            arguments = dict(bound.arguments)
            listed = arguments.pop(several[0]) if several else ()
            command(*listed, **arguments)

        inspectable: Any = called
        inspectable.__name__ = command.__name__
        inspectable.__signature__ = signature
        inspectable.__annotations__ = {each.name: each.annotation for each in options}
        inspectable.__doc__ = _summary(functions[0])
        return called

    return decorate


def option(
    name: str,
    annotation: Any,
    default: Any,
    text: str,
    group: str | None = None,
    where: bool = False,
    listed: bool = True,
) -> inspect.Parameter:
    """One option of a command.

    name: of the argument.
    annotation: its type in Python, of which the command line takes the part that words can say.
    default: `inspect.Parameter.empty` where it is required.
    text: what it is.
    group: heading above it in the help.
    where: whether it is given by its place alone.
    listed: whether the help lists the names of the registry, where it takes such.
    """
    kind, many = shell_type(annotation)
    required = default is inspect.Parameter.empty
    if listed and name in LISTED:
        text = f"{text.rstrip('.')}: {', '.join(registry.names(LISTED[name]))}."
    told: dict[str, Any] = {"help": _sentence(text), "allow_leading_hyphen": name in ("boundary", "freeze")}
    if kind is dict:
        kind, told["name"] = list[str], "--set"
        told["help"] += " As NAME=VALUE."
    if many and not where:
        told["consume_multiple"] = True
    if not required and default in (None, (), ""):
        told["show_default"] = False
    place = inspect.Parameter.KEYWORD_ONLY
    if where:
        place = inspect.Parameter.VAR_POSITIONAL if many else inspect.Parameter.POSITIONAL_OR_KEYWORD
    if not required and default is None and place is not inspect.Parameter.VAR_POSITIONAL:
        kind = kind | None
    annotated = Annotated[kind, Parameter(**told), *([Parameter(group=group)] if group else [])]
    chosen = inspect.Parameter.empty if required or place is inspect.Parameter.VAR_POSITIONAL else default
    return inspect.Parameter(name, place, default=chosen, annotation=annotated)


def shell_type(annotation: Any) -> tuple[Any, bool]:
    """The part of a type that words on a command line can say, and whether several may be given."""
    choices = _flat(annotation)
    if any(get_origin(each) is dict for each in choices):
        return dict, True
    if any(get_origin(each) in (tuple, list) and len(set(get_args(each)) - {...}) == 1 for each in choices):
        return annotation, True
    several = any(isinstance(get_origin(each), type) and issubclass(get_origin(each), Iterable) for each in choices)
    kept = [each for each in choices if each in PLAIN or get_origin(each) is Literal]
    if str in kept:
        kept = [each for each in kept if each is not Path]
    if several:
        return str, True
    return Union[tuple(kept)], False  # noqa: UP007  # made at run time


def settings_of(words: list[str] | None) -> dict[str, Any] | None:
    """NAME=VALUE, as `--set` takes them, values as YAML spells them. Raises WsolError for other words."""
    settings = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise WsolError(f"--set {word}: write NAME=VALUE, such as --set averaged=20")
        try:
            settings[name.replace("-", "_")] = parse_yaml(value)
        except ValueError as error:
            raise WsolError(f"--set {word}: {value} cannot be read") from error
    return settings or None


def _flat(annotation: Any) -> list[Any]:
    """The members of nested unions, without what is noted of them, such as ranges."""
    if get_origin(annotation) is Annotated:
        return _flat(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [flat for each in get_args(annotation) for flat in _flat(each)]
    return [annotation]


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _summary(function: Callable[..., Any]) -> str:
    """What a docstring says before its list of arguments."""
    return re.split(r"\n(?=\w+(?:, \w+)*: )|\n(?=Returns |Raises |Yields )", inspect.cleandoc(function.__doc__ or ""))[
        0
    ]
