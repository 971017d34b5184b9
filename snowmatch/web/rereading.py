"""Animals whose box was corrected are read again in the background, so that they can be compared soon."""

from __future__ import annotations

import threading

from snowmatch.core.errors import SnowmatchError
from snowmatch.web.adding import index
from snowmatch.web.state import State

MOST = 40  # animals that are read beside the pages; more are work that a person starts


class Rereading:
    """The reading of one server: one run at a time, and another one if boxes were corrected meanwhile.

    problem: why the last run failed; "" if it did not.
    """

    def __init__(self, state: State) -> None:
        self.problem = ""
        self._state = state
        self._lock = threading.Lock()
        self._wanted = self._running = False

    @property
    def running(self) -> bool:
        """Whether animals are read at this moment."""
        return self._running

    def ask(self) -> None:
        """Read again what is missing or stale."""
        with self._lock:
            self._wanted = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._work, daemon=True, name="snowmatch-boxes").start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._running = False
                    return
                self._wanted = False
            try:
                waiting = sum(state != "indexed" for state, _ in self._state.states())
                if waiting > MOST:
                    raise SnowmatchError(f"{waiting} animals are not indexed: start this as work of its own")
                index(self._state)
                self.problem = ""
            except SnowmatchError as error:  # such as another index run, which may not know the last box
                self.problem = str(error)
            except BaseException:
                self._running = False
                raise


def rereading_of(state: State) -> Rereading:
    """Return the reading of a server."""
    found: Rereading = state.kept.setdefault("rereading", Rereading(state))
    return found
