"""The states of a catalog's annotations for pages: what is indexed, missing, stale or failed, and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from snowmatch.catalog.records import load_records
from snowmatch.catalog.species import species_key as species_key
from snowmatch.catalog.states import STATES as STATES
from snowmatch.catalog.states import annotation_states
from snowmatch.core.types import Annotation
from snowmatch.identify.method import features_in_use


def count_unread(folder: Path, states: Iterable[tuple[Annotation, str]]) -> int:
    """Return how many annotations of the catalog in `folder` an index run would read: those without an identifier, and
    those that are missing or stale.

    A photo that failed is not one of them, unless its file was missing and is there now; nor is one that was read and
    has gone. states: the annotations, each with its state as of `states_of`.
    """
    left = [(a.path, state == "failed") for a, state in states if state != "indexed" or not a.annotation]
    if not left:
        return 0
    known = load_records(folder).photos
    there = {path: os.path.exists(folder / path) for path, _ in left}
    return sum(
        (there[path] and path not in known) if failed else (there[path] or path not in known) for path, failed in left
    )


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
