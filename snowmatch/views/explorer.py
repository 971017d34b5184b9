"""The states of a catalog's annotations for pages: what is indexed, missing, stale or failed, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snowmatch.catalog.records import load_records
from snowmatch.catalog.states import STATES as STATES
from snowmatch.catalog.states import annotation_states
from snowmatch.core.home import features_path
from snowmatch.core.types import Annotation
from snowmatch.features.reader import list_features, open_features
from snowmatch.identify.method import DEFAULT_EXTRACTOR


def states_of(folder: Path, annotations: Sequence[Annotation]) -> tuple[tuple[str, str], ...]:
    """Return the state of every annotation with the extractor that queries use, and why it failed ("" if it did not).

    annotations: all of the catalog in `folder`. Nothing indexed: all are missing, or failed.
    """
    records, stored = load_records(folder), list_features(features_path(folder))
    used = next((each for each in stored if each["name"] == DEFAULT_EXTRACTOR), stored[0] if stored else None)
    keys = open_features(features_path(folder), used).keys if used is not None else frozenset()
    states = annotation_states(folder, annotations, records, keys)
    return tuple(
        (state.state, records.failures.get(a.path, "") if state.state == "failed" else "")
        for a, state in zip(annotations, states, strict=True)
    )
