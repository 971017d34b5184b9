"""The state of an index run: which photos are to do, which have failed, what is stored."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snowmatch.catalog.database import forget_answers
from snowmatch.catalog.records import Records, copy_of, save_records
from snowmatch.catalog.screened import forget_screened
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import Workers
from snowmatch.core.types import Annotation
from snowmatch.features.hashing import hash_photos
from snowmatch.features.tasks import AnnotationTask, Extract, PhotoTask
from snowmatch.features.writer import FeatureWriter
from snowmatch.screening.previews import Previews
from snowmatch.screening.scenes import read_preview

RECORDS_SHARE = 0.02  # largest share of the time for writing records; they make the work of a killed run usable


@dataclass
class PhotoToDo:
    """One photo with its annotations. plan: the key of each annotation, or the reason why it has none."""

    path: str
    annotations: list[Annotation]
    plan: list[tuple[str | None, str]] = field(default_factory=list)
    tasks: tuple[AnnotationTask, ...] = ()


class IndexRun:
    """The state of an index run."""

    def __init__(
        self,
        folder: Path,
        writer: FeatureWriter,
        records: Records,
        progress: Callable[[int, int], None] | None,
        workers: Workers,
    ) -> None:
        self.folder, self.writer, self.records, self._workers = folder, writer, records, workers
        self.previews: Previews | None = Previews()  # until the maps are made
        self.new = self.reused = self.features = 0
        self._progress = progress
        self._done = self._total = self._waiting = 0  # waiting: extracted but not on disk yet
        self._claimed: set[str] = set()  # keys that this run extracts
        self._reasons: dict[str, str] = {}  # why the extraction of a key failed
        self._unreadable: dict[str, str] = {}  # why a mask or photo could not be read
        self._next_save = time.monotonic()
        self._saved = copy_of(records)
        status = os.stat(folder)
        self._identity = status.st_dev, status.st_ino

    def read(self, annotations: Iterable[Annotation], processes: int, told: Callable[[int, int], None] | None) -> None:
        """Hash the photos and masks that have no trusted record. told: called with (done, total) photos."""
        found = hash_photos(
            self.folder, self.records, annotations, processes, told, self.save, self._workers, self.previews
        )
        self._unreadable |= found

    def photos_to_do(self, annotations: Iterable[Annotation]) -> list[PhotoToDo]:
        """Return the photos with an annotation that may not be stored yet, in the catalog's order."""
        to_do = []
        for photo in _by_photo(annotations):
            if self._sound(photo) and all(self._stored(a) for a in photo.annotations):
                self.reused += len(photo.annotations)
            else:
                to_do.append(photo)
        left = {photo.path for photo in to_do}
        self.records.failures = {path: why for path, why in self.records.failures.items() if path in left}
        self._total = sum(len(photo.annotations) for photo in to_do)
        self._tell()
        return to_do

    def planned(self, photos: Iterable[PhotoToDo]) -> Iterator[PhotoToDo]:
        """Plan what to extract from each photo, and yield it."""
        for photo in photos:
            tasks = []
            for annotation in photo.annotations:
                why = self._why_unreadable(annotation)
                key = None if why else self.records.key(annotation)
                photo.plan.append((key, why))
                if key is not None and key not in self.writer.keys and key not in self._claimed:
                    self._claimed.add(key)
                    mask = (annotation.mask, self.records.masks[annotation.mask]) if annotation.mask else None
                    tasks.append(AnnotationTask(key, annotation.bbox, mask))
            photo.tasks = tuple(tasks)
            yield photo

    def extract(self, photos: Sequence[PhotoToDo]) -> Extract | None:
        """Return the task that extracts the planned annotations; None if there are none."""
        known = self.records.photos
        tasks = tuple(PhotoTask(photo.path, known[photo.path], photo.tasks) for photo in photos if photo.tasks)
        return Extract(tasks) if tasks else None

    def settle(self, photo: PhotoToDo, result: dict[str, Any]) -> None:
        """Give the features of one photo to the writer, and record what failed."""
        for key, value in result.items():
            if isinstance(value, str):
                self._reasons[key] = value
            else:
                self.writer.add(key, value)
                self.features += len(value)
        reasons = [why or self._reasons.get(key or "", "") for key, why in photo.plan]
        self._waiting += sum(
            not why and key not in self.writer.keys for (key, _), why in zip(photo.plan, reasons, strict=True)
        )
        found = sum(not isinstance(value, str) for value in result.values())
        self.new += found
        self.reused += reasons.count("") - found  # also a second annotation with the same content
        reasons = [why for why in reasons if why]
        self.records.failures.pop(photo.path, None)
        if reasons:
            self.check_folder()
            self.records.failures[photo.path] = "; ".join(dict.fromkeys(reasons))
        self._done += len(photo.plan)
        if self.writer.due:
            self.commit()
        else:
            self._tell()

    def commit(self) -> None:
        """Write the waiting features to disk. Only then do their annotations count as done."""
        self.writer.commit()
        self._waiting = 0
        self._tell()
        started = time.monotonic()
        if started > self._next_save:
            self.save()
            self._next_save = started + (time.monotonic() - started) / RECORDS_SHARE

    def contents(self) -> dict[str, str]:
        """Return the sha256 of every known photo, by path."""
        return {path: known.sha256 for path, known in self.records.photos.items()}

    def missing(self) -> set[str]:
        """Return the paths of the photos and masks in the catalog's rows whose files are not there."""
        return {path for path in self._unreadable if not os.path.lexists(self.folder / path)}

    def readable(self) -> dict[str, str]:
        """Return the sha256 of every known photo that can be read, by path.

        A photo that failed in an earlier run is tried again: there may be more memory now, or a better mask.
        """
        failed = self.records.failures
        return {
            path: sha256
            for path, sha256 in self.contents().items()
            if path not in self._unreadable
            and (path not in failed or read_preview(self.folder / path, sha256) is not None)
        }

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return (width, height) of every known photo, by path."""
        known = self.records.photos.items()
        return {path: f.facts.image_size for path, f in known if f.facts is not None and f.facts.image_size is not None}

    def save(self) -> None:
        """Write the new records to the database."""
        save_records(self.folder, self.records, self._saved)
        self._saved = replace(copy_of(self.records), unsound=0)

    def save_if_there(self) -> None:
        """Save at the end of the run. If the folder is gone, another error reports it."""
        if self.folder.is_dir():
            self.save()

    def prune(self, annotations: Iterable[Annotation]) -> tuple[int, int]:
        """Delete the features that no annotation needs. Return the number of deleted keys and the freed bytes."""
        annotations = list(annotations)
        forget_answers(self.folder)
        gone = self.writer.keys - {self.records.key(a) for a in annotations}
        before = self.writer.disk_bytes()
        self.writer.remove(gone)
        photos, masks = {a.path for a in annotations}, {a.mask for a in annotations}
        self.records.photos = {p: f for p, f in self.records.photos.items() if p in photos}
        self.records.masks = {p: f for p, f in self.records.masks.items() if p in masks}
        forget_screened(self.folder, set(self.contents().values()))
        return len(gone), before - self.writer.disk_bytes()

    def check_folder(self) -> None:
        """Raise SnowmatchError if the catalog's folder was renamed or removed during the run."""
        try:
            status = os.stat(self.folder)
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise SnowmatchError(
                f"{self.folder} was renamed, or its disk was removed, while it was being indexed: finished work is in "
                "it; put it back and index again"
            )

    def _sound(self, photo: PhotoToDo) -> bool:
        """Return whether a photo and its masks could be read, now or before, so that their records are right."""
        return not any(self._why_unreadable(a) for a in photo.annotations)

    def _stored(self, annotation: Annotation) -> bool:
        return self.records.key(annotation) in self.writer.keys

    def _why_unreadable(self, annotation: Annotation) -> str:
        if annotation.path in self._unreadable:
            return self._unreadable[annotation.path]
        return (
            f"mask {annotation.mask} {self._unreadable[annotation.mask]}" if annotation.mask in self._unreadable else ""
        )

    def _tell(self) -> None:
        if self._progress is not None and self._total:
            self._progress(self._done - self._waiting, self._total)


def _by_photo(annotations: Iterable[Annotation]) -> list[PhotoToDo]:
    """Return the photos of the annotations, in the catalog's order."""
    photos: dict[str, PhotoToDo] = {}
    for annotation in annotations:
        photos.setdefault(annotation.path, PhotoToDo(annotation.path, [])).annotations.append(annotation)
    return list(photos.values())
