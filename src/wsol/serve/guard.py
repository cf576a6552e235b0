"""What keeps other sites and machines out: the page is for whoever sits here."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")  # any other name was pointed here by somebody else (DNS rebinding)
SAID = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests that other sites make, and says to browsers that nothing here is for them.

    A page elsewhere may link to this one. It may load nothing from here, and what changes anything must come from this
    very page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAID)
            await send(message)

        headers = Headers(scope=scope)
        elsewhere = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        changes = scope["method"] not in ("GET", "HEAD")
        if (elsewhere and scope["path"] != "/") or (changes and headers.get("origin") != f"http://{headers['host']}"):
            await JSONResponse({"error": "refused: only this page may ask"}, 403)(scope, receive, sent)
            return
        await self.app(scope, receive, sent)
