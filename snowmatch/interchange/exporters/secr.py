"""secr: captures and traps as text, with usage and covariates, and an R script that reads them and fits a null model.

Drawn identities are further files of captures, with a script that pools their fits.
Source: secr, vignette secr-datainput; R/DENSITY.R, R/read.traps.R.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.core.text import choices, some
from snowmatch.interchange.exporters._names import (
    ages,
    covariate_names,
    covariate_words,
    mapping_csv,
    number_text,
    safe_names,
    session_names,
    sexes,
    station_covariates,
)
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture
from snowmatch.survey.run import Survey

DETECTORS = ("proximity", "count")
TRAITS = {"sex": lambda captures: sexes(captures, "NA"), "age": ages}  # covariates of individuals


@dataclass(frozen=True)
class Secr:
    """Text files for the R package secr.

    detector: `proximity` (one capture a station and occasion) or `count` (every independent sighting).
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"
    DRAWS: ClassVar[bool] = True

    detector: str = "proximity"

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(f"detector {self.detector!r}; {choices(self.detector, DETECTORS)}")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.txt, a file of traps for each session, names.csv and fit.R.

        Drawn identities are in captures-001.txt and so on, and pool.R fits and pools them.
        """
        survey = given.survey
        given.need_captures()
        given.only_captures(once=self.detector == "proximity")
        sessions = session_names(survey)
        drawn = given.drawn.captures if given.drawn is not None else ()
        all_captures = (survey.captures, *drawn)
        animals = safe_names(c.individual for captures in all_captures for c in captures)
        traps = safe_names(p.label for p in survey.places)
        several = sorted({c.individual for c in survey.captures if c.age_class} - ages(survey.captures).keys())
        why = f"it has several, and secr takes one for an animal: {some(several)}"
        given.leave_out(len(several), "age class of an animal", why, "age classes of animals")
        told = {name: [value for each in all_captures for value in of(each).values()] for name, of in TRAITS.items()}
        traits = {name: covariate_words(values) for name, values in told.items() if values}
        covariates = safe_names(station_covariates(given), 60)
        words = {c: covariate_words(p.traits[c] for p in survey.places) for c in covariates}
        first = {name: traps[given.detectors(name)[0][1].label] for name in sessions}
        write = _Captures(survey, sessions, animals, traps, first, traits, self.detector == "count")
        files: dict[str, bytes] = {}
        for name, session in sessions.items():
            file = "traps.txt" if len(sessions) == 1 else f"traps-{session}.txt"
            files[file] = _text(self._traps(given, name, traps, covariates, words))
        occasions = [next(s.occasions for s in survey.sessions if s.name == name) for name in sessions]
        reading = _reading(self.detector, list(files), occasions, [*traits], [*covariates.values()])
        numbered = {f"captures-{n + 1:03}.txt": write.text(captures) for n, captures in enumerate(drawn)}
        individuals = {f"{name} of individuals": own for name, own in traits.items()}
        about = covariate_names(covariates, {**individuals, **words})
        names = mapping_csv(session=sessions, individual=animals, station=traps, **about)
        return {
            "captures.txt": write.text(survey.captures),
            **files,
            **numbered,
            "names.csv": names,
            "fit.R": _script(reading),
            **({"pool.R": _pooling(reading, len(drawn))} if drawn else {}),
        }

    def _traps(
        self,
        given: Export,
        session: str,
        traps: Mapping[str, str],
        covariates: Mapping[str, str],
        words: Mapping[str, Mapping[str, str]],
    ) -> list[str]:
        survey = given.survey
        effort = survey.occasion_effort(next(s for s in survey.sessions if s.name == session))
        head = [*(["/"] if covariates else []), *covariates.values()]
        table = ["# Detector x y usage" + "".join(f" {c}" for c in head)]
        for n, place in given.detectors(session):
            x, y = given.positions[place.label]
            usage = " ".join(number_text(v) for v in effort[n])
            values = [words[c][place.traits[c]] for c in covariates]
            more = f" / {' '.join(values)}" if values else ""
            table.append(f"{traps[place.label]} {number_text(x)} {number_text(y)} {usage}{more}")
        return table


@dataclass(frozen=True)
class _Captures:
    """Writes captures as text. first: a trap of each session, for the line of a session without captures. traits: how
    the values of each covariate of individuals are written.
    """

    survey: Survey
    sessions: Mapping[str, str]
    animals: Mapping[str, str]
    traps: Mapping[str, str]
    first: Mapping[str, str]
    traits: Mapping[str, Mapping[str, str]]
    counted: bool

    def text(self, captures: Sequence[Capture]) -> bytes:
        """Return a line for each capture; of one station and occasion once, unless they are counted."""
        lines = [" ".join(["# Session ID Occasion Detector", *self.traits])]
        known = [(TRAITS[name](captures), words) for name, words in self.traits.items()]
        for name, session in self.sessions.items():
            own = sorted(
                (
                    *(c.occasion, self.animals[c.individual], self.traps[c.place]),
                    *(words.get(values.get(c.individual, ""), "NA") for values, words in known),
                )
                for c in captures
                if c.session == name
            )
            lines += [
                f"{session} {i} {k} {j} {' '.join(map(str, more))}".rstrip()
                for k, i, j, *more in (own if self.counted else sorted(set(own)))
            ]
            if not own:
                last = next(s.occasions for s in self.survey.sessions if s.name == name)
                lines.append(f"{session} NONE {last} {self.first[name]}" + " NA" * len(known))
        return _text(lines)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")


def _reading(
    detector: str, traps: list[str], occasions: list[int], traits: Sequence[str], covariates: Sequence[str]
) -> str:
    """Return an R function that reads a file of captures."""

    def vector(values: Sequence[object]) -> str:
        return f"c({', '.join(map(str, values))})" if values else "NULL"

    return f"""library(secr)
