"""The tables of a survey as rows of text. Nothing in them tells a position unless coordinates are given."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from snowmatch.catalog.stations import DAY
from snowmatch.core.text import number_in, plain_cell
from snowmatch.survey.captures import Capture, LeftOut
from snowmatch.survey.co_use import CO_USE_DAYS
from snowmatch.survey.coordinates import Coordinates, shown_positions
from snowmatch.survey.field_tables import Table as Table
from snowmatch.survey.field_tables import co_use_table, gaps_table, hours_table, months_table, rates_table
from snowmatch.survey.identification import identify_captures
from snowmatch.survey.movements import largest_moves, movements, spatial_recaptures
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import ASSUMES, accumulation, estimates, frequencies, individuals
from snowmatch.survey.traits import commonest

CAPTURES = (
    *("session", "event_id", "start", "end", "occasion", "station", "location", "camera", "individual_id", "flank"),
    *("both_simultaneous", "sex", "age_class", "n_frames", "probability", "decided_by", "n_observers"),
    *("decision_status", "quality"),
)


def survey_tables(
    survey: Survey, coordinates: Coordinates | None, co_use_days: float = CO_USE_DAYS
) -> dict[str, Table]:
    """Return the tables of a survey, each with its head and its rows, by the name of its file.

    co_use_days: how near in time two animals at one station count.
    """
    return {name: make() for name, make in _makers(survey, coordinates, co_use_days).items()}


def survey_table(
    survey: Survey, name: str, co_use_days: float = CO_USE_DAYS, coordinates: Coordinates | None = None
) -> Table:
    """Return one of these tables. Raises KeyError for another name."""
    return _makers(survey, coordinates, co_use_days)[name]()


def _makers(survey: Survey, coordinates: Coordinates | None, co_use_days: float) -> dict[str, Callable[[], Table]]:
    return {
        "captures.csv": lambda: captures_table(survey),
        "effort.csv": lambda: _effort(survey),
        "effort-occasions.csv": lambda: effort_matrix(survey),
        "gaps.csv": lambda: gaps_table(survey),
        "stations.csv": lambda: _stations(survey, coordinates),
        "rates.csv": lambda: rates_table(survey),
        "sessions.csv": lambda: _sessions(survey),
        "individuals.csv": lambda: _individuals(survey),
        "unidentified.csv": lambda: _unidentified(survey),
        "frequencies.csv": lambda: _frequencies(survey),
        "accumulation.csv": lambda: _accumulation(survey),
        "movements.csv": lambda: _movements(survey),
        "spatial-recaptures.csv": lambda: _spatial(survey),
        "co-use.csv": lambda: co_use_table(survey, co_use_days),
        "activity-hours.csv": lambda: hours_table(survey),
        "activity-months.csv": lambda: months_table(survey),
        "estimates.csv": lambda: _estimates(survey),
        "flanks.csv": lambda: (
            ("flanks", "individuals", "captures", "recaptures"),
            [(c.flanks, c.individuals, c.captures, c.recaptures) for c in survey.choices],
        ),
        "left-out.csv": lambda: (
            ("individual_id", "encounter", "station", "location", "start", "reason"),
            [(e.individual, e.encounter, e.station, e.location, _start(e), e.reason) for e in survey.left_out],
        ),
    }


def to_csv(table: Table) -> bytes:
    """Return a table as csv. Texts are printable, and no cell is a formula."""
    head, rows = table
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell_text(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell_text(value: object) -> str:
    """Return a value as the text of a cell: times and dates as ISO 8601, numbers as short texts, None as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return plain_cell(str(value)) if isinstance(value, str) else str(value)


def event_id(capture: Capture) -> str:
    """Return the identifier of a capture: that of its first encounter and its individual."""
    return f"{capture.encounters[0]}#{capture.individual}"


def captures_table(survey: Survey, draws: np.ndarray | None = None) -> Table:
    """Return the captures, one row each. What is not known of an identification is an empty cell.

    draws: (D, S) drawn groupings, for the probability of each identification.
    """
    locations = {p.label: p.location for p in survey.places}
    known = survey.identities
    told = [None] * len(survey.captures) if known is None else identify_captures(survey.captures, known, draws)
    rows: list[Sequence[object]] = []
    for c, by in zip(survey.captures, told, strict=True):
        location = locations[c.place] or survey.data.annotations[c.rows[0]].location
        place = (c.occasion, c.place, location, " ".join(c.cameras))
        animal = (c.individual, c.flank or "other", c.simultaneous, c.sex, c.age_class, len(c.photos))
        how = (by.probability, "; ".join(by.decided_by), by.observers, by.status) if by else [None] * 4
        quality = commonest(survey.traits.known["quality"], c.rows)
        rows.append((c.session, event_id(c), c.began, c.ended, *place, *animal, *how, quality))
    return CAPTURES, rows


