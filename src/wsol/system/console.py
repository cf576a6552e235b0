"""The console, and how long work still takes: a bar where somebody watches."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from wsol.errors import printable


class PlainConsole(Console):
    """Shows text as it is, since it may be the name of a file: no markup, and no character that moves the cursor."""

    def __init__(self, **given: Any) -> None:
        super().__init__(markup=False, highlight=False, soft_wrap=True, **given)

    def render_str(self, text: str, **given: Any) -> Text:
        return super().render_str(printable(text, kept="\n\xa0"), **given)


console = PlainConsole(stderr=True)


def bar(description: str) -> Progress:
    """A progress bar with an estimate; silent where nobody watches."""
    return Progress(
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
