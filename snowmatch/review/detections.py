"""The objects in the photos of a screening: by a detector that runs on every photo, or in a file of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.found import Found
from snowmatch.catalog.screened import forget_detections, load_detections, save_detections
from snowmatch.catalog.species import NO_ANIMAL, NOTHING, species_key
from snowmatch.core.executor import in_order, open_pool
from snowmatch.core.notes import Note
from snowmatch.core.plugins import Detector, settings, settings_key
from snowmatch.core.text import counted, some
from snowmatch.core.types import Detection
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_photo
from snowmatch.screening.passages import SHOWS
from snowmatch.screening.results import TEXTS, Results, Tally, detections_of, for_photos

SAVE_SECONDS = 30.0  # between two saves: the work that is lost at most if the run is killed


@dataclass(frozen=True)
class Detect:
    """The task to run a detector on one photo. The result is its detections, or the reason of a failure."""

    photo: str

    def run(self, folder: Path, detector: Detector) -> tuple[Detection, ...] | Failure:
        """Run the detector. folder: the catalog's folder."""
        return or_failure(folder / self.photo, lambda path: detector.detect(read_photo(path)))

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo


def detections_for(
    results: Results, photos: Sequence[str], sizes: Mapping[str, tuple[int, int]], notes: list[Note]
) -> dict[str, tuple[Detection, ...]]:
    """Return the detections in the results of another program, by the photo's path. Remarks are added to `notes`.

    photos: of the catalog. sizes: (width, height) of those that can be read; the others have no detections, and neither
    have those to which the results give another shape. Raises SnowmatchError if the results are about other photos.
    """
    paired = for_photos(results, photos)
    notes += [*results.notes, *paired.notes]
    found: dict[str, tuple[Detection, ...]] = {}
    failed: dict[str, str] = {}
    tally = Tally()
    for photo, result in paired.photos.items():
        if result.failure:
            failed[photo] = result.failure
        elif photo in sizes and (seen := detections_of(result, sizes[photo], tally)) is not None:
            found[photo] = seen
    notes += tally.notes(TEXTS)
    if failed:
        reasons = some(sorted(set(failed.values())))
        text = f"{counted(len(failed), 'photo')} of which {results.program} found nothing out ({reasons})"
        notes.append(Note("result-failed", f"{text}: {some(list(failed))}", {"photos": list(failed)}))
    return found


def run_detector(
    folder: Path,
    detector: Detector,
    photos: Mapping[str, str],
    processes: int,
    told: Callable[[int, int], None] | None,
    failed: dict[str, str],
) -> dict[str, tuple[Detection, ...]]:
    """Return the detections of each photo, by path. Photos that fail are added to `failed`.

    photos: the sha256 of each photo, by path. The detections are stored, also those of a stopped run, and photos whose
    detections are stored are not looked at again. told: called with (done, total) of the others. Raises SnowmatchError
    if the network is missing.
    """
    mark, earlier = _marks_of(detector)
    stored = load_detections(folder, mark)
    if earlier != mark:
        stored = load_detections(folder, earlier) | stored
    found = {photo: stored[sha256] for photo, sha256 in photos.items() if sha256 in stored}
    left = [photo for photo in photos if photo not in found]
    new: dict[str, tuple[Detection, ...]] = {}
    saved = time.monotonic()
    try:
        with open_pool(min(processes, len(left)), (folder, detector)) as pool:
            for done, (photo, result) in enumerate(in_order(pool, left, Detect), start=1):
                if isinstance(result, Failure):
                    failed[photo] = result
                else:
                    found[photo] = new[photos[photo]] = result
                if told is not None:
                    told(done, len(left))
                if time.monotonic() - saved > SAVE_SECONDS:
                    save_detections(folder, mark, new)
                    new.clear()
                    saved = time.monotonic()
    finally:
        save_detections(folder, mark, new)
    return found


def _marks_of(detector: Detector) -> tuple[str, str]:
    """Return the mark of a detector's detections, and the one that earlier versions gave them.

    It changes with its settings, and with files of the user. How the path of such a file is typed does not count now.
    """
    described, content = settings(detector), getattr(detector, "content", str)()
    if not content:
        return (settings_key(described),) * 2
    earlier = {**described, "content": content}
    return settings_key({name: value for name, value in earlier.items() if name != "model"}), settings_key(earlier)


def is_animal(label: str) -> bool:
    """Return whether a detection with a label is an animal: neither a person or vehicle, nor what is called empty."""
    return species_key(label) not in (NOTHING, *NO_ANIMAL)


def animals_in(detections: Sequence[Detection], by: str) -> tuple[Found, ...]:
    """Return the animals among the detections of a photo, the surest first. by: what found them."""
    shown = [d for d in detections if is_animal(d.label) and d.confidence >= SHOWS]
    return tuple(Found(d.bbox, by, d.label, round(d.confidence, 6)) for d in shown)


def forget_results(folder: Path) -> str:
    """Remove all stored detections of the catalog in `folder`, and their boxes. Return what was done, as one line.

    Raises SnowmatchError if the database cannot be written.
    """
    count = forget_detections(folder)
    told = ": index again, and screen again" if count else ""
    return f"the stored detections of {counted(count, 'photo')} were removed{told}"
