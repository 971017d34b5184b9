"""RMark: a table with the column `ch`, and an R script that reads it. Source: RMark, import.chdata, process.data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._histories import names_csv, session_histories
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class Rmark:
    """Capture histories for the R package RMark, one file a session."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.csv (ch, freq, id, sex), or captures-SESSION.csv for several sessions, names.csv and
        read.R.
        """
        found = {}
        for ending, _, rows in session_histories(given):
            lines = ["ch,freq,id,sex", *(f"{history},1,{safe},{sex}" for _, safe, sex, history in rows)]
            found[f"captures{ending}.csv"] = ("\n".join(lines) + "\n").encode("ascii")
        reads = "".join(
            f'data <- read.csv("{name}", colClasses = c(ch = "character"))\n'
            'print(mark(process.data(data, model = "Closed"), model.parameters = m0, output = FALSE))\n'
            for name in found
        )
        found["read.R"] = (
            "# Fits model M0. Run it in this folder; it needs program MARK\nlibrary(RMark)\n"
            f"m0 <- list(p = list(formula = ~1, share = TRUE))  # one p for first captures and recaptures\n{reads}"
        ).encode()
        return {**found, "names.csv": names_csv(given)}


PLUGIN = Rmark
