"""Camtrap DP 1.0.2: deployments, media and observations with individuals. Source: the profile and table schemas."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import mimetypes
import re
import uuid
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, ClassVar

from snowmatch.catalog.stations import Span
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, some
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.interchange.exporters._names import scientific_names
from snowmatch.interchange.exporters._periods import Period, in_sessions, inside, nearest_period, note_cut
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture
from snowmatch.survey.identification import Identified, identify_captures
from snowmatch.survey.tables import event_id

BASE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"
DEPLOYMENTS = (
    *("deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty"),
    *("deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight"),
    *("cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType"),
    *("habitat", "deploymentGroups", "deploymentTags", "deploymentComments"),
)
MEDIA = (
    *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype"),
    *("exifData", "favorite", "mediaComments"),
)
OBSERVATIONS = (
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel"),
    *("observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID"),
    *("individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth"),
    *("bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp", "classificationProbability"),
    *("observationTags", "observationComments"),
)
MISSING = ("NA", "NaN", "nan")
STAGES = ("adult", "subadult", "juvenile")
DESIGNS = ("simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic")
GPS_ERROR = 30  # m: how far a position of a hand-held receiver may be from the true one


@dataclass(frozen=True)
class CamtrapDp:
    """A Camera Trap Data Package.

    timezone: of the cameras' clocks, such as +06:00 or Asia/Bishkek; it has to be given. title: of the package.
    contributor: who made it. species: the scientific name where the catalog has none, or one common name for all.
    design: samplingDesign.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    timezone: str = ""
    title: str = "Camera-trap survey"
    contributor: str = "unknown"
    species: str = "Panthera uncia"
    design: str = "targeted"

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design {self.design!r}; {choices(self.design, DESIGNS)}")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return datapackage.json and the three tables: the captures, their photos, and the stations with effort.

        Raises SnowmatchError without a time zone: the format has no times without one.
        """
        given.only_captures()
        deployments, media, observations = self.tables(given)
        _note_unread(given, [row["filePath"] for row in media.values()])
        given.as_midnight(len({a.path for a in _captured(given) if a.dated}), "photo")
        spatial = _extent([(r["longitude"], r["latitude"]) for r in deployments])
        package = self._package(given, deployments, observations, spatial)
        return {
            "datapackage.json": (json.dumps(package, indent=2, ensure_ascii=False) + "\n").encode(),
            "deployments.csv": _table(DEPLOYMENTS, deployments),
            "media.csv": _table(MEDIA, media.values()),
            "observations.csv": _table(OBSERVATIONS, observations),
        }

    def tables(self, given: Export) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of deployments, of media (by mediaID) and of observations. Photos without a time are
        left out, with a note. Raises as `files` does.
        """
        zone = _zone(self.timezone)
        survey = given.survey
        degrees = given.degrees
        deployments = _deployments(given, zone, degrees)
        periods = [_period(row) for row in deployments]
        species = scientific_names(given, self.species)
        media: dict[str, dict[str, Any]] = {}
        observations: list[dict[str, Any]] = []
        who = survey.identities
        told = [None] * len(survey.seen) if who is None else identify_captures(survey.seen, who)
        for c, by in zip(survey.seen, told, strict=True):
            about = {"scientificName": species[c], **_classified(by)}
            observations += self._observations(given, c, about, periods, zone, media)
        ages = [c.age_class for c in survey.seen if c.age_class and c.age_class not in STAGES]
        why = f"the format has {', '.join(STAGES)} only: {some(sorted(set(ages)))}"
        given.leave_out(len(ages), "age class of a sighting", why, "age classes of sightings")
        untimed = len({a.path for a in _captured(given) if a.timestamp is None})
        given.leave_out(untimed, "photo", "it has no time; the event has those of its other photos")
        return deployments, media, observations

    def _observations(
        self,
        given: Export,
        c: Capture,
        about: Mapping[str, Any],
        periods: Sequence[Period],
        zone: tzinfo,
        media: dict[str, dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """Return an observation for the event and one for each photo, and add the photos to `media`.

        A photo is of the deployment of its own camera. about: further columns of each.
        """
        data = given.survey.data
        event = event_id(c)
        own = [data.annotations[row] for row in c.rows]
        common: dict[str, Any] = {
            "deploymentID": nearest_period(periods, c.place, c.cameras, c.start),
            "eventID": event,
            "observationType": "animal",
            **about,
            "count": 1,
            "lifeStage": c.age_class if c.age_class in STAGES else "",
            "sex": c.sex,
            "individualID": c.individual,
        }
        times = {"eventStart": _time(c.start, zone), "eventEnd": _time(c.end, zone)}
        found = [{**common, **times, "observationID": key_of("event", event), "observationLevel": "event"}]
        for a in own:
            if a.timestamp is None:  # the event has its times from the other photos
                continue
            key, taken = key_of("media", a.path), _time(a.timestamp, zone)
            cameras = [a.camera] if a.camera else c.cameras
            deployment = nearest_period(periods, c.place, cameras, a.timestamp)
            media[key] = {
                "mediaID": key,
                "deploymentID": deployment,
                "captureMethod": "activityDetection",
                "timestamp": taken,
                "filePath": a.path,
                "filePublic": "false",
                "fileName": a.path.rpartition("/")[2],
                "fileMediatype": mimetypes.guess_type(a.path)[0] or "image/jpeg",
            }
            box: dict[str, Any] = {}
            if a.own_box is not None and (size := given.photo_size(a.path)) is not None:
                box = _box(a.own_box, size)
            quality = given.survey.traits.known["quality"].get(a.row, "")
            tags = f"bodyPart:{a.body_part}" + (f" | quality:{quality}" if quality else "")
            found.append(
                {
                    **common,
                    **box,
                    "observationID": key_of("photo", f"{a.path} {a.row}"),
                    "deploymentID": deployment,
                    "mediaID": key,
                    "eventStart": taken,
                    "eventEnd": taken,
                    "observationLevel": "media",
                    "observationTags": tags,
                }
            )
        return found

    def _package(
        self,
        given: Export,
        deployments: Sequence[Mapping[str, Any]],
        observations: Sequence[Mapping[str, Any]],
        spatial: dict[str, Any],
    ) -> dict[str, Any]:
        survey = given.survey
        tables = ("deployments", "media", "observations")
        resources: list[dict[str, Any]] = [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{BASE}/{name}-table-schema.json",
            }
            for name in tables
        ]
        names = sorted({c.individual for c in survey.captures})
        species = sorted({o["scientificName"] for o in observations} - {""}) if observations else [self.species]
        last = max(str(d["deploymentEnd"]) for d in deployments)
        content = json.dumps([deployments, observations], sort_keys=True)
        return {
            "resources": [
                *resources,
                {"name": "individuals", "data": [{"id": name, "individualName": name} for name in names]},
            ],
            "profile": f"{BASE}/camtrap-dp-profile.json",
            "name": re.sub(r"[^a-z0-9._-]+", "-", self.title.lower()).strip("-") or "survey",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, content)),
            "created": last,  # the end of the survey, so that the same survey is the same bytes
            "title": self.title,
            "contributors": [{"title": self.contributor, "role": "contact"}],
            "project": {
                "title": self.title,
                "samplingDesign": self.design,
                "captureMethod": ["activityDetection"],
                "individualAnimals": True,
                "observationLevel": ["media", "event"],
            },
            "sources": [{"title": "snowmatch", "version": __version__}],
            **({} if given.precision is None else {"coordinatePrecision": given.precision}),
            "spatial": spatial,
            "temporal": {
                "start": min(str(d["deploymentStart"]) for d in deployments)[:10],
                "end": last[:10],
            },
            "taxonomic": [{"scientificName": name} for name in species],
        }


