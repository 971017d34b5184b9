"""Log in, log out, one's own account. Without accounts, these pages do not exist."""

from __future__ import annotations

import math

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accounts import Account, check_password, name_of, set_password
from snowmatch.web.logins import LOGIN, LoginDoor
from snowmatch.web.page import problem, read_form, render, translator_of
from snowmatch.web.people import ADMINISTRATOR, STRANGER, asking, may
from snowmatch.web.security import cookie_of


def door_of(request: Request) -> LoginDoor | None:
    """Return the door of the server; None if it has no accounts."""
    door = request.app.state.door
    return door if isinstance(door, LoginDoor) else None


def _missing(request: Request) -> Response:
    return problem(request, translator_of(request)("problem.missing"), 404)


def login(request: Request) -> Response:
    """The page that asks for name and password; who has logged in goes on."""
    if door_of(request) is None:
        return _missing(request)
    target = _target(request.query_params.get("next", ""))
    if asking.get() not in (None, STRANGER):
        return RedirectResponse(target, 303)
    return render(request, "login.html", target=target, text="")


async def log_in(request: Request) -> Response:
    """Begin a session. A wrong name and a wrong password get the same answer, after the same time."""
    door = door_of(request)
    if door is None:
        return _missing(request)
    form = await read_form(request)
    name, password, target = (form.get(key, "") for key in ("name", "password", "next"))
    target, t = _target(target), translator_of(request)
    found = await _checked(request, door, name, password)
    if isinstance(found, float):
        text = t("login.wait", n=math.ceil(found / 60))
        response = render(request, "login.html", status=429, target=target, text=text)
        response.headers["retry-after"] = str(math.ceil(found))
        return response
    if found is None:
        return render(request, "login.html", status=403, target=target, text=t("login.wrong"))
    door.end(cookie_of(request.headers, door.cookie))  # of somebody who used this browser before
    response = RedirectResponse(target, 303)
    door.set_cookie(response, door.begin(found))
    return response


async def _checked(request: Request, door: LoginDoor, name: str, password: str) -> Account | float | None:
    """Return the account of a name and a password, None if they are wrong, or the seconds to wait before a try."""
    address = request.client.host if request.client is not None else ""
    if wait := door.attempts.begin(address, name_of(name)):
        return wait
    account = await to_thread.run_sync(check_password, door.accounts(), name, password, limiter=door.hashing)
    if account is not None:
        door.attempts.succeed(address, account.name)
    return account


def log_out(request: Request) -> Response:
    """End the session, also for who has kept its cookie."""
    door = door_of(request)
    if door is None:
        return _missing(request)
    door.end(cookie_of(request.headers, door.cookie))
    response = RedirectResponse(LOGIN, 303)
    response.headers["clear-site-data"] = '"cache"'  # pictures that the browser kept
    door.forget_cookie(response)
    return response


def account(request: Request) -> Response:
    """One's own name, role and password; for administrators, the names and roles of all."""
    door = door_of(request)
    if door is None:
        return _missing(request)
    return _account_page(request, door, "")


def _account_page(request: Request, door: LoginDoor, text: str, status: int = 200) -> Response:
    everybody = door.accounts() if may(ADMINISTRATOR) else ()
    return render(request, "account.html", status=status, person=asking.get(), everybody=everybody, text=text)


async def password(request: Request) -> Response:
    """Give oneself another password. All sessions of the name end; this browser gets a new one."""
    door, person = door_of(request), asking.get()
    if door is None or person is None:
        return _missing(request)
    form = await read_form(request)
    old, new, again = (form.get(key, "") for key in ("old", "new", "again"))
    t = translator_of(request)
    if new != again:
        return _account_page(request, door, t("account.differ"), 400)
    found = await _checked(request, door, person.name, old)
    if isinstance(found, float):
        return _account_page(request, door, t("login.wait", n=math.ceil(found / 60)), 429)
    if found is None:
        return _account_page(request, door, t("account.wrong"), 403)
    try:
        await to_thread.run_sync(set_password, door.folder, person.name, new, limiter=door.hashing)
    except SnowmatchError as error:
        return _account_page(request, door, str(error), 400)
    response = RedirectResponse("/account", 303)
    door.set_cookie(response, door.begin(next(a for a in door.accounts() if a.name == person.name)))
    return response


def _target(text: str) -> str:
    """Return the address of this server to go on to: a path, whatever was asked for."""
    path, mark, query = text.partition("?")
    path = "/" + path.lstrip("/")
    if len(text) > 2000 or "\\" in text or not text.isprintable():  # browsers drop tabs, and read \ as /
        return "/"
    return "/" if path == LOGIN else path + mark + query


ROUTES = [
    Route(LOGIN, login),
    Route(LOGIN, log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
    Route("/account", account),
    Route("/account/password", password, methods=["POST"]),
]
