"""The server: on this computer only, at a free port, with a fresh token for each start."""

from __future__ import annotations

import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from snowmatch.core.errors import SnowmatchError
from snowmatch.web.app import make_app
from snowmatch.web.security import new_token
from snowmatch.web.state import State

LOOPBACK = "127.0.0.1"


def serve(
    folder: Path,
    *,
    port: int = 0,
    browser: bool = True,
    observer: str = "",
    decisions: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the app of the catalog in `folder` until Ctrl-C. port: 0 for a free one. say: prints the address.

    Raises SnowmatchError if the folder does not exist or the port is taken.
    """
    if not folder.is_dir():
        raise SnowmatchError(f"{folder} does not exist, expected the catalog's folder")
    listener = listen(port)
    port, token = listener.getsockname()[1], new_token()
    state = State(folder, decisions, observer)
    config = uvicorn.Config(
        make_app(state, port, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody stands before this server, so nobody may say who asked
        timeout_graceful_shutdown=3,
        ws="none",
    )
    address = f"http://{LOOPBACK}:{port}/?token={token}"
    say(f"The app is at {address}")
    say("Only this computer can open it, and only with this address. Press Ctrl-C to stop.")
    state.warm_up()
    server = uvicorn.Server(config)
    state.kept["stopping"] = lambda: server.should_exit  # streams of open pages end then
    if browser:
        webbrowser.open(address)  # the socket listens already: the browser waits until the server answers
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def listen(port: int) -> socket.socket:
    """Return a socket that listens at a port of this computer; 0 is a free one.

    Raises SnowmatchError if the port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform == "win32":  # there, reusing an address would let two servers share it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:  # a server that was stopped a moment ago still holds its port otherwise
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SnowmatchError(
            f"port {port} cannot be used: {getattr(error, 'strerror', None) or error}; choose another, or none for a "
            "free one"
        ) from error
    return listener
