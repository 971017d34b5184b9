"""GeoJSON: stations as points and movements as lines, for QGIS and other maps. Source: RFC 7946."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from snowmatch.interchange.exporters._places import movement_lines, station_points
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class GeoJson:
    """Stations and movements as GeoJSON, in degrees (WGS 84)."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return stations.geojson and movements.geojson."""
        stations = [_feature("Point", list(s.where), asdict(s)) for s in station_points(given)]
        lines = [_feature("LineString", [list(end) for end in m.ends], asdict(m)) for m in movement_lines(given)]
        return {"stations.geojson": _collection(stations), "movements.geojson": _collection(lines)}


def _feature(kind: str, coordinates: list[Any], about: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in about.items() if key not in ("where", "ends")}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": told}


def _collection(features: list[dict[str, Any]]) -> bytes:
    text = json.dumps({"type": "FeatureCollection", "features": features}, indent=1, ensure_ascii=False)
    return (text + "\n").encode()


PLUGIN = GeoJson
