"""Tables of what the stations saw: rates, who met where, activity, gaps. None tells a position."""

from __future__ import annotations

from collections.abc import Sequence

from snowmatch.survey.activity import HOURS, clock_times_of, hour_counts, hour_density, month_activity
from snowmatch.survey.co_use import CoUse, co_use
from snowmatch.survey.gaps import effort_gaps
from snowmatch.survey.rates import session_rates
from snowmatch.survey.run import Survey

Table = tuple[Sequence[str], list[Sequence[object]]]


def rates_table(survey: Survey) -> Table:
    """Return what each station saw in each session, and that for 100 camera-days."""
    rows: list[Sequence[object]] = [
        (
            *(r.session, r.place, r.days, r.sightings, r.unidentified, r.individuals),
            *(_rounded(r.sightings_rate), _rounded(r.individuals_rate)),
        )
        for r in session_rates(survey)
    ]
    counts = ("session", "station", "camera_days", "sightings", "of_them_unidentified", "individuals")
    return (*counts, "sightings_per_100_days", "individuals_per_100_days"), rows


def co_use_table(survey: Survey, days: float) -> Table:
    """Return the pairs of animals that used one station within `days` of each other."""
    return meetings_table(co_use(survey.captures, days))


def meetings_table(met: Sequence[CoUse]) -> Table:
    """Return pairs of animals at stations, one row each."""
    rows: list[Sequence[object]] = [
        (m.session, m.place, m.first, m.second, m.meetings, m.hours, m.together, m.last) for m in met
    ]
    head = ("session", "station", "individual_a", "individual_b", "meetings", "shortest_hours", "together", "last")
    return head, rows


def hours_table(survey: Survey) -> Table:
    """Return the sightings of each hour of the day, and the density in its middle, if there are enough of them."""
    times = clock_times_of(survey)
    density = hour_density(times, [hour + 0.5 for hour in range(HOURS)])
    rows: list[Sequence[object]] = [
        (hour, int(n), None if density is None else round(float(density[hour]), 5))
        for hour, n in enumerate(hour_counts(times))
    ]
    return ("hour", "sightings", "density_per_hour"), rows


def months_table(survey: Survey) -> Table:
    """Return the sightings and the effort of each month of the year."""
    rows: list[Sequence[object]] = [
        (m.month, m.days, m.sightings, m.individuals, _rounded(m.rate)) for m in month_activity(survey)
    ]
    return ("month", "camera_days", "sightings", "individuals", "sightings_per_100_days"), rows


def gaps_table(survey: Survey) -> Table:
    """Return the days in a row on which no camera of a station worked."""
    rows: list[Sequence[object]] = [
        (g.session, g.place, g.first.date().isoformat(), g.days, g.kind) for g in effort_gaps(survey)
    ]
    return ("session", "station", "first_day", "days", "kind"), rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
