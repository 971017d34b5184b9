"""2-flank SPIM: the arrays y.B.obs, y.L.obs and y.R.obs as lists of captures. Source: benaug/2-flank-SPIM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.catalog.stations import DAY, Span
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.exporters._names import mapping_csv, number_text, plain_csv
from snowmatch.interchange.exporting import Export
from snowmatch.survey.occasions import Session

MOST_CAMERAS = 2  # that the model knows at one station


@dataclass(frozen=True)
class Spim:
    """Arrays for the 2-flank spatial partial identity model; animals whose sides are linked come first.

    Captures that show no side are left out. One session only: choose it with --session. In the model only two cameras
    capture both sides at once: where one camera worked, both sides are a left and a right capture of the same animal.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "needed"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return captures.csv (array, i, j, k), X.csv, K2D.csv (0, 1, 2 cameras at once), names.csv and read.R."""
        survey = given.survey
        given.need_both_flanks()
        if len(survey.sessions) != 1:
            raise SnowmatchError("the 2-flank model has one session: choose one with --session NAME=FROM..TO")
        (s,) = survey.sessions
        given.only_captures(once=True)
        own = given.captures_of_sides()
        sides = {n: {c.flank for c in own if c.individual == n} for n in sorted({c.individual for c in own})}
        linked = [n for n, flanks in sides.items() if "B" in flanks or {"L", "R"} <= flanks]
        rank = {}
        for side in "LR":
            alone = [n for n, flanks in sides.items() if n not in linked and side in flanks]
            rank[side] = {n: i + 1 for i, n in enumerate([*linked, *alone])}
        rank["B"] = {n: i + 1 for i, n in enumerate(linked)}
        detectors, effort = given.detectors(s.name), survey.occasion_effort(s)
        number = {p.label: j + 1 for j, (_, p) in enumerate(detectors)}
        cameras = [
            [
                _at_once([span for span, _ in survey.spans[p.label]], s, k) if v > 0 else 0
                for k, v in enumerate(effort[j])
            ]
            for j, p in detectors
        ]
        single = {c.rows for c in own if c.both and cameras[number[c.place] - 1][c.occasion - 1] < MOST_CAMERAS}
        if single:
            text = f"{counted(len(single), 'capture')} of both sides by one camera: a left and a right capture each"
            given.notes.append(Note("sides-by-one-camera", text, {"count": len(single)}))
        cells = sorted(
            {
                (side, rank[side][c.individual], number[c.place], c.occasion)
                for c in own
                for side in ("LR" if c.flank == "B" and (c.rows in single or not c.both) else c.flank)
            }
        )
        positions = [tuple(map(number_text, given.positions[p.label])) for _, p in detectors]
        script = _script(len(linked), len(rank["L"]), len(rank["R"]), len(detectors), s.occasions)
        individuals = {f"{side}{i}": n for side, names in rank.items() for n, i in names.items()}
        written = {f"{n} ({key[0]})": key[1:] for key, n in individuals.items()}
        return {
            "captures.csv": plain_csv(("array", "i", "j", "k"), cells),
            "X.csv": plain_csv(("x", "y"), positions),
            "K2D.csv": plain_csv(tuple(f"occ{k + 1}" for k in range(s.occasions)), cameras),
            "names.csv": mapping_csv(individual=written, station=number),
            "read.R": script,
        }


def _at_once(spans: Sequence[Span], session: Session, occasion: int) -> int:
    """Return how many cameras worked at the same time on an occasion (from 0), MOST_CAMERAS at most."""
    start = session.first + occasion * session.length * DAY
    whole = Span(start, min(start + session.length * DAY, session.span.end))
    begins = [max(span.start, whole.start) for span in spans]
    return min(max((sum(t in span for span in spans) for t in begins if t in whole), default=0), MOST_CAMERAS)


def _script(fixed: int, left: int, right: int, stations: int, occasions: int) -> bytes:
    return f"""# Makes the arrays of the 2-flank model. Run it in this folder
captures <- read.csv("captures.csv")
fill <- function(array, n) {{
  y <- array(0, dim = c(n, {stations}, {occasions}))
  own <- captures[captures$array == array, ]
  y[cbind(own$i, own$j, own$k)] <- 1
  y
}}
n.fixed <- {fixed}
y.B.obs <- fill("B", {fixed})
y.L.obs <- fill("L", {left})
y.R.obs <- fill("R", {right})
X <- as.matrix(read.csv("X.csv"))
K2D <- as.matrix(read.csv("K2D.csv"))
""".encode()


PLUGIN = Spim
