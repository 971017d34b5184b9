"""Wildlife Insights: images and deployments with its headings. Source: headings of its downloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.exporters._names import genus_and_epithet
from snowmatch.interchange.exporters._periods import Period, camera_times, in_sessions, nearest_period, note_cut
from snowmatch.interchange.exporting import Export
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

    project: the project_id. species: genus and epithet where the catalog has none, or one common name for all.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    project: str = "snowmatch"
    species: str = "Panthera uncia"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return images.csv (the photos of the captures) and deployments.csv (a row for each time in which a camera
        worked without a break, of the sessions).
        """
        survey, degrees = given.survey, given.degrees
        given.only_captures()
        species = genus_and_epithet(given, self.species)
        periods = _periods(given)
        images: list[Any] = []
        days = 0
        untimed: set[str] = set()
        for c in survey.seen:
            for row in c.rows:
                a = survey.data.annotations[row]
                key = a.annotation or f"{a.path}#{a.row}"
                name = a.path.rpartition("/")[2]
                moment = a.timestamp or c.start
                days += a.dated if a.timestamp else c.dated
                untimed |= {a.path} if a.timestamp is None else set()
                deployment = nearest_period(periods, c.place, [a.camera] if a.camera else c.cameras, moment)
                told = (c.age_class, c.sex, c.individual, a.body_part, 1)
                what = (0, "snowmatch", *species[c], _time(moment))
                images.append((self.project, deployment, key, name, a.path, *what, *told))
        given.as_midnight(days, "photo")
        if untimed:
            text = f"{counted(len(untimed), 'photo')} without a time: that of its event is written"
            given.notes.append(Note("format-needs-time", text, {"count": len(untimed), "what": "photo"}))
        places = {period.place for period in periods}
        for label in (p.label for p in survey.places if p.label not in places):
            given.leave_out(1, "station", f"no camera worked at {label} in the sessions")
        deployments: list[Any] = [
            (
                *(self.project, period.key, period.place, *degrees.get(period.place, (None, None))),
                *(_time(period.span.start), _time(period.span.end), period.camera),
            )
            for period in periods
        ]
        return {"images.csv": to_csv((IMAGES, images)), "deployments.csv": to_csv((DEPLOYMENTS, deployments))}


def _periods(given: Export) -> list[Period]:
    """Return each time of the sessions in which a camera worked without a break.

    Their identifiers are the names of the stations if each has one.
    """
    survey = given.survey
    whole = [(p.label, camera, span) for p in survey.places for camera, own in camera_times(survey, p) for span in own]
    note_cut(given, (span for *_, span in whole))
    times = [(label, camera, part) for label, camera, span in whole for part in in_sessions(survey, span)]
    several = len({label for label, _, _ in times}) < len(times)
    number: Counter[str] = Counter()
    found = []
    for label, camera, span in times:
        number[label] += 1
        found.append(Period(f"{label}-{number[label]}" if several else label, label, camera, span))
    return found


def _time(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


PLUGIN = WildlifeInsights
