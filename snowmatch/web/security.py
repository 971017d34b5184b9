"""What a request must show before any page sees it. The app is for the person at this computer, and for nobody else.

If that person wants it so, several people log in instead: `logins.py` has that door.

A web site that the person visits can send requests to this computer too, also under a name of its own that leads here
(rebinding), and it can show pictures from here. So every request, pictures included, needs the exact name and port of
the server and a cookie that only the printed address gives; what changes something must come from our own pages.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from html import escape
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snowmatch.web.page import translator_of
from snowmatch.web.people import Person, asking

MEGABYTE = 1 << 20
LARGEST_BODY = MEGABYTE  # of a form or a JSON value
METHODS = ("GET", "HEAD", "POST")
CSP = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, browsers send the origin null with our own forms
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
OWN = ("same-origin", "none")  # none: typed, or opened by a program


class Door(Protocol):
    """Who is let in, and under which names of the server."""

    scheme: str

    def knows(self, scope: Scope, host: str) -> bool:
        """Return whether a request may name the server so."""

    def admit(self, scope: Scope, headers: Headers) -> Response | Person | None:
        """Return who asks (None: the person at this computer), or the answer to somebody who is not let in."""


class TokenDoor:
    """Lets in the browser that was given the printed address, and nobody else.

    port: of the server. token: the secret in the printed address; a fresh one for each start.
    """

    scheme = "http"

    def __init__(self, port: int, token: str) -> None:
        self.token = token
        names = ("127.0.0.1", "localhost", "[::1]")
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        self.cookie = f"snowmatch-{port}"  # of this server alone: cookies are shared by all ports of a name
        self.secret = secrets.token_urlsafe(32)

    def knows(self, scope: Scope, host: str) -> bool:
        """Return whether a request may name the server so."""
        return host in self.hosts

    def admit(self, scope: Scope, headers: Headers) -> Response | None:
        """Return None for the person at this computer; the cookie for who has the token; a refusal for others."""
        query = QueryParams(scope["query_string"]).multi_items()
        given = [value for name, value in query if name == "token"]
        if given and scope["method"] == "GET" and equal(given[-1], self.token):
            response = onward(scope["path"], [(n, v) for n, v in query if n != "token"])
            response.set_cookie(self.cookie, self.secret, httponly=True, samesite="strict", path="/")
            return response
        if not equal(cookie_of(headers, self.cookie), self.secret):
            return refusal(scope, "refused.token")
        return None


class Guard:
    """Middleware that refuses every request that its door does not let in, or that another web site has made.

    body_limit: returns the largest body (bytes) that a path accepts.
    """

    def __init__(self, app: ASGIApp, door: Door, body_limit: Callable[[str], int] = lambda path: LARGEST_BODY) -> None:
        self.app, self.door, self.body_limit = app, door, body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        entered = self._enter(scope, Headers(scope=scope))
        if isinstance(entered, Response):
            await _hardened(entered)(scope, receive, send)
            return
        before = asking.set(entered)
        try:
            await self._answer(scope, receive, send, self.body_limit(scope["path"]))
        finally:
            asking.reset(before)

    def _enter(self, scope: Scope, headers: Headers) -> Response | Person | None:
        """Return who asks, as `Door.admit` does, or the refusal."""
        host = headers.get("host", "")
        if not self.door.knows(scope, host) or len(headers.getlist("host")) != 1:
            return refusal(scope, "refused.host", 421)
        if scope["method"] not in METHODS:
            return PlainTextResponse("Method not allowed.\n", 405, {"allow": ", ".join(METHODS)})
        entered = self.door.admit(scope, headers)
        if isinstance(entered, Response):
            return entered
        site = headers.get("sec-fetch-site")
        if site is not None and site not in OWN:
            return refusal(scope, "refused.site")
        if scope["method"] == "POST":
            origin = headers.get("origin")
            if origin != f"{self.door.scheme}://{host}" if origin is not None else site != "same-origin":
                return refusal(scope, "refused.page")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > self.body_limit(scope["path"]):
            return too_large(scope, self.body_limit(scope["path"]))
        return entered

    async def _answer(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        read, started = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise TooLargeError
            return message

        async def hardened(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _harden(MutableHeaders(scope=message))
            await send(message)

        try:
            await self.app(scope, counted, hardened)
        except TooLargeError:
            if started:
                raise
            await _hardened(too_large(scope, limit))(scope, receive, send)


def onward(path: str, query: list[tuple[str, str]]) -> Response:
    """Return a page that leads to an address of this server.

    A redirect would not do: where a link in another program's page was followed, browsers send no strict cookie
    until a page of our own leads on.
    """
    path = quote("/" + path.lstrip("/\\"))  # `//name` would be another computer; browsers drop tabs and line ends
    target = escape(path + ("?" + str(QueryParams(query)) if query else ""))
    meta = f'<meta http-equiv="refresh" content="0; url={target}"><link rel="icon" href="/static/icon.svg">'
    return HTMLResponse(f'<!doctype html>{meta}<title>snowmatch</title><a href="{target}">snowmatch</a>')


def cookie_of(headers: Headers, name: str) -> str:
    """Return the value of a cookie; "" if there is none."""
    # All programs at one name share their cookies: a strange one of another program must not hide ours
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def refusal(scope: Scope, key: str, status: int = 403) -> Response:
    """Return the answer to somebody who is not let in, in the language of the browser. key: of its words."""
    return PlainTextResponse(translator_of(Request(scope))(key) + "\n", status)


class TooLargeError(Exception):
    """The body of a request is larger than its path accepts."""


def too_large(scope: Scope, limit: int) -> Response:
    """Return the answer to a request whose body is too large."""
    t = translator_of(Request(scope))
    return PlainTextResponse(t("base.too_large", n=limit // MEGABYTE) + "\n", 413, {"connection": "close"})


def new_token() -> str:
    """Return a fresh secret for the address of one start."""
    return secrets.token_urlsafe(24)


def _harden(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("cache-control", "no-store")


def _hardened(response: Response) -> Response:
    _harden(response.headers)
    return response


def equal(one: str, other: str) -> bool:
    """Return whether two texts are equal. The time tells nothing about them."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())
