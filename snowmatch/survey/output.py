"""The files of a survey but its figures."""

from __future__ import annotations

from snowmatch.survey.co_use import CO_USE_DAYS
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.draw_tables import draw_tables
from snowmatch.survey.draws import Drawn
from snowmatch.survey.practice import practice_table, practice_text
from snowmatch.survey.run import Survey
from snowmatch.survey.tables import captures_table, survey_tables, to_csv


def survey_files(
    survey: Survey, coordinates: Coordinates | None, drawn: Drawn | None, co_use_days: float = CO_USE_DAYS
) -> dict[str, bytes]:
    """Return the content of each file by its name: tables, and the paragraph for the methods section.

    drawn: its tables are added, and the captures get the probabilities of its draws. co_use_days: as of
    `survey_tables`.
    """
    tables = survey_tables(survey, coordinates, co_use_days)
    text = ""
    if survey.identities is not None:
        tables["best-practice.csv"] = practice_table(survey, survey.identities)
        text = practice_text(survey, survey.identities) + "\n"
    if drawn is not None:
        tables |= draw_tables(survey, drawn)
        tables["captures.csv"] = captures_table(survey, drawn.labels)
    files = {name: to_csv(table) for name, table in tables.items()}
    return {**files, "methods.txt": text.encode()} if text else files
