"""A survey of the catalog in a folder, with who is who in it, and with draws of who is who."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from snowmatch.api import open_catalog
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.opened import open_data
from snowmatch.decisions.named import with_rows
from snowmatch.review.identities import Identities, identities_of, open_identities
from snowmatch.review.likely import check_one_reading, gather_evidence
from snowmatch.survey.draws import Drawn, draw_identities, drawn_captures
from snowmatch.survey.run import Survey, SurveyOptions, make_survey, uncounted_survey


def open_survey(folder: Path, decisions: Path | None = None, **options: Unpack[SurveyOptions]) -> Survey:
    """Return the survey of the catalog in `folder`, by all decisions of persons. Raises as `make_survey` does.

    decisions: their file; None for the catalog's own.
    """
    return make_survey(*_read(folder, decisions), **options)


def open_uncounted(folder: Path, decisions: Path | None = None) -> Survey:
    """Return the catalog in `folder`, by all decisions of persons, as a survey that counts nothing."""
    return uncounted_survey(*_read(folder, decisions))


def _read(folder: Path, decisions: Path | None) -> tuple[CatalogData, Identities]:
    """Return the catalog in `folder` and who is who in it, by one reading of its rows and of the decisions: others may
    be stored meanwhile.
    """
    data = open_data(folder)
    identities = identities_of(data, decisions)
    return with_rows(data, identities.rows), identities


def draw_survey(
    survey: Survey,
    draws: int,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[SurveyOptions],
) -> Drawn:
    """Return drawn identities of a survey and their captures. options: those of the survey.

    The evidence of the photos is that of the catalog's index, and is kept there. progress: called with (done, total)
    sightings that are compared. Raises SnowmatchError if the catalog is not indexed, or if it was changed meanwhile.
    """
    identities = survey.identities or open_identities(survey.data.folder)
    session = open_catalog(survey.data.folder, identities.path).session(extractor=None)
    check_one_reading(identities, session)
    evidence = gather_evidence(session, identities.who.sightings, progress=progress)
    labels = draw_identities(identities, evidence, draws, seed)
    return Drawn(labels, tuple(drawn_captures(survey, identities, labels, **options)), seed, evidence.notes)
