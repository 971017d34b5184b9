"""The update of a catalog's foreground maps. Only maps of new or changed photos or companions are computed."""

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

FEW_MAPS = 64  # up to this number, this process is as fast as worker processes, which have to start first
SAVE_SECONDS = 30.0  # interval between two saves: the work that is lost at most if the run is killed


@dataclass(frozen=True)
class Look:
    """The task to compute the foreground map of one photo. The result is that of `scenes.look`."""

    seen: Companions

    def run(self, folder: Path) -> tuple[bool, ForegroundMap | None]:
        """Compute the map. folder: the catalog's folder."""
        return look(folder, self.seen)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.seen.photo[0]


def update_maps(
    folder: Path,
    annotations: Iterable[Annotation],
    contents: Mapping[str, str],
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Compute the foreground maps of all photos that are new or changed, or whose companions have changed.

    contents: the sha256 of every readable photo, by path. processes: number of worker processes. progress: a function
    that is called with (maps done, maps in total). Maps of photos that are no longer in the catalog, or that now have a
    mask, are removed. Returns the number of computed maps.
    """
    try:
        stored = load_maps(folder).entries()
    except SnowmatchError:  # the file is damaged: all maps are computed again
        stored = NO_MAPS.entries()
    current: dict[str, MapEntry] = {}
    to_do: dict[str, Companions] = {}
    for seen in companions(list(annotations), contents):
        photo = seen.photo[1][:16]
        if photo in current or photo in to_do:
            continue  # a photo with the same content is already in the list
        if photo in stored and stored[photo][0] == seen.mark:
            current[photo] = stored[photo]
        else:
            to_do[photo] = seen
    if not to_do and len(current) == len(stored):
        return 0
    saved = time.monotonic()
    try:
        with open_pool(processes if len(to_do) > FEW_MAPS else 1, (folder,)) as pool:
            for done, (photo, found) in enumerate(in_order(pool, to_do, lambda photo: Look(to_do[photo])), start=1):
                complete, values = found
                # If a photo could not be read, the empty mark makes the next run compute this map again
                current[photo] = (to_do[photo].mark if complete else "", values)
                if progress is not None:
                    progress(done, len(to_do))
                if time.monotonic() - saved > SAVE_SECONDS:
                    save_maps(folder, stored | current)
                    saved = time.monotonic()
    except BaseException:
        save_maps(folder, stored | current)
        raise
    save_maps(folder, current)
    return len(to_do)