def effort_matrix(survey: Survey) -> Table:
    """Return the camera-days of each station and occasion; sessions with fewer occasions have empty last cells."""
    most = max(s.occasions for s in survey.sessions)
    rows: list[Sequence[object]] = []
    for s in survey.sessions:
        for place, values in zip(survey.places, survey.occasion_effort(s), strict=True):
            cells = [float(v) for v in values]
            rows.append((s.name, place.label, *cells, *[None] * (most - len(cells))))
    return ("session", "station", *(str(k + 1) for k in range(most))), rows


def _start(each: LeftOut) -> date | None:
    return each.start.date() if each.start is not None and each.dated else each.start


def _effort(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (s.name, place.label, d // s.length + 1, (s.first + d * DAY).isoformat(timespec="minutes"), float(value))
        for s in survey.sessions
        for place, values in zip(survey.places, survey.effort[s.name], strict=True)
        for d, value in enumerate(values)
    ]
    return ("session", "station", "occasion", "day_start", "camera_days"), rows


def _stations(survey: Survey, coordinates: Coordinates | None) -> Table:
    positions = shown_positions(survey, coordinates)
    traits = sorted({name for p in survey.places for name in p.traits}) if coordinates else []
    head = ["station", "location", *(["x", "y", "crs"] if coordinates else []), "camera_days", "captures", *traits]
    rows: list[Sequence[object]] = []
    for n, p in enumerate(survey.places):
        where = (*positions[p.label], survey.crs) if p.label in positions else (None, None, None)
        effort = float(sum(survey.effort[s.name][n].sum() for s in survey.seasons))
        captures = len({c.cell for c in survey.captures if c.place == p.label})
        own = [_trait(p.traits.get(t, "")) for t in traits]
        rows.append((p.label, p.location, *(where if coordinates else ()), effort, captures, *own))
    return head, rows


def _trait(text: str) -> str | Decimal:
    """Return a covariate of a station as a number with all its digits, if it is one; 007 is none."""
    number = number_in(text)
    if not number or re.match(r"[+-]?0[0-9]", number) or math.isinf(float(number)):
        return text
    return Decimal(number)


def _sessions(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (s.name, s.first, s.span.end, s.days, s.length, s.occasions) for s in survey.sessions
    ]
    return ("session", "start", "end", "days", "days_per_occasion", "occasions"), rows


def _individuals(survey: Survey) -> Table:
    head = ("individual_id", "sex", "age_class", "first_seen", "last_seen", "captures", "sightings", "occasions")
    rows: list[Sequence[object]] = [
        (
            *(i.name, i.sex, i.age_class, i.first, i.last, i.captures, i.sightings, i.occasions),
            *(len(i.stations), "; ".join(i.stations), "; ".join(i.sessions), i.flanks or "other"),
        )
        for i in individuals(survey.captures)
    ]
    return (*head, "n_stations", "stations", "sessions", "flanks"), rows


def _unidentified(survey: Survey) -> Table:
    rows: list[Sequence[object]] = []
    for s in survey.sessions:
        effort = survey.occasion_effort(s)
        for j, place in enumerate(survey.places):
            counts = survey.unidentified[s.name][j]
            rows += [(s.name, place.label, k + 1, int(counts[k])) for k in range(s.occasions) if effort[j, k] > 0]
    return ("session", "station", "occasion", "sightings"), rows


def _frequencies(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (s.name, times, n) for s in survey.sessions for times, n in frequencies(survey.captures, s).items()
    ]
    return ("session", "occasions_captured", "individuals"), rows


def _accumulation(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (s.name, k, now, so_far) for s in survey.sessions for k, now, so_far in accumulation(survey.captures, s)
    ]
    return ("session", "occasion", "individuals", "individuals_so_far"), rows


def _movements(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (m.session, m.individual, m.origin, m.left, m.target, m.arrived, _km(m.distance))
        for m in movements(survey.captures, survey.positions)
    ]
    return ("session", "individual_id", "from_station", "left", "to_station", "arrived", "km"), rows


def _spatial(survey: Survey) -> Table:
    moves = largest_moves(survey.captures, survey.positions)
    rows: list[Sequence[object]] = [
        (session, name, further, _km(moves.get((session, name))))
        for (session, name), further in spatial_recaptures(survey.captures).items()
    ]
    return ("session", "individual_id", "spatial_recaptures", "largest_distance_km"), rows


def _km(metres: float | None) -> float | None:
    return None if metres is None else round(metres / 1000, 2)


def _estimates(survey: Survey) -> Table:
    rows: list[Sequence[object]] = [
        (s.name, model, e.seen, *(float(f"{v:.5g}") for v in (e.value, e.low, e.high)), ASSUMES[model])
        for s in survey.sessions
        for model, e in estimates(survey.captures, s, survey.worked(s)).items()
    ]
    return ("session", "model", "seen", "estimate", "low", "high", "assumes"), rows
