"""The states of annotations: indexed, missing, stale or failed."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.records import Fingerprint, Records, annotation_key, is_current
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation

STATES = ("indexed", "missing", "stale", "failed")


@dataclass(frozen=True)
class AnnotationState:
    """The state of one annotation: `indexed`, `missing`, `stale` or `failed`.

    key: the key of its features if it is indexed; None otherwise.
    photo_sha256: sha256 of its photo; "" if it is not recorded or the photo has changed.
    """

    state: str
    key: str | None
    photo_sha256: str


def annotation_states(
    folder: Path, annotations: Sequence[Annotation], records: Records, stored: Collection[str]
) -> tuple[AnnotationState, ...]:
    """Return the state of every annotation of the catalog in `folder`.

    stored: the keys of the stored features of one extractor.

    `indexed`: the features are stored and current. `missing`: never indexed with these settings. `stale`: photo, mask
    or box have changed since the last index run. `failed`: recorded as a failure.

    The function compares only the sizes and times of the files. It reads only the few files that were written just
    before they were hashed. It writes nothing.
    """
    stored = frozenset(stored)
    current: dict[tuple[str, bool], str | None] = {}

    def content(path: str, known: dict[str, Fingerprint], photo: bool) -> str | None:
        """Return the file's sha256; None if the file has no record or has changed since."""
        if (path, photo) not in current:
            taken = known.get(path)
            current[path, photo] = taken.sha256 if taken and is_current(folder / path, taken) else None
        return current[path, photo]

    keys: list[str | None] = []
    for a in annotations:
        photo = content(a.path, records.photos, True)
        mask = content(a.mask, records.masks, False) if a.mask else ""
        keys.append(None if photo is None or mask is None else annotation_key(photo, a.bbox, mask))
    # Photos with stored features that belong to no current annotation, because content, box or mask has changed
    left_over = {key[:16] for key in stored.difference(k for k in keys if k is not None)}
    states = []
    for a, key in zip(annotations, keys, strict=True):
        content_now, known = current[a.path, True], records.photos.get(a.path)
        replaced = known is not None and content_now is None and os.path.exists(folder / a.path)
        if key is not None and key in stored:
            state = "indexed"
        elif a.path in records.failures and not replaced:
            state = "failed"
        elif known is not None and (known.sha256[:16] in left_over or (records.key(a) or "") in stored):
            state = "stale"
        else:
            state = "missing"
        states.append(AnnotationState(state, key if state == "indexed" else None, content_now or ""))
    return tuple(states)


def state_notes(folder: Path, states: Sequence[AnnotationState]) -> list[Note]:
    """Return one note with the count for each state missing, stale and failed. All indexed: no notes."""
    texts = {
        "missing": "not indexed yet and therefore not compared",
        "stale": "changed since the last index run and therefore not compared",
        "failed": "could not be indexed and therefore not compared",
    }
    counts = {state: sum(s.state == state for s in states) for state in texts}
    return [
        Note(
            f"{state}-annotations",
            f"{counted(count, 'annotation')} {texts[state]}",
            {"catalog": str(folder), "count": count},
        )
        for state, count in counts.items()
        if count
    ]
