"""Darwin Core: occurrence.csv, multimedia.csv and meta.xml, for GBIF.

Source: inbo/camtrapdp, R/write_dwc.R; best practices for camera-trap data, doi 10.35035/doc-0qzp-2x37.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

from snowmatch.interchange.exporters.camtrap_dp import CamtrapDp, key_of
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture
from snowmatch.survey.tables import event_id, to_csv

OCCURRENCE = (
    *("type", "license", "rightsHolder", "datasetID", "collectionCode", "datasetName", "basisOfRecord"),
    *("dataGeneralizations", "occurrenceID", "individualCount", "sex", "lifeStage", "behavior", "occurrenceStatus"),
    *("occurrenceRemarks", "organismID", "eventID", "parentEventID", "eventDate", "habitat", "samplingProtocol"),
    *("samplingEffort", "eventRemarks", "locationID", "locality", "decimalLatitude", "decimalLongitude"),
    *("geodeticDatum", "coordinateUncertaintyInMeters", "coordinatePrecision", "identifiedBy", "dateIdentified"),
    *("identificationVerificationStatus", "identificationRemarks", "taxonID", "scientificName", "kingdom"),
)
MULTIMEDIA = (
    *("occurrenceID", "identifier", "dc:type", "comments", "dcterms:rights", "CreateDate", "captureDevice"),
    *("resourceCreationTechnique", "accessURI", "dc:format", "serviceExpectation"),
)
DWC, DC, DCTERMS = "http://rs.tdwg.org/dwc/terms/", "http://purl.org/dc/elements/1.1/", "http://purl.org/dc/terms/"
AC, XMP = "http://rs.tdwg.org/ac/terms/", "http://ns.adobe.com/xap/1.0/"
TERMS = {
    **{name: DWC + name for name in OCCURRENCE},
    "type": DCTERMS + "type",
    "license": DCTERMS + "license",
    "rightsHolder": DCTERMS + "rightsHolder",
    "identifier": DCTERMS + "identifier",
    "dc:type": DC + "type",
    "comments": AC + "comments",
    "dcterms:rights": DCTERMS + "rights",
    "CreateDate": XMP + "CreateDate",
    "dc:format": DC + "format",
    **{name: AC + name for name in ("captureDevice", "resourceCreationTechnique", "accessURI", "serviceExpectation")},
}
KINGDOM = "Animalia"  # the lowest taxon with a scientific name, of a sighting whose species has only a common one


@dataclass(frozen=True)
class DarwinCore:
    """A Darwin Core archive of the captures: an occurrence each, with their photos.

    individuals: whether names of individuals, and paths of photos, which often have them, are written. Others read on
    GBIF where a known animal was. Without them, identifiers are made of stations and times alone. timezone, title,
    contributor, species: as of camtrap_dp. license: such as CC0-1.0.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    timezone: str = ""
    title: str = "Camera-trap survey"
    contributor: str = ""
    species: str = "Panthera uncia"
    license: str = ""
    individuals: bool = False

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return the two tables and meta.xml. Raises SnowmatchError without a time zone."""
        given.only_captures()
        if not self.individuals:
            why = "others would read where a known animal was; -o individuals=true writes them"
            given.leave_out(
                len({c.individual for c in given.survey.captures}), "name of an animal", why, "names of animals"
            )
        package = CamtrapDp(self.timezone, self.title, self.contributor or "unknown", self.species)
        deployments, media, observations = package.tables(given)
        # unlike Camtrap DP, Darwin Core has days without a time of day
        dated = {event_id(c) for c in given.survey.seen if c.dated}
        days = {key_of("media", a.path) for a in given.survey.data.annotations if a.dated}
        where = {row["deploymentID"]: row for row in deployments}
        precision = "" if (rounded := given.precision) is None else f"{rounded:.5f}"
        occurrences: list[dict[str, Any]] = []
        multimedia: list[dict[str, Any]] = []
        shown: dict[str, list[str]] = {}
        for o in observations:
            if o["observationLevel"] == "media":
                shown.setdefault(o["eventID"], []).append(o["mediaID"])
        events = [o for o in observations if o["observationLevel"] == "event"]
        keys = {o["eventID"]: o["observationID"] for o in events} if self.individuals else _hidden(given.survey.seen)
        for o in sorted(events, key=lambda o: (o["deploymentID"], o["eventStart"], keys[o["eventID"]])):
            key = keys[o["eventID"]]
            row = self._occurrence(o, where[o["deploymentID"]], precision, key)
            if o["eventID"] in dated:
                row["eventDate"] = "/".join(sorted({o["eventStart"][:10], o["eventEnd"][:10]}))
            occurrences.append(row)
            for n, photo in enumerate(dict.fromkeys(shown.get(o["eventID"], ()))):
                medium = self._medium(key, media[photo])
                medium |= {} if self.individuals else {"identifier": key_of("media", f"{key} {n}")}
                multimedia.append(medium | ({"CreateDate": medium["CreateDate"][:10]} if photo in days else {}))
        rows: list[Sequence[object]] = [[row.get(name) for name in OCCURRENCE] for row in occurrences]
        photos: list[Sequence[object]] = [[row.get(name) for name in MULTIMEDIA] for row in multimedia]
        return {
            "occurrence.csv": to_csv((OCCURRENCE, rows)),
            "multimedia.csv": to_csv((MULTIMEDIA, photos)),
            "meta.xml": _meta(),
        }

    def _occurrence(
        self, o: Mapping[str, Any], deployment: Mapping[str, Any], precision: str, key: str
    ) -> dict[str, Any]:
        once = o["eventStart"] == o["eventEnd"]
        return {
            "type": "Image",
            "license": self.license,
            "rightsHolder": self.contributor,
            "collectionCode": "snowmatch",
            "datasetName": self.title,
            "basisOfRecord": "MachineObservation",
            "dataGeneralizations": f"coordinates rounded to {precision} degree" if precision else "",
            "occurrenceID": key,
            "individualCount": o["count"],
            "sex": o["sex"],
            "lifeStage": o["lifeStage"],
            "occurrenceStatus": "present",
            "organismID": o["individualID"] if self.individuals else "",
            "eventID": key,  # the event's own name has that of the animal
            "parentEventID": o["deploymentID"],
            "eventDate": o["eventStart"] if once else f"{o['eventStart']}/{o['eventEnd']}",
            "samplingProtocol": "camera trap",
            "samplingEffort": f"{deployment['deploymentStart']}/{deployment['deploymentEnd']}",
            "locationID": deployment["locationID"],
            "locality": deployment["locationName"],
            "decimalLatitude": deployment["latitude"],
            "decimalLongitude": deployment["longitude"],
            "geodeticDatum": "EPSG:4326",
            "coordinateUncertaintyInMeters": deployment["coordinateUncertainty"],
            "coordinatePrecision": precision,
            "identificationRemarks": "classified",
            "scientificName": o["scientificName"] or KINGDOM,
            "kingdom": KINGDOM,
        }

    def _medium(self, occurrence: str, media: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "occurrenceID": occurrence,
            "identifier": media["mediaID"],
            "dc:type": "MovingImage" if media["fileMediatype"].startswith("video") else "StillImage",
            "dcterms:rights": self.license,
            "CreateDate": media["timestamp"],
            "resourceCreationTechnique": "activity detection",
            "accessURI": media["filePath"] if self.individuals else "",
            "dc:format": media["fileMediatype"],
            "serviceExpectation": "authenticate",
        }


def _hidden(captures: Iterable[Capture]) -> dict[str, str]:
    """Return an identifier for each capture, by its event, that is made of its station, its time and a number alone.

    Whoever knows the names of animals could try which of them is in one that is made of the name, or of a path.
    """
    found: dict[str, str] = {}
    number: Counter[str] = Counter()
    for c in sorted(captures, key=lambda c: c.rows):
        what = f"{c.place} {c.start.isoformat()}"
        number[what] += 1
        found[event_id(c)] = key_of("occurrence", f"{what} {number[what]}")
    return found


def _meta() -> bytes:
    """Return the description of both tables. Source: Darwin Core text guide."""
    about = 'encoding="UTF-8" fieldsTerminatedBy="," linesTerminatedBy="\\n" fieldsEnclosedBy="&quot;"'

    def table(kind: str, row: str, file: str, key: str, columns: Sequence[str]) -> list[str]:
        fields = [
            f'    <field index="{n}" term={quoteattr(TERMS[name] if name != "occurrenceID" else DWC + name)}/>'
            for n, name in enumerate(columns)
        ]
        return [
            f'  <{kind} {about} ignoreHeaderLines="1" rowType="{row}">',
            f"    <files><location>{file}</location></files>",
            f'    <{key} index="{columns.index("occurrenceID")}"/>',
            *fields,
            f"  </{kind}>",
        ]

    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<archive xmlns="http://rs.tdwg.org/dwc/text/">',
        *table("core", DWC + "Occurrence", "occurrence.csv", "id", OCCURRENCE),
        *table("extension", AC + "Multimedia", "multimedia.csv", "coreid", MULTIMEDIA),
        "</archive>",
    ]
    return ("\n".join(lines) + "\n").encode()


PLUGIN = DarwinCore
