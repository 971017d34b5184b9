"""The update of a catalog's foreground maps. Only maps of new or changed photos or companions are computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from snowmatch.catalog.found import BY_MAPS, Found, load_found, save_found
from snowmatch.catalog.screened import load_classes, save_classes
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import Workers, in_order, open_pool
from snowmatch.core.home import middle_path, old_maps_path
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_small
from snowmatch.screening.classifiers.efficientnet_lite0 import texture_weights
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.locate import boxes_of
from snowmatch.screening.maps import KEY, MapEntry, forget_maps, load_maps, load_marks, save_maps
from snowmatch.screening.middle import Cells, Middle, cells_of, learn_middle, load_middle, save_middle
from snowmatch.screening.previews import Previews, decoded
from snowmatch.screening.scenes import LEAST, Companions, Finders, Looked, companions, look

NO_FINDERS = Finders()
FEW_MAPS = 64  # up to this number, this process is as fast as worker processes, which have to start first
SAVE_SECONDS = 30.0  # interval between two saves, at least: the work that is lost at most if the run is killed
SAVE_SHARE = 0.05  # of the time is used for saves, at most: the boxes of many photos take long to compare
AT_ONCE = 1000  # stored maps that are in memory at once
# Photos from which the middle is learned: at least so many, at most so many of them; again at MORE times as many, and
# when a part of 1 / FEWER is left, because others were left out or removed
LEAST_PHOTOS, MOST_PHOTOS, MORE, FEWER = 60, 400, 4, 2


@dataclass(frozen=True)
class Look:
    """The task to compute the foreground map of one photo. The parameters and the result are those of `scenes.look`."""

    seen: Companions
    greys: tuple[np.ndarray | None, ...] = ()

    def run(self, folder: Path, finders: Finders) -> Looked:
        """Compute the map. folder: the catalog's folder."""
        return look(folder, self.seen, finders, self.greys)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.seen.photo[0]


@dataclass(frozen=True)
class Draw:
    """The task to draw cells of a photo, from which the middle of the catalog's photos is learned."""

    path: str
    content: str

    def run(self, folder: Path, finders: Finders) -> Cells | Failure:
        """Draw the cells, or return why the photo cannot be read. folder: the catalog's folder.

        Raises SnowmatchError if the weights of the network are missing where it runs.
        """
        del finders  # every task of the pool gets them
        texture_weights()
        return or_failure(folder / self.path, lambda path: cells_of(read_small(path, LEAST), self.content))


def update_maps(
    folder: Path,
    annotations: Iterable[Annotation],
    contents: Mapping[str, str],
    sizes: Mapping[str, tuple[int, int]],
    processes: int,
    progress: Callable[[int, int], None] | None = None,
    finders: Finders = NO_FINDERS,
    *,
    all_classes: bool = False,
    learning: bool = True,
    notes: list[Note] | None = None,
    workers: Workers | None = None,
    previews: Previews | None = None,
    recorded: Mapping[str, str] | None = None,
) -> int:
    """Compute the foreground maps of all photos that are new or changed, or whose companions have changed.

    The boxes of the animals in the maps, and the probabilities of species, are stored too. contents: the sha256 of
    every readable photo, by path. sizes: (width, height) of the photos, by path. processes: number of worker processes.
    progress: a function that is called with (steps done, steps in total); the total may grow. all_classes: the
    classifier also looks at photos whose animals have masks. learning: whether the photos may teach where animals are;
    not if some of them may be left out later. Notes on damaged maps, which are computed again, and on photos in which
    the animal could not be looked for, are added to `notes`.
    Maps of photos that are no longer in the catalog are removed. workers: as for `open_pool`. previews: those that were
    made when photos were read. recorded: as `contents`, and the photos that cannot be read now: their maps stay.
    Returns the number of photos whose maps were computed.

    Where nothing tells where the animal is, what the middles of such photos have in common tells it: it is learned when
    there are enough of them, and again when there are four times as many or half as many. Their maps are then computed
    again.
    """
    teach = learning and finders.sees
    finders = replace(finders, middle=_known_middle(folder, notes if teach else None) if finders.learns else None)
    steps, rows = _Steps(progress), list(annotations)
    held = {recorded[a.path] for a in rows if a.path in recorded} if recorded is not None else set[str]()
    update = partial(_update, folder, rows, contents, held, sizes, processes, steps, all_classes, workers, previews)
    done, waiting, failed = update(finders, notes)
    known = finders.middle
    if waiting and known is not None and not finders.sees and notes is not None:
        text = (
            f"{counted(len(waiting), 'photo')} in which nothing shows the animal: the weights efficientnet-lite0 "
            "(.pth) are not on this computer, so what was learned from the middles of the catalog's photos is not used"
        )
        notes.append(Note("no-texture", text, {"catalog": str(folder), "count": len(waiting)}))
    if not teach:
        _tell_failed(failed, notes)
        return len(done)
    if known is None or len(waiting) * FEWER <= known.photos or len(waiting) >= MORE * known.photos:
        known = _learn(folder, waiting, finders, processes, workers, steps, notes)
    if known is not finders.middle:
        again, _, later = update(replace(finders, middle=known), None, finders)
        failed = {photo: why for photo, why in failed.items() if photo not in again} | later
        done |= again
    if known is not None and not known.complete:
        save_middle(folder, replace(known, complete=True))
    _tell_failed(failed, notes)
    return len(done)


