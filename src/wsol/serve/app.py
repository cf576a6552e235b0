"""The page's addresses. Photos are asked for by number; no address takes a path."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from wsol import registry
from wsol.boxes.rule import Threshold
from wsol.errors import WsolError
from wsol.localizer import Localizer
from wsol.locating.result import Keep, Result
from wsol.serve import pictures, thresholds
from wsol.serve.guard import HOSTS, Guard
from wsol.serve.queue import Queue
from wsol.serve.tried import AS_OPENED, BYTES, Tried

PAGE = Path(__file__).parent / "page"
KEEPS: tuple[Keep, ...] = ("largest", "all", "union")


class Said(Response):
    """JSON in ASCII, since names of files may be no UTF-8."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


class Pages:
    """Answers requests.

    tried: photos that are dropped on the page.
    queue: located photos to check, where there are any.
    usual: whether the run was opened as it is by itself, see `thresholds.choose`.
    formats: those that checked photos are written in, unless the page says others.
    """

    def __init__(self, tried: Tried, queue: Queue | None, usual: bool = True, formats: str = "coco") -> None:
        self.tried, self.given, self.usual, self.formats = tried, queue, usual, formats
        self.only = False
        self.unwritten = bool(queue and queue.answers)  # the server may have died before it wrote them
        self.reviewing = Lock()

    @property
    def queue(self) -> Queue:
        if self.given is None:
            raise WsolError("no located photos were given: wsol serve RUN FOUND")
        return self.given

    def setup(self, request: Request) -> Response:
        localizer = self.tried.localizer
        about: dict[str, Any] = {
            "run": localizer.name or repr(localizer),
            "classes": localizer.classes,
            "several": localizer.several,
            "threshold": localizer.threshold,
            "colours": pictures.colours(),
            "bytes": BYTES,
            "formats": {entry.name: _about(entry) for entry in registry.entries("formats")},
            "chosen": self.formats.split(","),
            "found": str(self.given.folder) if self.given else None,
        }
        return Said(about)

    def readouts(self, request: Request) -> Response:
        return Said(self.tried.allowed())

    async def drop(self, request: Request) -> Response:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > BYTES:
                raise WsolError(f"this file has more than {BYTES // 10**6} MB; scale it down first")
        name = request.query_params.get("name", "")
        number = await run_in_threadpool(self.tried.add, bytes(content), name)
        photo = self.tried.photo(number)
        return Said({"number": number, "name": photo.name, "size": photo.size, "note": photo.note})

    def dropped_view(self, request: Request) -> Response:
        photo = self.tried.photo(request.path_params["number"])
        return Response(pictures.view(photo.path, photo.size), media_type="image/jpeg")

    def dropped_look(self, request: Request) -> Response:
        result = self.tried.look(request.path_params["number"], request.query_params.get("readout", AS_OPENED))
        return Said(result.to_dict())

    def dropped_heatmap(self, request: Request) -> Response:
        result = self.tried.look(request.path_params["number"], request.query_params.get("readout", AS_OPENED))
        return _heatmap(result, request.query_params.get("label"))

    def dropped_cut(self, request: Request) -> Response:
        return Said(self._cut(request).to_dict())

    def download(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind not in ("picture", "json", "coco"):
            raise WsolError(f"{kind}: is no download; choose picture, json or coco")
        name, content = self.tried.download(self._cut(request), kind)
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        return Response(content, media_type="application/octet-stream", headers=headers)

    def _cut(self, request: Request) -> Result:
        asked = request.query_params
        keep = asked.get("keep", "largest")
        if keep not in KEEPS:
            raise WsolError(f"keep {keep}: choose {', '.join(KEEPS)}")
        try:
            labels = [int(label) for label in asked.get("labels", "").split(",") if label]
        except ValueError as error:
            raise WsolError(f"labels {asked['labels']}: give numbers of classes") from error
        number, readout = request.path_params["number"], asked.get("readout", AS_OPENED)
        return self.tried.cut(number, readout, labels, _threshold(asked.get("threshold")), keep)

    def review(self, request: Request) -> Response:
        with self.reviewing:
            queue = self.queue
            about = {"progress": queue.progress(), "next": queue.after(), "history": queue.history()}
        return Said(about)

    def photo(self, request: Request) -> Response:
        number = self._number(request)
        with self.reviewing:
            queue = self.queue
            result, answer = queue.results[number], queue.answers.get(queue.results[number].path)
        best = result.findings[0]
        about = {
            "number": number,
            "photo": result.path,
            "size": result.size,
            "unsure": result.unsure,
            "whole_image": best.whole_image,
            "name": best.name,
            "score": best.score,
            "confidence": float(best.confidence.min(initial=1.0)),
            "others": [finding.name for finding in result.findings[1:]],
            "proposed": _boxes(queue.proposed(number)),
            "answer": None if answer is None else {"kind": answer.kind, "boxes": _boxes(answer.boxes)},
        }
        return Said(about)

    def view(self, request: Request) -> Response:
        number = self._number(request)
        content = pictures.view(self.queue.file(number), self.queue.results[number].size)
        return Response(content, media_type="image/jpeg")

    def heatmap(self, request: Request) -> Response:
        return _heatmap(self.queue.result(self._number(request)), None)

    async def answer(self, request: Request) -> Response:
        said, number = await _read(request), self._number(request)
        return await run_in_threadpool(self._answer, number, said)

    def _answer(self, number: int, said: dict[str, Any]) -> Response:
        if said.get("said") not in ("boxes", "none", "skipped"):
            raise WsolError(f"{said.get('said')}: is no answer; say boxes, none or skipped")
        with self.reviewing:
            queue = self.queue
            answer = queue.answer(number, str(said.get("photo")), said["said"], said.get("boxes", ()))
            self.unwritten = True
            return Said({"kind": answer.kind, "progress": queue.progress(), "next": queue.after(number)})

    async def write(self, request: Request) -> Response:
        asked = await _read(request)
        formats, only = str(asked.get("formats", self.formats)), asked.get("only") is True
        return Said({"said": await run_in_threadpool(self.written, formats, only)})

    def written(self, formats: str, only: bool) -> str:
        """Writes the checked photos, see `Queue.write`; the server's end writes them in the same way again."""
        with self.reviewing:
            said = self.queue.write(formats, only)
            self.formats, self.only, self.unwritten = formats, only, False
        return said

    async def choose(self, request: Request) -> Response:
        return Said(await run_in_threadpool(self._choose))

    def _choose(self) -> dict[str, Any]:
        with self.reviewing, self.tried.lock:
            choice = thresholds.choose(self.queue, self.tried.localizer, self.usual)
            if choice.kept and isinstance(localizer := self.tried.localizer, Localizer):
                self.tried.localizer = replace(localizer, threshold=choice.new)
        return asdict(choice)

    def _number(self, request: Request) -> int:
        number = request.path_params["number"]
        if number >= len(self.queue.results):
            raise WsolError(f"there is no photo {number}; load the page again")
        return number

    def app(self, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
        """The server's application."""
        dropped, review = "/api/dropped/{number:int}", "/api/review/{number:int}"
        routes = [
            Route("/", lambda _: FileResponse(PAGE / "index.html")),
            Route("/api/setup", self.setup),
            Route("/api/readouts", self.readouts),
            Route("/api/dropped", self.drop, methods=["POST"]),
            Route(f"{dropped}", self.dropped_look),
            Route(f"{dropped}/view", self.dropped_view),
            Route(f"{dropped}/heatmap", self.dropped_heatmap),
            Route(f"{dropped}/cut", self.dropped_cut),
            Route(f"{dropped}/download/{{kind}}", self.download),
            Route("/api/review", self.review),
            Route("/api/review/write", self.write, methods=["POST"]),
            Route("/api/review/threshold", self.choose, methods=["POST"]),
            Route(f"{review}", self.photo),
            Route(f"{review}", self.answer, methods=["POST"]),
            Route(f"{review}/view", self.view),
            Route(f"{review}/heatmap", self.heatmap),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        middleware = [
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
            Middleware(Guard),
        ]
        handlers: Any = {WsolError: _said, OSError: _failed}
        return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)


def _said(_: Request, error: Exception) -> Response:
    return Said({"error": str(error)}, 400)


def _failed(_: Request, error: Exception) -> Response:
    said = f"{getattr(error, 'filename', None) or 'disk'}: {getattr(error, 'strerror', None) or error}"
    return Said({"error": said}, 500)


async def _read(request: Request) -> dict[str, Any]:
    """A small JSON object. Raises WsolError for anything else."""
    try:
        said = await request.json()
    except ValueError as error:
        raise WsolError("the request is no JSON; load the page again") from error
    if not isinstance(said, dict):
        raise WsolError("the request is no JSON object; load the page again")
    return said


def _threshold(text: str | None) -> Threshold | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError as error:
        raise WsolError(f"threshold {text}: give a number from 0 to 1, or auto") from error


def _heatmap(result: Result, label: str | None) -> Response:
    found = [finding for finding in result.findings if label is None or str(finding.label) == label]
    if not found:
        raise WsolError(f"{result.path}: class {label} is not among those located")
    return Response(pictures.levels(found[0].heatmap), media_type="image/png")


def _boxes(drawn: Any) -> list[dict[str, Any]]:
    return [{"name": one.name, "box": one.box} for one in drawn]


def _about(entry: registry.Entry) -> str:
    """What a format is, also where the package that offers it is broken."""
    try:
        return entry.load().about
    except WsolError as error:
        return str(error)
