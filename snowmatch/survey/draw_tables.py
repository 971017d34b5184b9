"""Tables of a survey's drawn identities: individuals of each session, capture histories and estimates, also pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from snowmatch.review.counts import Count, count
from snowmatch.survey.captures import Capture, history
from snowmatch.survey.draws import Drawn
from snowmatch.survey.pooling import Pooled, pool
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import estimates
from snowmatch.survey.tables import Table

MODELS = ("m0", "chao")


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
    captured = [
        (session, decided, float(f"{likely.mean:.5g}"), likely.low, likely.high, len(drawn.captures))
        for session, (decided, likely) in captured_individuals(survey, drawn).items()
    ]
    pooled = ("session", "model", "estimate", "low", "high", "rubin_low", "rubin_high", "draws", "without_limit")
    return {
        "draws.csv": (("draw", "session", "individuals", "captures", *head), each),
        "histories.csv": (("draw", "session", "individual_id", "history"), histories),
        "individuals-draws.csv": (("session", "by_decisions", "likely", "low", "high", "draws"), list(captured)),
        "estimates-draws.csv": (pooled, list(rows)),
    }


def captured_individuals(survey: Survey, drawn: Drawn) -> dict[str, tuple[int, Count]]:
    """Return how many individuals were captured in each session: by the decisions alone, and by the draws."""
    return {
        s.name: (
            _captured(survey.captures, s.name),
            count(np.array([_captured(captures, s.name) for captures in drawn.captures])),
        )
        for s in survey.sessions
    }


def _captured(captures: Iterable[Capture], session: str) -> int:
    return len({c.individual for c in captures if c.session == session})


def pooled_estimates(survey: Survey, drawn: Drawn) -> dict[str, dict[str, Pooled]]:
    """Return the pooled estimate of each session and model (`m0`, `chao`)."""
    found = {}
    for s in survey.sessions:
        by_draw = [estimates(captures, s, survey.worked(s)) for captures in drawn.captures]
        found[s.name] = {model: pool([each[model] for each in by_draw]) for model in MODELS}
    return found
