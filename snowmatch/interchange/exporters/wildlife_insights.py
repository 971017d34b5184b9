"""Wildlife Insights: images and deployments with its headings. Source: headings of its downloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from snowmatch.interchange.exporting import Export
from snowmatch.survey.places import Place
from snowmatch.survey.tables import to_csv

IMAGES = (
    *("project_id", "deployment_id", "image_id", "filename", "location", "is_blank", "identified_by", "genus"),
    *("species", "timestamp", "age", "sex", "individual_id", "individual_animal_notes", "number_of_objects"),
)
DEPLOYMENTS = (
    "project_id",
    "deployment_id",
    "placename",
    "longitude",
    "latitude",
    "start_date",
    "end_date",
    "camera_id",
)


@dataclass(frozen=True)
class WildlifeInsights:
    """Tables with the headings of Wildlife Insights, which camtrapR and camtraptor read.

    project: the project_id. species: genus and epithet.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    project: str = "snowmatch"
    species: str = "Panthera uncia"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return images.csv (the photos of the captures) and deployments.csv (a row for each station)."""
        survey, degrees = given.survey, given.degrees
        given.only_captures()
        genus, _, epithet = self.species.partition(" ")
        images: list[Any] = []
        for c in survey.seen:
            for row in c.rows:
                a = survey.data.annotations[row]
                key = a.annotation or f"{a.path}#{a.row}"
                name = a.path.rpartition("/")[2]
                time = _time(a.timestamp or c.start)
                told = (c.age_class, c.sex, c.individual, a.body_part, 1)
                images.append((self.project, c.place, key, name, a.path, 0, "snowmatch", genus, epithet, time, *told))
        deployments: list[Any] = []
        for p in survey.places:
            spans = [span for span, _ in survey.spans[p.label]]
            if not spans:
                given.leave_out(1, "station", f"no camera worked at {p.label}")
                continue
            where = degrees.get(p.label, (None, None))
            start, end = min(s.start for s in spans), max(s.end for s in spans)
            deployments.append((self.project, p.label, p.label, *where, _time(start), _time(end), _cameras(p)))
        return {"images.csv": to_csv((IMAGES, images)), "deployments.csv": to_csv((DEPLOYMENTS, deployments))}


def _cameras(place: Place) -> str:
    return " ".join(sorted({d.camera for d in place.deployments if d.camera}))


def _time(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


PLUGIN = WildlifeInsights
