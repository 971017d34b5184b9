"""Animals whose box was corrected are read again in the background, so that they can be compared soon."""

from __future__ import annotations

from collections.abc import Callable

from snowmatch.core.errors import SnowmatchError
from snowmatch.web.adding import index
from snowmatch.web.onebyone import OneByOne
from snowmatch.web.state import State

MOST = 40  # animals that are read beside the pages; more are work that a person starts


class Rereading:
    """The reading of one server: one run at a time, and another one if boxes were corrected meanwhile.

    problem: why the last run failed; "" if it did not.
    """

    def __init__(self, state: State) -> None:
        self.problem = ""
        self._state = state
        self._wanted = False
        self._thread = OneByOne("snowmatch-boxes", self._take)

    @property
    def running(self) -> bool:
        """Whether animals are read at this moment."""
        return self._thread.running

    def ask(self) -> None:
        """Read again what is missing or stale."""

        def want() -> None:
            self._wanted = True

        self._thread.ask(want)

    def _take(self) -> Callable[[], None] | None:
        wanted, self._wanted = self._wanted, False
        return self._read if wanted else None

    def _read(self) -> None:
        try:
            # What could not be read fails again soon
            waiting = sum(state in ("missing", "stale") for state, _ in self._state.states())
            if waiting > MOST:
                raise SnowmatchError(f"{waiting} animals are not indexed: start this as work of its own")
            index(self._state)
            self.problem = ""
        except SnowmatchError as error:  # such as another index run, which may not know the last box
            self.problem = str(error)


def rereading_of(state: State) -> Rereading:
    """Return the reading of a server."""
    found: Rereading = state.kept.setdefault("rereading", Rereading(state))
    return found
