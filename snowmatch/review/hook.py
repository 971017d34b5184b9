"""A sighting sent to a program that listens at an address: an HTTP POST of its JSON.

It goes to this computer, or to a host that the user names, and nowhere else: no redirect is followed, no proxy is used.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__

SECONDS = 5.0  # that a connection, and each part of the answer, may take


@dataclass(frozen=True)
class Hook:
    """An address that may be told. host: as in the address. path: with the query. local: on this computer only."""

    secure: bool
    host: str
    port: int
    path: str
    local: bool

    @property
    def shown(self) -> str:
        """The address for people, without its query, which may hold a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path.partition('?')[0]}"


def read_hook(address: str, allowed: Collection[str] = ()) -> Hook:
    """Return the hook at an address. allowed: hosts that the user names, such as "example.org" or "10.0.0.7:8080".

    Raises SnowmatchError if it is no address of http or https, or if its host is another computer and not allowed.
    """
    wrong = SnowmatchError(f"{address!r} is not an address, expected one such as http://127.0.0.1:8000/seen")
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", address):
        raise wrong
    if "@" in parts.netloc:
        raise SnowmatchError(f"the address of {host} holds a name or password: leave it out")
    port = port or (443 if parts.scheme == "https" else 80)
    names = {name.strip().lower().rstrip(".") for name in allowed}
    local = host == "localhost" or _is_loopback(host)
    if not local and not {host, f"{host}:{port}", f"[{host}]:{port}"} & names:
        raise SnowmatchError(
            f"{host} is not this computer, and sightings are sent to no other unless it is named: allow it, or use an "
            "address of this computer such as http://127.0.0.1:8000/seen",
            "allow-host",
            host=host,
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Hook(parts.scheme == "https", host, port, path, local)


def post(hook: Hook, body: str, seconds: float = SECONDS) -> str:
    """Send one JSON text, and return why that failed; "" if it did not. seconds: for each step."""
    try:
        where = _address_of(hook)
        connection = (
            http.client.HTTPSConnection(where, hook.port, timeout=seconds, context=ssl.create_default_context())
            if hook.secure
            else http.client.HTTPConnection(where, hook.port, timeout=seconds)
        )
        host = f"[{hook.host}]" if ":" in hook.host else hook.host
        headers = {
            "Host": f"{host}:{hook.port}",
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": f"snowmatch/{__version__}",
            "Connection": "close",
        }
        try:
            connection.request("POST", hook.path, body.encode("utf-8", "backslashreplace"), headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    if 200 <= status < 300:
        return ""
    return f"status {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")


def _address_of(hook: Hook) -> str:
    """Return what to connect to. Raises OSError if a local name does not lead to this computer."""
    if not hook.local or _is_loopback(hook.host):
        return hook.host
    found = [str(info[4][0]) for info in socket.getaddrinfo(hook.host, hook.port, type=socket.SOCK_STREAM)]
    local = [address for address in found if _is_loopback(address)]
    if not local:
        raise OSError(f"{hook.host} does not lead to this computer")
    return hook.host if hook.secure else sorted(local)[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
