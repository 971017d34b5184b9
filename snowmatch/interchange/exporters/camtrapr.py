"""camtrapR: a record table of individuals and a camera table. Source: recordTableIndividual and cameraOperation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import ClassVar

from snowmatch.core.notes import Note
from snowmatch.core.text import some
from snowmatch.interchange.exporters._names import mapping_csv, session_names
from snowmatch.interchange.exporters._periods import camera_times, inside
from snowmatch.interchange.exporting import Export
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
        """Return records.csv, cameras.csv, names.csv and read.R. Without coordinates, cameras.csv has no utm_x and
        utm_y.

        With several sessions, cameras.csv has the times of each by itself. names.csv tells which session a number is.
        """
        given.need_captures()
        given.only_captures()
        survey = given.survey
        if given.positions:
            held, why = {c.session for c in survey.captures}, "camtrapR makes no detection history without captures"
        else:  # only what operated
            held, why = {s.name for s in survey.sessions if survey.effort[s.name].any()}, "no camera worked"
        names = {name: safe for name, safe in session_names(survey).items() if name in held}
        given.leave_out(len(survey.sessions) - len(names), "session", why)
        if given.positions:
            for name in names:
                given.detectors(name)  # raises an error if one has no position: R would stop
        number = {name: n for n, name in enumerate(names, start=1)}
        cameras = _cameras(given, number)
        head, rows = cameras
        shown = {str(row[head.index(column)]) for row in rows for column in ("Station", "Camera")}
        if refused := sorted(name for name in shown if "__" in name):
            text = f"camtrapR stops at names with two underscores in a row: rename {some(refused)}"
            given.notes.append(Note("format-refuses-names", text, {"names": refused}))
        return {
            "records.csv": to_csv(self._records(given, number)),
            "cameras.csv": to_csv(cameras),
            "names.csv": mapping_csv(session=number),
            "read.R": self._script(given, cameras, [*names.values()]),
        }

    def _records(self, given: Export, number: Mapping[str, int]) -> Table:
        survey = given.survey
        species = {a.row: a.species for a in survey.data.annotations}
        last: dict[tuple[str, str, str], datetime] = {}
        rows: list[list[object]] = []
        for c in sorted(survey.captures, key=lambda c: (c.place, c.individual, c.start)):
            seen = (c.session, c.place, c.individual)
            seconds = (c.start - last.get(seen, c.start)).total_seconds()
            last[seen] = c.start
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

    def _script(self, given: Export, cameras: Table, sessions: Sequence[str]) -> bytes:
        settings = given.survey.settings
        length = str(settings["occasion"]).removesuffix("d")
        begin = f"{settings['start_hour']:02}:00:00"
        head, rows = cameras
        key = [head.index(column) for column in ("Station", "session") if column in head]
        several = len({tuple(row[n] for n in key) for row in rows}) < len(rows)
        of_camera = ', cameraCol = "Camera", byCamera = FALSE, allCamsOn = FALSE, camerasIndependent = TRUE'
        history = f"""history <- function(records, cameras) {{
  operation <- operated(cameras)
  do.call(spatialDetectionHistory, c(list(recordTableIndividual = records, species = "{self.species}",
    camOp = operation, CTtable = cameras[match(rownames(operation), cameras$Station), ], output = "binary",
    stationCol = "Station", speciesCol = "Species", Xcol = "utm_x", Ycol = "utm_y", individualCol = "Individual",
    recordDateTimeCol = "DateTimeOriginal", recordDateTimeFormat = "ymd HMS", occasionLength = {length},
    day1 = "survey", includeEffort = TRUE, timeZone = "UTC"), if (!early) begin))
}}
records$Species <- "{self.species}"  # all individuals are counted together, whatever they are called in the table
# camtrapR counts a record of the very first second of an occasion to the occasion before
records$DateTimeOriginal <- sub(" {begin}$", " {begin[:-1]}1", records$DateTimeOriginal)"""
        mend = "export with --coordinates exact" if given.coordinates is None else "fill in x and y in stations.csv"
        return f"""# Reads the tables. Run it in this folder. UTC keeps R from moving the times of the cameras
