"""oSCR: an encounter data file, a trap data file for each session, and an R script. Source: oSCR, R/data2oscr.R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._names import (
    covariate_names,
    covariate_words,
    mapping_csv,
    number_text,
    numbers,
    plain_csv,
    safe_names,
    session_names,
    sexes,
    station_covariates,
)
from snowmatch.interchange.exporting import Export

EFFORT = "camera_days"  # a covariate that every trap has: oSCR cannot read a separator with nothing after it


@dataclass(frozen=True)
class Oscr:
    """Tables for the R package oSCR: sessions and individuals as numbers, one sex an individual (U: unknown).

    Covariates of traps are those that all stations have, and the camera-days of the session.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return edf.csv, tdf-1.csv and so on, names.csv and read.R."""
        survey = given.survey
        given.need_captures()
        given.only_captures(once=True)
        # data2oscr takes NAME.2 for the covariate NAME on the second occasion
        covariates = safe_names(station_covariates(given), 60, sign="_", taken=[EFFORT])
        words = {c: covariate_words(p.traits[c] for p in survey.places) for c in covariates}
        held = {c.session for c in survey.captures}
        given.leave_out(len(survey.sessions) - len(held), "session", "oSCR reads no session without captures")
        sessions = {name: n + 1 for n, name in enumerate(n for n in session_names(survey) if n in held)}
        animals = numbers(c.individual for c in survey.captures)
        traps = safe_names(p.label for p in survey.places)
        sex = sexes(survey.captures, "U")
        seen = {c.cell: c for c in survey.captures}
        cells = sorted(
            (sessions[c.session], animals[c.individual], c.occasion, traps[c.place], sex.get(c.individual, "U"))
            for c in seen.values()
        )
        files = {"edf.csv": plain_csv(("session", "ID", "occasion", "trap", "sex"), cells)}
        names = [*covariates.values(), EFFORT]
        by_name = {s.name: s for s in survey.sessions}
        occasions, counts = [], []
        for name, n in sessions.items():
            effort, detectors = survey.occasion_effort(by_name[name]), given.detectors(name)
            rows = []
            for j, place in detectors:
                x, y = given.positions[place.label]
                worked = [int(v > 0) for v in effort[j]]
                traits = [words[c][place.traits[c]] for c in covariates]
                days = number_text(float(effort[j].sum()))
                rows.append((traps[place.label], number_text(x), number_text(y), *worked, "/", *traits, days))
            head = ("Trap_ID", "X", "Y", *(str(k + 1) for k in range(by_name[name].occasions)), "sep", *names)
            files[f"tdf-{n}.csv"] = plain_csv(head, rows)
            occasions.append(str(by_name[name].occasions))
            counts.append(str(len(detectors)))
        files["names.csv"] = mapping_csv(
            session=sessions, individual=animals, station=traps, **covariate_names(covariates, words)
        )
        files["read.R"] = _script(len(sessions), occasions, counts, bool(sex), names)
        return files


def _script(sessions: int, occasions: list[str], counts: list[str], sex: bool, covariates: list[str]) -> bytes:
    tables = ", ".join(f'read.csv("tdf-{n + 1}.csv", check.names = FALSE, colClasses = text)' for n in range(sessions))
    by_sex = ' sex.col = 5, sex.nacode = "U",' if sex else ""
    return f"""# Reads the tables. Run it in this folder
library(oSCR)
edf <- read.csv("edf.csv", colClasses = c(trap = "character"))
text <- c(Trap_ID = "character")  # 01 is a name
tdf <- list({tables})
data <- data2oscr(edf, tdf, sess.col = 1, id.col = 2, occ.col = 3, trap.col = 4,{by_sex}
  K = c({", ".join(occasions)}), ntraps = c({", ".join(counts)}), tdf.sep = "/",
  trapcov.names = c({", ".join(f'"{name}"' for name in covariates)}))
print(data$scrFrame)
""".encode()


PLUGIN = Oscr
