"""`wsol serve`: a page to try a run, and to check what it located."""

from typing import Any

from wsol.cli.app import out
from wsol.cli.derive import derived, settings_of
from wsol.runs.opening import load
from wsol.serve import server


@derived(server.serve, load, positional=("run", "found"), without=("say",))
def serve(**given: Any) -> None:
    given["settings"] = settings_of(given["settings"])
    server.serve(**given, say=out.print)