def _classified(by: Identified | None) -> dict[str, Any]:
    """Return how an animal was identified. Of what came with the catalog or an import, nothing says how."""
    if by is None or not by.decided_at:
        return {}
    machine = by.status == "machine"
    return {
        "classificationMethod": "machine" if machine else "human",
        "classifiedBy": "snowmatch" if machine else "; ".join(by.decided_by),
        "classificationTimestamp": datetime.fromisoformat(by.decided_at).isoformat(timespec="seconds"),
        "classificationProbability": by.probability if machine else "",
    }


def _note_unread(given: Export, paths: Sequence[str]) -> None:
    """Note what readers of the format refuse or take for empty, by its table schemas: paths of photos, and names."""
    if bad := sorted(path for path in paths if path.startswith((".", "/", "~")) or ".." in path):
        text = f"{counted(len(bad), 'photo')} whose path the format refuses, as it begins with . or ~, or has two dots"
        given.notes.append(Note("format-refuses-paths", f"{text}: {some(bad)}", {"photos": bad}))
    names = {c.individual for c in given.survey.seen} | {p.station for p in given.survey.places}
    if empty := sorted(names & {*MISSING}):
        text = f"the name {', '.join(empty)} is written, which the format takes for an empty cell: choose another name"
        given.notes.append(Note("format-takes-for-empty", text, {"names": empty}))


