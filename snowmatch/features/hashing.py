"""The hashing of photos and masks that have no trusted record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.records import Fingerprint, Records
from snowmatch.core.executor import Workers, has_cluster, in_order, open_pool
from snowmatch.core.types import Annotation
from snowmatch.features.tasks import Measure
from snowmatch.screening.previews import Previews

FEW_PHOTOS = 32  # for each worker process, to be worth its start; a photo takes about 20 ms
SAVE_SECONDS = 30.0  # interval between two calls of `save`


@dataclass(frozen=True)
class ToHash:
    """One photo with the paths of its masks."""

    photo: str
    masks: tuple[str, ...]


def hash_photos(
    folder: Path,
    records: Records,
    annotations: Iterable[Annotation],
    processes: int,
    told: Callable[[int, int], None] | None,
    save: Callable[[], None],
    workers: Workers | None = None,
    previews: Previews | None = None,
) -> dict[str, str]:
    """Hash the photos and masks of annotations that have no trusted record, and write the results into `records`.

    Returns why files cannot be read, by path. The record of such a file stays: a photo that is missing for a while
    keeps its features. A photo with new content is no longer a failure. told: a function that is called with (done,
    total) photos. save: a function that stores the records; it is called every SAVE_SECONDS. workers: as for
    `open_pool`. previews: those that cost no further decoding are added.
    """
    photos = [photo for photo in _by_photo(annotations) if _measure(folder, records, photo) is not None]
    unreadable: dict[str, str] = {}
    saved = time.monotonic()
    # The workers of a run extract new photos later, so that their start costs nothing
    new = sum(photo.photo not in records.photos for photo in photos) if workers is not None else 0
    with open_pool(min(processes, max(new, len(photos) // FEW_PHOTOS)), (folder, None), workers) as pool:
        wanted = previews is not None and not has_cluster()  # a cluster's workers read photos from the shared folder
        results = in_order(pool, photos, lambda photo: _measure(folder, records, photo, preview=wanted))
        for done, (_, result) in enumerate(results, start=1):
            for path, is_photo, value, grey in result or ():
                known = records.photos if is_photo else records.masks
                if not isinstance(value, Fingerprint):
                    unreadable[path] = value
                    continue
                if is_photo and path in known and known[path].sha256 != value.sha256:
                    records.failures.pop(path, None)  # another photo may be a good one
                known[path] = value
                if grey is not None and previews is not None:
                    previews.add(value.sha256, grey)
            if told is not None:
                told(done, len(photos))
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    return unreadable


def _measure(folder: Path, records: Records, photo: ToHash, *, preview: bool = False) -> Measure | None:
    """Return the task that hashes those files of a photo that have no trusted record; None if all have."""
    new = tuple(m for m in photo.masks if not trusted(folder / m, records.masks.get(m)))
    taken = records.photos.get(photo.photo)
    # Without facts it could not be read, perhaps for lack of a package that is there now
    read = taken is not None and taken.facts is not None and not taken.facts.outdated
    known = read and trusted(folder / photo.photo, taken)
    return None if known and not new else Measure(None if known else photo.photo, new, preview)


def _by_photo(annotations: Iterable[Annotation]) -> list[ToHash]:
    masks: dict[str, dict[str, None]] = {}
    for a in annotations:
        of_photo = masks.setdefault(a.path, {})
        if a.mask:
            of_photo[a.mask] = None
    return [ToHash(path, tuple(of_photo)) for path, of_photo in masks.items()]


def trusted(path: Path, known: Fingerprint | None) -> bool:
    """Return whether a file certainly has its recorded content, so that it need not be read."""
    if known is None or known.racy:
        return False
    try:
        return known.matches(path.stat(), strictly=True)
    except OSError:  # the attempt to read it reports the reason
        return False
