"""Sightings and individuals by station and month, the map of stations, and files to take along. No page tells
coordinates.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.survey.captures import FLANKS
from snowmatch.web.page import render, state_of
from snowmatch.web.places import map_of, photos_at
from snowmatch.web.routes.downloads import FILES

MONTHS = 36  # columns of the table, the last ones


def survey(request: Request) -> Response:
    """The page."""
    state = state_of(request)
    identities = state.identities()
    who = identities.who
    cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    animals: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    by_month: dict[str, set[int]] = defaultdict(set)
    untimed = 0
    for number, sighting in enumerate(who.sightings):
        place, month = (sighting.location, sighting.station), sighting.time[:7]
        animals[place][month].add(who.of[number])
        if not month:
            untimed += 1
            continue
        cells[place][month] += 1
        by_month[month].add(who.of[number])
    months = sorted(by_month)[-MONTHS:]
    most = max((row[month] for row in cells.values() for month in months), default=1)
    return render(
        request,
        "survey.html",
        months=months,
        map=map_of(state, identities),
        photos_at=photos_at(identities),
        flanks=FLANKS,
        files=FILES,
        earlier=max(len(by_month) - MONTHS, 0),
        rows=[_row(place, cells[place], months, animals[place], most) for place in sorted(animals)],
        totals=[sum(row[month] for row in cells.values()) for month in months],
        animals=[len(by_month[month]) for month in months],
        untimed=untimed,
        sightings=len(who.sightings),
        individuals=len(who.individuals),
        named=sum(each.name is not None for each in who.individuals),
        stations=sum(bool(station) for _, station in animals),
    )


def _row(
    place: tuple[str, str], counts: dict[str, int], months: list[str], animals: dict[str, set[int]], most: int
) -> dict[str, Any]:
    """Return a row of the table. Its sums are over the months that are shown, as those of the columns are."""
    shades = [(counts[m], "" if not counts[m] else _shade(counts[m] / most)) for m in months]
    return {
        "location": printable(place[0]),
        "station": printable(place[1]),
        "cells": shades,
        "total": sum(counts[m] for m in months),
        "animals": len(set().union(*(animals[m] for m in months))),
    }


def _shade(share: float) -> str:
    return "many" if share > 2 / 3 else "some" if share > 1 / 3 else "few"


ROUTES = [Route("/survey", survey)]
