"""The first page: what the catalog has, what waits, and who decides. It shows at once, also for a large catalog."""

from __future__ import annotations

import csv
import io

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from snowmatch.core.text import plain_cell
from snowmatch.review.left_out import species_notes
from snowmatch.review.observer_name import observer_name
from snowmatch.web.page import read_form, render, state_of
from snowmatch.web.people import OBSERVER, may
from snowmatch.web.waiting import waiting_now

COLUMNS = (
    *("path", "annotation", "individual", "body_part", "species", "location", "station", "timestamp", "encounter"),
)


def home(request: Request) -> Response:
    """The first page. What needs the catalog is fetched after it. A reader has the pairs alone."""
    if not may(OBSERVER):
        return RedirectResponse("/review", 303)
    return render(request, "home.html")


def facts(request: Request) -> Response:
    """The part of the first page that needs the catalog."""
    identities = state_of(request).identities()
    who = identities.who
    nameless = {each.handle for each in who.individuals if each.name is None}
    return render(
        request,
        "home_facts.html",
        photos=len({a.path for a in identities.annotations}),
        annotations=len(identities.annotations),
        individuals=len({a.individual for a in identities.named} - nameless - {None}),
        unnamed=sum(who.individuals[n].name is None for n in who.of),
        sightings=len(who.sightings),
        decisions=len(identities.rows),
    )


def waits(request: Request) -> Response:
    """What waits for the person, as a part of the first page; with status 202 until all of it is known."""
    state = state_of(request)
    found, known = waiting_now(state)
    identities = state.identities()
    notes = (*identities.data.notes, *identities.stored.notes, *species_notes(identities), *found.notes)
    return render(request, "home_waits.html", status=200 if known else 202, found=found, notes=notes)


def names(request: Request) -> Response:
    """A table of all annotations with their individuals by all decisions. It has no coordinates."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for a in state_of(request).identities().named:
        values = [a.path, a.annotation, a.individual or "", a.body_part, a.species, a.location, a.station, a.time_text]
        writer.writerow([plain_cell(value) for value in (*values, a.encounter)])
    content = text.getvalue().encode("utf-8-sig", "backslashreplace")
    head = {"content-disposition": 'attachment; filename="names-of-photos.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=head)


def icon(request: Request) -> Response:
    """The icon, where browsers look for it beside pictures and tables, which cannot name one."""
    return RedirectResponse("/static/icon.svg", 301)


async def set_observer(request: Request) -> Response:
    """Remember who decides."""
    form = await read_form(request)
    state = state_of(request)
    state.observer = observer_name(state.folder, form.get("observer", ""))
    return RedirectResponse("/", 303)


ROUTES = [
    Route("/", home),
    Route("/favicon.ico", icon),
    Route("/home/facts", facts),
    Route("/home/waits", waits),
    Route("/home/names.csv", names),
    Route("/observer", set_observer, methods=["POST"]),
]
