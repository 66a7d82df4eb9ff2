"""The pages as a Starlette application: everything is read but one thing, the approval of a run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.resources import files
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from afml.console.access import COOKIE, SESSION_S, Access, Session
from afml.console.fence import FILED_POLICY, SIGN_IN, Fence, Names
from afml.console.sections import PAGES, RUN_PAGES, Maker, Page, Shown
from afml.console.view import LOOK_S, WAITS, View
from afml.core.errors import AfmlError, InputError
from afml.genomics.files import GenotypeFiles

MOST_FORM = 8 << 10
"""Bytes of a form."""
MOST_STREAMS = 32
"""Pages that are kept up to date at once."""
_BEAT = 15
"""Looks without a change after which a stream says that it is there."""
_STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Console:
    """Answers requests.

    Args:
        view: What is shown.
        access: Who may look.
        names: What browsers call this server.
    """

    def __init__(self, view: View, access: Access, names: Names) -> None:
        self._view, self._access, self._names = view, access, names
        self._maker, self._streams = Maker(Shown(view)), 0

    def app(self) -> Fence:
        """The whole application."""
        routes: list[BaseRoute] = [
            Route(SIGN_IN, self._sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/static/{name}", self._static),
            Route("/live", self._live),
            Route("/approve/{digest}", self._approve, methods=["GET", "POST"]),
            Route("/quality/{number:int}", self._quality_page),
            *(Route(page.path, self._page_at(page)) for page in PAGES),
            *(Route("/runs/{run}" + page.path, self._page_at(page)) for page in RUN_PAGES),
        ]
        return Fence(Starlette(routes=routes, exception_handlers={404: self._nothing}), self._access, self._names)

    def _page_at(self, page: Page):  # type: ignore[no-untyped-def]
        def answer(request: Request) -> Response:
            return HTMLResponse(self._maker.whole(page, _session(request), request.path_params.get("run", "")))

        return answer

    # Signing in and out

    async def _sign_in(self, request: Request) -> Response:
        if request.method == "POST":
            token = (await _form(request)).get("token", "")
        else:
            token = request.query_params.get("token", "")
        if not token:
            return HTMLResponse(self._maker.bare("sign-in", wrong=""))
        try:
            cookie = self._access.enter(token.strip())
        except InputError as error:  # the token file
            return HTMLResponse(self._maker.bare("sign-in", wrong=str(error)), 403)
        if cookie is None:
            wrong = "That token is not good, or was used before. The terminal, or the token file, has the present one."
            return HTMLResponse(self._maker.bare("sign-in", wrong=wrong), 403)
        # Not a redirect: where a page of somebody else led here, a browser would leave out a strict cookie behind it.
        answer = HTMLResponse(self._maker.bare("signed-in"))
        secure = self._names.secure(request.headers["host"])
        answer.set_cookie(COOKIE, cookie, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=secure)
        return answer

    async def _sign_out(self, request: Request) -> Response:
        if (refused := self._unvouched(request, await _form(request))) is not None:
            return refused
        self._access.leave(request.state.cookie)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    def _unvouched(self, request: Request, form: dict[str, str]) -> Response | None:
        if _session(request).vouches(form.get("csrf", "")):
            return None
        return PlainTextResponse("this form is not of a page of this session: load the page again\n", 403)

    # The one thing that changes something

    async def _approve(self, request: Request) -> Response:
        digest, session = request.path_params["digest"], _session(request)
        wrong, code = "", 200
        if request.method == "POST":
            if (refused := self._unvouched(request, await _form(request))) is not None:
                return refused
            try:
                await run_in_threadpool(self._view.approve, digest)
                return RedirectResponse(f"/approve/{digest}", 303)
            except AfmlError as error:
                wrong, code = str(error), 409
        return await run_in_threadpool(self._shown_for_approval, digest, session, wrong, code)

    def _shown_for_approval(self, digest: str, session: Session, wrong: str, code: int) -> Response:
        try:
            signed, standing = self._view.looked_at(digest)
            state = next(one.state for one in self._view.on_offer() if one.digest == digest)
            asked = state == WAITS and not standing.problems  # else a button could only be refused
            lines = list(signed.told(standing))
            values = {"config": signed.config, "lines": lines, "state": state, "asked": asked, "digest": digest}
        except AfmlError as error:
            values = {"config": None, "lines": [], "state": "", "asked": False, "digest": digest}
            wrong, code = wrong or str(error), code if wrong else 404
        html = self._maker.page("approve", session, wrong=wrong, at=PAGES[0], **values)
        return HTMLResponse(html, code)

    # What is sent again

    async def _live(self, request: Request) -> Response:
        found = _page_of(request.query_params.get("page", ""))
        if found is None:
            return PlainTextResponse("no such page\n", 404)
        if self._streams >= MOST_STREAMS:
            return PlainTextResponse("too many pages are open\n", 503)
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._changes(request, *found), media_type="text/event-stream", headers=headers)

    async def _changes(self, request: Request, page: Page, run: str) -> AsyncIterator[str]:
        """Sections that have changed, as server-sent events, until the browser goes or the session is over."""
        sent: dict[str, str] = {}
        quiet = 0
        self._streams += 1
        try:
            yield "retry: 2000\n\n"
            while self._access.session(request.state.cookie) is not None and not await request.is_disconnected():
                quiet += 1
                for made in await run_in_threadpool(self._maker.sections, page, run):
                    if sent.get(made.name) != made.version:
                        sent[made.name], quiet = made.version, 0
                        told = {"name": made.name, "version": made.version, "html": made.html}
                        yield f"event: section\ndata: {json.dumps(told)}\n\n"
                if quiet and quiet % _BEAT == 0:
                    yield ": still here\n\n"
                await asyncio.sleep(LOOK_S)
            yield "event: over\ndata: {}\n\n"
        finally:
            self._streams -= 1

    # Files

    def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return PlainTextResponse("nothing here\n", 404)
        text = files("afml.console").joinpath("static", name).read_text(encoding="utf-8")
        return Response(text, media_type=_STATIC[name])

    def _quality_page(self, request: Request) -> Response:
        works, number = self._view.works(), request.path_params["number"]
        page = GenotypeFiles(works[number].data).qc_page if number < len(works) else None
        if page is None or not page.is_file():
            return PlainTextResponse("no quality page here\n", 404)
        return HTMLResponse(page.read_text(encoding="utf-8"), headers={"Content-Security-Policy": FILED_POLICY})

    def _nothing(self, request: Request, error: Exception) -> Response:
        return PlainTextResponse("nothing here\n", 404)


def _session(request: Request) -> Session:
    found = request.state.session
    assert isinstance(found, Session), "the fence lets nobody else through"
    return found


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; nothing of one that is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _page_of(path: str) -> tuple[Page, str] | None:
    """The page that a path is of, and the run that it is about."""
    for page in PAGES:
        if page.path == path and page.live:
            return page, ""
    first, _, run = path.removeprefix("/").partition("/")
    if first == "runs" and run and "/" not in run:
        return RUN_PAGES[0], run
    return None
