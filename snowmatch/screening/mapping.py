"""The update of a catalog's foreground maps. Only maps of new or changed photos or companions are computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmatch.catalog.found import BY_MAPS, Found, load_found, save_found
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import in_order, open_pool
from snowmatch.core.plugins import Classifier, settings, settings_key
from snowmatch.core.types import Annotation
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.locate import find_box
from snowmatch.screening.maps import NO_MAPS, MapEntry, load_maps, save_maps
from snowmatch.screening.scenes import Companions, companions, look

FEW_MAPS = 64  # up to this number, this process is as fast as worker processes, which have to start first
SAVE_SECONDS = 30.0  # interval between two saves: the work that is lost at most if the run is killed


@dataclass(frozen=True)
class Look:
    """The task to compute the foreground map of one photo. The result is that of `scenes.look`."""

    seen: Companions

    def run(self, folder: Path, classifier: Classifier | None) -> tuple[bool, ForegroundMap | None]:
        """Compute the map. folder: the catalog's folder."""
        return look(folder, self.seen, classifier)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.seen.photo[0]


def update_maps(
    folder: Path,
    annotations: Iterable[Annotation],
    contents: Mapping[str, str],
    sizes: Mapping[str, tuple[int, int]],
    processes: int,
    progress: Callable[[int, int], None] | None = None,
    classifier: Classifier | None = None,
) -> int:
    """Compute the foreground maps of all photos that are new or changed, or whose companions have changed.

    The boxes of the animals in the maps are stored too. contents: the sha256 of every readable photo, by path. sizes:
    (width, height) of the photos, by path. processes: number of worker processes. progress: a function that is called
    with (maps done, maps in total). classifier: None to use only other photos of the place. Maps of photos that are no
    longer in the catalog are removed. Returns the number of computed maps.
    """
    described = classifier_mark(classifier)
    try:
        stored = load_maps(folder).entries()
    except SnowmatchError:  # the file is damaged: all maps are computed again
        stored = NO_MAPS.entries()
    current: dict[str, MapEntry] = {}
    to_do: dict[str, Companions] = {}
    every: dict[str, str] = {}  # the path of one photo with each content
    for seen in companions(list(annotations), contents):
        photo = seen.photo[1][:16]
        if photo in current or photo in to_do:
            continue  # a photo with the same content is already in the list
        every[seen.photo[1]] = seen.photo[0]
        if photo in stored and stored[photo][0] == seen.mark(described):
            current[photo] = stored[photo]
        else:
            to_do[photo] = seen

    def save_boxes() -> None:
        """Save the boxes in the new maps, before the maps: a run that is killed in between makes both again."""
        before = load_found(folder, BY_MAPS)
        boxes = {sha256: before[sha256] for sha256 in every if sha256 in before}
        for sha256, path in every.items():
            photo = sha256[:16]
            if photo in current and (photo in to_do or sha256 not in before):
                boxes[sha256] = _boxes(current[photo][1], sizes.get(path))
        save_found(folder, BY_MAPS, boxes)

    if to_do or len(current) != len(stored):
        saved = time.monotonic()
        try:
            with open_pool(processes if len(to_do) > FEW_MAPS else 1, (folder, classifier)) as pool:
                for done, (photo, found) in enumerate(in_order(pool, to_do, lambda photo: Look(to_do[photo])), start=1):
                    complete, values = found
                    # If a photo could not be read, the empty mark makes the next run compute this map again
                    current[photo] = (to_do[photo].mark(described) if complete else "", values)
                    if progress is not None:
                        progress(done, len(to_do))
                    if time.monotonic() - saved > SAVE_SECONDS:
                        save_boxes()
                        save_maps(folder, stored | current)
                        saved = time.monotonic()
        except BaseException:
            save_boxes()
            save_maps(folder, stored | current)
            raise
        save_boxes()
        save_maps(folder, current)
    else:
        save_boxes()
    return len(to_do)


def classifier_mark(classifier: Classifier | None) -> str:
    """Return a text that changes if the classifier or its settings change; "" without a classifier."""
    return "" if classifier is None else settings_key(settings(classifier))


def _boxes(found: ForegroundMap | None, size: tuple[int, int] | None) -> tuple[Found, ...]:
    """Return the box of the animal in a map, as the only animal; () without a map of the animal."""
    if found is None or size is None or not found.evidence:
        return ()
    box = find_box(found.values.astype(np.float32) / 255, size)
    return () if box is None else (Found(box, found.evidence),)
