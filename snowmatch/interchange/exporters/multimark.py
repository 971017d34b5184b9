"""multimark: encounter types of two sides, with and without space. Source: multimark 2.1.7, processdata."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporters._histories import without_effort
from snowmatch.interchange.exporters._names import mapping_csv, number_text, plain_csv, safe_names
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture

NONE, LEFT, RIGHT, BOTH, TOGETHER = range(5)


@dataclass(frozen=True)
class Multimark:
    """Encounter types (1 left, 2 right, 3 both, 4 both in one passage) for the R package multimark.

    Captures that show no side are left out. `known` is 1 for an animal whose sides are linked.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return encounters.csv, known.csv, names.csv and read.R, the first two with -SESSION for several sessions;
        with coordinates also encounters-by-trap.csv and traps.csv.
        """
        survey = given.survey
        given.need_both_flanks()
        given.only_captures()
        shown = given.captures_of_sides()
        without_effort(given)
        animals = safe_names(c.individual for c in survey.captures)
        traps = safe_names(p.label for p in survey.places)
        endings = safe_names(s.name for s in survey.sessions) if len(survey.sessions) > 1 else {}
        files: dict[str, bytes] = {}
        held = {c.session for c in shown}
        why = "multimark reads no session without captures of a side"
        given.leave_out(len(survey.sessions) - len(held), "session", why)
        for s in (s for s in survey.sessions if s.name in held):
            ending = f"-{endings[s.name]}" if endings else ""
            own = [c for c in shown if c.session == s.name]
            by_animal: dict[str, list[Capture]] = defaultdict(list)
            by_occasion: dict[tuple[str, int], list[Capture]] = defaultdict(list)
            for c in own:
                by_animal[c.individual].append(c)
                by_occasion[c.individual, c.occasion].append(c)
            names = sorted(by_animal)
            occasions = range(1, s.occasions + 1)
            open_on = [k for k, worked in zip(occasions, survey.worked(s), strict=True) if worked]
            table = [(animals[n], *(_code(by_occasion.get((n, k), ())) for k in open_on)) for n in names]
            files[f"encounters{ending}.csv"] = plain_csv(("id", *(f"occ{k}" for k in open_on)), table)
            files[f"known{ending}.csv"] = plain_csv(
                ("id", "known"), [(animals[n], int(_linked(by_animal[n]))) for n in names]
            )
            if given.positions:
                detectors, effort = given.detectors(s.name), survey.occasion_effort(s)
                cells: dict[tuple[str, str, int], list[Capture]] = defaultdict(list)
                for c in own:
                    cells[c.individual, c.place, c.occasion].append(c)
                columns = [(p.label, k) for _, p in detectors for k in occasions]
                spatial = [(animals[n], *(_code(cells.get((n, p, k), ())) for p, k in columns)) for n in names]
                number = {p.label: j + 1 for j, (_, p) in enumerate(detectors)}
                head = ("id", *(f"trap{number[p]}_occ{k}" for p, k in columns))
                files[f"encounters-by-trap{ending}.csv"] = plain_csv(head, spatial)
                rows = [
                    (traps[p.label], *map(number_text, given.positions[p.label]), *(int(v > 0) for v in effort[j]))
                    for j, p in detectors
                ]
                files[f"traps{ending}.csv"] = plain_csv(("trap", "x", "y", *(f"occ{k}" for k in occasions)), rows)
        names_file = {"names.csv": mapping_csv(session=endings, individual=animals, station=traps)}
        return {**files, **names_file, "read.R": _script(sorted(files))}


def _code(captures: Sequence[Capture]) -> int:
    """Return the type of what was captured of one animal on one occasion."""
    flanks = {c.flank for c in captures}
    if any(c.both for c in captures):
        return TOGETHER
    return (
        BOTH if "B" in flanks or {"L", "R"} <= flanks else LEFT if "L" in flanks else RIGHT if "R" in flanks else NONE
    )


def _linked(captures: Sequence[Capture]) -> bool:
    flanks = {c.flank for c in captures}
    return "B" in flanks or {"L", "R"} <= flanks


def _script(files: list[str]) -> bytes:
    encounters = next(f for f in files if f.startswith("encounters") and "by-trap" not in f)
    known = encounters.replace("encounters", "known")
    return f"""# Reads the first session and fits a null model. Run it in this folder
library(multimark)
history <- as.matrix(read.csv("{encounters}", row.names = 1))
known <- read.csv("{known}")$known
fit <- multimarkClosed(Enc.Mat = history, data.type = "sometimes", known = known, mod.p = ~ 1)
print(summary(fit$mcmc))
""".encode()


PLUGIN = Multimark