def _captured(given: Export) -> list[Annotation]:
    """Return the annotations of all captures."""
    return [given.survey.data.annotations[row] for c in given.survey.seen for row in c.rows]


def _zone(text: str) -> tzinfo:
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text.strip())
    if match and int(match[2]) < 15 and int(match[3]) < 60:
        shift = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-shift if match[1] == "-" else shift)
    try:
        if text.strip():
            return zoneinfo.ZoneInfo(text.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    known = "+06:00 or Asia/Bishkek"
    if not zoneinfo.available_timezones():  # Windows, and small images of Linux
        known = (
            '+06:00 (this computer knows no names of zones without one more package: pip install "snowmatch[survey]")'
        )
    raise SnowmatchError(f"the time zone of the cameras is {text!r}, expected one such as {known}", "ask-timezone")


def _time(moment: datetime, zone: tzinfo) -> str:
    return moment.replace(tzinfo=zone).isoformat(timespec="seconds")


def key_of(kind: str, text: str) -> str:
    """Return an identifier of 16 hex digits that the same thing has in every export."""
    return hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:16]


def _deployments(given: Export, zone: tzinfo, degrees: Mapping[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Return a deployment for each period of each camera in the sessions, in the order of station and time."""
    survey, coordinates = given.survey, given.coordinates
    times: dict[str, list[tuple[Span, str, str, Sequence[Span]]]] = {}
    for p in survey.places:
        own = [(d.working, d.camera, d.session, d.problems) for d in p.deployments if d.working is not None]
        times[p.label] = [*own] or [(span, "", session, ()) for span, session in survey.spans[p.label]]
    note_cut(given, (span for whole in times.values() for span, *_ in whole))
    periods = {
        label: [
            (part, camera, session, inside(problems, part))
            for span, camera, session, problems in whole
            for part in in_sessions(survey, span)
        ]
        for label, whole in times.items()
    }
    if not any(periods.values()):
        raise SnowmatchError("no camera worked in the sessions: choose other sessions")
    if without := [label for label, own in periods.items() if own and label not in degrees]:
        raise SnowmatchError(f"no position of {some(without)}: fill in x and y in stations.csv")
    split = survey.settings["flanks"] == "sessions"
    asked = {s.name.rpartition(" ")[0] if split else s.name: s.span for s in survey.seasons}
    radius = round(max((coordinates.uncertainty if coordinates else 0) + GPS_ERROR, 1))
    found = []
    for p in survey.places:
        ordered = sorted(periods[p.label], key=lambda t: (t[0].start, t[1]))
        for n, (span, camera, session, problems) in enumerate(ordered):
            if session and session not in {name for _, name in survey.spans[p.label]}:  # those asked for replace it
                session = next((name for name, whole in asked.items() if inside([span], whole) == [span]), "")
            groups = ("session", session), ("location", p.location)
            found.append(
                {
                    "deploymentID": f"{p.label}-{n + 1}",
                    "locationID": p.label,
                    "locationName": p.station or p.label,
                    "latitude": degrees[p.label][1],
                    "longitude": degrees[p.label][0],
                    "coordinateUncertainty": radius,
                    "deploymentStart": _time(span.start, zone),
                    "deploymentEnd": _time(span.end, zone),
                    "cameraID": camera,
                    "deploymentGroups": " | ".join(f"{name}:{text}" for name, text in groups if text),
                    "deploymentTags": " | ".join(
                        f"notWorking:{_time(q.start, zone)}/{_time(q.end, zone)}" for q in problems
                    ),
                }
            )
    return found


def _period(row: Mapping[str, Any]) -> Period:
    start, end = (datetime.fromisoformat(row[k]).replace(tzinfo=None) for k in ("deploymentStart", "deploymentEnd"))
    return Period(row["deploymentID"], row["locationID"], row["cameraID"], Span(start, end))


def _box(bbox: tuple[int, int, int, int], size: tuple[int, int]) -> dict[str, float]:
    """Return a box as shares of the photo, inside it."""
    (x, y, w, h), (width, height) = bbox, size
    left, top = min(max(x / width, 0), 1), min(max(y / height, 0), 1)
    right, bottom = min((x + w) / width, 1), min((y + h) / height, 1)
    if right <= left or bottom <= top:
        return {}
    shares = (left, top, right - left, bottom - top)
    return dict(zip(("bboxX", "bboxY", "bboxWidth", "bboxHeight"), (round(v, 6) for v in shares), strict=True))


def _extent(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the rectangle around all positions as GeoJSON."""
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _table(head: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


PLUGIN = CamtrapDp
