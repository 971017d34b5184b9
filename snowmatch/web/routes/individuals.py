"""The gallery of individuals, one individual with all its sightings, and its passport."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import printable
from snowmatch.core.types import BODY_PARTS
from snowmatch.review.history import history_of
from snowmatch.review.identities import Decision, Identities
from snowmatch.review.likely import Evidence
from snowmatch.review.links import links_of
from snowmatch.review.traits import LONGEST, PORTRAIT, QUALITIES, SEXES
from snowmatch.survey.coordinates import Coordinates, read_coordinates, shown_degrees
from snowmatch.survey.layout import site_among
from snowmatch.views.previews import key_of
from snowmatch.views.timeline import SHAPES, flanks_of, make_timeline
from snowmatch.web.animals import (
    Known,
    card_of,
    filtered,
    find_number,
    known_of,
    photos_of,
    sex_of_individual,
)
from snowmatch.web.background import evidence_at_hand, evidence_now
from snowmatch.web.dashboard import DAYS
from snowmatch.web.page import language_of, problem, render, state_of, takes_end, whole_number
from snowmatch.web.pairs import label_of
from snowmatch.web.past import past_of
from snowmatch.web.people import ADMINISTRATOR, need
from snowmatch.web.places import exactness_of, map_of, photos_at
from snowmatch.web.state import State
from snowmatch.web.surveys import survey_of
from snowmatch.web.texts import translator

PAGE = 48
HISTORY = 100  # decisions that the page of an individual shows
PASSPORT = 30  # sightings that fit on the page of a passport
WISHES = ("show", "text", "location", "station", "part", "from", "to", "sex", "flanks")


def individuals(request: Request) -> Response:
    """All individuals that fit the filters, a page of them."""
    state = state_of(request)
    identities = state.identities()
    known = known_of(state, identities)
    wishes = {name: request.query_params.get(name, "") for name in WISHES}
    found = filtered(identities, known, wishes)
    pages = max(1, -(-len(found) // PAGE))
    number = whole_number(request.query_params.get("page"), 1, 1, pages)
    sightings = identities.who.sightings
    return render(
        request,
        "individuals.html",
        cards=[card_of(identities, known, n) for n in found[(number - 1) * PAGE : number * PAGE]],
        total=len(found),
        unread=not sightings,
        number=number,
        pages=pages,
        wishes=wishes,
        query=str(QueryParams({k: v for k, v in wishes.items() if v})),
        # With what is asked for: a page that shows nobody must not look as if it showed all
        locations=sorted({*(s.location for s in sightings), wishes["location"]} - {""}),
        stations=sorted({*(s.station for s in sightings), wishes["station"]} - {""}),
        parts=[part for part in BODY_PARTS if part == wishes["part"] or any(part in s.body_parts for s in sightings)],
        sexes=SEXES,
        known_sex=bool(known.table or known.traits.sex or wishes["sex"]),
    )


def _missing(request: Request) -> Response:
    return problem(request, translator(language_of(request))("ind.gone"), 404)


def individual(request: Request) -> Response:
    """One individual."""
    if not request.path_params["handle"]:
        return RedirectResponse(request.url.replace(path="/individuals"))
    state = state_of(request)
    identities = state.identities()
    number = find_number(identities, request.path_params["handle"])
    if number is None:
        return _missing(request)
    known = known_of(state, identities)
    evidence = evidence_at_hand(state)
    found = identities.who.individuals[number]
    links = links_of(identities.who, found, evidence)
    weak = {n for link in links if link.weak for n in (link.a, link.b)}
    photos = photos_of(identities, number)
    past = history_of(identities, [a.annotation for a in photos])
    values, t = _values(identities, known, number, weak), translator(language_of(request))
    values |= {"links": [_link(identities, link) for link in links], "compared": evidence is not None}
    values |= {
        "past": [past_of(each, t) | {"pair": _pair(identities, each.decision)} for each in past[:HISTORY]],
        "more_past": max(len(past) - HISTORY, 0),
    }
    values |= {"map": map_of(state, identities, found.sightings), "photos_at": photos_at(identities)}
    values |= {"qualities": QUALITIES, "sexes": SEXES, "longest": LONGEST}
    values |= {"others": sorted(printable(each.name) for each in identities.who.individuals if each.name)}
    return render(request, "individual.html", **values)


def links(request: Request) -> Response:
    """The weak links of an individual; with status 202 while the photos are compared."""
    if takes_end(request, "handle", "/links"):
        return individual(request)
    state = state_of(request)
    identities = state.identities()
    number = find_number(identities, request.path_params["handle"])
    if number is None:
        return _missing(request)
    evidence: Evidence | None = None
    try:
        evidence = evidence_now(state)
        if evidence is None:
            return render(request, "wait.html", status=202, word="ind.links_wait")
    except SnowmatchError as error:
        if error.code != "not-indexed":  # what answers say shows without comparisons, too
            raise
    found = links_of(identities.who, identities.who.individuals[number], evidence)
    shown = [_link(identities, link) for link in found]
    return render(request, "links.html", links=shown, compared=evidence is not None, card=None)


def passport(request: Request) -> Response:
    """One page about an individual, to be printed. Positions of stations are on it only if an administrator asks."""
    if takes_end(request, "handle", "/passport"):
        return individual(request)
    state = state_of(request)
    how = read_coordinates(request.query_params.get("coordinates", ""))
    if how is not None:
        need(ADMINISTRATOR)
    identities = state.identities()
    number = find_number(identities, request.path_params["handle"])
    if number is None:
        return _missing(request)
    values = _values(identities, known_of(state, identities), number, set())
    return render(
        request,
        "passport.html",
        most=PASSPORT,
        today=time.strftime("%Y-%m-%d"),
        coordinates="" if how is None else how.text,
        exactness=exactness_of(how, translator(language_of(request))),
        positions=None if how is None else _positions(state, identities, number, how),
        **values,
    )


def _positions(state: State, identities: Identities, number: int, how: Coordinates) -> tuple[list[str], list[str]]:
    """Return a line for each station of an individual with its longitude and latitude, and the stations without."""
    survey = survey_of(state, DAYS, "both")
    shown = shown_degrees(survey, how)
    labels = {(place.location, place.station): place.label for place in survey.places}
    found: dict[str, str] = {}
    without: list[str] = []
    for location, station in _stations(identities, number):
        label = labels.get(site_among(labels, location, station), "")
        if label in shown:
            found[label] = f"{printable(label)}: {shown[label][0]}, {shown[label][1]}"
        else:
            without.append(_place(location, station))
    return [found[label] for label in sorted(found)], without


def _stations(identities: Identities, number: int) -> list[tuple[str, str]]:
    """Return location and station of the sightings of an individual, each once."""
    of = [identities.who.sightings[n] for n in identities.who.individuals[number].sightings]
    return sorted({(s.location, s.station) for s in of if s.station})


def _place(location: str, station: str) -> str:
    return " ".join(filter(None, map(printable, (location, station))))


def _values(identities: Identities, known: Known, number: int, weak: set[int]) -> dict[str, Any]:
    who = identities.who
    found = who.individuals[number]
    photos = photos_of(identities, number)
    order = sorted(found.sightings, key=lambda n: (who.sightings[n].time or "9", n))
    remarks = [p.decision for p in history_of(identities, [a.annotation for a in photos]) if p.valid]
    return {
        "card": card_of(identities, known, number),
        "handle": found.handle,
        "sightings": [_sighting(identities, known, n, n in weak) for n in order],
        "stations": [_place(*site) for site in _stations(identities, number)],
        "timeline": make_timeline(who.sightings, order, datetime.now(), weak),
        "keys": {n: who.sightings[n].key for n in order},
        "labels": {n: label_of(identities, n) for n in order},
        "shapes": SHAPES,
        "remarks": [(row, printable(row.answer)) for row in remarks if row.kind == "note" and PORTRAIT not in row.tags],
        "sex": sex_of_individual(identities, known, number),
    }


def _sighting(identities: Identities, known: Known, number: int, weak: bool) -> dict[str, Any]:
    s = identities.who.sightings[number]
    photos = [identities.corrected(row) for row in s.rows]
    traits = known.traits
    return {
        "key": s.key,
        "label": label_of(identities, number),
        "encounter": printable(s.encounter),
        "flanks": flanks_of(s),
        "weak": weak,
        "photos": [
            {
                "key": key_of(a),
                "part": a.body_part,
                "quality": printable(traits.quality.get(a.annotation, "")),
                "portrait": a.annotation in traits.portraits,
                "path": printable(a.path),
            }
            for a in photos
        ],
    }


def _pair(identities: Identities, row: Decision) -> list[tuple[str, str]]:
    """Return the keys and labels of the two sightings of an answer; [] for other decisions, and if one is gone or both
    are one sighting now.
    """
    if row.kind != "pair":
        return []
    who = identities.who
    numbers = [who.number_of[side[0]] for side in (row.side_a, row.side_b) if side and side[0] in who.number_of]
    return [(who.sightings[n].key, label_of(identities, n)) for n in numbers] if len(set(numbers)) == 2 else []


def _link(identities: Identities, link: Any) -> dict[str, Any]:
    who = identities.who
    return {
        "a": who.sightings[link.a].key,
        "b": who.sightings[link.b].key,
        "words": (label_of(identities, link.a), label_of(identities, link.b)),
        "how": link.how,
        "answers": link.answers,
        "probability": link.probability,
        "weak": link.weak,
    }


ROUTES = [
    Route("/individuals", individuals),
    Route("/individuals/{handle:path}/links", links),  # an identifier may have a slash
    Route("/individuals/{handle:path}/passport", passport),
    Route("/individuals/{handle:path}", individual),
]
