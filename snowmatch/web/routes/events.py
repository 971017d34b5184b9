"""Server-sent events: open pages are told what happens. Source: HTML standard, "Server-sent events"."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from snowmatch.core.errors import SnowmatchError
from snowmatch.web.live import LOOK, SHOWN, Live, live_of, sighting_of, stopping
from snowmatch.web.logins import STREAM
from snowmatch.web.page import state_of, translator_of
from snowmatch.web.people import ADMINISTRATOR, asking, may
from snowmatch.web.routes.login import door_of
from snowmatch.web.security import cookie_of
from snowmatch.web.state import State
from snowmatch.web.texts import Translate

MOST = 12  # streams that are open at once
BEAT = 15.0  # seconds after which a line is sent although nothing happened: a dead connection is noticed
LONGEST = 600.0  # seconds of one stream; the browser then asks again
STEP = 0.2  # seconds between two looks at whether the server stops


class EventStream(StreamingResponse):
    """One open stream. It counts as open until it is closed, however that happens."""

    def __init__(self, state: State, start: int | None, t: Translate, allowed: Callable[[], bool]) -> None:
        self.state = state
        super().__init__(_messages(live_of(state), start, t, allowed), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send messages until the page is closed, or the server stops."""
        count = self.state.kept.setdefault("streams", [])  # appended and removed in one thread only
        count.append(self)
        try:
            await super().__call__(scope, receive, send)
        finally:
            count.remove(self)


def events(request: Request) -> Response:
    """The stream of a page."""
    state = state_of(request)
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")
    if len(state.kept.get("streams", ())) >= MOST or stopping(state):
        return PlainTextResponse("Too many pages are open: close some.\n", 429, {"retry-after": "60"})
    last = request.headers.get("last-event-id", "")
    start = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else None
    return EventStream(state, start, translator_of(request), _allowed(request))


def _allowed(request: Request) -> Callable[[], bool]:
    """Return what tells whether the session that opened a stream is still there, with the same role."""
    door, person = door_of(request), asking.get()
    if door is None:
        return lambda: True
    secret = cookie_of(request.headers, door.cookie)

    def allowed() -> bool:
        with suppress(SnowmatchError):
            return door.person(secret, asks=False) == person
        return False

    return allowed


async def _messages(live: Live, start: int | None, t: Translate, allowed: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield messages. start: the end of the journal (bytes) that the page knows; None if it was just opened.

    allowed: whether who opened the stream may still read it.
    """
    yield "retry: 3000\n\n"
    opened = sent = time.monotonic()
    jobs: Any = None
    waiting: Any = None
    while not stopping(live.state) and time.monotonic() - opened < LONGEST and await run_in_threadpool(allowed):
        look = await run_in_threadpool(live.look)
        messages = []
        if start is None or start > look.end:
            start = look.end
        for end, event in look.events:
            if end > start:
                messages.append(_message("sighting", sighting_of(event, t), end))
        start = look.end
        if look.jobs != jobs and may(ADMINISTRATOR):
            jobs = look.jobs
            messages.append(_message("jobs", jobs))
        if look.waiting is not None and look.waiting != waiting:
            waiting = look.waiting
            messages.append(_message("waiting", waiting))
        now = time.monotonic()
        if not messages and now - sent > BEAT:
            messages.append(": still here\n\n")
        if messages:
            sent = now
            yield "".join(messages)
        while time.monotonic() - now < LOOK and not stopping(live.state):
            await asyncio.sleep(STEP)


def _message(name: str, data: Any, number: int | None = None) -> str:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)  # one line
    return f"event: {name}\n" + (f"id: {number}\n" if number is not None else "") + f"data: {text}\n\n"


def recent(request: Request) -> Response:
    """The newest sightings of a watched folder, the newest first."""
    t = translator_of(request)
    found = [sighting_of(event, t) for _, event in live_of(state_of(request)).look().events[-SHOWN:]]
    return JSONResponse({"sightings": found[::-1]})


ROUTES = [Route(STREAM, events), Route("/events/recent", recent)]
