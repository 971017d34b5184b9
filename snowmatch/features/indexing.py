"""The index run: what is missing or stale in the store is extracted, in parallel, and can be stopped at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import Fingerprint, Records, load_records, save_records
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import Here, Pool, WorkerDiedError, in_order
from snowmatch.core.home import HOME
from snowmatch.core.plugins import settings
from snowmatch.core.types import Annotation
from snowmatch.features.extractors import batch_of
from snowmatch.features.tasks import Extract, Look, Measure, Part, PhotoParts
from snowmatch.features.writer import FeatureWriter
from snowmatch.screening.maps import NO_MAPS, MapEntry, load_maps, save_maps
from snowmatch.screening.scenes import Companions, companions

ON_GPU = 4  # processes that share a graphics card: each holds the network and a batch in its memory
FEW_MAPS = 64  # as quick to make here as in processes that have to start first
SAVE_SECONDS = 30.0  # how much work on foreground maps a kill may cost
RECORDS_SHARE = 0.02  # of a run's time may go into writing the records, so that a killed run's work can be asked about


@dataclass(frozen=True)
class IndexReport:
    """What an index run did: annotations extracted and reused, failed (path, reason) photos, keypoints found.

    removed counts the annotations' features that --prune deleted, freed_bytes what that freed on disk; mapped the
    photos whose companions were looked at to tell the animal from the scenery.
    """

    done: int
    reused: int
    failed: tuple[tuple[str, str], ...]
    features: int
    seconds: float
    removed: int = 0
    freed_bytes: int = 0
    mapped: int = 0

    def summary(self) -> str:
        """One line for people."""
        text = f"{self.done} annotations indexed, {self.reused} already there, {len(self.failed)} photos failed"
        if self.done:
            text += f": {self.features} features in {self.seconds:.1f} s, {self.done / self.seconds:.1f} annotations/s"
        if self.mapped:
            text += f"; {self.mapped} photos compared with others of their place"
        if self.removed:
            text += f"; pruned {self.removed}, {self.freed_bytes / 1e6:.1f} MB freed"
        return text


@dataclass
class _Photo:
    """One photo with its annotations; `plan` has each one's key, or why there is none."""

    path: str
    annotations: list[Annotation]
    plan: list[tuple[str | None, str]] = field(default_factory=list)
    parts: tuple[Part, ...] = ()


def index_catalog(
    data: CatalogData,
    extractor: Any,
    workers: int | None = None,
    *,
    prune: bool = False,
    progress: Callable[[int, int], None] | None = None,
    mapping: Callable[[int, int], None] | None = None,
    wait: float = 0.0,
) -> IndexReport:
    """Extract what is missing or stale with `workers` processes and commit it every few seconds.

    Without `workers` there is one per core, ON_GPU at most where a graphics card does the work.
    `progress` is called with (done, total) annotations: of those that were not there already, how many are on disk or
    have failed; `mapping` with (done, total) photos without mask of which a foreground map is made. Photos that
    failed before are tried again. `prune` deletes the features of these settings that no
    annotation has any more. Another run in the same catalog is waited for `wait` seconds. SnowmatchError where the
    catalog is locked or cannot be written, and where a worker process is killed: all that was finished is kept.
    """
    started = time.monotonic()
    batch = batch_of(extractor)
    processes = min(_cores(), ON_GPU if batch > 1 else _cores()) if workers is None else workers
    if processes < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    described = settings(extractor)
    folder = Path(os.path.abspath(data.folder))
    with FeatureWriter(folder / HOME / "features", described, wait=wait) as writer:
        run = _Run(folder, writer, load_records(folder), progress)
        photos = run.photos_to_do(data.annotations)
        try:
            with _pool(min(processes, len(photos)), folder, extractor) as pool:
                measured = in_order(pool, photos, run.measure)
                together = _in_batches(run.planned(measured), batch)
                for some, result in in_order(pool, together, run.extract):
                    for photo in some:
                        run.settle(photo, {part.key: result[part.key] for part in photo.parts})
            run.commit()
            removed, freed = run.prune(data.annotations) if prune else (0, 0)
            writer.compact()
            mapped = _update_maps(folder, data.annotations, run.records, extractor, processes, mapping)
        except (KeyboardInterrupt, WorkerDiedError):
            run.commit()
            raise
        finally:
            save_records(folder, run.records)
    failed = tuple(sorted(run.records.failures.items()))
    seconds = time.monotonic() - started
    return IndexReport(run.new, run.reused, failed, run.features, seconds, removed, freed, mapped)


def _in_batches(photos: Iterable[_Photo], size: int) -> Iterator[list[_Photo]]:
    photos = iter(photos)
    while some := list(islice(photos, size)):
        yield some


def _pool(processes: int, folder: Path, extractor: Any) -> Pool | Here:
    return Pool(processes, folder, extractor) if processes > 1 else Here(folder, extractor)


