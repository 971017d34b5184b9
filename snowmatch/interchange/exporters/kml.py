"""KML: stations as points and movements as lines, for Google Earth and GPS programs. Source: OGC KML 2.3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar
from xml.sax.saxutils import escape

from snowmatch.core.text import counted, printable
from snowmatch.interchange.exporters._places import Point, movement_lines, station_points
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class Kml:
    """Stations and movements as KML, in degrees (WGS 84)."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return survey.kml with the folders Stations and Movements."""
        stations, moves = [], []
        for s in station_points(given):
            told = f"{s.camera_days:g} camera-days, {counted(s.captures, 'capture')}"
            told += f": {', '.join(s.individuals)}" if s.individuals else ""
            stations.append(_placemark(s.label, told, f"<Point>{_coordinates([s.where])}</Point>"))
        for m in movement_lines(given):
            span = f"<TimeSpan><begin>{m.left}</begin><end>{m.arrived}</end></TimeSpan>"
            line = f"{span}<LineString><tessellate>1</tessellate>{_coordinates(m.ends)}</LineString>"
            moves.append(_placemark(m.individual, f"{m.origin} to {m.target}", line))
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>snowmatch</name>',
            "<Folder><name>Stations</name>",
            *stations,
            "</Folder>",
            "<Folder><name>Movements</name>",
            *moves,
            "</Folder>",
            "</Document></kml>",
        ]
        return {"survey.kml": ("\n".join(lines) + "\n").encode()}


def _placemark(name: str, told: str, shape: str) -> str:
    words = f"<name>{escape(printable(name))}</name><description>{escape(printable(told))}</description>"
    return f"<Placemark>{words}{shape}</Placemark>"


def _coordinates(points: Iterable[Point]) -> str:
    return "<coordinates>" + " ".join(f"{x},{y},0" for x, y in points) + "</coordinates>"


PLUGIN = Kml
