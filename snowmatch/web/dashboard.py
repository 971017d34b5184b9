"""The figures of the dashboard: what an address asks for, and each figure with the tables behind it."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.core.text import printable
from snowmatch.review.identities import UNNAMED
from snowmatch.review.screening_progress import ScreeningProgress, screening_progress
from snowmatch.survey.activity import HOURS, clock_times_of, hour_counts, hour_density, month_activity, times_of
from snowmatch.survey.co_use import CO_USE_DAYS, CoUse, co_use
from snowmatch.survey.field_tables import Table, meetings_table
from snowmatch.survey.gaps import BETWEEN, effort_gaps
from snowmatch.survey.hot_spots import hot_spots
from snowmatch.survey.layout import Layout, Site
from snowmatch.survey.movements import movements
from snowmatch.survey.rates import PER, station_rates
from snowmatch.survey.run import Survey
from snowmatch.survey.selection import only, select
from snowmatch.survey.summaries import accumulation
from snowmatch.survey.tables import cell_text, survey_table
from snowmatch.views.charts import make_bars, make_effort, make_pairs, make_steps
from snowmatch.views.station_map import StationMap, make_map
from snowmatch.web.page import with_calls
from snowmatch.web.places import layout_of
from snowmatch.web.state import State
from snowmatch.web.surveys import survey_of
from snowmatch.web.texts import figures

DAYS = 5  # of an occasion, as on the command line
FLANKS = ("both", "left", "right", "hybrid")  # two sessions would count each camera twice
CURVE = 97  # points of the density of hours
ROWS, COLUMNS = 50, 40  # of a table on the page; the file has all
SCREENING = "screening.csv"
PRACTICE = "best-practice"  # the table in the report, which is English
# Its answers that are words of ours; the others are species
SCREENED = {answer: f"screened.{answer}" for answer in ("kept", "nothing", "person", "unknown")}
SCREENED |= {"not screened": "screened.not_screened"}
# The tables behind the figures, and which of their columns are words of ours
TABLES = (
    *("rates.csv", "movements.csv", "co-use.csv", "activity-hours.csv", "activity-months.csv", "gaps.csv"),
    *("effort-occasions.csv", "accumulation.csv", "estimates.csv", "frequencies.csv", "flanks.csv", "individuals.csv"),
)
WORDS = {("gaps.csv", "kind"): "gap.", ("estimates.csv", "model"): "model.", ("flanks.csv", "flanks"): "take.flanks."}
VIEWS = 8  # of wishes and language that are kept
OF_ALL = ("accumulation.csv", "estimates.csv", "flanks.csv")  # also if one animal is chosen
OMITTED = ("assumes",)  # on pages


@dataclass(frozen=True)
class Wishes:
    """What an address asks for. Empty texts mean all. within: days between two animals that met."""

    start: str = ""
    end: str = ""
    location: str = ""
    individual: str = ""
    flanks: str = "both"
    within: str = ""

    @property
    def query(self) -> str:
        """The same as a part of an address; "" if all is asked for."""
        named = {"from": self.start, "to": self.end, "location": self.location, "individual": self.individual}
        named |= {"flanks": self.flanks if self.flanks != "both" else "", "within": self.within}
        return urlencode({name: value for name, value in named.items() if value})

    @property
    def days(self) -> float:
        """Days between two animals that met. Raises SnowmatchError if the text is no such number."""
        if not self.within:
            return CO_USE_DAYS
        try:
            days = float(self.within)
        except ValueError:
            days = -1.0
        if not 0 <= days <= 366:
            raise SnowmatchError(f"{self.within!r} is no number of days from 0 to 366: type another one", "no-days")
        return days


def read_wishes(asked: Mapping[str, str]) -> Wishes:
    """Return what an address asks for; unknown flanks are both."""
    flanks = asked.get("flanks", "")
    return Wishes(
        asked.get("from", "").strip()[:40],
        asked.get("to", "").strip()[:40],
        asked.get("location", "").strip()[:400],
        asked.get("individual", "").strip()[:400],
        flanks if flanks in FLANKS else "both",
        asked.get("within", "").strip()[:20],
    )


def chosen_survey(state: State, wishes: Wishes) -> tuple[Survey, Survey]:
    """Return the survey of the time and the location, and that of the animal in it. Raises SnowmatchError."""
    _need_individual(state, wishes.individual)
    whole = select(survey_of(state, DAYS, wishes.flanks), _date(wishes.start), _date(wishes.end), wishes.location)
    return whole, only(whole, wishes.individual)


def _need_individual(state: State, name: str) -> None:
    if name and name not in {a.individual for a in state.identities().named}:
        text = f"no individual is called {name!r} now: choose one of the list"
        raise SnowmatchError(text, "no-individual", name=name)


def _date(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SnowmatchError(f"{text!r} is no date: type one such as 2026-05-04", "no-date", value=text) from None


def table_of(state: State, wishes: Wishes, name: str) -> Table:
    """Return one of TABLES or SCREENING. Raises KeyError for another name, SnowmatchError as the survey does."""
    if name == SCREENING:
        return _screening_table(screening_of(state))
    if name not in TABLES:
        raise KeyError(name)
    return _table(*chosen_survey(state, wishes), wishes, name)


def shown_table(
    table: Table, name: str, t: Callable[..., str], most: int = ROWS, own: Collection[str] = ()
) -> dict[str, Any]:
    """Return a table as a page shows it: its first rows, with words of the page's language.

    own: columns that a person named.
    """
    head, rows = table
    kept = [n for n, column in enumerate(head) if column not in OMITTED]
    wider, kept = max(len(kept) - COLUMNS, 0), kept[:COLUMNS]

    def kind(n: int) -> str:
        values = [row[n] for row in rows if row[n] is not None]
        if values and all(isinstance(value, int | float) for value in values):
            return "number"
        return "when" if values and all(isinstance(value, date) for value in values) else ""

    def cell(column: str, value: object) -> str:
        if name == SCREENING and isinstance(value, str):
            return t(SCREENED[value]) if value in SCREENED else printable(value.replace("_", " "))
        if isinstance(value, str):
            return t(WORDS[name, column] + value) if (name, column) in WORDS else with_calls(t, printable(value))
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M}"
        if name == "estimates.csv" and isinstance(value, float):
            return "∞" if math.isinf(value) else figures(t, f"{value:.1f}") if math.isfinite(value) else "–"
        text = cell_text(round(value, 4) if isinstance(value, float) else value)
        return figures(t, text) if isinstance(value, float) and name != PRACTICE else text

    return {
        "name": name,
        "head": [printable(head[n]) if head[n].isdigit() or head[n] in own else t(f"col.{head[n]}") for n in kept],
        "kinds": [kind(n) for n in kept],
        "rows": [[cell(head[n], row[n]) for n in kept] for row in rows[:most]],
        "more": max(len(rows) - most, 0),
        "wider": wider,
    }


def figures_of(state: State, wishes: Wishes, t: Callable[..., str], language: str) -> dict[str, Any]:
    """Return the values of the figures' page, kept until what they show changes. Raises SnowmatchError as the survey
    does.
    """
    _need_individual(state, wishes.individual)
    survey, (layout, wrong), screening = (
        survey_of(state, DAYS, wishes.flanks),
        layout_of(state, state.identities()),
        screening_of(state),
    )
    kept: OrderedDict[tuple[Wishes, str], tuple[Any, dict[str, Any]]] = state.kept.setdefault("figures", OrderedDict())
    mark = (id(survey), layout, wrong, screening)
    found = kept.get((wishes, language))
    if found is None or found[0] != mark or found[1]["survey"] is not survey:
        values = _figures(survey, wishes, t) | {"survey": survey, "screening": screening}
        drawn = map_of_rates(values["own"], layout, wishes)
        values["map"] = (drawn, _without(values["own"], layout), wrong)
        values["tables"][SCREENING] = shown_table(_screening_table(screening), SCREENING, t)
        found = kept[wishes, language] = (mark, values)
        while len(kept) > VIEWS:
            kept.popitem(last=False)
    return dict(found[1])


def _figures(survey: Survey, wishes: Wishes, t: Callable[..., str]) -> dict[str, Any]:
    whole = select(survey, _date(wishes.start), _date(wishes.end), wishes.location)
    own = only(whole, wishes.individual)
    times = clock_times_of(own)
    density = hour_density(times, [HOURS * k / (CURVE - 1) for k in range(CURVE)])
    gaps = [g for g in effort_gaps(own) if g.kind == BETWEEN]
    met = _met(whole, wishes)
    tables = {name: _table(whole, own, wishes, name) for name in TABLES if name != "co-use.csv"}
    tables["co-use.csv"] = meetings_table(met)
    names = {s.name: s.name if len(whole.sessions) > 1 else "" for s in whole.sessions}
    return {
        **numbers_of(whole, own),
        "whole": whole,
        "own": own,
        "wishes": wishes,
        "gap_days": sum(g.days for g in gaps),
        "pairs": make_pairs([replace(m, first=_short(m.first), second=_short(m.second)) for m in met]),
        "hours": make_bars(
            [float(n) for n in hour_counts(times)],
            [str(h) for h in range(HOURS)],
            3,
            None if density is None else [float(d) * len(times) for d in density],
        ),
        "months": make_bars([m.rate for m in month_activity(own)], t("dash.month_names").split()),
        "timed": len(times_of(own)),
        "clocked": len(times),
        "effort": make_effort(own),
        "steps": make_steps(
            {names[s.name]: [n for _, _, n in accumulation(whole.captures, s)] for s in whole.sessions}
        ),
        "tables": {name: shown_table(table, name, t) for name, table in tables.items()},
    }


def _table(whole: Survey, own: Survey, wishes: Wishes, name: str) -> Table:
    if name == "co-use.csv":
        return meetings_table(_met(whole, wishes))
    return survey_table(whole if name in OF_ALL else own, name)


def _met(whole: Survey, wishes: Wishes) -> list[CoUse]:
    """Return the pairs of animals that met; of a chosen animal, those that it met."""
    return [m for m in co_use(whole.captures, wishes.days) if wishes.individual in ("", m.first, m.second)]


def _short(name: str) -> str:
    """Return what a drawing calls an animal, in every language: its name, or what stands for it."""
    return name.removeprefix(UNNAMED)


def numbers_of(whole: Survey, own: Survey) -> dict[str, Any]:
    """Return what stands above the figures."""
    return {
        "camera_days": float(sum(whole.effort[s.name].sum() for s in whole.seasons)),
        "stations": len(whole.places),
        "sightings": len(own.seen) + len(own.seen_unnamed),
        "unidentified": len(own.seen_unnamed),
        "nameless": len(whole.seen_unnamed),  # of all animals, also if one is chosen
        "individuals": len({c.individual for c in own.captures}),
        "captures": len({c.cell for c in own.captures}),
        "first": f"{min(s.first for s in whole.sessions):%Y-%m-%d}",
        "last": f"{max(s.day(s.days - 1).start for s in whole.sessions):%Y-%m-%d}",
        "left_out": len(own.left_out),
        "notes": whole.notes,
    }


def map_of_rates(survey: Survey, layout: Layout, wishes: Wishes) -> StationMap | None:
    """Return the stations with hot spots, and the way of the chosen animal or the steps of all; None without positions.

    layout: where the stations stand.
    """
    site_of = {p.label: (p.location, p.station) for p in survey.places}
    rates = {site_of[r.place]: r for r in station_rates(survey)}
    here = Layout({site: where for site, where in layout.places.items() if site in rates}, ())
    counts = {site: r.sightings for site, r in rates.items()}
    spots = hot_spots(here.places, counts, {site: r.days / PER for site, r in rates.items()})
    if spots is not None and not any(counts.values()):
        spots = None
    steps: Counter[tuple[Site, Site]] = Counter()
    visits: Sequence[tuple[str, Site]] = ()
    if wishes.individual:
        visits = [(c.start.isoformat(), site_of[c.place]) for c in survey.captures]
    else:
        steps.update((site_of[m.origin], site_of[m.target]) for m in movements(survey.captures, {}))
    return make_map(here, counts, visits, spots, steps)


def _without(survey: Survey, layout: Layout) -> int:
    """Return the number of stations with sightings that have no position."""
    seen = {c.place for c in survey.captures} | {u.place for u in survey.unnamed}
    return sum(p.label in seen and (p.location, p.station) not in layout.places for p in survey.places)


def screening_of(state: State) -> ScreeningProgress | None:
    """Return how far the screening is, kept until the catalog's database changes."""
    data = state.identities().data
    try:
        status = database_path(state.folder).stat()
    except OSError:
        return None
    mark = (data, status.st_mtime_ns, status.st_size)
    kept: tuple[object, ScreeningProgress | None] | None = state.kept.get("screening")
    if kept is None or kept[0] != mark:
        kept = state.kept["screening"] = (mark, screening_progress(data))
    return kept[1]


def _screening_table(found: ScreeningProgress | None) -> Table:
    if found is None:
        return ("answer", "photos"), []
    rows: list[Sequence[object]] = list(found.answers.items())
    return ("answer", "photos"), [*rows, ("not screened", found.photos - found.answered)]
