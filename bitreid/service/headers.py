"""Headers of every answer: browsers load nothing from elsewhere, show the page in no frame, and keep no data."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_NAMES = {name for name, _ in _RAW}
_PAGE = ("/page/", "/favicon.ico")


def of_page(path: str) -> bool:
    """Whether a path is that of a file of the page, which is the same for everybody."""
    return path == "/" or path.startswith(_PAGE)


class SecurityHeaders:
    """Adds `HEADERS` to every answer; what is data is not to be stored, and the page is to be asked for again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caching = b"no-cache" if of_page(scope["path"]) else b"no-store"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _NAMES]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", caching))
                message["headers"] = headers + _RAW
            await send(message)

        await self._app(scope, receive, with_headers)
