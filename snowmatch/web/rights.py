"""The role that each route needs where several people log in."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from snowmatch.web.people import ADJUDICATOR, ADMINISTRATOR, NOBODY_MAY, OBSERVER, may, need

PUBLIC = ("/login", "/favicon.ico")  # and the files of the package, which are no secret

# The role of each route that changes something, and of the pages that not everybody may see. Other pages are for all
# who have logged in. A route that changes something and is not here needs an administrator.
RIGHTS = {
    "/observer": NOBODY_MAY,  # everybody has an own name
    "/logout": OBSERVER,
    "/account/password": OBSERVER,
    "/identify/photo": OBSERVER,
    "/identify/guess": OBSERVER,
    "/identify/ask": OBSERVER,
    "/identify/{name}/add": OBSERVER,
    "/review/answer": OBSERVER,  # to adjudicate, the desk asks for more
    "/review/undo": OBSERVER,
    "/review/open": OBSERVER,
    "/review/skip": OBSERVER,
    "/changes": OBSERVER,  # the kind of change asks for more
    "/jobs": ADMINISTRATOR,
    "/jobs/start": ADMINISTRATOR,
    "/jobs/{name}/progress": ADMINISTRATOR,
    "/jobs/{name}/stop": ADMINISTRATOR,
    "/jobs/{name}/table.csv": ADMINISTRATOR,
}
# The role of each kind of change; others, about quality, species and the like, are for all who have logged in
CHANGES = dict.fromkeys(("rename", "merge", "split", "auto", "auto-undo"), ADJUDICATOR)


def may_open(address: str) -> bool:
    """Return whether who asks now may open the page at an address of the app, such as "/jobs"."""
    return may(RIGHTS.get(address.partition("?")[0], OBSERVER))


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
