"""The watching of a folder: look, tell, add and index, wait, until the program is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from filelock import Timeout

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder
from snowmatch.core.home import home_of
from snowmatch.core.locks import file_lock
from snowmatch.identify.method import MethodOptions
from snowmatch.review.folder_changes import Changes
from snowmatch.review.watch import AGAIN, Arrival, Watch


def watch(
    folder: Path,
    catalog: Path,
    on_arrival: Callable[[Arrival, bool], None],
    *,
    every: float = 1.0,
    quiet: float = 3.0,
    body_part: str | None = None,
    locations: Sequence[str] = (),
    add: bool = False,
    station: str = "",
    once: bool = False,
    changes: Changes | None = None,
    **method: Unpack[MethodOptions],
) -> None:
    """Ask about photos in `folder` as they arrive, until the program is stopped.

    on_arrival: called after each look that found something, and when the folder disappears or returns; its second value
    tells whether the events may have been told already: they are told again. every: seconds between two looks.
    once: stop when everything that is there was asked. changes: waits for changes; default: `every` seconds. All else
    is as in `Watch`. Raises SnowmatchError if another program watches for this catalog, or if the first look fails;
    later failures are in Arrival.problem, and it is tried again.
    """
    if not folder.is_dir() and once:
        raise SnowmatchError(f"{folder} does not exist, expected a folder of photos: check the path")
    open_catalog(catalog)  # before anything is written there
    make_folder(home_of(catalog))
    lock = file_lock(home_of(catalog) / "watch.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        text = f"another program watches a folder for {catalog}: stop it, or watch a folder that holds both"
        raise SnowmatchError(text) from None
    with held:
        watched = Watch(folder, catalog, quiet, body_part, locations, dict(method), add, station)
        try:
            _run(watched, on_arrival, every, once, changes or Changes(folder, every, polling=True))
        finally:
            watched.close()


def _run(
    watched: Watch, on_arrival: Callable[[Arrival, bool], None], every: float, once: bool, changes: Changes
) -> None:
    was_here, problem, first = True, "", True
    while True:
        arrival = Arrival()
        try:
            if untold := tuple(watched.memory.untold.values()):  # the last run was killed, or telling failed
                on_arrival(Arrival(untold), True)
                watched.tell(untold)
            arrival = watched.look()
            if arrival.news or arrival.here != was_here:
                on_arrival(arrival, False)
                watched.tell(arrival.events)
            was_here = arrival.here
            settled = watched.settle(at_once=once and not arrival.left, beside=not once)
            if settled.news:
                on_arrival(settled, False)
            problem = problem if watched.busy else ""
        except SnowmatchError as error:
            if first or once:
                raise
            if str(error) != problem:
                problem = str(error)
                on_arrival(Arrival(here=was_here, problem=problem), False)
        first = False
        if once and arrival.here and not (arrival.waiting or arrival.left or arrival.events or watched.memory.to_index):
            return
        if problem:
            time.sleep(min(every, AGAIN))
        if not arrival.left:
            changes.wait(settling=bool(once or arrival.waiting or watched.busy or not arrival.here or problem))