def _tell_failed(failed: Mapping[str, tuple[str, str]], notes: list[Note] | None) -> None:
    """Add a note on photos in which the animal could not be looked for. failed: path and reason of each."""
    if not failed or notes is None:
        return
    reasons = dict(sorted(failed.values()))
    text = (
        f"{counted(len(reasons), 'photo')} in which the animal could not be looked for; the next run tries again: "
        f"{some([f'{path} ({why})' for path, why in reasons.items()])}"
    )
    notes.append(Note("not-looked-for", text, {"count": len(reasons), "photos": reasons}))


def _learn(
    folder: Path,
    waiting: Mapping[str, str],
    finders: Finders,
    processes: int,
    workers: Workers | None,
    steps: _Steps,
    notes: list[Note] | None,
) -> Middle | None:
    """Learn from photos, and keep what was learned until their maps are made. waiting: their paths by sha256.

    A note on photos that cannot be read is added to `notes`. Returns None, and nothing is kept, if the photos are too
    few or none can be read.
    """
    cells: list[Cells] = []
    failed: dict[str, str] = {}
    if len(waiting) >= LEAST_PHOTOS:
        drawn = dict(sorted(waiting.items())[:MOST_PHOTOS])
        steps.begin()
        with open_pool(processes, (folder, finders), workers) as pool:
            found = in_order(pool, drawn, lambda content: Draw(drawn[content], content))
            for number, (content, cell) in enumerate(found, start=1):
                if isinstance(cell, Failure):
                    failed[drawn[content]] = cell
                else:
                    cells.append(cell)
                steps.tell(number, len(drawn))
    if failed and notes is not None:
        text = (
            f"{counted(len(failed), 'photo')} could not be read again, to learn what the middles of the photos have in "
            f"common: {some([f'{path} ({why})' for path, why in sorted(failed.items())])}"
        )
        notes.append(Note("middle-photos-unread", text, {"count": len(failed), "photos": failed}))
    if not cells:
        with suppress(OSError):
            middle_path(folder).unlink()
        return None
    middle = replace(learn_middle(cells), photos=len(waiting), complete=False)
    save_middle(folder, middle)
    return middle


