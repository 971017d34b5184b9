"""CAPTURE: capture histories with the usual tasks. Source: Rexstad & Burnham, 1991, user's guide of CAPTURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._histories import names_csv, session_histories
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class CaptureInput:
    """Capture histories for program CAPTURE, one file a session."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return capture.txt, or capture-SESSION.txt for several sessions, and names.csv."""
        found = {}
        for ending, occasions, rows in session_histories(given):
            width = max((len(safe) for _, safe, _, _ in rows), default=1)
            lines = [
                f"title='snowmatch{ending}'",
                f"task read captures x matrix occasions={occasions}",
                f"format='(a{width},{occasions}f1.0)'",
                "read input data",
                *(f"{safe:<{width}}{history}" for _, safe, _, history in rows),
                "task closure test",
                "task model selection",
                "task population estimate ALL",
            ]
            found[f"capture{ending}.txt"] = ("\n".join(lines) + "\n").encode("ascii")
        return {**found, "names.csv": names_csv(given)}


PLUGIN = CaptureInput
