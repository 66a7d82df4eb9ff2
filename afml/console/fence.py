"""What stands before every page: the name it is called by, who is asking, and what a browser may do with the answer.

A page of somebody else that a browser is led to can send requests here, under another name that it has made point to
this machine (DNS rebinding), or without being able to read the answer. So the Host header must be one that is known,
every page but sign-in asks for a session, and a form brings a word that only pages of its session hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afml.console.access import COOKIE, Access

SIGN_IN = "/sign-in"
OPEN = (SIGN_IN, "/static/console.css", "/static/console.js", "/static/icon.svg")
"""What is answered without a session; nothing in them is of the institution."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
FILED_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""Of a page that `afml prepare` wrote: its figures and style are in it, and nothing in it runs or asks for anything."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Names:
    """What browsers may call this server.

    Attributes:
        port: That it listens on.
        others: Names of a proxy before it, as the Host header has them; there it is reached by TLS.
    """

    port: int
    others: tuple[str, ...] = ()

    def known(self, host: str) -> bool:
        """Whether a Host header is one of them."""
        own = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        return host.lower() in own | {name.lower() for name in self.others}

    def secure(self, host: str) -> bool:
        """Whether a browser that calls it so came by TLS."""
        return host.lower() in {name.lower() for name in self.others}

    def own_origin(self, origin: str, host: str) -> bool:
        """Whether an Origin header is of a page of this server, which was asked under `host`."""
        found = urlsplit(origin)
        return found.netloc.lower() == host.lower() and found.scheme == ("https" if self.secure(host) else "http")


class Fence:
    """ASGI middleware that lets nobody else's request through.

    Args:
        app: What is behind it; finds the session in `scope["state"]["session"]`.
        access: Who has signed in.
        names: See `Names`.
    """

    def __init__(self, app: ASGIApp, access: Access, names: Names) -> None:
        self._app, self._access, self._names = app, access, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        session = self._access.session(cookie) if cookie else None
        if session is None and scope["path"] not in OPEN:
            await self._stranger(scope)(scope, receive, guarded)
            return
        scope.setdefault("state", {}).update(session=session, cookie=cookie)
        await self._app(scope, receive, guarded)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.known(hosts[0]):
            return PlainTextResponse("unknown host: see `afml console --host`\n", 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("not allowed\n", 405)
        if scope["method"] == "POST":
            origin = headers.get("origin")
            if origin is not None and not self._names.own_origin(origin, hosts[0]):
                return PlainTextResponse("a form of another page\n", 403)
        return None

    @staticmethod
    def _stranger(scope: Scope) -> Response:
        if scope["method"] == "GET" and scope["path"] == "/":
            return RedirectResponse(SIGN_IN, 303)
        return PlainTextResponse("sign in first\n", 401)
