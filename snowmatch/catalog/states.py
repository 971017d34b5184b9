"""Whether each annotation's features are there, missing, stale or failed."""

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
    """Whether one annotation has features: `indexed`, `missing`, `stale` or `failed`.

    key is that of its features where it is indexed, else None. photo_sha256 is its photo's content, as far as that is
    known and current, else "".
    """

    state: str
    key: str | None
    photo_sha256: str


def annotation_states(
    folder: Path, annotations: Sequence[Annotation], records: Records, stored: Collection[str]
) -> tuple[AnnotationState, ...]:
    """The state of every annotation of the catalog in `folder`; `stored` are the keys of an extractor's features.

    `missing`: never indexed with these settings. `stale`: photo, mask or box have changed since. `failed`: listed as a
    failure. Looks at the files' sizes and times only, except for the few that were written just before they were
    hashed: those are read again. Writes nothing.
    """
    stored = frozenset(stored)
    current: dict[tuple[str, bool], str | None] = {}

    def content(path: str, known: dict[str, Fingerprint], photo: bool) -> str | None:
        """The file's sha256; None where it is not what is on record."""
        if (path, photo) not in current:
            taken = known.get(path)
            current[path, photo] = taken.sha256 if taken and is_current(folder / path, taken) else None
        return current[path, photo]

    keys: list[str | None] = []
    for a in annotations:
        photo = content(a.path, records.photos, True)
        mask = content(a.mask, records.masks, False) if a.mask else ""
        keys.append(None if photo is None or mask is None else annotation_key(photo, a.bbox, mask))
    # Photos' contents stored under no current annotation's key: what a changed photo, box or mask leaves behind
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
    """How many annotations are missing, stale or failed, a note each; all indexed, no notes."""
    texts = {
        "missing": "not indexed yet, so not compared",
        "stale": "changed since the last index run, so not compared",
        "failed": "could not be indexed, so not compared",
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
