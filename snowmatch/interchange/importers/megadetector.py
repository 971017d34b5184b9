"""MegaDetector's batch results (JSON, formats 1.0 to 1.6); AddaxAI and Timelapse use the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snowmatch.core.imported import Imported
from snowmatch.interchange.importers._detections import levels_of, rows_of_results
from snowmatch.interchange.importers._json import json_object
from snowmatch.screening.results_megadetector import is_megadetector


@dataclass(frozen=True)
class MegaDetector:
    """Boxes of MegaDetector.

    threshold: lowest confidence of an animal. species: keep only this species, if the file has species. folders: what
    the photos' folders mean, such as location/station (- skips one); "" guesses. empty: keep photos without an animal,
    with the species `nothing`.
    """

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "MegaDetector's batch results (JSON)"

    threshold: float = 0.2
    species: str = ""
    folders: str = ""
    empty: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected 0 to 1")
        levels_of(self.folders)

    def looks_like(self, source: Path) -> float:
        """Return 1 for a JSON file with the keys of MegaDetector's results."""
        return float(is_megadetector(json_object(source)))

    def read(self, source: Path) -> Imported:
        """Return one row for each animal. Raises SnowmatchError as `read_results` does."""
        return rows_of_results(source, "MegaDetector", self.threshold, self.species, self.folders, self.empty)


PLUGIN = MegaDetector
