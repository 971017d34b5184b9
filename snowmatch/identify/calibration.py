"""What `calibrate` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.quality import Quality


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` learned, from how much, and how well it holds for individuals held out of the learning."""

    catalog_path: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    encounters: int
    pairs: int
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality
    notes: tuple[str, ...]
