"""The server: on this computer only, with a fresh token for each start; or for a network, where everybody logs in."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accounts import read_accounts
from snowmatch.web.app import app_behind
from snowmatch.web.logins import USUAL, LoginDoor
from snowmatch.web.network import LOOPBACK, Lan, check_certificate, ip_of, is_loopback, listen, shown_host
from snowmatch.web.security import Door, TokenDoor, new_token
from snowmatch.web.state import State

GRACE, LONGER = 3, 5.0  # seconds that requests have to end after Ctrl-C; then what their threads still have


def serve(
    folder: Path,
    *,
    port: int = 0,
    browser: bool = True,
    observer: str = "",
    decisions: Path | None = None,
    lan: Lan | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the app of the catalog in `folder` until Ctrl-C.

    port: 0 for a free one. lan: lets observers with passwords log in, also from other computers; None: only who was
    given the address. say: prints the address.

    Raises SnowmatchError if the folder does not exist, the port is taken, the certificate cannot be used, or nobody
    could log in.
    """
    if not folder.is_dir():
        raise SnowmatchError(f"{folder} does not exist, expected the catalog's folder")
    if lan is not None:
        _check(folder, lan)
    listener = listen(port, LOOPBACK if lan is None else lan.host)
    port = listener.getsockname()[1]
    state = State(folder, decisions, observer)
    door, address, notes = _private(port) if lan is None else _shared(folder, port, lan)
    config = uvicorn.Config(
        app_behind(door, state),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody stands before this server, so nobody may say who asked
        timeout_graceful_shutdown=GRACE,
        ws="none",
        ssl_certfile=lan.certificate if lan is not None else None,
        ssl_keyfile=lan.key if lan is not None else None,
    )
    say(f"The app is at {address}")
    for note in notes:
        say(note)
    state.warm_up()
    server = uvicorn.Server(config)
    state.kept["stopping"] = lambda: server.should_exit  # streams of open pages end then
    logging.getLogger("uvicorn.error").addFilter(lambda record: not (server.should_exit and _gave_up(record)))
    if browser:
        webbrowser.open(address)  # the socket listens already: the browser waits until the server answers
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    _leave()


def _leave() -> None:
    """End the process if a page still computes: what it stored is on the disk, and nobody waits for the rest."""
    working = [thread for thread in threading.enumerate() if thread.name == "AnyIO worker thread"]
    until = time.monotonic() + LONGER
    with suppress(KeyboardInterrupt):
        for thread in working:
            thread.join(max(until - time.monotonic(), 0))
    if any(thread.is_alive() for thread in working):
        sys.stdout.flush()
        os._exit(0)


def _gave_up(record: logging.LogRecord) -> bool:
    """Return whether the server tells that it did not wait for a request: the person who pressed Ctrl-C wanted that."""
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, asyncio.CancelledError) or str(record.msg).startswith("Cancel ")


def _check(folder: Path, lan: Lan) -> None:
    if lan.certificate is not None:
        check_certificate(lan.certificate, lan.key)
    if not read_accounts(folder):
        raise SnowmatchError("nobody can log in: no observer has a password yet", "add-observer", catalog=folder)


def _private(port: int) -> tuple[Door, str, tuple[str, ...]]:
    token = new_token()
    note = "Only this computer can open it, and only with this address. Press Ctrl-C to stop."
    return TokenDoor(port, token), f"http://{LOOPBACK}:{port}/?token={token}", (note,)


def _shared(folder: Path, port: int, lan: Lan) -> tuple[Door, str, tuple[str, ...]]:
    own = lan.names if ip_of(lan.host) is not None else (lan.host, *lan.names)  # addresses are told by each connection
    shown = shown_host(lan.host, lan.names)
    address = f"{lan.scheme}://{shown}" + ("/" if port == USUAL[lan.scheme] else f":{port}/")
    notes = ["Observers log in there with name and password. Press Ctrl-C to stop."]
    if lan.scheme == "http" and not is_loopback(lan.host):
        notes.append("Nothing is encrypted: others in this network can read along, passwords too.")
    return LoginDoor(folder, port, lan.scheme, own), address, tuple(notes)
