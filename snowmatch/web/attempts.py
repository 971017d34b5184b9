"""How often somebody may try a password: by the address of the computer, and by the name that is tried."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections.abc import Callable

from snowmatch.web.network import ip_of

WINDOW = 15 * 60.0  # seconds after which an attempt is forgotten
OF_ADDRESS, OF_NAME = 10, 30  # failed attempts in a window
MOST = 10_000  # addresses and names that are remembered; beyond them, nobody new may try
SWEEP = 10.0  # seconds between two looks at all of them


class Attempts:
    """The failed attempts of the last minutes. Several threads may use it. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._times: dict[tuple[str, str], list[float]] = {}
        self._swept = -math.inf

    def begin(self, address: str, name: str) -> float:
        """Count an attempt as failed until it succeeds, and return 0; or return the seconds to wait, and count none."""
        limits = {("address", _network(address)): OF_ADDRESS, ("name", name[:200]): OF_NAME}
        with self._lock:
            now = self._clock()
            if len(self._times) > MOST - 2 and not all(key in self._times for key in limits):
                self._sweep(now)
                if len(self._times) > MOST - 2:
                    return WINDOW
            recent = {key: [t for t in self._times.get(key, ()) if t > now - WINDOW] for key in limits}
            for key, limit in limits.items():
                if len(recent[key]) >= limit:
                    return recent[key][-limit] + WINDOW - now
            for key, times in recent.items():
                self._times[key] = [*times, now]
            return 0.0

    def _sweep(self, now: float) -> None:
        """Forget what is over; not at each attempt, since that would cost more than the attempt."""
        if now - self._swept >= SWEEP:
            self._swept = now
            self._times = {key: times for key, times in self._times.items() if times[-1] > now - WINDOW}

    def succeed(self, address: str, name: str) -> None:
        """Take back the attempt that has just succeeded, and forget the failed ones of this name.

        Those of the address stay: an own account must not give more tries at the accounts of others.
        """
        with self._lock:
            self._times.pop(("name", name[:200]), None)
            key = ("address", _network(address))
            times = self._times.get(key, [])[:-1]
            if times:
                self._times[key] = times
            else:
                self._times.pop(key, None)


def _network(address: str) -> str:
    """Return what stands for one computer: an IPv4 address, or the 64 bits of IPv6 that a computer may not choose."""
    parsed = ip_of(address)
    if parsed is None or parsed.version == 4:
        return str(parsed or address)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
