"""Pictures of photos and animals, by the identifier of an annotation and a size, never by a path."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.views.previews import KINDS, SIZES, preview
from snowmatch.web.page import problem, state_of, whole_number

KEPT = "private, max-age=3600"  # by this person's browser alone


def picture(request: Request) -> Response:
    """A JPEG of an annotation's photo, or of the animal in it."""
    state = state_of(request)
    kind, size = request.path_params["kind"], whole_number(request.path_params["size"], 0, 0, 10**6)
    annotation = state.annotation(request.path_params["key"])
    if annotation is None or kind not in KINDS or size not in SIZES:
        return problem(request, "there is no such picture", 404)
    try:
        content = preview(state.folder, annotation, kind, size)
    except SnowmatchError as error:
        return problem(request, str(error), 404)
    return Response(content, media_type="image/jpeg", headers={"cache-control": KEPT})


ROUTES = [Route("/picture/{kind}/{size}/{key}", picture)]
