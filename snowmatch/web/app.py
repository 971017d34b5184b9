"""The app as one ASGI application: routes, files of the package, and the guard before all of them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from snowmatch.core.errors import SnowmatchError
from snowmatch.web.page import problem, snowmatch_error, translator_of
from snowmatch.web.rights import with_right
from snowmatch.web.routes import LIMITS, ROUTES
from snowmatch.web.security import LARGEST_BODY, Door, Guard, TokenDoor
from snowmatch.web.state import State


def make_app(state: State, port: int, token: str) -> Starlette:
    """Return the application for the person at this computer. port: of its address. token: the secret of this start."""
    return app_behind(TokenDoor(port, token), state)


def app_behind(door: Door, state: State) -> Starlette:
    """Return the application of one server, for those whom the door lets in."""
    app = Starlette(
        routes=[
            *map(with_right, ROUTES),
            Mount("/static", StaticFiles(packages=[("snowmatch.web", "static")]), name="static"),
        ],
        middleware=[Middleware(Guard, door=door, body_limit=body_limit)],
        exception_handlers={
            SnowmatchError: snowmatch_error,
            OSError: _refused,
            MemoryError: _no_memory,
            404: _missing,
            405: _missing,
            400: _bad,
        },
    )
    app.state.snowmatch, app.state.door = state, door
    return app


def body_limit(path: str) -> int:
    """Return the largest body (bytes) that a path accepts."""
    return LIMITS.get(path, LARGEST_BODY)


async def _missing(request: Request, error: Exception) -> Response:
    return problem(request, translator_of(request)("problem.missing"), 404)


def _refused(request: Request, error: Exception) -> Response:
    """Return the answer if the system refuses: a folder without permission, a full disk, a disk that was removed."""
    assert isinstance(error, OSError)
    why = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    text = f"the system refuses this ({why}): check the permissions, and the free space of the disk"
    return snowmatch_error(request, SnowmatchError(text, "system-refused", why=why))


def _no_memory(request: Request, error: Exception) -> Response:
    text = "there is not enough memory for this: close other programs, and try again"
    return snowmatch_error(request, SnowmatchError(text, "no-memory"))


async def _bad(request: Request, error: Exception) -> Response:
    return problem(request, str(getattr(error, "detail", error)), 400)
