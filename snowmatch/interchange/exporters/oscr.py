"""oSCR: an encounter data file, a trap data file for each session, and an R script. Source: oSCR, R/data2oscr.R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.core.text import some
from snowmatch.interchange.exporters._names import (
    mapping_csv,
    number_text,
    numbers,
    plain_csv,
    safe_names,
    session_names,
    sexes,
)
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class Oscr:
    """Tables for the R package oSCR: sessions and individuals as numbers, one sex an individual (U: unknown)."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return edf.csv, tdf-1.csv and so on, names.csv and read.R."""
        survey = given.survey
        given.only_captures(once=True)
        traits = sorted({name for p in survey.places for name in p.traits})
        given.leave_out(len(traits), "covariate", f"the tables of traps have none: {some(traits)}")
        sessions = {name: n + 1 for n, name in enumerate(session_names(survey))}
        animals = numbers(c.individual for c in survey.captures)
        traps = safe_names(p.label for p in survey.places)
        sex = sexes(survey.captures, "U")
        seen = {c.cell: c for c in survey.captures}
        cells = sorted(
            (sessions[c.session], animals[c.individual], c.occasion, traps[c.place], sex.get(c.individual, "U"))
            for c in seen.values()
        )
        files = {"edf.csv": plain_csv(("session", "ID", "occasion", "trap", "sex"), cells)}
        by_name = {s.name: s for s in survey.sessions}
        occasions, counts = [], []
        for name, n in sessions.items():
            effort, detectors = survey.occasion_effort(by_name[name]), given.detectors(name)
            rows = []
            for j, place in detectors:
                x, y = given.positions[place.label]
                rows.append((traps[place.label], number_text(x), number_text(y), *(int(v > 0) for v in effort[j]), "/"))
            head = ("Trap_ID", "X", "Y", *(str(k + 1) for k in range(by_name[name].occasions)), "sep")
            files[f"tdf-{n}.csv"] = plain_csv(head, rows)
            occasions.append(str(by_name[name].occasions))
            counts.append(str(len(detectors)))
        files["names.csv"] = mapping_csv(session=sessions, individual=animals, station=traps)
        files["read.R"] = _script(len(sessions), occasions, counts, bool(sex))
        return files


def _script(sessions: int, occasions: list[str], counts: list[str], sex: bool) -> bytes:
    tables = ", ".join(f'read.csv("tdf-{n + 1}.csv", check.names = FALSE)' for n in range(sessions))
    by_sex = ' sex.col = 5, sex.nacode = "U",' if sex else ""
    return f"""# Reads the tables. Run it in this folder
library(oSCR)
edf <- read.csv("edf.csv")
tdf <- list({tables})
data <- data2oscr(edf, tdf, sess.col = 1, id.col = 2, occ.col = 3, trap.col = 4,{by_sex}
  K = c({", ".join(occasions)}), ntraps = c({", ".join(counts)}), tdf.sep = "/")
print(data$scrFrame)
""".encode()


PLUGIN = Oscr
