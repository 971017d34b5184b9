"""The index run: what is missing or stale in the store is extracted, in parallel, and can be stopped at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from snowmatch.catalog.ids import give_ids, load_ids, save_ids
from snowmatch.catalog.load import CatalogData, load_again
from snowmatch.catalog.records import load_records
from snowmatch.catalog.settings import keep_settings
from snowmatch.core.executor import WorkerDiedError, cores, in_order, open_pool
from snowmatch.core.home import features_path
from snowmatch.core.notes import Note
from snowmatch.core.plugins import settings
from snowmatch.core.text import counted
from snowmatch.features.extractors import batch_of
from snowmatch.features.run import IndexRun, PhotoToDo
from snowmatch.features.writer import FeatureWriter
from snowmatch.screening.mapping import update_maps

CHECK_BYTES = 1 << 30  # of stored features are checked in each run, those checked longest ago first
ON_GPU = 4  # processes that share a graphics card: each holds the network and a batch in its memory


class IndexOptions(TypedDict, total=False):
    """How an index run goes.

    workers: number of processes; by default one for each core, or ON_GPU at most if a graphics card does the work.
    prune: delete the features of these settings that no annotation has any more. verify: check all stored features,
    not only CHECK_BYTES of them. progress: a function that is called with (done, total) annotations that were missing;
    mapping: the same for (done, total) photos without a mask, of which a foreground map is made.
    """

    workers: int | None
    prune: bool
    verify: bool
    progress: Callable[[int, int], None] | None
    mapping: Callable[[int, int], None] | None


@dataclass(frozen=True)
class IndexReport:
    """What an index run did: annotations extracted and reused, failed (path, reason) photos, keypoints found.

    catalog: as it is read now. removed counts the annotations' features that --prune deleted, freed_bytes what that
    freed on disk; mapped the photos whose companions were looked at to tell the animal from the scenery. notes: what
    was found on the way.
    """

    catalog: CatalogData = field(repr=False)
    done: int
    reused: int
    failed: tuple[tuple[str, str], ...]
    features: int
    seconds: float
    removed: int = 0
    freed_bytes: int = 0
    mapped: int = 0
    notes: tuple[Note, ...] = ()

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


def index_catalog(
    data: CatalogData,
    extractor: Any,
    workers: int | None = None,
    *,
    prune: bool = False,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
    mapping: Callable[[int, int], None] | None = None,
    again: bool = False,
    wait: float = 0.0,
) -> IndexReport:
    """Extract what is missing or stale with `workers` processes and commit it every few seconds.

    Without `workers` there is one per core, ON_GPU at most where a graphics card does the work. `progress` is called
    with (done, total) annotations: of those that were not there already, how many are on disk or have failed; `mapping`
    with (done, total) photos without mask of which a foreground map is made. Photos that failed before are tried again.
    `prune` deletes the features of these settings that no annotation has any more. `again` reads the catalog again
    once its photos are known: those without a time are grouped by what they look like. `verify` checks all stored
    features, not only CHECK_BYTES of them; damaged ones are extracted again. Another run in the same catalog
    is waited for `wait` seconds. SnowmatchError where the catalog is locked or cannot be written, and where a worker
    process is killed: all that was finished is kept.
    """
    started = time.monotonic()
    batch = batch_of(extractor)
    processes = min(cores(), ON_GPU if batch > 1 else cores()) if workers is None else workers
    if processes < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    described = settings(extractor)
    folder = Path(os.path.abspath(data.folder))
    with FeatureWriter(features_path(folder), described, wait=wait) as writer:
        keep_settings(folder, data.settings)
        damaged = writer.check(None if verify else CHECK_BYTES)
        records = load_records(folder)
        run = IndexRun(folder, writer, records, progress)
        photos = run.photos_to_do(data.annotations)
        try:
            with open_pool(min(processes, len(photos)), (folder, extractor)) as pool:
                measured = in_order(pool, photos, run.measure)
                together = _in_batches(run.planned(measured), batch)
                for some, result in in_order(pool, together, run.extract):
                    for photo in some:
                        run.settle(photo, {task.key: result[task.key] for task in photo.tasks})
            run.commit()
            removed, freed = run.prune(data.annotations) if prune else (0, 0)
            writer.compact()
            if again:
                data = load_again(data, run.records)
            mapped = update_maps(folder, data.annotations, run.readable(), processes, mapping)
        except (KeyboardInterrupt, WorkerDiedError):
            run.commit()
            raise
        finally:
            run.save_if_there()
        kept = load_ids(folder)
        save_ids(folder, give_ids(data.annotations, run.contents(), kept), kept, prune=prune)
    failed = tuple(sorted(run.records.failures.items()))
    seconds = time.monotonic() - started
    notes = _notes(records.unsound, damaged, writer.damaged_files)
    return IndexReport(data, run.new, run.reused, failed, run.features, seconds, removed, freed, mapped, notes)


def _notes(entries: int, annotations: int, files: int) -> tuple[Note, ...]:
    """Return notes on what was damaged: entries of the database, features of annotations, whole files of features."""
    notes = []
    if entries:
        text = f"{counted(entries, 'entry', 'entries')} of the database of photos were damaged and made again"
        notes.append(Note("database-mended", text, {"count": entries}))
    if annotations:
        text = f"the features of {counted(annotations, 'annotation')} were damaged, so they were extracted again"
        notes.append(Note("features-mended", text, {"count": annotations}))
    if files:
        text = (
            f"{counted(files, 'file')} of features had a damaged structure or an old format, so the features in it "
            "were extracted again"
        )
        notes.append(Note("features-mended", text, {"files": files}))
    return tuple(notes)


def _in_batches(photos: Iterable[PhotoToDo], size: int) -> Iterator[list[PhotoToDo]]:
    photos = iter(photos)
    while some := list(islice(photos, size)):
        yield some
