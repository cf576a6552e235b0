"""The one error that users see."""


class WsolError(Exception):
    """Something a user can mend. The message is one line: what is wrong, with the file's name, and what to do.

    The command line prints it and exits with status 1; in Python it is raised as it is.
    """
