"""Files of the survey to take along: tables, and what secr reads. Positions are in them only if a person asks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporting import export_files
from snowmatch.interchange.zipped import zipped
from snowmatch.survey.coordinates import Coordinates, read_coordinates
from snowmatch.survey.folder import MANIFEST, manifest_text, survey_manifest
from snowmatch.survey.output import survey_files
from snowmatch.survey.run import Survey
from snowmatch.web.page import problem, state_of, translator_of, whole_number
from snowmatch.web.people import ADMINISTRATOR, need
from snowmatch.web.surveys import survey_of

TABLES = ("captures.csv", "effort.csv", "individuals.csv")
FILES = (*TABLES, "tables.zip", "secr.zip")


def download(request: Request) -> Response:
    """One of FILES. `days` of an occasion, `flanks` and `coordinates` as the command line has them."""
    name = request.path_params["name"]
    if name not in FILES:
        return problem(request, translator_of(request)("problem.missing"), 404)
    asked = request.query_params
    how = read_coordinates(asked.get("coordinates", ""))
    if how is not None:
        need(ADMINISTRATOR)
    if name == "secr.zip" and how is None:
        raise SnowmatchError(
            "secr cannot do without the positions of the stations, which are not written unless asked for: choose "
            "rounded or exact ones",
            "ask-coordinates",
        )
    survey = survey_of(state_of(request), whole_number(asked.get("days"), 5, 1, 366), asked.get("flanks", "both"))
    content = _content(survey, name, how)
    kind = "text/csv; charset=utf-8" if name in TABLES else "application/zip"
    head = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type=kind, headers=head)


def _content(survey: Survey, name: str, how: Coordinates | None) -> bytes:
    if name == "secr.zip":
        made, manifest = export_files(survey, "secr", coordinates=how)
        return zipped({**made, MANIFEST: manifest_text(manifest, made)})
    files = survey_files(survey, how, None)
    if name in TABLES:
        return files[name]
    manifest = survey_manifest(survey, how, {"command": "survey"})
    return zipped({**files, MANIFEST: manifest_text(manifest, files)})


ROUTES = [Route("/survey/file/{name}", download)]
