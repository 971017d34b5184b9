"""Tables of a survey's drawn identities: individuals of each session, capture histories and estimates, also pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.review.counts import count
from snowmatch.survey.captures import Capture, history
from snowmatch.survey.draws import Drawn
from snowmatch.survey.pooling import Pooled, pool
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import estimates
from snowmatch.survey.tables import Table

MODELS = ("m0", "chao")


@dataclass(frozen=True)
class Seen:
    """The number of individuals that were captured in a session.

    decided: by the decisions alone. mean, low, high: of the draws, with a 95 % interval.
    """

    session: str
    decided: int
    mean: float
    low: int
    high: int


def draw_tables(survey: Survey, drawn: Drawn) -> dict[str, Table]:
    """Return draws.csv, histories.csv, individuals-draws.csv and estimates-draws.csv: names of files, with head and
    rows.
    """
    each: list[Sequence[object]] = []
    histories: list[Sequence[object]] = []
    for n, captures in enumerate(drawn.captures, start=1):
        for s in survey.sessions:
            names, table = history(captures, s.name, s.occasions)
            cells = {c.cell for c in captures if c.session == s.name}
            found = estimates(captures, s, survey.worked(s))
            numbers = [round(v, 4) for m in MODELS for v in (found[m].value, found[m].low, found[m].high)]
            each.append((n, s.name, len(names), len(cells), *numbers))
            histories += [
                (n, s.name, name, "".join("01"[int(v)] for v in row)) for name, row in zip(names, table, strict=True)
            ]
    head = [f"{m}{end}" for m in MODELS for end in ("", "_low", "_high")]
    rows = [
        (session, model, *(float(f"{v:.5g}") for v in (p.value, p.low, p.high, p.rubin_low, p.rubin_high)), *rest)
        for session, models in pooled_estimates(survey, drawn).items()
        for model, p in models.items()
        for rest in [(p.draws, p.infinite)]
    ]
    seen = [
        (s.session, s.decided, float(f"{s.mean:.5g}"), s.low, s.high, len(drawn.captures))
        for s in seen_in(survey, drawn)
    ]
    pooled = ("session", "model", "estimate", "low", "high", "rubin_low", "rubin_high", "draws", "without_limit")
    return {
        "draws.csv": (("draw", "session", "individuals", "captures", *head), each),
        "histories.csv": (("draw", "session", "individual_id", "history"), histories),
        "individuals-draws.csv": (("session", "by_decisions", "likely", "low", "high", "draws"), list(seen)),
        "estimates-draws.csv": (pooled, list(rows)),
    }


def seen_in(survey: Survey, drawn: Drawn) -> list[Seen]:
    """Return how many individuals were captured in each session: by the decisions, and by two draws or more."""
    found = []
    for s in survey.sessions:
        number = count(np.array([_captured(captures, s.name) for captures in drawn.captures]))
        found.append(Seen(s.name, _captured(survey.captures, s.name), number.mean, number.low, number.high))
    return found


def _captured(captures: Iterable[Capture], session: str) -> int:
    return len({c.individual for c in captures if c.session == session})


def pooled_estimates(survey: Survey, drawn: Drawn) -> dict[str, dict[str, Pooled]]:
    """Return the pooled estimate of each session and model (`m0`, `chao`)."""
    found = {}
    for s in survey.sessions:
        by_draw = [estimates(captures, s, survey.worked(s)) for captures in drawn.captures]
        found[s.name] = {model: pool([each[model] for each in by_draw]) for model in MODELS}
    return found
