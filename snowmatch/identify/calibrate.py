"""The calibration of a catalog: a model that converts scores to probabilities, learned from its named encounters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snowmatch.catalog.evidence import count_encounter_pairs, evidence_notes
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.states import state_notes
from snowmatch.confidence.cases import check_labels, count_pairs, make_cases
from snowmatch.confidence.file import MethodCalibration, update_calibrations
from snowmatch.confidence.learn import choose_groups, cross_validate, learn
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import ANY, ENOUGH_PAIRS
from snowmatch.confidence.quality import Quality, measure_quality
from snowmatch.confidence.scoring import most_queries, score_trial
from snowmatch.confidence.shipped import load_shipped
from snowmatch.confidence.trial import make_trial, sample_notes, sides_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import check_writable
from snowmatch.core.home import calibration_path
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.decisions.named import with_checked_names
from snowmatch.identify.method import Method
from snowmatch.identify.session import Galleries, found_by, indexed, named_encounters
from snowmatch.matching.gallery import Gallery


@dataclass(frozen=True)
class Calibrated:
    """The result of `calibrate`.

    extractor, matcher: settings, as in `identify.method.Method`.
    encounters: number of named encounters that were used as queries.
    pairs: number of pairs of encounters of one animal that were used.
    groups: the groups of queries that have a model of their own, as `confidence.model.group_names` names them.
    levels: the lowest probabilities of the levels in this catalog.
    quality: the quality of the probabilities, measured by cross-validation over individuals.
    """

    catalog_path: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    encounters: int
    pairs: int
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality
    notes: tuple[Note, ...]


def set_levels(folder: Path, levels: Sequence[float]) -> None:
    """Store the levels of the catalog in `folder`.

    levels: the lowest probabilities of excellent, good and fair (0 to 1, decreasing). Raises SnowmatchError if they are
    not valid or the file cannot be written.
    """
    chosen = Levels(*levels)
    update_calibrations(folder, lambda stored: replace(stored, levels=chosen))


def calibrate(
    data: CatalogData,
    method: Method,
    cache: Galleries,
    progress: Callable[[int, int], None] | None = None,
    sample: int | None = None,
) -> Calibrated:
    """Learn a model that converts scores to probabilities from the named encounters, and store it in the catalog.

    All later queries with the same method use the stored model. Names are those of `checked_names`. cache: galleries
    that were made before. progress: a function that is called with (done, total) queries. sample: the largest number of
    queries; those of a random sample of encounters are asked. None: all. Raises SnowmatchError if nothing is indexed,
    if labels contradict each other, or if there are too few pairs of encounters of one animal.
    """
    data, folder = with_checked_names(data), data.folder
    check_labels(data.annotations)
    states, galleries = indexed(data, method, cache)
    pairs = count_encounter_pairs(data.annotations)
    if pairs < ENOUGH_PAIRS:
        raise SnowmatchError(
            f"{folder} has {counted(pairs, 'pair')} of encounters of one animal, calibration needs {ENOUGH_PAIRS}: "
            "name the animals of more encounters; until then, queries use the calibration that comes with snowmatch"
        )
    check_writable(calibration_path(folder).parent)  # told before the queries are asked
    most = most_queries(*sides_of(data.annotations, "cross-encounter"), galleries, method.matcher)
    trial = make_trial(data.annotations, "cross-encounter", most, sample=sample)
    notes = [*evidence_notes(data), *sample_notes(trial), *state_notes(folder, states, method.extractor)]
    table = score_trial(trial, galleries, method.matcher, method.geometry, progress, notes)
    cases = make_cases(table, **facts_of(data.annotations, galleries[0]))
    shipped = load_shipped(method.extractor, method.matching)
    groups = choose_groups(cases, shipped)
    pairs = count_pairs(cases).get(ANY, 0)
    if not groups and trial.left_out:
        raise SnowmatchError(
            f"the sample of {counted(len(trial.queries), 'photo')} has {counted(pairs, 'pair')} of encounters of one "
            f"animal, expected {ENOUGH_PAIRS} pairs of outlined or of whole photos, and other animals on photos of the "
            "same kind: ask a larger sample",
            "sample-too-small",
        )
    if not groups:
        raise SnowmatchError(
            f"{folder} has too few photos for a calibration: {counted(pairs, 'pair')} of encounters of one animal have "
            f"features, expected {ENOUGH_PAIRS} pairs of outlined or of whole photos, and other animals on photos of "
            "the same kind: name the animals of more encounters",
            "too-few-pairs",
            catalog=str(folder),
        )
    asked = table.queries[table.cells.comparable()]
    encounters = named_encounters([data.annotations[row] for row in asked])
    models = learn(cases, groups, shipped)
    learned = MethodCalibration(
        method.extractor,
        method.matching,
        __version__,
        encounters,
        models,
        found_by(data),
        named_encounters(data.annotations),
    )
    calibrations = update_calibrations(folder, lambda stored: stored.put(learned))
    together = [case for case in cases if case.together]
    quality = measure_quality(together, cross_validate(cases, groups, shipped, together), calibrations.levels)
    return Calibrated(
        str(folder),
        method.extractor,
        method.matching,
        encounters,
        pairs,
        groups,
        calibrations.levels,
        quality,
        (*notes, *galleries[0].maps.notes()),
    )


def facts_of(annotations: Sequence[Annotation], gallery: Gallery) -> Mapping[str, np.ndarray]:
    """Return the facts about all A annotations that a calibration uses in addition to the scores.

    features: (A,) float64, number of features; 0 if the annotation is not in the gallery. outlined: (A,) bool, True
    with a box or a mask. masked: (A,) bool, True with a mask. See `confidence.cases.make_cases`.
    """
    features = np.zeros(len(annotations))
    entries = range(len(gallery.annotations))
    features[[a.row for a in gallery.annotations]] = [gallery.feature_count(entry) for entry in entries]
    outlined = [a.drawn_box is not None or bool(a.mask) for a in annotations]
    masked = [bool(a.mask) for a in annotations]
    return {"features": features, "outlined": np.array(outlined, bool), "masked": np.array(masked, bool)}
