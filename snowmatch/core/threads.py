"""One thread for linear algebra, so that results do not depend on the number of cores.

Several threads add numbers in another order, and the rounded sum then has other bytes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside: list[Any] = []  # one entry for each thread that is inside `one_thread`; the first entry holds the limit
_found: dict[str, Any] = {}  # the libraries of the last lookup, and the number of modules then


def _let_this_thread_set() -> None:
    """Allow this thread to set limits.

    Since threadpoolctl 3.7, OpenBLAS obeys only the first thread that set a limit and ignores all other threads.
    """
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


def _libraries() -> ThreadpoolController:
    """Return the loaded libraries of linear algebra. They are looked up (3 ms) again when a module was imported."""
    modules = len(sys.modules)
    if _found.get("modules") != modules:
        _found.update(modules=modules, libraries=ThreadpoolController())
    libraries: ThreadpoolController = _found["libraries"]
    return libraries


@contextmanager
def one_thread() -> Iterator[None]:
    """Run linear algebra on one thread inside the `with` block.

    The limit holds for the whole process until the last such block has ended.
    """
    with _lock:
        if not _inside:
            _let_this_thread_set()
        _inside.append(None if _inside else _libraries().limit(limits=1))
        limit = _inside[0]
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                _let_this_thread_set()
                limit.restore_original_limits()
