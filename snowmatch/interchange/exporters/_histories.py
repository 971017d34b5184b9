"""Capture histories of a session as texts of 0 and 1, for programs without space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snowmatch.interchange.exporters._names import mapping_csv, safe_names, sexes
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture, history


def session_histories(
    given: Export, captures: Sequence[Capture] | None = None
) -> Iterator[tuple[str, int, list[tuple[str, str, str, str]]]]:
    """Yield, for each session with captures (or with those of a draw), its ending of file names, its number of
    occasions, and (name, safe name, sex, history) of each animal.

    captures: those of a draw; without them, those of the survey. The ending is "" if there is one session. The sex is
    F, M or U. Occasions on which no camera worked are left out: these programs know no effort. Raises SnowmatchError
    without captures.
    """
    survey = given.survey
    given.need_captures()
    held = {c.session for each in _all_captures(given) for c in each}
    if captures is None or captures is survey.captures:
        given.only_captures()
        given.leave_out(len(survey.sessions) - len(held), "session", "the format has none without captures")
        cells = {(c.session, c.occasion, c.individual) for c in survey.captures}
        given.leave_out(
            len(survey.captures) - len(cells), "repeated capture", "one counts for each animal and occasion"
        )
        without_effort(given)
    captures = survey.captures if captures is None else captures
    animals, endings = _written(given)
    sex = sexes(captures, "U")
    for s in (s for s in survey.sessions if s.name in held):
        names, table = history(captures, s.name, s.occasions)
        worked = survey.worked(s)
        rows = [
            (name, animals[name], sex.get(name, "U"), "".join("01"[int(v)] for v in row))
            for name, row in zip(names, table[:, worked], strict=True)
        ]
        yield (f"-{endings[s.name]}" if endings else ""), int(worked.sum()), rows


def names_csv(given: Export) -> bytes:
    """Return the table that leads back from the names in these histories, and in the names of their files."""
    animals, endings = _written(given)
    return mapping_csv(session=endings, individual=animals)


def _written(given: Export) -> tuple[dict[str, str], dict[str, str]]:
    """Return how each animal is written, also those of draws, and each session; {} if there is one session."""
    animals = safe_names(c.individual for each in _all_captures(given) for c in each)
    sessions = given.survey.sessions
    return animals, safe_names(s.name for s in sessions) if len(sessions) > 1 else {}


def _all_captures(given: Export) -> tuple[Sequence[Capture], ...]:
    """Return the captures of the survey, and those of each draw."""
    return given.survey.captures, *(given.drawn.captures if given.drawn is not None else ())


def without_effort(given: Export) -> None:
    """Note the occasions on which no camera worked: the numbers of the later ones change."""
    number = sum(int((~given.survey.worked(s)).sum()) for s in given.survey.sessions)
    given.leave_out(number, "occasion", "no camera worked, so that nothing could be captured")
