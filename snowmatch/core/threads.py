"""One thread for sums, so that bytes do not depend on the cores: sums in another order end in other bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside: list[Any] = []  # one entry for each thread that is in `one_thread`; the first one has the limit


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra runs on one thread in the body, in the whole process, until the last such body has ended."""
    with _lock:
        _inside.append(None if _inside else _libraries().limit(limits=1))
        limit = _inside[0]
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                limit.restore_original_limits()
