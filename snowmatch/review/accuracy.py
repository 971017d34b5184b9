"""How often an observer is right: the weight of an observer's answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import ANSWERS, CANNOT_TELL, Decision
from snowmatch.decisions.who import Who
from snowmatch.review.readings import (
    by_sighting_or_annotation,
    decided,
    independent,
    is_judgement,
    read_pairs,
    without_slips,
)

ACCURACY = 0.97  # of an observer who was never measured; chosen between the experts and the novices of Bohnett 2023
PSEUDO = 20.0  # answers that this is worth: after 20 measured answers they count as much as it does; chosen
LOWEST, HIGHEST = 0.6, 0.995  # of a weight: nobody's answers count nothing, and nobody's count for certain; chosen
TRUTH = "truth "  # begins the tag of a training decision that tells what is right


def truth_tag(truth: str) -> str:
    """Return the tag of a training decision that tells what is right: "truth same" or "truth different"."""
    if truth not in ANSWERS or truth == CANNOT_TELL:
        raise ValueError(f"truth is {truth!r}, expected same or different")
    return TRUTH + truth


def truth_of(row: Decision) -> str:
    """Return what is right in a decision of the training mode, by its tag; "" if it has none."""
    tags = {tag.removeprefix(TRUTH) for tag in row.tags if tag.startswith(TRUTH)} - {CANNOT_TELL}
    return next((truth for truth in ANSWERS if truth in tags), "")


def training_answers(rows: Sequence[Decision], who: Who | None = None) -> list[tuple[Decision, str]]:
    """Return each observer's first answer to each pair of known animals, and what is right.

    A later answer may be remembered. rows: all decisions, in the order of their identifiers. An answer that was taken
    back stays the first one, but for a slip. Rows without the tag of the truth are left out. Names may have been wrong:
    an adjudicator's answer to the pair outranks the tag, and `cannot_tell` of an adjudicator leaves the pair out.
    who: tells which answers are about one pair, also when photos came in between; None: those of the same photos.
    """
    place = by_sighting_or_annotation(who)
    first: dict[tuple[str, tuple[str, str]], Decision] = {}
    for row in without_slips(rows):
        if row.kind == "pair" and row.mode == "training" and truth_of(row):
            first.setdefault((row.observer, place(row)), row)
    judged = {place(row): row.answer for row in in_effect(rows) if is_judgement(row)} if first else {}
    found = ((row, judged.get(key, truth_of(row))) for (_, key), row in first.items())
    return [(row, truth) for row, truth in found if truth != CANNOT_TELL]


def accuracies(rows: Sequence[Decision], who: Who | None = None) -> dict[str, float]:
    """Return the accuracy of every observer who was measured: the share of right ones among same and different.

    It is (PSEUDO * ACCURACY + right) / (PSEUDO + measured), within LOWEST and HIGHEST. Measured are the answers in
    training, and the first ones of each observer to pairs that two answered independently: an adjudicator tells who is
    right; until then two who agree are right, and two who disagree are half right each. Pairs that agree have to count,
    since an adjudicator sees no others: disagreements alone would make everybody look bad. Pairs answered openly by
    both do not count: the second observer saw the first answer. rows: all decisions, in the order of their identifiers.
    who: as of `training_answers`.

    Source: the mean of a beta distribution, as in Gelman et al. 2013, Bayesian Data Analysis, section 2.4.
    """
    right: dict[str, float] = defaultdict(float)
    measured: dict[str, int] = defaultdict(int)
    tested = ((row.observer, float(row.answer == truth)) for row, truth in training_answers(rows, who) if decided(row))
    for source in (tested, _compared(rows, who)):
        for observer, share in source:
            right[observer] += share
            measured[observer] += 1
    return {
        name: min(max((PSEUDO * ACCURACY + right[name]) / (PSEUDO + measured[name]), LOWEST), HIGHEST)
        for name in sorted(measured)
    }


def accuracy_by_name(rows: Sequence[Decision], who: Who | None = None) -> Callable[[str], float]:
    """Return the function that tells an observer's accuracy, 0.6 to 0.995; ACCURACY if it was never measured.

    who: as of `training_answers`.
    """
    measured = accuracies(rows, who)
    return lambda name: measured.get(name, ACCURACY)


def _compared(rows: Sequence[Decision], who: Who | None) -> Iterator[tuple[str, float]]:
    """Yield how right an observer was about each pair with independent answers, 0 to 1."""
    for reading in read_pairs(rows, by_sighting_or_annotation(who)).values():
        scores: dict[str, list[float]] = defaultdict(list)
        truth = reading.adjudicated
        if truth is not None and truth.answer == CANNOT_TELL:
            continue
        for one, other in reading.comparisons():
            if not independent(one, other) or not (decided(one) and decided(other)):
                continue
            for row in (one, other):
                if truth is not None:
                    scores[row.observer].append(float(row.answer == truth.answer))
                else:
                    scores[row.observer].append(1.0 if one.answer == other.answer else 0.5)
        for observer, values in scores.items():
            yield observer, sum(values) / len(values)
