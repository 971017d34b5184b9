"""Camtrap DP 1.0: a folder with datapackage.json, deployments, media and observations.

Source: https://camtrap-dp.tdwg.org, version 1.0.2.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import ClassVar

from snowmatch.catalog.cells import are_shares
from snowmatch.catalog.species import PEOPLE, SNOW_LEOPARD, species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, number_in, some
from snowmatch.interchange.importers._json import json_object, read_json
from snowmatch.interchange.importers._tables import Table, need, read_rows
from snowmatch.interchange.importers._values import Box, side, with_persons

TABLES = ("deployments", "media", "observations")
UNCIA = "Panthera uncia"
NOT_WORKING = "notWorking:"
MISSING = ("", "NA", "NaN", "nan")  # how the format writes a missing value
KEPT = ("life_stage", "behavior", "count", "classification_method", "classified_by", "classification_probability",
        "observation_tags", "observation_comments")  # fmt: skip
# Time, place in the table and cells of media, by deployment and by whether the times have a zone
Timed = dict[tuple[str, bool], list[tuple[datetime, int, dict[str, str]]]]
ROUNDED = 0.001  # degrees, about 100 m: positions that are not finer were rounded to hide the places
UNCERTAIN = 500.0  # m: no receiver is so bad
_VERSION = re.compile(r"/(\d+)\.(\d+)[^/]*/")


@dataclass(frozen=True)
class CamtrapDP:
    """A Camtrap DP package: its folder, or its datapackage.json. An observation of an event holds for its photos."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "Camtrap DP 1.0"

    def looks_like(self, source: Path) -> float:
        """Return 1 for a package, 0.8 for a folder with the three tables alone."""
        folder, about = _package(source)
        if about and {name for name, _ in _resources(about)} >= set(TABLES):
            return 1.0
        return 0.8 * all((folder / f"{name}.csv").is_file() for name in TABLES)

    def read(self, source: Path) -> Imported:
        """Return one row for each animal in a photo. Raises SnowmatchError before version 1.0, or if a table is
        missing.
        """
        folder, about = _package(source)
        descriptor = folder / "datapackage.json"
        if not about and descriptor.is_file():
            read_json(descriptor)  # says what is wrong with it
        _check_version(descriptor, about)
        paths = {name: folder / path for name, path in _resources(about)}
        notes: list[Note] = []
        problems: list[str] = []
        tables = {}
        for name, required in zip(
            TABLES,
            (
                ("deployment_id", "latitude", "longitude", "deployment_start", "deployment_end"),
                ("media_id", "deployment_id", "timestamp", "file_path"),
                ("observation_id", "deployment_id", "observation_level", "observation_type"),
            ),
            strict=True,
        ):
            path = paths.get(name, folder / f"{name}.csv")
            if not os.path.isfile(path):  # unlike Path.is_file, it also works for names that are too long
                raise SnowmatchError(f"{path} does not exist, expected the table {name} of Camtrap DP: copy it there")
            tables[name] = read_rows(path, notes, problems)
            need(tables[name], required, "Camtrap DP 1.0")
        notes += _rounded(about, tables["deployments"])
        doubtful = [
            cells["deployment_id"]
            for _, cells in tables["deployments"]
            if cells.get("timestamp_issues", "").lower() in ("true", "1")
        ]
        if doubtful:
            text = f"times of {counted(len(doubtful), 'deployment')} are wrong, as the package says (timestampIssues): "
            text += f"{some(doubtful)}; correct the column timestamp, or leave these photos out of a survey"
            notes.append(Note("times-doubtful", text, {"count": len(doubtful)}))
        return _Package(tables, problems, notes).imported(folder)


