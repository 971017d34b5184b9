"""The figures of screening: pure functions on the probabilities of species in photos and passages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from figures import rounded

from snowmatch.catalog.screened import KEPT
from snowmatch.confidence.kinds import FIGURES, bounded
from snowmatch.confidence.quality import binomial_interval
from snowmatch.screening.passages import SPECIES, answer_of, choose_threshold, passage_score

LEOPARD, NYALA, PAINTED = "snow leopard", "nyala", "painted out"
AGAINST = {NYALA: (NYALA,), PAINTED: (PAINTED,), "both": (NYALA, PAINTED)}  # names of the photos without a leopard
KEEPS = (0.99, 0.95, 0.9)  # shares of passages to be kept; the first is the default of `snowmatch screen`
POINTS = 60  # of a curve in the picture


@dataclass(frozen=True)
class Case:
    """A photo or a passage, and what the classifier saw in it.

    kind: what it shows: LEOPARD, NYALA or PAINTED. name: of the photo or the passage. cluster: cases that are alike
    have the same one: the passage of leopards and of what was painted out, the individual of nyala. photos: the
    probability of each species in each photo of it.
    """

    kind: str
    name: str
    encounter: str
    station: str
    cluster: str
    light: str
    photos: tuple[Mapping[str, float], ...]

    @property
    def score(self) -> float:
        """The score, as `snowmatch screen` computes it."""
        return passage_score(self.photos, SPECIES)

    def answer(self, threshold: float) -> str:
        """Return the answer of `snowmatch screen`."""
        return answer_of(self.photos, SPECIES, threshold)[0]


def passages_of(cases: Sequence[Case]) -> list[Case]:
    """Return the passages of photos: those of one kind and encounter together, in the order of their first photos."""
    together: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        together[case.kind, case.encounter].append(case)
    return [
        replace(each[0], name=encounter, photos=tuple(photo for case in each for photo in case.photos))
        for (_, encounter), each in together.items()
    ]


def confusion(cases: Sequence[Case], threshold: float) -> dict[str, dict[str, int]]:
    """Return how many cases of each kind got each answer."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in (LEOPARD, NYALA, PAINTED)}
    for case in cases:
        counts[case.kind][case.answer(threshold)] += 1
    return {kind: dict(sorted(each.items())) for kind, each in counts.items()}


def separation(cases: Sequence[Case], threshold: float) -> dict[str, dict[str, Any]]:
    """Return how well leopards are told from each name of AGAINST: figures as [value, low, high], unknown: null.

    low and high are the 95 % interval of a bootstrap over clusters. `kept` of leopards is the recall; `precision`, `f1`
    and `calibration_error` depend on how many cases of each kind there are.
    """
    found = {}
    for name, kinds in AGAINST.items():
        of = [case for case in cases if case.kind in (LEOPARD, *kinds)]
        score = np.array([case.score for case in of])
        right = np.array([case.kind == LEOPARD for case in of], bool)
        let_in = np.array([case.answer(threshold) == KEPT for case in of], bool)
        clusters = np.array([case.cluster for case in of], dtype=str)
        found[name] = {
            key: rounded_bounds(statistic, clusters, score, right, let_in) for key, statistic in FIGURES.items()
        }
    return found


def rounded_bounds(statistic: Callable[..., float], clusters: np.ndarray, *columns: np.ndarray) -> Any:
    """Return [value, low, high] of statistic(*columns) with four decimals; None if the value is not defined."""
    value, low, high = bounded(statistic, clusters, *columns)
    return None if rounded(value) is None else [rounded(each) for each in (value, low, high)]


def by_light(cases: Sequence[Case], threshold: float) -> dict[str, dict[str, Any]]:
    """Return the figures of leopards and of what was painted out, by the light of the photo. All nyala are in colour.

    `nyala`: leopards of this light against all nyala. `painted out`: against photos of the same light.
    """
    found: dict[str, dict[str, Any]] = {}
    for light in sorted({case.light for case in cases if case.kind == LEOPARD}):
        of = [case for case in cases if case.kind == NYALA or case.light == light]
        figures = separation(of, threshold)
        found[light] = {
            "photos": sum(case.kind == LEOPARD for case in of),
            "passages": len({case.encounter for case in of if case.kind == LEOPARD}),
            "recall": figures[PAINTED]["recall"],
            **{name: {key: figures[name][key] for key in ("spared", "auroc")} for name in (NYALA, PAINTED)},
        }
    return found


def by_station(passages: Sequence[Case], keep: float) -> dict[str, Any]:
    """Return what a threshold that was learned elsewhere does at each station, all stations together.

    Each station with leopards is left out once: the threshold comes from the passages of the other stations, and judges
    the passages of this one, and all nyala. promised: at how many stations there were enough passages to promise
    `keep`. kept, spared: [share, low, high] with the exact 95 % interval; nyala: [mean, lowest, highest] over stations.
    """
    stations = sorted({case.station for case in passages if case.kind == LEOPARD})
    limits = []
    let_in: dict[str, list[bool]] = {LEOPARD: [], PAINTED: []}
    nyala, whole = [], 0
    for station in stations:
        known = [case.score for case in passages if case.kind == LEOPARD and case.station != station]
        limit = choose_threshold(known, keep)
        limits.append(limit)
        here = {
            kind: [
                case.answer(limit.value) == KEPT for case in passages if (case.kind, case.station) == (kind, station)
            ]
            for kind in let_in
        }
        for kind, answers in here.items():
            let_in[kind] += answers
        whole += all(here[LEOPARD])
        nyala.append(_share(np.array([case.answer(limit.value) != KEPT for case in passages if case.kind == NYALA])))
    values = [limit.value for limit in limits]
    return {
        "keep": keep,
        "stations": len(stations),
        "promised": sum(limit.promised for limit in limits),
        "threshold": [rounded(min(values)), rounded(max(values))],
        "passages": len(let_in[LEOPARD]),
        "whole": whole,
        "kept": _exact(sum(let_in[LEOPARD]), len(let_in[LEOPARD])),
        "spared": _exact(sum(not each for each in let_in[PAINTED]), len(let_in[PAINTED])),
        "nyala": [rounded(each) for each in (float(np.mean(nyala)), min(nyala), max(nyala))],
    }


def curves(cases: Sequence[Case]) -> dict[str, list[list[float | None]]]:
    """Return the curves against each name of AGAINST except `both`: points of [recall, false alarms, precision]."""
    found = {}
    for name in (NYALA, PAINTED):
        of = [case for case in cases if case.kind in (LEOPARD, name)]
        score, right = np.array([case.score for case in of]), np.array([case.kind == LEOPARD for case in of], bool)
        levels = np.unique(score)[::-1]
        chosen = levels[np.unique(np.linspace(0, len(levels) - 1, POINTS).round().astype(int))]
        points = [(_share(score[right] >= t), _share(score[~right] >= t), _share(right[score >= t])) for t in chosen]
        found[name] = [[rounded(each) for each in point] for point in points]
    return found


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _exact(successes: int, trials: int) -> list[float | None]:
    """Return [share, low, high] with the exact 95 % interval. trials: 0 gives a share that is not defined (null)."""
    share = successes / trials if trials else float("nan")
    return [rounded(each) for each in (share, *binomial_interval(successes, trials))]