class _Steps:
    """Tells how many steps of several passes are done. The total grows with each pass."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self._before = self._last = 0

    def begin(self) -> None:
        """Begin another pass."""
        self._before = self._last

    def tell(self, done: int, total: int) -> None:
        """Tell that so many steps of so many of this pass are done."""
        self._last = self._before + total
        if self._progress is not None:
            self._progress(self._before + done, self._last)


def _known_middle(folder: Path, notes: list[Note] | None) -> Middle | None:
    """Return what was learned from the catalog; None if nothing was. A note on a damaged file is added to `notes`."""
    try:
        return load_middle(folder)
    except SnowmatchError as error:  # the file stays until it is learned again, so that a stopped run loses no note
        path = middle_path(folder)
        if notes is not None:
            text = "what was learned from the middles of the photos was damaged; it is learned again from enough photos"
            notes.append(Note("middle-mended", text, {"file": str(path), "error": str(error)}))
        return None


def _update(
    folder: Path,
    annotations: Sequence[Annotation],
    contents: Mapping[str, str],
    held: Collection[str],
    sizes: Mapping[str, tuple[int, int]],
    processes: int,
    steps: _Steps,
    all_classes: bool,
    workers: Workers | None,
    previews: Previews | None,
    finders: Finders,
    notes: list[Note] | None,
    before: Finders | None = None,
) -> tuple[set[str], dict[str, str], dict[str, tuple[str, str]]]:
    """Compute maps as `update_maps`, with what was learned before. Returns the photos whose maps were computed, those
    in which nothing else tells where the animal is: their paths by sha256, and those in which the animal could not be
    looked for, of the first: path and reason of each. held: the sha256 of photos whose maps
    stay, whether they can be read or not. before: with what the stored maps were made, if that only lacks what was
    learned now.
    """
    stored = load_marks(folder)
    if notes is not None and (count := sum(mark is None for mark in stored.values())):
        were = "was" if count == 1 else "were"
        text = f"{counted(count, 'foreground map')} in the database of photos {were} damaged and made again"
        notes.append(Note("maps-mended", text, {"count": count}))
    classes = load_classes(folder, finders.mark) if finders.classifier is not None else {}
    current: set[str] = set()  # keys of the stored maps that are still right
    to_do: dict[str, Companions] = {}
    every: dict[str, str] = {}  # the path of one photo with each content
    waiting: dict[str, str] = {}
    failed: dict[str, tuple[str, str]] = {}
    for seen in companions(annotations, contents):
        if all_classes:
            seen = replace(seen, classified=True)
        sha256, photo = seen.photo[1], seen.photo[1][:KEY]
        if sha256 in every:
            continue  # a photo with the same content is already in the list
        every[sha256] = seen.photo[0]
        told = finders.classifier is None or not seen.classified or sha256 in classes
        if stored.get(photo) in finders.marks_of(seen) and told:
            current.add(photo)
            if finders.waits(seen, stored[photo]):
                waiting[sha256] = seen.photo[0]
        else:
            searched = before is not None and before.waits(seen, stored.get(photo))
            to_do[photo] = replace(seen, searched=searched)
    gone = stored.keys() - current - to_do.keys() - {sha256[:KEY] for sha256 in held}
    del stored
    new: dict[str, dict[str, float]] = {}
    damage: list[Note] = []
    known = load_found(folder, BY_MAPS, damage)
    no_photo = known.keys() - every.keys() - set(held)
    if damage:
        known.clear()  # an entry with a damaged key may be missing from a photo that has other entries
    lost = [sha256 for sha256 in every if sha256 not in known and sha256[:KEY] in current]
    # Only those that this run makes: another program may index, too, and what it has found since stays
    boxes = _boxes_again(folder, lost, {sha256: sizes.get(every[sha256]) for sha256 in lost})
    made: dict[str, MapEntry] = {}

    def save() -> None:
        """Save species and boxes before the maps: a run that is killed in between makes all of them again."""
        save_classes(folder, finders.mark, new)
        new.clear()
        save_found(folder, BY_MAPS, boxes, no_photo)
        save_maps(folder, made)
        made.clear()

    due = time.monotonic() + SAVE_SECONDS
    steps.begin()
    try:
        ready = workers is not None and workers.started > 0
        with open_pool(processes if ready or len(to_do) > FEW_MAPS else 1, (folder, finders), workers) as pool:
            photos = decoded(pool, to_do, Previews() if previews is None else previews)
            looks = in_order(pool, photos, lambda item: Look(to_do[item[0]], item[1]))
            for done, ((photo, _), looked) in enumerate(looks, start=1):
                # If a photo could not be read, the empty mark makes the next run compute this map again
                mark = finders.mark_of(to_do[photo], looked.found) if looked.complete else ""
                made[photo] = (mark, looked.found)
                content, path = to_do[photo].photo[1], to_do[photo].photo[0]
                if looked.failure:
                    failed[photo] = path, looked.failure
                if finders.waits(to_do[photo], mark):
                    waiting[content] = path
                boxes[content] = _boxes(looked.found, sizes.get(path))
                if looked.classes is not None:
                    new[content] = looked.classes
                steps.tell(done, len(to_do))
                if (started := time.monotonic()) > due:
                    save()
                    ended = time.monotonic()
                    due = ended + max(SAVE_SECONDS, (ended - started) / SAVE_SHARE)
    finally:
        save()
    forget_maps(folder, gone)
    with suppress(OSError):
        old_maps_path(folder).unlink()
    return set(to_do), waiting, failed


def _boxes_again(
    folder: Path, lost: Sequence[str], sizes: Mapping[str, tuple[int, int] | None]
) -> dict[str, tuple[Found, ...]]:
    """Return the animals in the stored maps of photos, by sha256. lost: their sha256. sizes: (width, height)."""
    boxes = {}
    for start in range(0, len(lost), AT_ONCE):
        some = lost[start : start + AT_ONCE]
        entries = load_maps(folder, [sha256[:KEY] for sha256 in some])
        for sha256 in some:
            if (entry := entries.get(sha256[:KEY])) is not None:
                boxes[sha256] = _boxes(entry[1], sizes[sha256])
    return boxes


def _boxes(found: ForegroundMap | None, size: tuple[int, int] | None) -> tuple[Found, ...]:
    """Return the animals in a map, with their boxes."""
    return tuple(Found(box, found.evidence) for box in boxes_of(found, size)) if found is not None else ()