class _Package:
    """The three tables, joined."""

    def __init__(self, tables: Mapping[str, Table], problems: list[str], notes: list[Note]) -> None:
        self.problems, self.notes = problems, notes
        self.deployments = self._by_id(tables["deployments"], "deployment_id")
        self.media = self._by_id(tables["media"], "media_id")
        self.observations = self._by_id(tables["observations"], "observation_id")
        self.left_out: Counter[str] = Counter()
        self.unread: dict[str, list[str]] = defaultdict(list)  # places of times that cannot be read, by table
        self.passed: list[str] = []  # such places in events that are not needed
        self.places: dict[tuple[str, str], set[str]] = defaultdict(set)  # identifiers by location and name
        for cells in self.deployments.values():
            self.places[_location(cells), cells.get("location_name", "")].add(cells.get("location_id", ""))

    def _by_id(self, table: Table, key: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for line, cells in table:
            where = f"{table.path.name} line {line}"
            cells = {name: "" if value in MISSING else value for name, value in cells.items()} | {"where": where}
            if not cells[key]:
                self.problems.append(f"{where}: no {key}; expected the row's identifier")
            elif cells[key] in found:
                self.problems.append(
                    f"{where}: {cells[key]!r} is already the identifier of {found[cells[key]]['where']}"
                )
            else:
                found[cells[key]] = cells
        return found

    def imported(self, folder: Path) -> Imported:
        names = self._event_names()
        rows: list[ImportedRow] = []
        shown: set[str] = set()  # media with an observation of their own
        shown_events: set[tuple[str, str]] = set()
        persons: set[str] = set()  # media with a person
        events, of_persons = [], []
        for cells in self.observations.values():
            if cells["observation_level"] == "media":
                shown.add(cells.get("media_id", ""))
                shown_events.add(_event(cells))
            if (kind := _type(cells)) != "animal":
                if cells["observation_level"] == "media":
                    self.left_out[f"observations of type {kind or 'unknown'}"] += 1
                    persons |= {cells.get("media_id", "")} if kind == "human" else set()
                elif kind == "human":
                    of_persons.append(cells)
                continue
            if cells["observation_level"] == "event":
                events.append(cells)
                continue
            media = self.media.get(cells.get("media_id", ""))
            if media is None:
                self.problems.append(f"{cells['where']}: no media {cells.get('media_id')!r} in the table media")
                continue
            animals = names.get((cells["deployment_id"], cells.get("event_id", "")), [])
            name = cells.get("individual_id") or _only_name(animals, cells.get("scientific_name", ""))
            rows += self._row(cells, media, name, cells["observation_id"])
        without = 0
        needed = {
            cells["observation_id"]: not (cells.get("event_id") and _event(cells) in shown_events)
            and (not rows or bool(cells.get("individual_id")) or _may_be(cells.get("scientific_name", ""), UNCIA))
            for cells in events
        }
        timed = self._timed(shown, {cells["deployment_id"] for cells in events if needed[cells["observation_id"]]})
        for cells in events:
            found = self._within(cells, timed, needed=needed[cells["observation_id"]])
            known = found or _event(cells) in shown_events
            without += not known
            for media in found:
                name = cells.get("individual_id", "")
                rows += self._row(cells, media, name, f"{cells['observation_id']}/{media['media_id']}")
        everywhere = self._timed((), ()) if of_persons else {}
        for cells in of_persons:
            if all(_moment(cells.get(f"event_{end}", "")) for end in ("start", "end")):
                persons |= {media["media_id"] for media in self._within(cells, everywhere, needed=False)}
        beside = {_event(cells) for cells in of_persons if cells.get("event_id")}
        self.notes += with_persons(
            row.photo
            for row in rows
            if row.cells["media"] in persons or (row.cells["deployment"], row.cells.get("event")) in beside
        )
        self.problems += [
            f"{first}{f' (and {len(more)} more)' if more else ''} is no time of Camtrap DP; expected one such as "
            "2024-05-06T05:00:00+06:00: Excel rewrites times, so take the file as it was exported"
            for first, *more in self.unread.values()
        ]
        if self.passed:
            text = f"{counted(len(self.passed), 'event')} whose times cannot be read, so that only photos with "
            text += f"observations of their own arrive: {some(self.passed)}"
            self.notes.append(Note("event-times-unread", text, {"count": len(self.passed)}))
        if without:
            self.notes.append(
                Note("events-without-photos", f"{counted(without, 'event')} with an animal but without photos")
            )
        return Imported(
            tuple(rows),
            (folder,),
            tuple(self._station(cells) for cells in self.deployments.values()),
            tuple(self.notes),
            tuple(self.problems),
            dict(self.left_out),
            photos=tuple((photo, self._hints(media)) for media in self.media.values() if (photo := _photo(media))),
        )

    def _timed(self, shown: Collection[str], asked: Collection[str]) -> Timed:
        """Return the media that are not `shown`, sorted by time: those with a zone and those without one apart, since
        they cannot be compared. asked: the deployments with events that are needed.
        """
        found: Timed = defaultdict(list)
        for place, (name, media) in enumerate(self.media.items()):
            if name in shown:
                continue
            taken = _moment(media["timestamp"])
            if taken is None and media["deployment_id"] in asked:
                self._tell_unread("media", media, "timestamp")
            if taken is not None:
                found[media["deployment_id"], taken.tzinfo is not None].append((taken, place, media))
        for listed in found.values():
            listed.sort(key=itemgetter(0, 1))
        return found

    def _within(self, event: Mapping[str, str], timed: Timed, *, needed: bool) -> list[dict[str, str]]:
        """Return the media of an event, in the order of the table. timed: as `_timed` returns them.

        needed: whether a time that cannot be read is a problem.
        """
        start, end = _moment(event.get("event_start", "")), _moment(event.get("event_end", ""))
        unread = [column for column, time in (("event_start", start), ("event_end", end)) if time is None]
        for column in unread if needed else ():
            self._tell_unread("observations", event, column)
        if not needed and any(event.get(column) for column in unread):
            self.passed.append(event["where"])
        if start is None or end is None or (start.tzinfo is None) != (end.tzinfo is None):
            return []
        listed = timed.get((event["deployment_id"], start.tzinfo is not None), [])
        first, last = bisect_left(listed, start, key=itemgetter(0)), bisect_right(listed, end, key=itemgetter(0))
        return [media for _, _, media in sorted(listed[first:last], key=itemgetter(1))]

    def _tell_unread(self, table: str, cells: Mapping[str, str], column: str) -> None:
        """Note a time that cannot be read, as a problem. An empty cell is none."""
        if text := cells.get(column, ""):
            self.unread[table].append(f"{cells['where']}: {column} {text!r}")

    def _event_names(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Return the species and the name of each animal of each event; "" where one is not told."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for cells in self.observations.values():
            if cells["observation_level"] == "event" and _type(cells) == "animal" and cells.get("event_id"):
                animal = cells.get("scientific_name", ""), cells.get("individual_id", "")
                found[cells["deployment_id"], cells["event_id"]].append(animal)
        return found

    def _row(self, cells: Mapping[str, str], media: Mapping[str, str], name: str, key: str) -> list[ImportedRow]:
        if not (media.get("file_mediatype") or "image/").startswith("image/"):
            self.left_out["videos and sounds"] += 1
            return []
        deployment = self.deployments.get(media["deployment_id"])
        if deployment is None:
            self.problems.append(f"{media['where']}: no deployment {media['deployment_id']!r} in the table deployments")
            return []
        photo = _photo(media)
        if not photo:
            self.problems.append(f"{media['where']}: no photo; expected its path in filePath")
            return []
        tags = dict(part.strip().split(":", 1) for part in cells.get("observation_tags", "").split("|") if ":" in part)
        scientific = cells.get("scientific_name", "")
        out = {
            "individual": name,
            "location": _location(deployment),
            "station": self._station_name(deployment),
            "camera": deployment.get("camera_id", ""),
            "timestamp": media["timestamp"],
            "sex": cells.get("sex", ""),
            "species": _species(scientific),
            "body_part": side(tags.get("bodyPart", "")),
            "deployment": media["deployment_id"],
            "media": media["media_id"],
            "event": cells.get("event_id", ""),
            "scientific_name": scientific,
            **{column: cells.get(column, "") for column in KEPT},
        }
        box = self._box(cells)
        where = str(cells["where"])
        kept = {column: value for column, value in out.items() if value}
        return [ImportedRow(photo, key, kept, box, "share", None, where, self._hints(media))]

    def _hints(self, media: Mapping[str, str]) -> tuple[str, ...]:
        """Return names of folders that a photo probably lies in."""
        deployment = self.deployments.get(media["deployment_id"])
        return media["deployment_id"], self._station_name(deployment) if deployment else ""

    def _box(self, cells: Mapping[str, str]) -> Box | None:
        parts = [cells.get(f"bbox_{name}", "") for name in ("x", "y", "width", "height")]
        if not any(parts):
            return None
        try:
            x, y, width, height = map(float, parts)
        except ValueError:
            x = y = width = height = -1.0
        if not (are_shares((x, y, width, height)) and width > 0 and height > 0):  # what lies beyond is cut off
            self.problems.append(
                f"{cells['where']}: the box {', '.join(parts)} is not allowed; expected shares of the photo, 0 to 1"
            )
            return None
        return x, y, width, height

    def _station(self, cells: Mapping[str, str]) -> dict[str, str]:
        groups = _groups(cells)
        return {
            "station": self._station_name(cells),
            "location": _location(cells),
            "camera": cells.get("camera_id", ""),
            "session": groups.get("session", groups.get("season", "")),
            "x": cells["longitude"],
            "y": cells["latitude"],
            "crs": "4326",
            "from": cells["deployment_start"],
            "to": cells["deployment_end"],
            "deployment": cells["deployment_id"],
            "location_id": cells.get("location_id", ""),
            "coordinate_uncertainty": cells.get("coordinate_uncertainty", ""),
            **_problems(cells.get("deployment_tags", "")),
        }

    def _station_name(self, deployment: Mapping[str, str]) -> str:
        """Return the name of a deployment's place; its identifier if several places have that name."""
        name, key = deployment.get("location_name", ""), deployment.get("location_id", "")
        several = len(self.places[_location(deployment), name]) > 1
        return (key if several else name) or name or key or deployment["deployment_id"]


def _photo(media: Mapping[str, str]) -> str:
    """Return the path of a photo; its name, where there is an address."""
    photo = media["file_path"]
    address = re.match(r"[a-z]+://", photo)
    return media.get("file_name") or PurePosixPath(photo.split("?")[0]).name if address else photo


def _event(observation: Mapping[str, str]) -> tuple[str, str]:
    return observation["deployment_id"], observation.get("event_id", "")


def _type(observation: Mapping[str, str]) -> str:
    person = observation.get("scientific_name", "").casefold() in PEOPLE
    return "human" if person else observation["observation_type"]


def _only_name(animals: Iterable[tuple[str, str]], species: str) -> str:
    """Return the name of the animals of an event that may be of a species; "" if they have several, or none."""
    found = {name for kind, name in animals if _may_be(kind, species)}
    return found.pop() if len(found) == 1 else ""


def _may_be(one: str, other: str) -> bool:
    """Return whether two scientific names may be of one animal: a family or a class may be that of any species."""
    return " " not in one or " " not in other or _species(one) == _species(other)


def _species(scientific: str) -> str:
    return SNOW_LEOPARD if species_key(scientific) == SNOW_LEOPARD else scientific


def _groups(deployment: Mapping[str, str]) -> dict[str, str]:
    listed = deployment.get("deployment_groups", "").split("|")
    return {name.strip(): text.strip() for name, mark, text in (p.partition(":") for p in listed) if mark}


def _problems(tags: str) -> dict[str, str]:
    """Return the times when a camera did not work, from tags as snowmatch's export writes them."""
    listed = [tag.strip().removeprefix(NOT_WORKING) for tag in tags.split("|") if tag.strip().startswith(NOT_WORKING)]
    found: dict[str, str] = {}
    for number, (start, mark, end) in enumerate((text.partition("/") for text in listed), start=1):
        name = "problem" if number == 1 else f"problem{number}"
        found |= {f"{name}_from": start, f"{name}_to": end} if mark else {}
    return found


def _location(deployment: Mapping[str, str]) -> str:
    groups = _groups(deployment)
    return groups.get("location", groups.get("area", ""))


def _package(source: Path) -> tuple[Path, dict[str, object]]:
    """Return the folder of a package and what its descriptor says; {} without one."""
    folder = source.parent if source.name == "datapackage.json" else source
    return folder, json_object(folder / "datapackage.json") if folder.is_dir() else {}


def _resources(about: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the names and paths of a package's tables; a path that leads out of the package is none."""
    listed = about.get("resources")
    found = []
    for each in listed if isinstance(listed, list) else []:
        name, path = (each.get("name"), each.get("path")) if isinstance(each, dict) else (None, None)
        if isinstance(name, str) and isinstance(path, str) and ".." not in path and not path.startswith(("/", "~")):
            found.append((name, path))
    return found


def _rounded(about: Mapping[str, object], deployments: Table) -> list[Note]:
    """Return a note on positions that were rounded before the package was made; exact ones give none."""
    precision = about.get("coordinatePrecision")
    coarse = isinstance(precision, int | float) and precision >= ROUNDED
    radii = [number_in(cells.get("coordinate_uncertainty", "")) for _, cells in deployments]
    unsure = sum(float(radius) >= UNCERTAIN for radius in radii if radius)
    if not coarse and not unsure:
        return []
    told = f"rounded to {precision:g} degrees" if coarse else f"unsure by {UNCERTAIN:g} m or more ({unsure})"
    text = f"positions of deployments are {told}: distances, areas and densities from them would be wrong; "
    return [Note("positions-rounded", f"{text}write the exact ones into {STATIONS_NAME}")]


def _check_version(path: Path, about: Mapping[str, object]) -> None:
    """Raise SnowmatchError unless the profile is that of a version that is read."""
    profile = about.get("profile")
    if not about or not isinstance(profile, str) or (match := _VERSION.search(profile)) is None:
        return  # the tables' columns decide
    version = int(match[1]), int(match[2])
    if version == (1, 0):
        return
    mend = "get a newer snowmatch" if version > (1, 0) else "convert it first, for example with camtraptor or camtrapdp"
    kind = "a later" if version > (1, 0) else "an earlier"
    raise SnowmatchError(f"{path} is Camtrap DP {match[1]}.{match[2]}, {kind} version; supported is 1.0: {mend}")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


PLUGIN = CamtrapDP
