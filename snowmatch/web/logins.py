"""The door of an app that several people use: everybody logs in with a name and a password, and gets a session."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from anyio import CapacityLimiter
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Scope

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accounts import Account, accounts_path, read_accounts
from snowmatch.web.attempts import Attempts
from snowmatch.web.network import ip_of
from snowmatch.web.people import STRANGER, Person
from snowmatch.web.rights import PUBLIC
from snowmatch.web.security import OWN, cookie_of, onward, refusal

LOGIN = "/login"
STREAM = "/events"  # which open pages ask for again and again, also when nobody sits there
IDLE, WHOLE = 8 * 3600.0, 24 * 3600.0  # seconds after which a session ends: without a request, and at the latest
MOST = 20  # sessions of one name; the oldest ends
USUAL = {"http": 80, "https": 443}  # ports that browsers leave out
OWN_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Session:
    """A login. salt: of the password it was made with. began, seen: seconds of the clock."""

    name: str
    salt: str
    began: float
    seen: float


class LoginDoor:
    """Lets in who has logged in. Several threads may use it.

    folder: of the catalog. port, scheme: of the server. names: under which it may be asked for, beside its addresses.
    clock: seconds.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        scheme: str,
        names: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.port, self.scheme, self._clock = folder, port, scheme, clock
        self.secure = scheme == "https"
        self.names = {name.lower().rstrip(".") for name in (*names, *OWN_NAMES)}
        # Browsers take a cookie __Host- only with TLS, from this name itself, and for all of it
        self.cookie = ("__Host-" if self.secure else "") + f"snowmatch-{port}"
        self.attempts = Attempts(clock)
        self.hashing = CapacityLimiter(1)  # one password at a time: strangers get one processor, and 32 MB
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}  # by the digest of their secret
        self._accounts: tuple[Account, ...] = ()
        self._stamp: object = None

    def knows(self, scope: Scope, host: str) -> bool:
        """Return whether a request may name the server so: by a known name, or by the address that it came to."""
        name, port = _split(host.lower(), USUAL[self.scheme])
        if port != self.port:
            return False
        asked, server = ip_of(name), scope.get("server") or ("",)
        return name in self.names or (asked is not None and asked == ip_of(str(server[0])))

    def admit(self, scope: Scope, headers: Headers) -> Response | Person:
        """Return who asks, or what leads to the login."""
        path, reading = scope["path"], scope["method"] in ("GET", "HEAD")
        try:
            person = self.person(cookie_of(headers, self.cookie), asks=path != STREAM)
        except SnowmatchError:
            return refusal(scope, "refused.accounts", 503)
        query = QueryParams(scope["query_string"]).multi_items()
        public = path in PUBLIC or path.startswith("/static/")
        if path == LOGIN and reading and headers.get("sec-fetch-site", "none") not in OWN:
            return onward(path, query)  # a link in another program's page
        if person is not None or public:
            return person or STRANGER
        if reading and "text/html" in headers.get("accept", ""):
            asked = quote(path) + ("?" + str(QueryParams(query)) if query else "")
            return onward(LOGIN, [("next", asked)])
        return refusal(scope, "refused.login")

    def accounts(self) -> tuple[Account, ...]:
        """Return all accounts as they are now. Raises SnowmatchError if they cannot be read."""
        path = accounts_path(self.folder)
        try:
            status = path.stat()
            stamp: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            stamp = None
        with self._lock:
            if stamp is None or stamp != self._stamp:
                self._accounts, self._stamp = read_accounts(self.folder), stamp
            return self._accounts

    def person(self, secret: str, *, asks: bool = True) -> Person | None:
        """Return who has this session; None if it has ended, or if the account was changed since.

        asks: whether that person asks for something; a page that is open looks by itself whether there is news. Raises
        SnowmatchError if the accounts cannot be read.
        """
        accounts, digest, now = self.accounts(), _digest(secret), self._clock()
        with self._lock:
            session = self._sessions.get(digest)
            if session is None:
                return None
            account = next((a for a in accounts if (a.name, a.salt) == (session.name, session.salt)), None)
            if account is None or now - session.seen > IDLE or now - session.began > WHOLE:
                del self._sessions[digest]
                return None
            if asks:
                self._sessions[digest] = replace(session, seen=now)
            return Person(account.name, account.role)

    def begin(self, account: Account) -> str:
        """Begin a session and return its secret. It is always a new one: nobody can prepare it for somebody else."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            kept = {key: s for key, s in self._sessions.items() if now - s.seen <= IDLE and now - s.began <= WHOLE}
            own = sorted((s.seen, key) for key, s in kept.items() if s.name == account.name)
            for _, key in own[: max(len(own) - MOST + 1, 0)]:
                del kept[key]
            kept[_digest(secret)] = Session(account.name, account.salt, now, now)
            self._sessions = kept
        return secret

    def end(self, secret: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(secret), None)

    def set_cookie(self, response: Response, secret: str) -> None:
        """Give a browser the secret of its session."""
        response.set_cookie(self.cookie, secret, path="/", httponly=True, samesite="strict", secure=self.secure)

    def forget_cookie(self, response: Response) -> None:
        """Take the secret from a browser."""
        response.delete_cookie(self.cookie, path="/", httponly=True, samesite="strict", secure=self.secure)


def _digest(secret: str) -> str:
    """Return what stands for a secret: to look it up takes a time that tells nothing about the others."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _split(host: str, usual: int) -> tuple[str, int | None]:
    """Return name and port of a header Host; no port means the usual one. An address of IPv6 loses its brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, str(usual)
    if not (port.isascii() and port.isdigit() and len(port) < 6):
        return name, None
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1], int(port)
    return ("", None) if ":" in name else (name, int(port))
