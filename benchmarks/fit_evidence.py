"""Fit the weights of pairs so that sightings, and sets of sightings, get the right probabilities when all others are known.

Subsets of one to six sightings are taken off their individuals; each subset of a size that is all one individual is as likely
to be taken as any other. It may belong to any individual, or be one of its own. The settings of `Evidence` are those that make the truth likeliest.

    python benchmarks/fit_evidence.py                 # on drawn surveys with 1 to many encounters of each animal
    python benchmarks/fit_evidence.py CASE.npz ...    # on surveys with known names

Source: composite likelihood of blocks, after the pseudo-likelihood of Besag, 1975 (The Statistician 24:179-195).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from drawn_pairs import Case, draw_case, read_case, varied
from scipy.optimize import minimize

from snowmatch.review.evidence import Evidence, log_odds
from snowmatch.review.sizes import Sizes

SURVEYS = 6
SUBSETS = (1, 2, 3, 6)


def features(case: Case, most: float, strong: float, seed: int) -> list[tuple[np.ndarray, int]]:
    """Return, for each subset, the features of each choice (K + 1, 8) and the number of the right one.

    A choice is an individual; the last is one of its own. Features: listed pairs, their positive and their negative log
    odds, the same three for pairs with a weak sighting, other pairs of sightings that are not weak, and what the
    sizes of the individuals say (it is not fitted).
    """
    random = np.random.default_rng(seed)
    n = len(case.truth)
    individuals = case.truth.max() + 1
    odds = log_odds(case.p, most)
    each = np.zeros((n, individuals, 6))
    value = np.stack([np.ones(len(odds)), np.maximum(odds, 0), np.minimum(odds, 0)], 1)
    weak = Evidence(strong=strong).weigh(n, case.i, case.j, case.p)[1]
    poor = (weak[case.i] | weak[case.j])[:, None]
    value = np.concatenate([value * ~poor, value * poor], 1)
    np.add.at(each, (case.i, case.truth[case.j]), value)
    np.add.at(each, (case.j, case.truth[case.i]), value)
    size = np.bincount(case.truth, minlength=individuals)
    plain = np.bincount(case.truth, ~weak, minlength=individuals)
    worth = Sizes(n).likeliest(np.bincount(size, minlength=n + 1))
    blocks = []
    for many in SUBSETS:
        ways = np.array([math.comb(int(k), many) for k in size], float)
        owners = random.choice(individuals, n // many, p=ways / ways.sum()) if ways.any() else []
        for individual in owners:
            subset = random.permutation(np.flatnonzero(case.truth == individual))[:many]
            held = each[subset].sum(0)
            inside = np.isin(case.i, subset) & np.isin(case.j, subset)
            held[individual] -= 2 * value[inside].sum(0)
            others = size.copy()
            others[individual] -= len(subset)
            found = np.zeros((individuals + 1, 8))
            found[:-1, :6] = held
            rest = plain.copy()
            rest[individual] -= (~weak[subset]).sum()
            found[:-1, 6] = (~weak[subset]).sum() * rest - held[:, 0]
            found[:-1, 7] = worth[others + len(subset)] - worth[others]
            found[-1, 7] = worth[len(subset)]
            alone = others[individual] == 0
            keep = np.append(others > 0, True)
            right = keep.sum() - 1 if alone else int(keep[:individual].sum())
            blocks.append((found[keep], right))
    return blocks


def fit(cases: Sequence[Case], most: float, strong: float) -> tuple[Evidence, float]:
    """Return the settings that make the truth of the cases likeliest, and the mean log loss of a subset."""
    blocks = [block for seed, case in enumerate(cases) for block in features(case, most, strong, seed)]
    table = np.concatenate([found for found, _ in blocks])
    starts = np.cumsum([0, *(len(found) for found, _ in blocks)])
    right = starts[:-1] + np.array([k for _, k in blocks])
    group = np.repeat(np.arange(len(blocks)), np.diff(starts))

    def loss(settings: np.ndarray) -> tuple[float, np.ndarray]:
        score = table @ settings
        top = np.maximum.reduceat(score, starts[:-1])
        weight = np.exp(score - top[group])
        total = np.add.reduceat(weight, starts[:-1])
        share = weight / total[group]
        slope = share @ table - table[right].sum(0)
        return float((np.log(total) + top).sum() - score[right].sum()), slope

    free, least, at_most = (None, None), (0.0, None), (None, 0.0)
    bounds = [free, least, least, free, least, least, at_most, (1.0, 1.0)]
    found = minimize(loss, np.array([0, 1, 1, 0, 1, 1, -1, 1.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    listed = [round(float(v), 3) for v in found.x[:7]]
    return Evidence(*listed, most=most, strong=strong), float(found.fun) / len(blocks)


def main() -> None:
    """Fit and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=Path)
    given = parser.parse_args()
    cases = [read_case(path) for path in given.cases] or [
        draw_case(1000 + seed, varied(1000 + seed)) for seed in range(SURVEYS)
    ]
    tried = [fit(cases, most, strong) for most in (3.5, 4.5) for strong in (0.5, 0.65, 0.8, 0.9)]
    for evidence, loss in sorted(tried, key=lambda pair: pair[1]):
        print(json.dumps(asdict(evidence) | {"loss": round(loss, 4)}))


if __name__ == "__main__":
    main()
