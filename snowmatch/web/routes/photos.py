"""The catalog explorer: every annotation with its state, box and mask; filters and pages."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.views.previews import key_of
from snowmatch.web.page import render, state_of, whole_number

PAGE = 60


def photos(request: Request) -> Response:
    """The annotations of the catalog, a page of them."""
    found = state_of(request).identities().named
    pages = max(1, -(-len(found) // PAGE))
    number = whole_number(request.query_params.get("page"), 1, 1, pages)
    shown = [(key_of(a), a) for a in found[(number - 1) * PAGE : number * PAGE]]
    return render(request, "photos.html", shown=shown, total=len(found), number=number, pages=pages)


ROUTES = [Route("/photos", photos)]
