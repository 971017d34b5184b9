"""The surveys that the server keeps, one for each way of counting, until decisions or files change."""

from __future__ import annotations

import threading
from collections import OrderedDict

from snowmatch.core.home import STATIONS_NAME
from snowmatch.survey.run import Survey, make_survey
from snowmatch.web.state import State

KEPT = 6  # ways of counting that are kept


class Surveys:
    """The last surveys of one server. Several threads may ask; one of them computes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], tuple[object, Survey]] = OrderedDict()

    def of(self, state: State, days: int, flanks: str) -> Survey:
        """Return the survey of the catalog by all decisions. Raises SnowmatchError as `make_survey` does."""
        with self._lock:
            identities = state.identities()
            mark = (identities.data, identities.stored.head, stations_stamp(state))
            found = self._kept.get((days, flanks))
            if found is None or found[0] != mark:
                found = (mark, make_survey(identities.told, identities, occasion=f"{days}d", flanks=flanks))
            self._kept[days, flanks] = found
            self._kept.move_to_end((days, flanks))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found[1]


def survey_of(state: State, days: int, flanks: str) -> Survey:
    """Return the survey of the catalog by all decisions, kept until they change. Raises as `make_survey` does."""
    found: Surveys = state.kept.setdefault("surveys", Surveys())
    return found.of(state, days, flanks)


def stations_stamp(state: State) -> tuple[int, int] | None:
    """Return what changes when the table of stations does; None without one."""
    try:
        status = (state.folder / STATIONS_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
