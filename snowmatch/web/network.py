"""What a server needs that other computers may ask: a socket at an address, a certificate, a name to print."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from snowmatch.core.errors import SnowmatchError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Lan:
    """How other computers reach the app.

    host: the address or name to listen at. certificate, key: PEM files (None: without encryption). names: under which
    this computer may be asked for, beside its addresses and `host`.
    """

    host: str
    certificate: Path | None
    key: Path | None
    names: tuple[str, ...]

    @property
    def scheme(self) -> str:
        """Of the address."""
        return "http" if self.certificate is None else "https"


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach a server that listens at a host."""
    address = ip_of(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address; None if the text is none. An address of IPv4 is the same in the form of IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address if address.version == 4 else address.ipv4_mapped or address


def check_certificate(certificate: Path, key: Path | None) -> None:
    """Raise SnowmatchError unless the files hold a certificate and its key, without a password."""
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise SnowmatchError(f"{path} does not exist, expected a PEM file with the certificate or its key")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise SnowmatchError(
            f"{certificate} and {key or 'the key in it'} cannot be used: {_reason(error)}; expected a certificate and "
            "its key in PEM files, the key without a password"
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens at a port of an address of this computer; 0 is a free one.

    Raises SnowmatchError if the host is no address of this computer, or the port is taken or not allowed.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise SnowmatchError(
            f"{host!r} is no address of this computer: expected one such as 192.168.1.5, or 0.0.0.0 for all"
        ) from error
    listener = socket.socket(family, kind)
    if sys.platform == "win32":  # there, reusing an address would let two servers share it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:  # a server that was stopped a moment ago still holds its port otherwise
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address[0], port, *address[2:]))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        where = "" if host == LOOPBACK else f" at {host}"
        raise SnowmatchError(
            f"port {port}{where} cannot be used: {getattr(error, 'strerror', None) or error}; choose another, or none "
            "for a free one"
        ) from error
    return listener


def shown_host(host: str, names: tuple[str, ...]) -> str:
    """Return the name or address to print for a server: the first name given, or an address of this computer."""
    if names:
        return names[0]
    address = ip_of(host)
    if address is None:
        return host
    if address.is_unspecified:
        return _own_address()
    return f"[{address}]" if address.version == 6 else str(address)


def _own_address() -> str:
    """Return the address from which this computer reaches its network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for examples: RFC 5737
        except OSError:  # no network
            return LOOPBACK
        return str(probe.getsockname()[0])
