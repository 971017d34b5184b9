"""SPACECAP: captures, traps and a state space, all with numbers. Source: SPACECAP 1.1.0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporters._names import mapping_csv, number_text, numbers, plain_csv, safe_names
from snowmatch.interchange.exporting import Export

MOST_POINTS = 200_000


@dataclass(frozen=True)
class Spacecap:
    """Tables for the R package SPACECAP, a set for each session, with its own numbers of animals and stations.

    buffer: of the state space around the stations (m). spacing: of its points (m). All of it counts as habitat.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    buffer: float = 15000.0
    spacing: float = 1000.0

    def __post_init__(self) -> None:
        if not (self.buffer >= 0 and self.spacing > 0):
            raise ValueError("expected a buffer of 0 m or more and a spacing above 0 m")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.csv, traps.csv and statespace.csv, each with -SESSION for several sessions, and names.csv."""
        survey = given.survey
        given.need_captures()
        held = {c.session for c in survey.captures}
        given.only_captures(once=True)
        given.leave_out(len(survey.sessions) - len(held), "session", "SPACECAP reads no session without captures")
        endings = safe_names(s.name for s in survey.sessions) if len(survey.sessions) > 1 else {}
        files: dict[str, bytes] = {}
        names: dict[str, Mapping[str, object]] = {"session": endings}
        for s in survey.sessions:
            ending, of = (f"-{endings[s.name]}", f" of session {s.name}") if endings else ("", "")
            if s.name not in held:
                continue
            detectors, effort = given.detectors(s.name), survey.occasion_effort(s)
            cells = sorted({c.cell for c in survey.captures if c.session == s.name})
            # SPACECAP takes a number for the row of the table of traps, and the largest for the number of animals
            animals, traps = numbers(name for *_, name in cells), numbers(p.label for _, p in detectors)
            names |= {f"individual{of}": animals, f"station{of}": traps}
            seen = sorted((traps[place], animals[name], k) for _, k, place, name in cells)
            lines = [(traps[p.label], *map(number_text, given.positions[p.label])) for _, p in detectors]
            used = [tuple(int(v > 0) for v in effort[j]) for j, _ in detectors]
            head = ("LOC_ID", "X_COORD", "Y_COORD", *(str(k + 1) for k in range(s.occasions)))
            files[f"captures{ending}.csv"] = plain_csv(("LOC_ID", "ANIMAL_ID", "SO"), seen)
            rows = [(*line, *u) for line, u in zip(lines, used, strict=True)]
            files[f"traps{ending}.csv"] = plain_csv(head, rows)
            points = self._points([given.positions[p.label] for _, p in detectors])
            files[f"statespace{ending}.csv"] = plain_csv(("X_COORD", "Y_COORD", "HABITAT"), points)
        return {**files, "names.csv": mapping_csv(**names)}

    def _points(self, stations: list[tuple[float, float]]) -> list[tuple[object, ...]]:
        """Return the points of a grid that are at most `buffer` from a station."""
        west, south = (min(p[n] for p in stations) - self.buffer for n in (0, 1))
        east, north = (max(p[n] for p in stations) + self.buffer for n in (0, 1))
        columns, rows = (int((b - a) // self.spacing) + 1 for a, b in ((west, east), (south, north)))
        if columns * rows > MOST_POINTS:
            raise SnowmatchError(
                f"the state space has {columns * rows} points, expected at most {MOST_POINTS}: use a larger spacing, "
                "such as -o spacing=2000"
            )
        grid = [(west + c * self.spacing, south + r * self.spacing) for r in range(rows) for c in range(columns)]
        near = [p for p in grid if any(math.dist(p, q) <= self.buffer for q in stations)]
        return [(number_text(x), number_text(y), 1) for x, y in near]


PLUGIN = Spacecap
