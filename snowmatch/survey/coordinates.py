"""Which coordinates leave a catalog: none unless asked for, exact or rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snowmatch.catalog.positions import placed_paths
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.survey.projection import to_degrees
from snowmatch.survey.run import Survey


@dataclass(frozen=True)
class Coordinates:
    """How exact positions are: they are multiples of `step` metres; 0: exact."""

    step: float = 0.0

    @property
    def text(self) -> str:
        """The option that asks for these coordinates."""
        return f"rounded:{self.step / 1000:g}" if self.step else "exact"

    @property
    def uncertainty(self) -> float:
        """Half the diagonal of a cell (m): how far a position can be from the true one."""
        return self.step / math.sqrt(2)


def read_coordinates(text: str) -> Coordinates | None:
    """Return the coordinates of `exact` or `rounded:KM`; None for "". Raises SnowmatchError for any other text."""
    if not text:
        return None
    if text == "exact":
        return Coordinates()
    word, _, number = text.partition(":")
    try:
        kilometres = float(number)
    except ValueError:
        kilometres = math.nan
    if word != "rounded" or not 0 < kilometres <= 1000:
        raise SnowmatchError(f"coordinates {text!r}, expected exact or rounded:KM, such as rounded:5")
    return Coordinates(kilometres * 1000)


def shown_positions(survey: Survey, coordinates: Coordinates | None) -> dict[str, tuple[float, float]]:
    """Return the positions (m) of stations that may leave the catalog, by label; none if none were asked for."""
    if coordinates is None:
        return {}
    step = coordinates.step
    exact = survey.positions.items()
    if not step:
        return {label: (round(x, 2), round(y, 2)) for label, (x, y) in exact}
    return {label: (round(x / step) * step, round(y / step) * step) for label, (x, y) in exact}


def position_notes(survey: Survey, coordinates: Coordinates | None) -> list[Note]:
    """Return a note if positions were asked for and no station of the survey has one; otherwise none."""
    if coordinates is None or survey.positions:
        return []
    return [Note("no-positions", "positions were asked for, but no station has one: fill in x and y in stations.csv")]


def placed_name_notes(survey: Survey, coordinates: Coordinates | None) -> list[Note]:
    """Return notes if names of sightings, or paths of photos in notes, tell positions that may not leave the catalog as
    they are; otherwise none.

    Tables name a sighting by its encounter, and that of a photo without a time is named by the photo's path. The
    manifest has the notes.
    """
    if coordinates is not None and not coordinates.step:
        return []
    notes = []
    names = [e.encounter for e in survey.left_out] + [c.encounters[0] for c in survey.captures]
    if placed := placed_paths(dict.fromkeys(names)):
        told = some(sorted(set(placed.values())))
        text = f"{counted(len(placed), 'sighting')} whose name tells a position ({told}): captures.csv, left-out.csv "
        text += "and the manifest have such names; rename the folders, photos or encounters before you share them"
        notes.append(Note("names-with-positions", text, {"count": len(placed)}))
    paths = placed_paths(dict.fromkeys(a.path for a in survey.data.annotations))
    if said := {bare for path, bare in paths.items() if any(path in note.text for note in survey.notes)}:
        text = f"notes name photos whose path tells a position ({some(sorted(said))}), and the manifest has the notes: "
        text += "rename the folders and photos before you share it"
        notes.append(Note("paths-with-positions", text))
    return notes


def shown_degrees(survey: Survey, coordinates: Coordinates | None) -> dict[str, tuple[float, float]]:
    """Return the same positions as longitude and latitude (WGS 84)."""
    positions = shown_positions(survey, coordinates)
    points = to_degrees([(x, y, survey.crs) for x, y in positions.values()], list(positions))
    return {label: (round(lon, 6), round(lat, 6)) for label, (lon, lat) in zip(positions, points, strict=True)}
