"""The role that each route needs where several people log in."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from snowmatch.web.people import ADJUDICATOR, ADMINISTRATOR, NOBODY_MAY, OBSERVER, READER, may, need

PUBLIC = ("/login", "/favicon.ico")  # and the files of the package, which are no secret
HOME = "/"

# The role of each route that changes something, of the pages that not every observer may see, and of all that a reader
# may see: who answers blind must meet no name and no answer, so a reader is refused whatever is not named here. Other
# pages are for observers. A route that changes something and is not here needs an administrator.
RIGHTS = {
    HOME: READER,  # it sends a reader on to the pairs
    "/account": READER,
    "/review": READER,  # in the ways of `desk.NEEDS`
    "/review/next": READER,
    "/review/results": READER,
    "/picture/{kind}/{size}/{key:path}": READER,  # of the own questions
    "/scenery/{size}/{key:path}": READER,
    "/observer": NOBODY_MAY,  # everybody has an own name
    "/logout": READER,
    "/account/password": READER,
    "/identify/photo": OBSERVER,
    "/identify/guess": OBSERVER,
    "/identify/ask": OBSERVER,
    "/identify/{name}/add": OBSERVER,
    "/review/answer": READER,  # the desk asks for more than that, except for second answers and practice
    "/review/undo": READER,
    "/review/open": READER,
    "/review/skip": READER,
    "/changes": OBSERVER,  # the kind of change asks for more
    "/jobs": ADMINISTRATOR,
    "/jobs/start": ADMINISTRATOR,
    "/jobs/{name}/progress": ADMINISTRATOR,
    "/jobs/{name}/stop": ADMINISTRATOR,
    "/jobs/{name}/table.csv": ADMINISTRATOR,
}
# The role of each kind of change; others, about quality, species and the like, are for all observers
CHANGES = dict.fromkeys(("name", "rename", "merge", "split", "auto", "auto-undo"), ADJUDICATOR)


def may_open(address: str) -> bool:
    """Return whether who asks now may open the page at an address of the app, such as "/jobs"."""
    path = address.partition("?")[0]
    return may(OBSERVER if path == HOME else RIGHTS.get(path, OBSERVER))


def role_of(route: Route) -> str:
    """Return the role that a route needs; "" for one that needs none."""
    if route.path in PUBLIC:
        return ""
    writes = bool((route.methods or {"POST"}) - {"GET", "HEAD"})
    return RIGHTS.get(route.path, ADMINISTRATOR if writes else OBSERVER)


def with_right(route: Route) -> Route:
    """Return the route with the check of the role before it."""
    role = role_of(route)
    return Route(
        route.path, route.endpoint, methods=list(route.methods or ()), middleware=[Middleware(Check, role=role)]
    )


class Check:
    """Middleware of one route that refuses people without a role. It passes all if no accounts are used."""

    def __init__(self, app: ASGIApp, role: str) -> None:
        self.app, self.role = app, role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self.role:
            need(self.role)
        await self.app(scope, receive, send)
