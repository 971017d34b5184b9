"""One thread for sums, so that bytes do not depend on the cores: sums in another order end in other bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside: list[Any] = []  # one entry for each thread that is in `one_thread`; the first one has the limit


def _let_this_thread_set() -> None:
    """Since threadpoolctl 3.7, OpenBLAS obeys one thread only, the first that set a limit; others are ignored."""
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra runs on one thread in the body, in the whole process, until the last such body has ended."""
    with _lock:
        if not _inside:
            _let_this_thread_set()
        # Looked up each time (about 1 ms): a library may have been loaded since
        _inside.append(None if _inside else ThreadpoolController().limit(limits=1))
        limit = _inside[0]
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                _let_this_thread_set()
                limit.restore_original_limits()
