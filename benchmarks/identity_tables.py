"""The tables of who is who: decisions, mistakes, and the number of individuals; and how fast decisions are read."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from as_markdown import table

IDENTITY_MEANS = (
    "All names are taken out of a catalog. Simulated observers, who are right with the given probability, answer until "
    "nothing is left to ask. `queue`: what `snowmatch identities ask` asks, then an adjudicator for the answers that "
    "the photos contradict. `auto+queue`: after `auto --from excellent`. `ranked`: each sighting is compared with its "
    "best five. `ranked_names`: the same, until the first that is the same. `graph`: graph identification (k = 2). "
    "split: animals with more than one identity; lumped: identities of more than one animal; identities: error of "
    "their number; likely: error of the number that `count` tells, and how many of its intervals hold the truth. "
    "Drawn surveys: means; 30 cats with 6 encounters each. They are 60 animals here: nothing joins their flanks. "
    "The shipped calibration tells how probable each pair is. It was learned from drawn cats of other seeds, and from "
    "these same photos of leopards and nyala with their names: the rows of these two sets may be better than those of "
    "photos that it has never seen."
)
AT_HALF_MEANS = (
    "`queue` when half of the decisions of `ranked` are spent, beside `ranked` at its end. Means of the same observers."
)
COURSE = ("decisions", "split", "lumped", "names")  # the columns of a course: mistakes after some decisions
SURVEY = "survey-"  # the beginning of the names of drawn surveys that are told together
DECISIONS_MEAN = "Seconds of the processor, on one core. next, answer: median, and the most of 20."


def identities_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return the runs as a Markdown table. Drawn surveys are one row."""

    rows = []
    for run in _several(runs):
        total = run["summary"]
        drawn = total.get("after")
        told = [signed(drawn["bias"]), f"{drawn['holds']} of {total['surveys']}"] if drawn else ["–", "–"]
        observer = f"{100 * run['accuracy']:g} %" + (
            f", {100 * run['cannot_tell']:g} % undecided" * bool(run["cannot_tell"])
        )
        figures = [f"{total[key]:g}" for key in ("decisions", "split", "lumped")]
        rows.append([run["data"], run["way"], observer, *figures, signed(total["bias"]), *told])
    headings = ["catalog", "way", "observer", "decisions", "split", "lumped", "identities", "likely", "intervals hold"]
    return table(headings, rows, left=3)


def at_half_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return what the queue has found with half of the ranked list's decisions as a Markdown table; "" without runs.

    Observers have the seeds 0, 1, ...: where one way has more of them, those that both ways have are compared.
    """
    ranked = {(run["data"], run["accuracy"]): run["surveys"] for run in runs if run["way"] == "ranked"}
    rows = []
    for run in runs:
        full = ranked.get((run["data"], run["accuracy"]))
        if run["way"] != "queue" or full is None or "course" not in run["surveys"][0]:
            continue
        full = full[: len(run["surveys"])]
        most = [row["decisions"] / 2 for row in full]
        half = [_at(row["course"], at) | {"true": row["true"]} for row, at in zip(run["surveys"], most, strict=False)]
        cells = [f"{fmean(most):g}"]
        for found in (half, full):
            cells += [f"{fmean(row[key] for row in found):g}" for key in ("split", "lumped")]
            cells.append(signed(fmean(row["names"] / row["true"] - 1 for row in found)))
        rows.append([run["data"], f"{100 * run['accuracy']:g} %", *cells])
    headings = ["catalog", "observer", "decisions", "split", "lumped", "identities"]
    headings += ["ranked: split", "ranked: lumped", "ranked: identities"]
    return table(headings, rows, left=2) if rows else ""


def _at(course: Sequence[Sequence[int]], decisions: float) -> dict[str, int]:
    """Return the mistakes after some decisions."""
    return dict(zip(COURSE, [step for step in course if step[0] <= decisions][-1], strict=True))


def signed(value: float) -> str:
    """Return a share as a text such as `+1.7 %`."""
    return f"{100 * value:+.1f} %"


def _several(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs, those of drawn surveys with one observer and way as one run with the means of all."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        drawn = run["data"].startswith(SURVEY)
        key = ("", run["way"], run["accuracy"], run["cannot_tell"]) if drawn else (run["run"],)
        groups.setdefault(key, []).append(run)
    return [_mean(group) if group[0]["data"].startswith(SURVEY) else group[0] for group in groups.values()]


def _mean(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the run with the means of several."""
    totals = [run["summary"] for run in runs]

    def mean(key: str) -> float:
        return round(fmean(total[key] for total in totals), 4)

    summary: dict[str, Any] = {key: mean(key) for key in ("decisions", "split", "lumped", "bias")}
    if "after" in totals[0]:
        after = [total["after"] for total in totals]
        summary["after"] = {"bias": fmean(a["bias"] for a in after), "holds": sum(a["holds"] for a in after)}
    summary["surveys"] = sum(total["surveys"] for total in totals)
    return {**runs[0], "data": f"{len(runs)} drawn surveys", "summary": summary}


def decisions_table(run: dict[str, Any]) -> str:
    """Return the seconds of the benchmark of decisions."""
    s = run["seconds"]
    rows = [
        ["read the file, with its chain of hashes", f"{s['read']:.2f}"],
        ["who is who", f"{s['who']:.2f}"],
        ["make the queue", f"{s['queue']:.1f}"],
        ["next question", f"{s['next_median']:.3f}, {s['next_most']:.3f}"],
        ["store an answer, with who is who and the queue", f"{s['answer_median']:.3f}, {s['answer_most']:.3f}"],
    ]
    return table([run["run"], "s"], rows)
