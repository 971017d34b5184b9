"""Wildlife Insights: a downloaded folder with images_*.csv and deployments.csv.

Source: the download of https://www.wildlifeinsights.org as MegaDetector's and camtraptor's readers describe it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from snowmatch.catalog.cells import CellError, read_body_part
from snowmatch.catalog.species import NO_ANIMAL, PEOPLE
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.core.imported import Imported, ImportedRow, Named
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.interchange.importers._tables import headings_of, need, read_rows
from snowmatch.interchange.importers._values import with_persons

NEEDED = ("project_id", "deployment_id", "image_id", "timestamp")
NO_RESULT = {"no cv result", "cv needed", "cv failed"}  # instead of a species
# Columns that are used, or say nothing of the animal
USED = {"filename", "location", "is_blank", "timestamp", "individual_id", "sex", "common_name", "genus", "image_id",
        "license", "highlighted", "class", "order", "family"}  # fmt: skip


@dataclass(frozen=True)
class WildlifeInsights:
    """A download of Wildlife Insights: its folder, or one images.csv with deployments.csv beside it."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "Wildlife Insights (CSV download)"

    def looks_like(self, source: Path) -> float:
        """Return 0.9 for a table with the columns of Wildlife Insights' images, or a folder with one."""
        return 0.9 * any({*NEEDED, "identified_by"} <= set(headings_of(path)) for path in _images(source))

    def read(self, source: Path) -> Imported:
        """Return one row for each animal in an image. Raises SnowmatchError without tables of images."""
        images = _images(source)
        folder = source if source.is_dir() else source.parent
        if not images:
            more = ", only of sequences, which name no photos" if any(folder.glob("sequences*.csv")) else ""
            raise SnowmatchError(f"{source} has no images*.csv{more}: download the images of the project")
        notes: list[Note] = []
        problems: list[str] = []
        deployments = _deployments(folder, notes, problems)
        rows: list[ImportedRow] = []
        photos: list[Named] = []
        persons: set[Named] = set()  # photos of them
        left_out: Counter[str] = Counter()
        unknown: set[str] = set()
        repeated: Counter[str] = Counter()
        for path in images:
            table = read_rows(path, notes, problems)
            need(table, NEEDED, "Wildlife Insights")
            for line, cells in table:
                where = f"{path.name} line {line}"
                deployment = deployments.get(cells["deployment_id"], {})
                photo, hints = _photo(cells), (cells["deployment_id"], _station_name(cells, deployment))
                photos += [(photo, hints)] if photo else []
                if what := _without_animal(cells):
                    left_out[what] += 1
                    persons |= {(photo, hints)} if cells.get("common_name", "").casefold() in PEOPLE else set()
                    continue
                if not photo or not cells["image_id"]:
                    problems.append(f"{where}: no filename or no image_id; expected both")
                    continue
                unknown |= {cells["deployment_id"]} if deployments and not deployment else set()
                repeated[cells["image_id"]] += 1
                number = repeated[cells["image_id"]]
                key = cells["image_id"] if number == 1 else f"{cells['image_id']}#{number}"
                rows.append(_row(photo, hints, key, cells, deployment, where))
        notes += with_persons(row.photo for row in rows if (row.photo, row.hints) in persons)
        if unknown:
            text = f"{counted(len(unknown), 'deployment')} not in deployments.csv: {some(sorted(unknown))}"
            notes.append(Note("unknown-deployments", text))
        if fuzzed := [name for name, cells in deployments.items() if cells.get("fuzzed", "").lower() in ("true", "1")]:
            text = f"positions of {counted(len(fuzzed), 'deployment')} are fuzzed, as in all public downloads of "
            text += "threatened species: distances, areas and densities from them would be wrong; write the exact ones "
            text += f"into {STATIONS_NAME}, or download as a member of the project ({some(sorted(fuzzed))})"
            notes.append(Note("positions-rounded", text, {"count": len(fuzzed)}))
        failed = [name for name, cells in deployments.items() if not _worked(cells.get("camera_functioning", ""))]
        if failed:
            text = f"cameras of {counted(len(failed), 'deployment')} failed, or were stolen (camera_functioning), and "
            text += f"count as working from the first day to the last: {some(sorted(failed))}; write when they did not "
            text += f"into problem_from and problem_to of {STATIONS_NAME}"
            notes.append(Note("cameras-failed", text, {"count": len(failed)}))
        if not deployments:
            notes.append(Note("no-deployments", f"no deployments.csv in {folder}: the stations have no position"))
        return Imported(
            tuple(rows), (folder,), tuple(_station(cells) for cells in deployments.values()), tuple(notes),
            tuple(problems), dict(left_out), photos=tuple(photos),
        )  # fmt: skip


