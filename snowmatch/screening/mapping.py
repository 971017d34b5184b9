"""Making the foreground maps of a catalog, several photos at a time, those alone whose companions have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import in_order, open_pool
from snowmatch.core.types import Annotation
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import NO_MAPS, MapEntry, load_maps, save_maps
from snowmatch.screening.scenes import Companions, companions, look

FEW_MAPS = 64  # as quick to make here as in processes that have to start first
SAVE_SECONDS = 30.0  # how much work on foreground maps a kill may cost


@dataclass(frozen=True)
class Look:
    """Task: tell the animal of one photo from its scenery. Gives whether all could be read, and its map or None."""

    seen: Companions

    def run(self, folder: Path) -> tuple[bool, ForegroundMap | None]:
        """Done in the catalog's folder."""
        return look(folder, self.seen)

    @property
    def path(self) -> str:
        """The photo."""
        return self.seen.photo[0]


def update_maps(
    folder: Path,
    annotations: Iterable[Annotation],
    contents: Mapping[str, str],
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Make the foreground maps whose photo or companions are not what they were; gives how many that were.

    `contents` has the sha256 of every photo that can be read, by path. Maps of photos that have left the catalog, or
    have a mask now, are dropped.
    """
    try:
        held = load_maps(folder).entries()
    except SnowmatchError:  # damaged: all of them are made again
        held = NO_MAPS.entries()
    current: dict[str, MapEntry] = {}
    to_do: dict[str, Companions] = {}
    for seen in companions(list(annotations), contents):
        photo = seen.photo[1][:16]
        if photo in current or photo in to_do:
            continue  # the first of equal photos
        if photo in held and held[photo][0] == seen.mark:
            current[photo] = held[photo]
        else:
            to_do[photo] = seen
    if not to_do and len(current) == len(held):
        return 0
    saved = time.monotonic()
    try:
        with open_pool(processes if len(to_do) > FEW_MAPS else 1, (folder,)) as pool:
            for done, (photo, found) in enumerate(in_order(pool, to_do, lambda photo: Look(to_do[photo])), start=1):
                complete, values = found
                # A photo that could not be read this time is looked for again in the next run
                current[photo] = (to_do[photo].mark if complete else "", values)
                if progress is not None:
                    progress(done, len(to_do))
                if time.monotonic() - saved > SAVE_SECONDS:
                    save_maps(folder, held | current)
                    saved = time.monotonic()
    except BaseException:
        save_maps(folder, held | current)
        raise
    save_maps(folder, current)
    return len(to_do)
