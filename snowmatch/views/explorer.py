"""The states of a catalog's annotations for pages: what is indexed, missing, stale or failed, and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from snowmatch.catalog.records import load_records
from snowmatch.catalog.states import STATES as STATES
from snowmatch.catalog.states import annotation_states
from snowmatch.core.types import Annotation
from snowmatch.identify.method import features_in_use


def count_unread(folder: Path, annotations: Iterable[Annotation]) -> int:
    """Return how many annotations of the catalog in `folder` an index run would read: those without an identifier.

    A photo that failed is not one of them, unless its file was missing and is there now.
    """
    bare = [a for a in annotations if not a.annotation]
    if not bare:
        return 0
    records = load_records(folder)
    failed = {path for path in records.failures if path in records.photos or not os.path.exists(folder / path)}
    return sum(a.path not in failed for a in bare)


def states_of(folder: Path, annotations: Sequence[Annotation]) -> tuple[tuple[str, str], ...]:
    """Return the state of every annotation with the extractor that queries use, and why it failed ("" if it did not).

    annotations: all of the catalog in `folder`. Nothing indexed: all are missing, or failed.
    """
    records, reader = load_records(folder), features_in_use(folder)
    states = annotation_states(folder, annotations, records, reader.keys if reader is not None else ())
    return tuple(
        (state.state, records.failures.get(a.path, "") if state.state == "failed" else "")
        for a, state in zip(annotations, states, strict=True)
    )
