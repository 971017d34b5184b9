"""SCR-Classify-Pairwise: samples and the scores of their pairs. Source: benaug/SCR-Classify-Pairwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from snowmatch.confidence.score_table import load_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporters._names import mapping_csv, number_text, plain_csv
from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import event_id


@dataclass(frozen=True)
class ScrPairwise:
    """Captures as samples whose identity the model finds itself, from the scores of their pairs.

    scores: a file of scores of this catalog's photos (.npz, from `snowmatch evaluate --save`). The score of a pair is
    the best of its photos; pairs that were never compared have NA. One session only: choose it with --session.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    scores: str = ""

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return samples.csv (this.j, this.k), scores.csv (i, j, score; upper triangle), X.csv, names.csv, read.R."""
        survey = given.survey
        if survey.settings["flanks"] == "sessions":
            raise SnowmatchError("the model has one session, and flanks is sessions: choose left or right")
        if len(survey.sessions) != 1:
            raise SnowmatchError("the model has one session: choose one with --session NAME=FROM..TO")
        if not self.scores:
            raise SnowmatchError("no scores of pairs: expected a file with them, such as scores.npz", "ask-scores")
        table = load_table(Path(self.scores))
        paths = [str(p) for p in table.paths]
        if paths != [a.path for a in survey.data.annotations]:
            raise SnowmatchError(f"{self.scores} is not of this catalog as it is now: score it again", "ask-scores")
        (s,) = survey.sessions
        given.need_captures()
        given.only_captures()
        detectors = given.detectors(s.name)
        number = {p.label: j + 1 for j, (_, p) in enumerate(detectors)}
        samples = [(n + 1, number[c.place], c.occasion) for n, c in enumerate(survey.captures)]
        query = {int(row): n for n, row in enumerate(table.queries)}
        gallery = {int(row): n for n, row in enumerate(table.gallery)}
        lines = []
        for i, a in enumerate(survey.captures):
            for j in range(i + 1, len(survey.captures)):
                b = survey.captures[j]
                values = [
                    table.cells.at(query[p], gallery[q])
                    for x, y in ((a.rows, b.rows), (b.rows, a.rows))
                    for p in x
                    for q in y
                    if p in query and q in gallery
                ]
                known = [v for v in values if np.isfinite(v)]
                lines.append((i + 1, j + 1, f"{max(known):.6g}" if known else "NA"))
        positions = [tuple(map(number_text, given.positions[p.label])) for _, p in detectors]
        names = {event_id(c): n + 1 for n, c in enumerate(survey.captures)}
        return {
            "samples.csv": plain_csv(("sample", "this.j", "this.k"), samples),
            "scores.csv": plain_csv(("i", "j", "score"), lines),
            "X.csv": plain_csv(("x", "y"), positions),
            "names.csv": mapping_csv(sample=names, station=number),
            "read.R": _script(len(samples), s.occasions),
        }


def _script(samples: int, occasions: int) -> bytes:
    return f"""# Makes the data of the model. Run it in this folder
samples <- read.csv("samples.csv", check.names = FALSE)
pairs <- read.csv("scores.csv")
this.j <- samples$this.j
this.k <- samples$this.k
n.samples <- {samples}
K <- {occasions}
X <- as.matrix(read.csv("X.csv"))
scores <- array(NA, dim = c(1, n.samples, n.samples))
scores[cbind(1, pairs$i, pairs$j)] <- pairs$score
""".encode()


PLUGIN = ScrPairwise
