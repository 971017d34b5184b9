"""Measures of a matcher on held-out animals: on warped photos, and at identification."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from lightglue.examples import Animals
from lightglue.network import Matcher
from lightglue.views import APART, SAME, distances, truth
from snowmatch.confidence.metrics import ranks, top_k
from snowmatch.confidence.trial import make_trial
from snowmatch.matching.geometry.check import inliers
from snowmatch.matching.geometry.frames import Geometry

PRECISION = 0.9  # precision for comparing recalls; mutual nearest neighbours with the ratio test have about 0.9


def judge_warped(match: Matcher, animals: Animals) -> dict[str, float]:
    """Return precision and recall of matches between all views of each photo, for all photos together.

    A match is right within SAME px. It is wrong beyond APART px or off the animal. Between these distances it does not
    count. Matchers have different thresholds; so recall_at_precision is the recall of the matches with the highest
    weights, as many as keep a precision of PRECISION.
    """
    there, weights, right, wrong, found = 0, [], [], [], []
    pairs = [(views[i], views[j]) for views in animals.views for j in range(len(views)) for i in range(j)]
    for view0, view1 in tqdm(pairs, desc="warped", unit="pair"):
        known = {tuple(pair) for pair in truth(view0.places, view1.places).matches.tolist()}
        matches, weight = match(view0, view1)
        apart = distances(view0.places, view1.places)[matches[:, 0], matches[:, 1]]
        weights.extend(weight)
        right.extend(apart < SAME)
        wrong.extend(apart > APART)
        found.extend(tuple(pair) in known for pair in matches.tolist())
        there += len(known)
    order = np.argsort(-np.array(weights), kind="stable")
    right, wrong, found = (np.cumsum(np.array(each)[order]) for each in (right, wrong, found))
    precision, recall = right / np.maximum(1, right + wrong), found / max(1, there)
    return {
        "precision": round(float(precision[-1]), 4) if len(order) else 0.0,
        "recall": round(float(recall[-1]), 4) if len(order) else 0.0,
        "recall_at_precision": round(float(recall[precision >= PRECISION].max(initial=0)), 4),
        "pairs": len(pairs),
    }


def identify(match: Matcher, animals: Animals, known_as: str) -> dict[str, Any]:
    """Return how often the best photo shows the same animal, for every annotation against other encounters.

    A photo's score is the sum of the weights of its matches that pass the engine's geometric check. Every pair is
    matched once and scored in both directions.
    """
    trial = make_trial([replace(a, row=i) for i, a in enumerate(animals.annotations)], "cross-encounter")
    geometry = Geometry()
    views = [v[0] for v in animals.views]
    scores = np.where(trial.allowed, 0.0, np.nan)
    pairs = [(i, j) for i, j in np.argwhere(trial.allowed) if i < j]
    seconds = 0.0
    for i, j in tqdm(pairs, desc=f"identification, {known_as}", unit="pair"):
        start = time.perf_counter()
        matches, weights = match(views[i], views[j])
        seconds += time.perf_counter() - start
        frames = views[i].frames(matches[:, 0]), views[j].frames(matches[:, 1])
        for query, answer, sides in ((i, j, frames), (j, i, frames[::-1])):
            agree = inliers(*sides, float(np.hypot(*views[answer].size)), geometry)
            scores[query, answer] = weights[agree].sum()
    rank = ranks(scores, trial.own())
    return {
        "photo_top_1": round(top_k(rank, 1), 4),
        "photo_top_5": round(top_k(rank, 5), 4),
        "queries": int((~np.isnan(rank)).sum()),
        "annotations": len(views),
        "pairs": len(pairs),
        "seconds_per_pair": round(seconds / max(1, len(pairs)), 4),
    }


def table(result: dict[str, Any]) -> str:
    """Return the measurements as Markdown, one row a matcher."""
    tested = [name for name in result["measured"] if name != "held out"]
    heads = ["matcher", "precision", "recall", f"recall at {PRECISION:.0%} precision", "held out, best photo", *tested]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, figures in result["measured"]["held out"].items():
        warped = figures["warped"]
        shares = [warped[figure] for figure in ("precision", "recall", "recall_at_precision")]
        shares += [result["measured"][t][name]["identification"]["photo_top_1"] for t in ("held out", *tested)]
        lines.append(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    return "\n".join(lines)
