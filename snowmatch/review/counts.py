"""How many individuals there are, by draws of who is who, and how many comparisons are left until that is settled."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from snowmatch.review.evidence import Weights
from snowmatch.review.questions import Questions


@dataclass(frozen=True)
class Count:
    """A number of individuals: its mean over the draws, the ends of its 95 % interval, and its standard deviation."""

    mean: float
    low: int
    high: int
    deviation: float


@dataclass(frozen=True)
class Left:
    """What is left to compare. questions: about how many comparisons until the number of individuals is known to less
    than `within`; None if no number of comparisons of these pairs reaches that. pairs: the first of them, best first.
    after: half of the 95 % interval that remains after them.
    """

    questions: int | None
    pairs: tuple[tuple[int, int], ...]
    after: float


def individuals(draws: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Return the number of individuals in each draw, (D,) int, among the sightings of the mask `chosen` (default: all).

    draws: (D, n) labels. No sightings give 0.
    """
    labels = np.sort(draws if chosen is None else draws[:, np.asarray(chosen, bool)], axis=1)
    if not labels.shape[1]:
        return np.zeros(len(labels), np.int64)
    return np.asarray(1 + (labels[:, 1:] != labels[:, :-1]).sum(1), np.int64)


def count(numbers: np.ndarray) -> Count:
    """Return the summary of drawn numbers, (D,) with D of 1 or more. The interval ends at whole numbers."""
    low, high = np.quantile(numbers, [0.025, 0.975])
    return Count(float(numbers.mean()), math.floor(low), math.ceil(high), float(numbers.std()))


def left(
    draws: np.ndarray, i: np.ndarray, j: np.ndarray, chosen: np.ndarray | None = None, within: float = 1.0
) -> Left:
    """Return how many of the pairs i, j, (E,) int, still have to be compared.

    One after the other, the pair is taken whose answer explains most of the spread of the number of individuals, in a
    linear regression over the draws, as long as that is more than the best of so many pairs explains by chance. So few
    draws find few pairs: D has to be some hundreds.
    Source: orthogonal matching pursuit, Pati, Rezaiifar and Krishnaprasad, 1993 (Asilomar Conference 27:40-44).
    """
    numbers = individuals(draws, chosen).astype(np.float64)
    total = len(numbers)
    rest = numbers - numbers.mean()
    answers = (draws[:, i] == draws[:, j]).astype(np.float64)
    answers -= answers.mean(0)
    start = (answers**2).sum(0)
    chance = 2 * math.log(max(len(i), 2))  # the largest of so many squares of standard normal numbers, about
    taken: list[tuple[int, int]] = []
    while True:
        spread = float(rest @ rest) / max(total - 1 - len(taken), 1)
        half = 1.96 * math.sqrt(spread)
        if half < within:
            return Left(len(taken), tuple(taken), half)
        power = (answers**2).sum(0)
        usable = power > 1e-6 * np.maximum(start, 1)
        if not usable.any() or len(taken) >= total // 2:
            return Left(None, tuple(taken), half)
        explained = np.where(usable, (rest @ answers) ** 2 / np.where(usable, power, 1), 0)
        best = int(explained.argmax())
        if explained[best] <= chance * spread:
            return Left(None, tuple(taken), half)
        taken.append((int(i[best]), int(j[best])))
        unit = answers[:, best] / math.sqrt(power[best])
        rest = rest - (rest @ unit) * unit
        answers = answers - np.outer(unit, unit @ answers)


def ahead(
    weights: Weights,
    draws: np.ndarray,
    *,
    margin: float,
    answer: float,
    most: int = 1,
    quiet: float = -math.inf,
    asked: Collection[tuple[int, int]] = (),
    times: int = 3,
    closed: Callable[[], tuple[Callable[[int, int], bool], Callable[[int, int, bool], None]]] | None = None,
) -> int:
    """Return about how many questions `Questions` will still ask: the mean over some draws, each taken as the truth.

    margin, most, quiet, asked: of Questions. answer: the weight of an answer. times: draws that are tried, evenly
    spread; it takes as long as the questions to all of them. closed: makes for each of them two functions: which pairs
    (i, j) are not asked, as of `Questions.ask`, and what takes an answer (i, j, same) from which others follow.
    """
    numbers = []
    for row in draws[:: max(len(draws) // times, 1)][:times]:
        questions = Questions(weights, margin=margin, most=most, quiet=quiet, asked=asked)
        number = 0
        shut, take = closed() if closed is not None else (None, None)
        while found := questions.ask(closed=shut):
            i, j = found[0].i, found[0].j
            if take is not None:
                take(i, j, bool(row[i] == row[j]))
            questions.answer(i, j, answer if row[i] == row[j] else -answer)
            number += 1
        numbers.append(number)
    return round(sum(numbers) / max(len(numbers), 1))
