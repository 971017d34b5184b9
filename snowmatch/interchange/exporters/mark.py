"""MARK: an .inp file of capture histories. Source: program MARK, encounter histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._histories import names_csv, session_histories
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture


@dataclass(frozen=True)
class Mark:
    """Capture histories for program MARK, one file a session; females, males and unknown sex are groups."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    DRAWS: ClassVar[bool] = True

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.inp, or captures-SESSION.inp for several sessions, and names.csv.

        Drawn identities are in captures-001.inp and so on, and pool.R fits and pools them.
        """
        found = dict(_files(given, given.survey.captures, "", None))
        bases = sorted(found)
        drawn = given.drawn.captures if given.drawn is not None else ()
        if drawn:
            found |= {
                name: content
                for n, captures in enumerate(drawn, start=1)
                for name, content in _files(given, captures, f"-{n:03}", "FMU")
            }
            found["pool.R"] = _pooling(bases, len(drawn))
        return {**found, "names.csv": names_csv(given)}


def _files(given: Export, captures: Sequence[Capture], number: str, groups: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the file of each session. groups: of sex; None: those that there are."""
    for ending, _, rows in session_histories(given, captures):
        own = groups or [g for g in "FMU" if any(sex == g for _, _, sex, _ in rows)]
        lines = [f"/* groups: {' '.join(own)} */"] if len(own) > 1 else []
        for _, safe, sex, history in rows:
            counts = " ".join("1" if sex == g else "0" for g in own)
            lines.append(f"/* {safe} */ {history} {counts};")
        yield f"captures{ending}{number}.inp", ("\n".join(lines) + "\n").encode("ascii")


def _pooling(names: Sequence[str], draws: int) -> bytes:
    bases = ", ".join(f'"{name.removesuffix(".inp")}"' for name in names)
    return f"""# Fits M0 to each draw of identities, and pools the fits. It needs program MARK; run it in this folder
library(RMark)
number <- function(file) {{
  data <- convert.inp(file, group.df = data.frame(sex = c("F", "M", "U")))
  histories <- data.frame(ch = data$ch, freq = 1)
  model <- list(p = list(formula = ~1, share = TRUE))
  fit <- mark(process.data(histories, model = "Closed"), model.parameters = model, output = FALSE, delete = TRUE)
  fit$results$derived[[1]][1, c("estimate", "se")]
}}
for (base in c({bases})) {{
  files <- sprintf("%s-%03d.inp", base, 1:{draws})
  fits <- do.call(rbind, lapply(files, function(file) tryCatch(number(file), error = function(e) NULL)))
  fits <- fits[is.finite(fits$estimate) & is.finite(fits$se), ]
  m <- nrow(fits)
  cat(base, "fits:", m, "of", length(files), "\\n")
  beta <- log(fits$estimate)
  se <- fits$se / fits$estimate
  total <- mean(se^2) + (1 + 1 / m) * var(beta)  # Rubin's rules on the logarithm of the number
  print(exp(mean(beta) + c(estimate = 0, low = -1.96, high = 1.96) * sqrt(total)))
  set.seed(1)
  print(exp(quantile(rnorm(m * 2000, beta, se), c(0.5, 0.025, 0.975))))  # the mixture of all fits
}}
""".encode()


PLUGIN = Mark
