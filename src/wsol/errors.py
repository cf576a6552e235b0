"""The errors that users see, and how it lists many names."""


class WsolError(Exception):
    """Something a user can fix. The message is one line: what is wrong, with the file's name, and what to do.

    The command line prints it and exits with status 1; in Python it is raised as it is.
    """


class Unable(WsolError):
    """A method asks for what its backbone cannot do; another backbone may."""


def listed(names: list[str], between: str = ", ", most: int = 20) -> str:
    """The first names of many, and how many more there are."""
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
