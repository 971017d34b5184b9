"""camtrapR: a record table of individuals and a camera table. Source: recordTableIndividual and cameraOperation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import ClassVar

from snowmatch.catalog.stations import Span
from snowmatch.interchange.exporters._periods import camera_times
from snowmatch.interchange.exporting import Export
from snowmatch.survey.occasions import Session
from snowmatch.survey.tables import Table, to_csv

RECORDS = (
    *("Station", "Species", "Individual", "DateTimeOriginal", "Date", "Time", "delta.time.secs", "delta.time.mins"),
    *("delta.time.hours", "delta.time.days", "Directory", "FileName", "Camera", "Sex", "Flank", "session"),
)


@dataclass(frozen=True)
class CamtrapR:
    """Tables for the R package camtrapR.

    species: the name in the record table where the catalog has none.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    species: str = "Panthera uncia"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return records.csv, cameras.csv and read.R. Without coordinates, cameras.csv has no utm_x and utm_y."""
        given.only_captures()
        return {
            "records.csv": to_csv(self._records(given)),
            "cameras.csv": to_csv(_cameras(given)),
            "read.R": self._script(given),
        }

    def _records(self, given: Export) -> Table:
        survey = given.survey
        number = {s.name: n + 1 for n, s in enumerate(survey.sessions)}
        species = {a.row: a.species for a in survey.data.annotations}
        last: dict[tuple[str, str], datetime] = {}
        rows: list[list[object]] = []
        for c in sorted(survey.captures, key=lambda c: (c.place, c.individual, c.start)):
            seconds = (c.start - last.get((c.place, c.individual), c.start)).total_seconds()
            last[c.place, c.individual] = c.start
            deltas = [round(seconds / unit, 1) for unit in (1, 60, 3600, 86400)]
            folder, _, file = c.photos[0].rpartition("/")
            kind = next((species[row] for row in c.rows if species[row]), self.species)
            day, clock = c.start.date().isoformat(), c.start.time().isoformat("seconds")
            taken = [c.place, kind, c.individual, f"{day} {clock}", day, clock]
            rows.append(
                [*taken, *deltas, folder, file, " ".join(c.cameras), c.sex or "NA", c.flank or "NA", number[c.session]]
            )
        given.as_midnight(sum(c.dated for c in survey.captures), "capture")
        return RECORDS, list(rows)

    def _script(self, given: Export) -> bytes:
        settings = given.survey.settings
        length = str(settings["occasion"]).removesuffix("d")
        spatial = f"""
records$Species <- "{self.species}"  # all individuals are counted together, whatever they are called in the table
ch <- do.call(spatialDetectionHistory, c(list(recordTableIndividual = records, species = "{self.species}",
  camOp = operation, CTtable = cameras, output = "binary", stationCol = "Station", speciesCol = "Species",
  Xcol = "utm_x", Ycol = "utm_y", individualCol = "Individual", recordDateTimeCol = "DateTimeOriginal",
  recordDateTimeFormat = "ymd HMS", occasionLength = {length}, day1 = "survey", includeEffort = TRUE,
  timeZone = "UTC"), if (!early) begin))
print(summary(ch))
"""
        several = len({row[0] for row in _cameras(given)[1]}) < len(_cameras(given)[1])
        cameras = ', cameraCol = "Camera", byCamera = FALSE, allCamsOn = FALSE, camerasIndependent = TRUE'
        return f"""# Reads the tables. Run it in this folder. UTC keeps R from moving the times of the cameras
library(camtrapR)
records <- read.csv("records.csv", stringsAsFactors = FALSE)
cameras <- read.csv("cameras.csv", stringsAsFactors = FALSE)
begin <- list(occasionStartTime = {settings["start_hour"]})
early <- "occasionStartTime" %in% names(formals(cameraOperation))  # newer versions take it here
operation <- do.call(cameraOperation, c(list(cameras, stationCol = "Station", setupCol = "Setup_date",
  retrievalCol = "Retrieval_date", hasProblems = any(grepl("^Problem", names(cameras))),
  dateFormat = "ymd HMS"{cameras if several else ""}), if (early) begin))
{spatial if given.positions else "# spatialDetectionHistory needs positions: export with --coordinates exact"}
""".encode()


def _cameras(given: Export) -> Table:
    """Return one row for each camera of each station, with all times when it did not work as problems.

    Work outside the sessions does not count.
    """
    rows = []
    for place in given.survey.places:
        for camera, times in camera_times(given.survey, place):
            if not (spans := _inside(times, given.survey.seasons)):
                continue
            gaps = [(a.end, b.start) for a, b in pairwise(spans) if b.start > a.end]
            rows.append((place.label, camera, spans[0].start, max(s.end for s in spans), gaps))
    most = max((len(row[-1]) for row in rows), default=0)
    positions = given.positions
    head = ["Station", "Camera", *(["utm_x", "utm_y"] if positions else []), "Setup_date", "Retrieval_date"]
    head += [f"Problem{n + 1}_{end}" for n in range(most) for end in ("from", "to")]
    table: list[list[object]] = []
    for label, camera, start, end, gaps in rows:
        where: list[object] = list(positions.get(label, (None, None))) if positions else []
        broken = [_time(t) for gap in gaps for t in gap]
        table.append([label, camera, *where, _time(start), _time(end), *broken, *[None] * (2 * most - len(broken))])
    return head, list(table)


def _inside(spans: Iterable[Span], sessions: Iterable[Session]) -> list[Span]:
    """Return the parts of some times that lie in the sessions: outside them, captures are not in the records."""
    sessions = list(sessions)
    cut = (Span(max(a.start, s.span.start), min(a.end, s.span.end)) for a in spans for s in sessions)
    return sorted((span for span in cut if span.start < span.end), key=lambda s: s.start)


def _time(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


PLUGIN = CamtrapR
