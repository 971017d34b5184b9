"""Names that the coats contradict: photos of another individual, and two individuals that are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.core.plain import six_digits
from snowmatch.core.text import counted, percent, printable
from snowmatch.review.doctor.finding import CHECK, Finding, Patient, count_of
from snowmatch.review.doctor.judged import Judged

# Two individuals look like one if the mean probability of the other one, over their encounters, is this high, in both
# directions: one encounter with a wrong name makes it high in one direction only
ONE_ANIMAL = 0.6

Pair = tuple[str, str]


def findings_of_matches(patient: Patient, judged: Sequence[Judged], levels: Levels) -> list[Finding]:
    """Return the findings on names that the coats contradict; [] if they agree.

    They are never serious: a person gave the name, and a score can be wrong too.
    """
    pairs = _one_animal(judged)
    wrong = [one for one in judged if _is_wrong(one, levels, pairs)]
    wrong.sort(key=lambda one: -one.found.of(one.found.decision())[0])
    findings = []
    if wrong:
        text = (
            f"{count_of(wrong, 'encounter')} with photos that likely carry the wrong name (glints in the eyes, and "
            "rocks that two photos share, can mislead)"
        )
        about = [a for one in wrong for a in one.photos]
        data = {"encounters": [_data(one) for one in wrong]}
        findings.append(
            patient.finding("wrong-name", CHECK, text, [_words(one, levels) for one in wrong], about, **data)
        )
    if pairs:
        ranked = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
        cases = [f"{printable(a)} and {printable(b)}: {percent(pairs[a, b])} on average" for a, b in ranked]
        about = [a for one in judged for a in one.photos if any(one.individual in pair for pair in pairs)]
        text = f"{count_of(pairs, 'pair')} of individuals that look like one animal"
        named = [{"individuals": list(pair), "probability": pairs[pair]} for pair in ranked]
        findings.append(patient.finding("look-like-one", CHECK, text, cases, about, pairs=named))
    return findings


def _is_wrong(one: Judged, levels: Levels, pairs: dict[Pair, float]) -> bool:
    decision = one.found.decision()
    if one.own < 0 or decision < 0 or decision == one.own or one.found.of(decision)[1] < levels.fair:
        return False
    return _pair(one.individual, one.names[decision]) not in pairs


def _words(one: Judged, levels: Levels) -> str:
    decision = one.found.decision()
    probability, careful = one.found.of(decision)
    bounds = (levels.excellent, levels.good, levels.fair)
    first = one.photos[0]
    return (
        f"{printable(first.encounter)}, {first.body_part} ({counted(len(one.photos), 'photo')}), is named "
        f"{printable(one.individual)} ({percent(one.found.of(one.own)[0])}), looks like "
        f"{printable(one.names[decision])} ({percent(probability, bounds)}, at least {percent(careful, bounds)}): "
        f"{first.path}"
    )


def _data(one: Judged) -> dict[str, Any]:
    decision = one.found.decision()
    probability, careful = one.found.of(decision)
    return {
        "encounter": one.photos[0].encounter,
        "body_part": one.photos[0].body_part,
        "photos": [a.path for a in one.photos],
        "named": one.individual,
        "named_probability": six_digits(one.found.of(one.own)[0]),
        "looks_like": one.names[decision],
        "probability": six_digits(probability),
        "at_least": six_digits(careful),
    }


def _one_animal(judged: Sequence[Judged]) -> dict[Pair, float]:
    """Return the pairs of individuals that look like one, with the lower mean probability of the two directions.

    An individual with one encounter has one direction: nothing else tells it from an encounter with a wrong name.
    """
    likely: dict[Pair, list[float]] = defaultdict(list)
    encounters: dict[str, set[str]] = defaultdict(set)
    for one in judged:
        encounters[one.individual].add(one.photos[0].encounter)
        if one.without is not None:
            for number in np.flatnonzero(~np.isnan(one.without.individuals)):
                likely[one.individual, one.names[number]].append(float(one.without.individuals[number]))
    found = {}
    for a, b in sorted({_pair(a, b) for a, b in likely}):
        ways = [
            float(np.mean(likely[one, other]))
            for one, other, back in ((a, b, len(encounters[b])), (b, a, len(encounters[a])))
            if likely.get((one, other)) and (back > 1 or len(encounters[one]) == 1)
        ]
        if ways and min(ways) >= ONE_ANIMAL:
            found[a, b] = min(ways)
    return found


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)
