"""One thread for linear algebra, so that results do not depend on the number of cores.

Several threads add numbers in another order, and the rounded sum then has other bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside: list[Any] = []  # one entry for each thread that is inside `one_thread`; the first entry holds the limit


def _let_this_thread_set() -> None:
    """Allow this thread to set limits.

    Since threadpoolctl 3.7, OpenBLAS obeys only the first thread that set a limit and ignores all other threads.
    """
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run linear algebra on one thread inside the `with` block.

    The limit holds for the whole process until the last such block has ended.
    """
    with _lock:
        if not _inside:
            _let_this_thread_set()
        # A new lookup each time (about 1 ms), because a library may have been loaded since the last one
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
