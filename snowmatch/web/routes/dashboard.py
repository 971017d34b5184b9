"""The dashboard: live figures of the survey, the tables behind them, and a report to print. No page tells coordinates,
but for a report that an administrator asks for with positions.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.survey.coordinates import Coordinates, read_coordinates, shown_positions
from snowmatch.survey.layout import Layout
from snowmatch.survey.practice import practice_table, practice_text
from snowmatch.survey.run import Survey
from snowmatch.survey.tables import survey_table, to_csv
from snowmatch.web.dashboard import (
    FLANKS,
    PRACTICE,
    SCREENING,
    TABLES,
    figures_of,
    map_of_rates,
    read_wishes,
    shown_table,
    table_of,
)
from snowmatch.web.page import language_of, problem, render, state_of, translator_of
from snowmatch.web.people import ADMINISTRATOR, need
from snowmatch.web.places import exactness_of, photos_at

PRINTED = 400  # rows of a table in the report


def dashboard(request: Request) -> Response:
    """The page with its filters. The figures are fetched after it."""
    wishes = read_wishes(request.query_params)
    named = state_of(request).identities().named
    return render(
        request,
        "dashboard.html",
        wishes=wishes,
        query=wishes.query,
        locations=sorted({a.location for a in named} - {""}),
        names=sorted({a.individual for a in named if a.individual is not None}),
        flanks=FLANKS,
    )


def figures(request: Request) -> Response:
    """The figures, as a part of the page that a script can fetch again."""
    state, wishes, t = state_of(request), read_wishes(request.query_params), translator_of(request)
    values = figures_of(state, wishes, t, language_of(request))
    at = photos_at(state.identities())
    return render(request, "dashboard_figures.html", query=wishes.query, photos_at=at, **values)


def table(request: Request) -> Response:
    """One of the tables behind the figures, with all its rows."""
    name = request.path_params["name"]
    if name not in (*TABLES, SCREENING):
        return problem(request, translator_of(request)("problem.missing"), 404)
    content = to_csv(table_of(state_of(request), read_wishes(request.query_params), name))
    head = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type="text/csv; charset=utf-8", headers=head)


def report(request: Request) -> Response:
    """The survey on paper, with what reviewers ask for. Positions are in it only if an administrator asks."""
    state, t = state_of(request), translator_of(request)
    wishes = read_wishes(request.query_params)
    how = read_coordinates(request.query_params.get("coordinates", ""))
    if how is not None:
        need(ADMINISTRATOR)
    values = figures_of(state, wishes, t, language_of(request))
    whole, own = values["whole"], values["own"]
    identities = state.identities()
    tables: dict[str, Any] = {name: shown_table(table_of(state, wishes, name), name, t, PRINTED) for name in TABLES}
    tables[PRACTICE] = shown_table(practice_table(own, identities), PRACTICE, t)
    values |= {"tables": tables, "map": None}
    if how is not None:
        values["map"] = (map_of_rates(own, _layout(own, how), wishes), 0, "")
        traits = {name for p in own.places for name in p.traits}
        tables["stations"] = shown_table(
            survey_table(own, "stations.csv", coordinates=how), "stations", t, PRINTED, traits
        )
    return render(
        request,
        "report.html",
        query=wishes.query,
        photos_at=photos_at(identities),
        coordinates="" if how is None else how.text,
        exactness=exactness_of(how, t),
        paragraph=printable(practice_text(whole, identities)),
        settings=whole.settings,
        crs=whole.crs,
        today=time.strftime("%Y-%m-%d"),
        **values,
    )


def _layout(survey: Survey, how: Coordinates) -> Layout:
    """Return where the stations stand to each other, as exactly as positions may be told."""
    shown = shown_positions(survey, how)
    west, south = (min((point[k] for point in shown.values()), default=0.0) for k in (0, 1))
    sites = {p.label: (p.location, p.station) for p in survey.places}
    return Layout({sites[label]: (x - west, y - south) for label, (x, y) in shown.items()}, ())


ROUTES = [
    Route("/dashboard", dashboard),
    Route("/dashboard/figures", figures),
    Route("/dashboard/table/{name}", table),
    Route("/report", report),
]
