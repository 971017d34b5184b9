"""secr: captures and traps as text, with usage and covariates, and an R script that reads them and fits a null model.

Source: secr, vignette secr-datainput; R/DENSITY.R, R/read.traps.R.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices
from snowmatch.interchange.exporters._names import mapping_csv, number_text, safe_names, session_names, sexes
from snowmatch.interchange.exporting import Export

DETECTORS = ("proximity", "count")


@dataclass(frozen=True)
class Secr:
    """Text files for the R package secr.

    detector: `proximity` (one capture a station and occasion) or `count` (every independent sighting).
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    detector: str = "proximity"

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(f"detector {self.detector!r}; {choices(self.detector, DETECTORS)}")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.txt, a file of traps for each session, names.csv and fit.R."""
        survey = given.survey
        if not survey.captures:
            raise SnowmatchError("no captures to export: name individuals first, or choose other flanks or sessions")
        sessions = session_names(survey)
        animals = safe_names(c.individual for c in survey.captures)
        traps = safe_names(p.label for p in survey.places)
        sex = sexes(survey.captures, "NA")
        by_name = {s.name: s for s in survey.sessions}
        covariates = sorted(
            {name for p in survey.places for name in p.traits if all(q.traits.get(name) for q in survey.places)}
        )
        lines = ["# Session ID Occasion Detector" + (" sex" if sex else "")]
        files: dict[str, bytes] = {}
        trap_files = []
        for name, session in sessions.items():
            s, effort = by_name[name], survey.occasion_effort(by_name[name])
            detectors = given.detectors(name)
            own = sorted(
                (c.occasion, animals[c.individual], traps[c.place], sex.get(c.individual, ""))
                for c in survey.captures
                if c.session == name
            )
            kept = own if self.detector == "count" else sorted(set(own))
            lines += [f"{session} {i} {k} {j} {x}".rstrip() for k, i, j, x in kept]
            if not own:
                filler = " NA" if sex else ""
                lines.append(f"{session} NONE {s.occasions} {traps[detectors[0][1].label]}{filler}")
            table = ["# Detector x y usage" + "".join(f" {c}" for c in [*(["/"] if covariates else []), *covariates])]
            for n, place in detectors:
                x, y = given.positions[place.label]
                usage = " ".join(number_text(v) for v in effort[n])
                values = [_word(place.traits[c]) for c in covariates]
                more = f" / {' '.join(values)}" if values else ""
                table.append(f"{traps[place.label]} {number_text(x)} {number_text(y)} {usage}{more}")
            trap_files.append("traps.txt" if len(sessions) == 1 else f"traps-{session}.txt")
            files[trap_files[-1]] = _text(table)
        occasions = [by_name[name].occasions for name in sessions]
        script = _script(self.detector, trap_files, occasions, bool(sex), [_word(c) for c in covariates])
        names = mapping_csv(session=sessions, individual=animals, station=traps)
        return {"captures.txt": _text(lines), **files, "names.csv": names, "fit.R": script}


def _word(text: str) -> str:
    return next(iter(safe_names([text], 60).values()))


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")


def _script(detector: str, traps: list[str], occasions: list[int], sex: bool, covariates: list[str]) -> bytes:
    def vector(values: list[str]) -> str:
        return f"c({', '.join(values)})" if values else "NULL"

    return f"""# Reads the captures, checks them and fits a null model. Run it in this folder: Rscript fit.R
library(secr)
ch <- read.capthist("captures.txt", {vector([f'"{t}"' for t in traps])},
  detector = "{detector}", fmt = "trapID", noccasions = {vector([str(k) for k in occasions])},
  covnames = {'"sex"' if sex else "NULL"}, trapcovnames = {vector([f'"{c}"' for c in covariates])},
  binary.usage = FALSE)
print(summary(ch))
verify(ch)
buffer <- if (ms(ch)) max(sapply(ch, suggest.buffer)) else suggest.buffer(ch)
fit <- secr.fit(ch, model = list(D ~ 1, g0 ~ 1, sigma ~ 1), buffer = buffer, trace = FALSE)
print(predict(fit))  # D is in animals per hectare: times 10000 is animals per 100 square kilometres
""".encode()


PLUGIN = Secr