def _update_maps(
    folder: Path,
    annotations: Iterable[Annotation],
    records: Records,
    extractor: Any,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Make the foreground maps whose photo or companions are not what they were; gives how many that were.

    Maps of photos that have left the catalog, or have a box or mask now, are dropped.
    """
    contents = {path: known.sha256 for path, known in records.photos.items() if path not in records.failures}
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
        with _pool(processes if len(to_do) > FEW_MAPS else 1, folder, extractor) as pool:
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


class _Run:
    """What is known while an index run goes on."""

    def __init__(
        self, folder: Path, writer: FeatureWriter, records: Records, progress: Callable[[int, int], None] | None
    ) -> None:
        self.folder, self.writer, self.records = folder, writer, records
        self.new = self.reused = self.features = 0
        self._progress = progress
        self._done = self._total = self._waiting = 0  # waiting: extracted, not on disk yet
        self._claimed: set[str] = set()  # keys that this run extracts
        self._reasons: dict[str, str] = {}  # why the extraction of a key failed
        self._unreadable: dict[str, str] = {}  # why a mask or photo could not be read
        self._next_save = time.monotonic()

    def photos_to_do(self, annotations: Iterable[Annotation]) -> list[_Photo]:
        """The photos of which some annotation is not known to be in the store, in the catalog's order."""
        photos: dict[str, _Photo] = {}
        for annotation in annotations:
            photos.setdefault(annotation.path, _Photo(annotation.path, [])).annotations.append(annotation)
        to_do = []
        for photo in photos.values():
            if self.measure(photo) is None and all(self._stored(a) for a in photo.annotations):
                self.reused += len(photo.annotations)
            else:
                to_do.append(photo)
        left = {photo.path for photo in to_do}
        self.records.failures = {path: why for path, why in self.records.failures.items() if path in left}
        self._total = sum(len(photo.annotations) for photo in to_do)
        self._tell()
        return to_do

    def measure(self, photo: _Photo) -> Measure | None:
        """The task that hashes those files of a photo that are not on record as they are now."""
        masks = dict.fromkeys(a.mask for a in photo.annotations if a.mask)
        new = tuple(m for m in masks if not _trusted(self.folder / m, self.records.masks.get(m)))
        known = _trusted(self.folder / photo.path, self.records.photos.get(photo.path))
        return None if known and not new else Measure(None if known else photo.path, new)

    def planned(self, measured: Iterable[tuple[_Photo, list | None]]) -> Iterator[_Photo]:
        """Take in the fingerprints of each photo and decide what to extract from it."""
        for photo, result in measured:
            for path, is_photo, value in result or ():
                known = self.records.photos if is_photo else self.records.masks
                if isinstance(value, Fingerprint):
                    known[path] = value
                    self._unreadable.pop(path, None)
                else:  # what was on record stays: a photo that is only away for a while keeps its features
                    self._unreadable[path] = value
            parts = []
            for annotation in photo.annotations:
                why = self._why_unreadable(annotation)
                key = None if why else self.records.key(annotation)
                photo.plan.append((key, why))
                if key is not None and key not in self.writer.keys and key not in self._claimed:
                    self._claimed.add(key)
                    mask = (annotation.mask, self.records.masks[annotation.mask]) if annotation.mask else None
                    parts.append(Part(key, annotation.bbox, mask))
            photo.parts = tuple(parts)
            yield photo

    def extract(self, photos: Sequence[_Photo]) -> Extract | None:
        """The task that extracts what was planned."""
        known = self.records.photos
        tasks = tuple(PhotoParts(photo.path, known[photo.path], photo.parts) for photo in photos if photo.parts)
        return Extract(tasks) if tasks else None

    def settle(self, photo: _Photo, result: dict[str, Any]) -> None:
        """Hand the features of one photo to the writer, and note what failed."""
        for key, value in result.items():
            if isinstance(value, str):
                self._reasons[key] = value
            else:
                self.writer.add(key, value)
                self.features += len(value)
        reasons = [why or self._reasons.get(key, "") for key, why in photo.plan]
        self._waiting += sum(
            not why and key not in self.writer.keys for (key, _), why in zip(photo.plan, reasons, strict=True)
        )
        found = sum(not isinstance(value, str) for value in result.values())
        self.new += found
        self.reused += reasons.count("") - found  # also a second annotation with the same content
        reasons = [why for why in reasons if why]
        self.records.failures.pop(photo.path, None)
        if reasons:
            self.records.failures[photo.path] = "; ".join(dict.fromkeys(reasons))
        self._done += len(photo.plan)
        if self.writer.due:
            self.commit()
        else:
            self._tell()

    def commit(self) -> None:
        """Put on disk what is waiting; only then does it count as done."""
        self.writer.commit()
        self._waiting = 0
        self._tell()
        started = time.monotonic()
        if started > self._next_save:
            save_records(self.folder, self.records)
            self._next_save = started + (time.monotonic() - started) / RECORDS_SHARE

    def prune(self, annotations: Iterable[Annotation]) -> tuple[int, int]:
        """Delete what no annotation has any more; returns how many keys that were and the bytes freed."""
        annotations = list(annotations)
        gone = self.writer.keys - {self.records.key(a) for a in annotations}
        before = self.writer.disk_bytes()
        self.writer.remove(gone)
        photos, masks = {a.path for a in annotations}, {a.mask for a in annotations}
        self.records.photos = {p: f for p, f in self.records.photos.items() if p in photos}
        self.records.masks = {p: f for p, f in self.records.masks.items() if p in masks}
        return len(gone), before - self.writer.disk_bytes()

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


def _trusted(path: Path, known: Fingerprint | None) -> bool:
    """Whether a file surely is what is on record, so that the index run need not read it."""
    if known is None or known.racy:
        return False
    try:
        return known.matches(path.stat(), strictly=True)
    except OSError:  # reading it says what is wrong
        return False


def _cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
