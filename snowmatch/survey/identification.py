"""How the animal of each capture was identified: by whom, how surely, and whether observers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snowmatch.decisions.effect import counts, in_effect
from snowmatch.decisions.row import DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import find_sighting
from snowmatch.decisions.who import DISPUTED, Who
from snowmatch.review.accuracy import accuracy_by_name
from snowmatch.review.identities import Identities
from snowmatch.survey.captures import Capture

PERSONS = ("observer", "adjudicator")
Link = tuple[int, int]  # two sightings, or a sighting and -1: it was given a name


@dataclass(frozen=True)
class Identified:
    """How the animal of one capture was identified.

    probability: that the identification is right; None if it is not known. decided_by: names of those who decided, or
    `catalog` for a name of the catalog's table. decided_at: when the last of them did, UTC, ISO 8601; "" if none of
    them did here, as of an import.
    observers: the most persons who say the same about one pair. status:
    agreed     two persons say the same, or an adjudicator decided
    disputed   observers disagree about a pair or the name, and no adjudicator has decided
    single     one person decided
    machine    only the machine decided
    import     the name came with the catalog, or with an import
    unidentified   nothing tells who it is
    """

    probability: float | None
    decided_by: tuple[str, ...]
    observers: int
    status: str
    decided_at: str = ""


def identify_captures(
    captures: Sequence[Capture], identities: Identities, draws: np.ndarray | None = None
) -> list[Identified]:
    """Return how each capture was identified, in the order of `captures`.

    draws: (D, S) the individual of each sighting in drawn groupings. With them, the probability is the share of draws
    in which the sighting is with most other sightings of its individual; one that is alone in its individual: in
    which it is with no other. Without them it is that of its surest pair, by the measured accuracy of those who
    answered, and by what the machine was shown: not known if nobody answered about a pair, as of a name that a person
    gave. Of a name that came with the catalog it is never known.
    """
    who, measured = identities.who, accuracy_by_name(identities.rows, identities.who)
    said = _said(identities.rows, who)
    links: dict[int, list[Link]] = defaultdict(list)
    for link in said:
        for number in set(link) - {-1}:
            links[number].append(link)
    found = []
    for c in captures:
        names = [identities.annotations[row].annotation for row in c.rows]
        numbers = sorted({who.number_of[name] for name in names if name in who.number_of})
        own = {link for n in numbers for link in links[n] if link[1] == -1 or who.of[link[0]] == who.of[link[1]]}
        rows = {link: said[link] for link in sorted(own)}
        if draws is not None and numbers:
            probability: float | None = min(_share(n, who, draws) for n in numbers)
        else:
            probability = max((p for r in rows.values() if (p := _probability(r, measured)) is not None), default=None)
        in_table = not numbers or any(who.sightings[n].named is not None for n in numbers)
        identified = _identified(rows, who, in_table, None if probability is None else round(probability, 4))
        two_names = not who.disputed_names.keys().isdisjoint(numbers)
        found.append(replace(identified, status="disputed") if two_names else identified)
    return found


def _said(rows: Sequence[Decision], who: Who) -> dict[Link, list[Decision]]:
    """Return what was said about each pair of sightings, and the names that sightings were given: the last counts.

    A split names what it takes out, and says that the sightings of either side are one animal: of the side that stays,
    those that have no name in the catalog's table.
    """
    said: dict[Link, list[Decision]] = {pair: list(state.answers) for pair, state in who.pairs.items()}
    for row in in_effect(rows):
        if row.kind == "merge" and counts(row):
            a, b = (find_sighting(who.number_of, side) for side in (row.side_a, row.side_b))
            if a is not None and b is not None and a != b:
                said.setdefault((min(a, b), max(a, b)), []).append(row)
        elif row.kind in ("name", "split"):
            chosen = sorted({who.number_of[name] for name in row.side_a if name in who.number_of})
            for number in chosen:
                said[number, -1] = [row] if row.answer else []
            if row.kind == "split":
                rest = sorted({who.number_of[name] for name in row.side_b if name in who.number_of} - {*chosen})
                rest = [number for number in rest if who.sightings[number].named is None]
                for side in (chosen, rest):
                    for number in side[1:]:
                        said.setdefault((side[0], number), []).append(row)
    return said


def _joins(row: Decision) -> bool:
    return row.kind != "pair" or row.answer == SAME


def _identified(
    rows: Mapping[Link, Sequence[Decision]], who: Who, in_table: bool, probability: float | None
) -> Identified:
    joining = {link: [row for row in said if _joins(row)] for link, said in rows.items()}
    every = [row for said in joining.values() for row in said]
    persons = [len({row.observer for row in said if row.role in PERSONS}) for said in joining.values()]
    observers, roles = max(persons, default=0), {row.role for row in every}
    by = [row for row in every if row.role in PERSONS] or every
    if any(link in who.pairs and who.pairs[link].answer == DISPUTED for link in rows):
        status = "disputed"
    elif observers > 1 or "adjudicator" in roles:
        status = "agreed"
    elif observers:
        status = "single"
    elif in_table or "import" in roles:
        status = "import"
    else:
        status = "machine" if "machine" in roles else "unidentified"
    names = tuple(sorted({row.observer for row in by})) or (("catalog",) if in_table else ())
    if status in ("import", "unidentified"):
        probability = None
    here = by if observers or status == "machine" else []
    return Identified(probability, names, observers, status, max((row.decided_at for row in here), default=""))


def _probability(said: Sequence[Decision], measured: Callable[[str], float]) -> float | None:
    """Return how probable it is that a pair is one animal, by the answers to it; None if they do not say."""
    persons = [row for row in said if row.kind == "pair" and row.role in PERSONS and row.answer in (SAME, DIFFERENT)]
    if persons:
        accuracy = [measured(row.observer) for row in persons]
        odds = [np.log(a / (1 - a)) * (1 if r.answer == SAME else -1) for a, r in zip(accuracy, persons, strict=True)]
        return float(1 / (1 + np.exp(-sum(odds))))
    shown = [row.shown.get("probability") for row in said if row.role == "machine" and row.answer == SAME]
    return max((float(p) for p in shown if isinstance(p, int | float)), default=None)


def _share(number: int, who: Who, draws: np.ndarray) -> float:
    """Return the share of draws in which a sighting is with most other sightings of its individual. Without others: in
    which it is with no sighting.
    """
    others = [n for n in who.individuals[who.of[number]].sightings if n != number]
    if not others:
        return float(((draws == draws[:, [number]]).sum(axis=1) == 1).mean())
    together = draws[:, others] == draws[:, [number]]
    return float((2 * together.sum(axis=1) >= len(others)).mean())