read <- function(file) read.capthist(file, {vector([f'"{t}"' for t in traps])},
  detector = "{detector}", fmt = "trapID", noccasions = {vector(occasions)},
  covnames = {vector([f'"{t}"' for t in traits])}, trapcovnames = {vector([f'"{c}"' for c in covariates])},
  binary.usage = FALSE)
ch <- read("captures.txt")
# The buffer comes from quick estimates of g0 and sigma; secr warns that it made them itself
buffer <- suppressWarnings(if (ms(ch)) max(sapply(ch, suggest.buffer)) else suggest.buffer(ch))
fit <- function(ch) secr.fit(ch, model = list(D ~ 1, g0 ~ 1, sigma ~ 1), buffer = buffer, trace = FALSE,
  biasLimit = NA)  # secr's check of the buffer does not know effort that varies
"""


def _script(reading: str) -> bytes:
    return f"""# Reads the captures, checks them and fits a null model. Run it in this folder: Rscript fit.R
{reading}print(summary(ch))
verify(ch)
print(predict(fit(ch)))  # D is in animals per hectare: times 10000 is animals per 100 square kilometres
""".encode()


def _pooling(reading: str, draws: int) -> bytes:
    return f"""# Fits a null model to each draw of identities, and pools the fits. Run it in this folder: Rscript pool.R
{reading}files <- sprintf("captures-%03d.txt", 1:{draws})
density <- function(file) coef(fit(read(file)))["D", c("beta", "SE.beta")]
fits <- lapply(files, function(file) tryCatch(density(file), error = function(e) NULL))
used <- do.call(rbind, fits)
used <- used[is.finite(used$beta) & is.finite(used$SE.beta), ]
m <- nrow(used)
cat("fits:", m, "of", length(files), "\\n")
# Rubin's rules on the logarithm of the density
total <- mean(used$SE.beta^2) + (1 + 1 / m) * var(used$beta)
centre <- mean(used$beta)
# The quantiles of the mixture of all fits
set.seed(1)
mixture <- rnorm(m * 2000, used$beta, used$SE.beta)
per100 <- 10000  # from animals per hectare to animals per 100 square kilometres
print(per100 * exp(c(estimate = centre, low = centre - 1.96 * sqrt(total), high = centre + 1.96 * sqrt(total))))
print(per100 * exp(quantile(mixture, c(0.5, 0.025, 0.975))))
cat("share of the variance that is due to identification:", (1 + 1 / m) * var(used$beta) / total, "\\n")
""".encode()


PLUGIN = Secr
