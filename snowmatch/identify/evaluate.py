"""The evaluation of a catalog: queries of identified annotations, and how often the answers are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.catalog.evidence import evidence_notes
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.states import state_notes
from snowmatch.confidence.cases import make_cases
from snowmatch.confidence.file import load_calibrations
from snowmatch.confidence.learn import choose_groups, cross_validate
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.measures import Measured, measure
from snowmatch.confidence.quality import Quality, measure_quality
from snowmatch.confidence.score_table import ScoreTable
from snowmatch.confidence.scoring import most_queries, score_trial
from snowmatch.confidence.shipped import load_shipped
from snowmatch.confidence.trial import make_trial, sample_notes, sides_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note, unique
from snowmatch.core.text import counted
from snowmatch.decisions.named import with_checked_names
from snowmatch.identify.calibrate import facts_of
from snowmatch.identify.method import Method
from snowmatch.identify.session import Galleries, indexed


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    extractor, matcher: settings, as in `identify.method.Method`.
    table: the scores of all queries. measured: the measures computed from the table.
    groups: the groups of queries with enough pairs for a calibration, as `confidence.model.group_names` names them.
    levels: the lowest probabilities of the levels in this catalog.
    quality: the quality of the probabilities, measured by cross-validation over individuals: the probabilities for an
    individual's encounters come from a calibration on the other individuals. Queries that are in none of `groups` get
    their probabilities from the calibration that comes with snowmatch.
    """

    catalog_path: str
    protocol: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    table: ScoreTable
    measured: Measured
    notes: tuple[Note, ...]
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality


def evaluate(
    data: CatalogData,
    protocol: str,
    method: Method,
    cache: Galleries,
    progress: Callable[[int, int], None] | None = None,
    sample: int | None = None,
) -> Evaluation:
    """Query every identified annotation and measure how often the rest of the catalog gives the right answer.

    Names are those of `checked_names`. protocol: `cross-encounter` (only other encounters may answer), `cross-station`
    (only other stations may answer) or `split` (rows marked `test` are queries, rows marked `train` may answer).
    cache: galleries that were made before. progress: a function that is called with (done, total) queries.
    sample: the largest number of queries; those of a random sample of encounters are asked. None: all.
    Raises SnowmatchError if the catalog is not indexed, does not have the annotations that the protocol needs, or has
    only one individual.
    """
    data = with_checked_names(data)
    sides = sides_of(data.annotations, protocol)
    if len(names := {a.individual for a in data.annotations if a.individual is not None}) == 1:
        raise SnowmatchError(
            f"all photos with a name show one individual, {names.pop()}: no other could be the answer, so nothing can "
            "be measured. Name the photos of a second one first. Until then, ask about single photos and look at the "
            "matched spots",
            "one-individual",
            catalog=str(data.folder),
        )
    asked = {"extractor": method.extractor, "matcher": method.matching}
    levels = load_calibrations(data.folder, asked).levels  # a damaged file is told before the queries are asked
    states, galleries = indexed(data, method, cache)
    most = most_queries(*sides, galleries, method.matcher)
    trial = make_trial(data.annotations, protocol, most, sample=sample)
    notes = [*evidence_notes(data), *sample_notes(trial), *state_notes(data.folder, states, method.extractor)]
    table = score_trial(trial, galleries, method.matcher, method.geometry, progress, notes)
    cases = make_cases(table, **facts_of(data.annotations, galleries[0]))
    shipped = load_shipped(method.extractor, method.matching)
    groups = choose_groups(cases, shipped)
    together = [case for case in cases if case.together]
    quality = measure_quality(together, cross_validate(cases, groups, shipped, together), levels)
    if method.matcher.foreground == "auto":
        notes += galleries[0].foreground.evidence_notes(np.arange(len(galleries[0].annotations)), data.folder)
        notes += galleries[0].maps.notes()
    if unnamed := sum(a.individual is None for a in data.annotations):
        text = f"{counted(unnamed, 'unidentified annotation')} skipped, because the right answer is not known"
        notes.append(Note("unidentified-left-out", text, {"count": unnamed}))
    if bare := int((table.cells.open_to.any() & ~table.cells.comparable()).sum()):
        text = f"{bare} of the queries have no features to compare and count as wrong answers"
        notes.append(Note("queries-without-features", text, {"count": bare}))
    notes += _sure_to_be_right(table)
    return Evaluation(
        str(data.folder),
        protocol,
        method.extractor,
        method.matching,
        table,
        measure(table),
        unique(notes),
        groups,
        levels,
        quality,
    )


def _sure_to_be_right(table: ScoreTable) -> list[Note]:
    """Return a note if only the right individual could answer some of the queries, as with one animal of a flank."""
    own = table.own[table.queries]
    compared = ~np.isnan(table.individual_scores)
    known = (own >= 0) & compared[np.arange(len(own)), own]
    count = int((known & (compared.sum(axis=1) == 1)).sum())
    if not count:
        return []
    text = (
        f"{count} of the {counted(int(known.sum()), 'query', 'queries')} with a right answer could be answered by no "
        "other individual: these answers cannot be wrong, and make the figures look better than they are"
    )
    return [Note("no-other-individual", text, {"count": count})]
