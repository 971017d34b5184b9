"""The notes about a catalog, shown after an index run."""

from __future__ import annotations

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import Records, load_records
from snowmatch.catalog.states import annotation_states
from snowmatch.core.home import features_path
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.features.reader import list_features, open_features, unused_features, unused_note


def catalog_notes(data: CatalogData, records: Records | None = None) -> tuple[Note, ...]:
    """Return the notes about the catalog. records: those of its files, if they were read before.

    They list what was skipped or changed when the catalog was read, photos without features, and clipped boxes.
    """
    records = load_records(data.folder) if records is None else records
    notes = list(data.notes)
    stored = list_features(features_path(data.folder))
    if not stored:
        notes.append(Note("not-indexed", "nothing is indexed yet", {"catalog": str(data.folder)}))
    for described in stored:
        reader = open_features(features_path(data.folder), described)
        empty = {key for key, count in zip(reader.keys, reader.counts, strict=True) if not count}
        if empty:
            states = annotation_states(data.folder, data.annotations, records, reader.keys)
            bare = [a.path for a, state in zip(data.annotations, states, strict=True) if state.key in empty]
            if bare:
                text = f"{described['name']} found no features in {counted(len(bare), 'annotation')} ({some(bare)})"
                notes.append(Note("photos-without-features", text, {"extractor": described["name"], "photos": bare}))
    if unused := unused_features(features_path(data.folder)):
        notes.append(unused_note(unused))
    clipped = []
    for a in data.annotations:
        size = data.facts[a.path].image_size if a.path in data.facts else None
        if a.bbox is not None and size is not None:
            x, y, width, height = a.bbox
            if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
                clipped.append(a.path)
    if clipped:
        text = f"boxes that extend beyond their photo were clipped: {len(clipped)} ({some(clipped)})"
        notes.append(Note("boxes-clipped", text, {"photos": clipped}))
    return tuple(notes)
