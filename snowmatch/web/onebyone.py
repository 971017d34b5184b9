"""Work beside the pages, one piece after the other in one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


class OneByOne:
    """A thread that lives as long as there is work.

    name: of the thread. take: returns the next piece of work, or None if there is none; no two threads call it at once.
    """

    def __init__(self, name: str, take: Callable[[], Callable[[], None] | None]) -> None:
        self._name, self._take = name, take
        self._lock = threading.Lock()
        self.running = False

    def ask(self, want: Callable[[], None]) -> None:
        """Note what is wanted, while nothing is taken, and see that it is done."""
        with self._lock:
            want()
            if self.running:
                return
            self.running = True
        threading.Thread(target=self._work, daemon=True, name=self._name).start()

    def _work(self) -> None:
        try:
            while (work := self._next()) is not None:
                work()
        except BaseException:
            self.running = False
            raise

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            work = self._take()
            self.running = work is not None
            return work
