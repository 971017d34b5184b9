"""The first page: what the catalog has, what waits, and who decides. It shows at once, also for a large catalog."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from snowmatch.review.observer_name import observer_name
from snowmatch.web.page import render, state_of


def home(request: Request) -> Response:
    """The first page. What needs the catalog is fetched after it."""
    return render(request, "home.html")


def facts(request: Request) -> Response:
    """The part of the first page that needs the catalog."""
    identities = state_of(request).identities()
    named = {a.individual for a in identities.named if a.individual is not None}
    return render(
        request,
        "home_facts.html",
        photos=len({a.path for a in identities.annotations}),
        annotations=len(identities.annotations),
        individuals=len(named),
        unnamed=sum(a.individual is None for a in identities.named),
        unindexed=sum(not a.annotation for a in identities.annotations),
        sightings=len(identities.who.sightings),
        quarrels=sum(bool(each.quarrels) for each in identities.who.individuals),
        decisions=len(identities.rows),
        notes=identities.data.notes,
    )


async def set_observer(request: Request) -> Response:
    """Remember who decides."""
    form = await request.form(max_files=0, max_fields=5)
    state = state_of(request)
    state.observer = observer_name(state.folder, str(form.get("observer", "")))
    return RedirectResponse("/", 303)


ROUTES = [
    Route("/", home),
    Route("/home/facts", facts),
    Route("/observer", set_observer, methods=["POST"]),
]
