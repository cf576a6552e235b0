"""`wsol serve`: the page, on this machine alone."""

import errno
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsol.errors import WsolError
from wsol.export import find_formats
from wsol.runs.opening import Network, load
from wsol.serve.queue import Queue
from wsol.serve.tried import Tried

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOST = "127.0.0.1"


def serve(
    run: Network,
    found: str | Path | None = None,
    *,
    port: int = 8765,
    browser: bool = True,
    photos: str | Path | None = None,
    format: str = "coco",
    say: Callable[[str], Any] = print,
    **opened: Any,
) -> None:
    """Open a page in the browser: try a run on any photo, and check the boxes of located photos, the least sure first.

    Every answer is kept at once in FOUND/review.jsonl, so that the review goes on after anything stopped it. The
    checked photos are written into FOUND/reviewed by a button and when the server ends. Nothing leaves this machine.

    run: a run folder, as `wsol train` left it, or whatever else `wsol.load` opens, such as `timm:resnet50`.
    found: located photos to check: the output folder of wsol locate RUN PHOTOS --output FOUND --format json,heatmap.
    port: where the page is served, http://127.0.0.1:PORT; 0 for any that is free.
    browser: open the page in the browser.
    photos: the folder that was located, where it has moved since.
    format: one or more formats of the checked photos, separated by commas.
    say: takes lines for the person who waits.
    opened: how the run is opened, as `wsol.load` takes it: checkpoint, readout, settings, classes_from, boxes_from.

    Raises WsolError where the port is taken or the folder holds no located photos.
    """
    try:
        import uvicorn

        from wsol.serve.app import Pages
    except ImportError as error:
        raise WsolError("wsol serve needs starlette and uvicorn: pip install 'wsol[app]'") from error
    find_formats(format)
    waiting = _socket(port)
    try:
        localizer = load(run, **opened)
        folder = None if photos is None else Path(photos)
        queue = None if found is None else Queue.open(Path(found), localizer.classes, localizer.several, folder)
        usual = not any(opened.get(name) for name in ("readout", "settings", "boxes_from", "classes_from"))
        pages = Pages(Tried(localizer), queue, usual, format)
        address = f"http://{HOST}:{waiting.getsockname()[1]}"

        @asynccontextmanager
        async def lifespan(_: "Starlette") -> AsyncIterator[None]:
            say(f"open {address} (Ctrl-C ends)")
            if browser:
                webbrowser.open(address)
            yield
            say(_farewell(pages))

        # the page's requests are short: whoever ends the server need not wait for an idle connection
        config = uvicorn.Config(
            pages.app(lifespan), log_level="error", timeout_graceful_shutdown=5, server_header=False
        )
        uvicorn.Server(config).run(sockets=[waiting])
    except KeyboardInterrupt:  # how uvicorn passes Ctrl-C on, once all is closed
        pass
    finally:
        waiting.close()


def _socket(port: int) -> socket.socket:
    """Raises WsolError where the port cannot be had."""
    waiting = socket.socket()
    waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        waiting.bind((HOST, port))
        waiting.listen()
    except (OSError, OverflowError) as error:
        waiting.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            said = "is taken, perhaps by another wsol serve; open its page, or take another one"
        else:
            said = f"cannot be had ({getattr(error, 'strerror', None) or error}); take another one"
        raise WsolError(f"port {port} {said}: --port {port + 1 if 1024 <= port < 65535 else 8766}") from error
    return waiting


def _farewell(pages: Any) -> str:
    """Writes what is not yet written, and says where answers are."""
    if pages.given is None:
        return "ended"
    journal, progress = pages.given.journal.path, pages.given.progress()
    if progress["left"] == progress["photos"]:
        return f"ended; no photo of {pages.given.folder} is checked yet"
    try:
        written = f"; {pages.written(pages.formats, pages.only)}" if pages.unwritten else ""
    except WsolError as error:
        written = f"; not written: {error}"
    return f"ended, {progress['left']} photos left; answers are in {journal}{written}"
