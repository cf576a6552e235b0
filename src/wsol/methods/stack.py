"""A method as it is asked for by name: one class, or several around one another (`has+eil`)."""

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wsol import registry
from wsol.errors import WsolError
from wsol.methods.around import Around
from wsol.methods.contract import Backbone, LearnsFrom, Method
from wsol.registry import Entry

Options = dict[str, inspect.Parameter]


@dataclass(frozen=True)
class Stack:
    """Methods around one another, the outermost first; the last is built on the backbone.

    entries: where each is from.
    alone: whether a method that goes around others was asked for by its name alone, and so goes around CAM.
    """

    entries: tuple[Entry, ...]
    alone: bool = False

    @cached_property
    def kinds(self) -> tuple[type[Method], ...]:
        return tuple(entry.load() for entry in self.entries)

    @property
    def key(self) -> str:
        """The name on the command line and of the folder of recipes."""
        return "+".join(entry.name for entry in self.entries[: 1 if self.alone else None])

    @property
    def title(self) -> str:
        """The name as papers spell it."""
        return "+".join(entry.title for entry in self.entries[: 1 if self.alone else None])

    @property
    def recipes_from(self) -> Entry:
        """The method whose recipes it begins with: the innermost, or the one that was asked for by its name alone."""
        return self.entries[0] if self.alone else self.entries[-1]

    @cached_property
    def options(self) -> Options:
        """Hyper-parameters: what the constructors take beside the backbone and the classes, or the inner method."""
        options: Options = {}
        for kind in self.kinds:
            more = options_of(kind)
            if twice := set(more) & set(options):
                raise WsolError(f"{self.title}: both have a setting {min(twice)!r}; they do not go together")
            options |= more
        return options | {name: options[name].replace(default=value) for name, value in self.inside.items()}

    @property
    def inside(self) -> dict[str, Any]:
        """What a method that stands alone sets of the CAM that it goes around."""
        return self.kinds[0].inside if self.alone else {}  # type: ignore[attr-defined]

    @property
    def learns_from(self) -> LearnsFrom:
        """What the innermost method learns from."""
        return self.kinds[-1].learns_from

    @property
    def names_classes(self) -> bool:
        """Whether the innermost method's logits say anything."""
        return self.kinds[-1].names_classes

    @property
    def settings(self) -> dict[str, Any]:
        """Defaults of training settings that the innermost method has of its own."""
        return self.kinds[-1].settings

    @cached_property
    def at_test(self) -> Options:
        """What counts at test alone: the keyword arguments of `heatmaps`."""
        return {
            name: parameter
            for kind in self.kinds
            for name, parameter in inspect.signature(kind.heatmaps).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }

    def build(self, backbone: Backbone, classes: int, **options: Any) -> Method:
        """The network. Raises WsolError for hyper-parameters that a method refuses."""
        *around, innermost = self.kinds
        options = self.inside | options
        try:
            method = innermost(backbone, classes, **_chosen(innermost, options))  # type: ignore[call-arg]
            for kind in reversed(around):
                method = kind(method, **_chosen(kind, options))  # type: ignore[call-arg]
        except ValueError as error:
            raise WsolError(f"{self.title}: {error}") from error
        return method


def stack(name: str) -> Stack:
    """A method by its name on the command line or as the paper spells it: `eil`, `has+eil`, `has` for `has+cam`.

    Raises WsolError, with a suggestion, for an unknown name and for methods that cannot be put around one another.
    """
    entries = [registry.entry("methods", part) for part in name.split("+")]
    alone = len(entries) == 1 and issubclass(entries[0].load(), Around)
    if alone:
        entries.append(registry.entry("methods", "cam"))
    *around, innermost = entries
    if issubclass(innermost.load(), Around):
        raise WsolError(f"{name}: {innermost.title} goes around another method; write {name}+cam")
    for entry in around:
        if not issubclass(entry.load(), Around):
            raise WsolError(f"{name}: {entry.title} does not go around another method; write it last")
        if entries.count(entry) > 1:
            raise WsolError(f"{name}: {entry.title} goes around a method once")
    return Stack(tuple(entries), alone)


def options_of(kind: type[Method]) -> Options:
    """One class's hyper-parameters. Where its constructor ends in `**`, those of the class that it extends follow."""
    options: Options = {}
    for base in kind.__mro__:
        settings = list(inspect.signature(base.__init__).parameters.values())[2 if issubclass(kind, Around) else 3 :]
        options = options | {setting.name: setting for setting in settings if setting.name not in options}
        if not settings or settings[-1].kind is not inspect.Parameter.VAR_KEYWORD:
            return options
        del options[settings[-1].name]
    return options


def _chosen(kind: type[Method], options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in options_of(kind) if name in options}