def _photo(cells: Mapping[str, str]) -> str:
    place = cells.get("location", "")  # an address, or a path where snowmatch has written the table
    name = cells.get("filename") or PurePosixPath(place.split("?")[0]).name
    return name if "://" in place else place or name


def _station_name(cells: Mapping[str, str], deployment: Mapping[str, str]) -> str:
    return deployment.get("placename") or cells["deployment_id"]


def _row(
    photo: str, hints: tuple[str, ...], key: str, cells: Mapping[str, str], deployment: Mapping[str, str], where: str
) -> ImportedRow:
    name = cells.get("common_name", "")
    name = "" if name.lower() in NO_RESULT else name
    scientific = " ".join(filter(None, (cells.get("genus"), cells.get("species"))))
    kept = {
        **{heading: value for heading, value in cells.items() if heading and heading not in USED},
        "individual": cells.get("individual_id", ""),
        "body_part": _part(cells.get("individual_animal_notes", "")),
        "station": _station_name(cells, deployment),
        "camera": deployment.get("camera_id", ""),
        "timestamp": cells["timestamp"],
        "sex": "" if cells.get("sex", "").lower() == "unknown" else cells.get("sex", ""),
        "species": name.lower() or scientific,
        "scientific_name": scientific,
    }
    kept = {column: value for column, value in kept.items() if value}
    return ImportedRow(photo, key, kept, where=where, hints=hints)


def _part(notes: str) -> str:
    """Return the body part that is all that the notes say; "" for other notes."""
    try:
        return read_body_part(notes) if notes else ""
    except CellError:
        return ""


def _without_animal(cells: Mapping[str, str]) -> str:
    if cells.get("is_blank", "").lower() in ("1", "true", "yes") or cells.get("common_name", "").lower() == "blank":
        return "blank images"
    return "images of people" if cells.get("common_name", "").casefold() in NO_ANIMAL else ""


def _worked(text: str) -> bool:
    return text.strip().lower() in ("", "camera functioning")


def _deployments(folder: Path, notes: list[Note], problems: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("deployments*.csv")):
        table = read_rows(path, notes, problems)
        need(table, ("deployment_id",), "Wildlife Insights' deployments")
        for line, cells in table:
            if not cells["deployment_id"]:
                problems.append(f"{path.name} line {line}: no deployment_id; expected the deployment's identifier")
            elif found.setdefault(cells["deployment_id"], cells) is not cells:
                problems.append(f"{path.name} line {line}: the deployment {cells['deployment_id']!r} occurs twice")
    return found


def _station(cells: Mapping[str, str]) -> dict[str, str]:
    return {
        "station": cells.get("placename") or cells["deployment_id"],
        "camera": cells.get("camera_id", ""),
        "session": cells.get("event_name", "") or cells.get("event", ""),
        "x": cells.get("longitude", ""),
        "y": cells.get("latitude", ""),
        "crs": "4326",
        "from": cells.get("start_date", ""),
        "to": cells.get("end_date", ""),
        "deployment": cells["deployment_id"],
        "camera_functioning": cells.get("camera_functioning", ""),
    }


def _images(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    try:
        return sorted(source.glob("images*.csv"))
    except OSError:
        return []


PLUGIN = WildlifeInsights