library(camtrapR)
read <- function(file, ...) read.csv(file, colClasses = c(...), na.strings = character())  # 007 and NA are names
records <- read("records.csv", Station = "character", Individual = "character")
cameras <- read("cameras.csv", Station = "character", Camera = "character")
cameras$Camera[cameras$Camera == ""] <- "camera"  # camtrapR stops at one without a name beside others
begin <- list(occasionStartTime = {settings["start_hour"]})
early <- "occasionStartTime" %in% names(formals(cameraOperation))  # newer versions take it here
operated <- function(cameras) {{
  filled <- sapply(cameras, function(column) any(!is.na(column) & column != ""))
  cameras <- cameras[, filled | !grepl("^Problem", names(cameras))]
  do.call(cameraOperation, c(list(cameras, stationCol = "Station", setupCol = "Setup_date",
    retrievalCol = "Retrieval_date", hasProblems = any(grepl("^Problem", names(cameras))),
    dateFormat = "ymd HMS"{of_camera if several else ""}), if (early) begin))
}}
{history if given.positions else f"# spatialDetectionHistory needs positions: {mend}"}
{_calls(sessions, bool(given.positions))}""".encode()


def _calls(sessions: Sequence[str], positions: bool) -> str:
    """Return the lines of R that make the histories, or without positions what operated, for each session by itself."""
    made, tables = ("ch <- ", "history({0}, {1})") if positions else ("operation <- ", "operated({1})")
    if len(sessions) == 1:
        lines = [made + tables.format("records", "cameras")]
    else:
        names = ", ".join(f'"{name}"' for name in sessions)
        lines = [
            f"sessions <- c({names})",
            "of <- function(table, n) table[table$session == n, ]",
            f"{made}lapply(seq_along(sessions), function(n) {tables.format('of(records, n)', 'of(cameras, n)')})",
        ]
        lines += ["ch <- do.call(secr::MS.capthist, setNames(ch, sessions))"] if positions else []
    return "\n".join([*lines, *(["print(summary(ch))"] if positions else [])]) + "\n"


def _cameras(given: Export, sessions: Mapping[str, int]) -> Table:
    """Return one row for each camera of each station, of several sessions for each session, with all times when it did
    not work as problems.

    Work outside the sessions does not count: its captures are not in the records.
    """
    survey = given.survey
    split = survey.settings["flanks"] == "sessions"
    by_name = {s.name: s for s in survey.sessions}
    rows = []
    for name, number in sessions.items():
        for place in survey.places:
            for camera, times in camera_times(survey, place, name.rpartition(" ")[0] if split else name):
                if not (spans := inside(times, by_name[name].span)):
                    continue
                gaps = [(a.end, b.start) for a, b in pairwise(spans) if b.start > a.end]
                rows.append((number, place.label, camera, spans[0].start, max(s.end for s in spans), gaps))
    most = max((len(row[-1]) for row in rows), default=0)
    positions, several = given.positions, len(sessions) > 1
    head = ["Station", *(["session"] if several else []), "Camera", *(["utm_x", "utm_y"] if positions else [])]
    head += ["Setup_date", "Retrieval_date"]
    head += [f"Problem{n + 1}_{end}" for n in range(most) for end in ("from", "to")]
    table: list[list[object]] = []
    for number, label, camera, start, end, gaps in rows:
        where: list[object] = list(positions.get(label, (None, None))) if positions else []
        broken = [_time(t) for gap in gaps for t in gap]
        about = [label, *([number] if several else []), camera, *where, _time(start), _time(end)]
        table.append([*about, *broken, *[None] * (2 * most - len(broken))])
    return head, list(table)


def _time(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


PLUGIN = CamtrapR
