"""The errors that users see, how they are put in one line, and how they list many names."""

from collections.abc import Iterable

LONGEST = 500  # characters of a message


class WsolError(Exception):
    """Something a user can fix. The message is one line: what is wrong, with the file's name, and what to do.

    Names of files and values that it repeats may be anything: see `one_line`.

    The command line prints it and exits with status 1; in Python it is raised as it is.
    """

    def __init__(self, said: str = "") -> None:
        super().__init__(one_line(said))


class Unable(WsolError):
    """A method asks for what its backbone cannot do; another backbone may."""


def one_line(text: str) -> str:
    """Text in one line of at most 500 characters, without its middle where it is longer.

    Line breaks, and whatever a terminal would take for a command, become escapes.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST:]}"
    text = printable(text.strip())
    if len(text) > LONGEST:
        end = LONGEST // 3
        text = f"{text[: LONGEST - end - 3]} … {text[-end:]}"
    return text


def printable(text: str, kept: str = "") -> str:
    """Text whose characters all show: others become escapes, such as \\x1b or \\udce9, but for those that are kept."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in kept else one.encode("unicode_escape").decode("ascii") for one in text
    )


def repeated(names: Iterable[str]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)


def listed(names: list[str], between: str = ", ", most: int = 20) -> str:
    """The first names of many, and how many more there are."""
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
