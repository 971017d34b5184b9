"""How well a catalog's own photos are identified: every labelled query asked, and what comes of it in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snowmatch.confidence.levels import Levels
from snowmatch.confidence.measures import Measured
from snowmatch.confidence.quality import Quality
from snowmatch.confidence.score_table import ScoreTable


@dataclass(frozen=True)
class Evaluation:
    """One catalog evaluated: what was asked and how, the score table, what it comes to, and what to know about it.

    quality: of the probabilities, each individual's encounters judged by a calibration of the others, for the `groups`
    of queries that have enough pairs (the shipped one judges the rest).
    """

    catalog_path: str
    protocol: str
    extractor: dict[str, Any]
    matcher: dict[str, Any]
    table: ScoreTable
    measured: Measured
    notes: tuple[str, ...]
    groups: tuple[str, ...]
    levels: Levels
    quality: Quality
