"""The proof of a screening as text and as JSON."""

from __future__ import annotations

import math
from typing import Any

from snowmatch.core.plain import plain, six_digits
from snowmatch.core.text import aligned, counted, printable
from snowmatch.core.version import __version__
from snowmatch.review.screen_figures import Bounds, Told
from snowmatch.review.screen_trial import IN_USE, Proof, Trial
from snowmatch.views.json import notes_to_json

SCHEMA = "snowmatch.screen-evaluation/1"
COLUMNS = {  # of the table of kinds: a heading and the name of the figure
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "ROC area": "auroc",
    "PR area": "average_precision",
    "calibration error": "calibration_error",
}


def format_proof(proof: Proof) -> str:
    """Return the result as text, without a final line break."""
    shown = ", ".join(f"{kind} {count}" for kind, count in proof.labelled.items())
    lines = [f"Labelled photos of {proof.catalog} (by {proof.labels}): {shown}", folds_line(proof)]
    for trial in proof.trials:
        lines += ["", f"== {title_of(trial, proof)} =="]
        for unit, told in (("photo", trial.photo), ("passage", trial.passage)):
            lines += ["", *_told(unit, told)]
        if trial.kept is not None:
            lines += ["", kept_line(trial)]
    return printable_joined(lines)


def printable_joined(lines: list[str]) -> str:
    """Return lines as one text without blanks at their ends; names in them are made printable."""
    return "\n".join(printable(line).rstrip() for line in lines)


def title_of(trial: Trial, proof: Proof) -> str:
    """Return what was measured, for a heading."""
    if trial.name == IN_USE:
        return f"The classifier in use: {proof.classifier['name']}"
    heads = next(iter(trial.heads.values()))
    return f"A model learned from the labelled photos, on features of {heads.network}"


def folds_line(proof: Proof) -> str:
    """Return how the photos were held out."""
    if not proof.by:
        return "All photos are of one encounter: nothing can be held out."
    return (
        f"Held out in {proof.folds} folds by {proof.by}; intervals (95 %) from a bootstrap over passages. Answer: the "
        "kind with the highest score."
    )


def kept_line(trial: Trial) -> str:
    """Return what `snowmatch screen` would keep, as one sentence."""
    kept = trial.kept
    assert kept is not None
    low, high = kept.thresholds
    limit = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    figures = ", ".join(f"{name} {bounds_text(kept.figures[name])}" for name in ("recall", "precision", "spared"))
    return (
        f"Kept passages of {kept.species} (score of {limit} or more, from the other folds; {100 * kept.keep:g} % "
        f"promised in {kept.promised} of {counted(kept.folds, 'fold')}): {figures}"
    )


def bounds_text(bounds: Bounds) -> str:
    """Return a figure with its interval: "0.91 [0.85, 0.96]"; "-" if it is not defined."""
    value, low, high = bounds
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def table_of(told: Told) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the table of kinds, with intervals."""
    rows = [
        (kind, str(of.cases), *(bounds_text(of.figures[name]) for name in COLUMNS.values()))
        for kind, of in told.kinds.items()
    ]
    return ("kind", "number", *COLUMNS), rows


def confusion_rows(told: Told) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the confusion matrix: a row for what is shown, a column for each answer."""
    answers = sorted({answer for row in told.confusion.values() for answer in row} | set(told.kinds))
    rows = [(kind, *(str(row.get(answer, 0)) for answer in answers)) for kind, row in told.confusion.items()]
    return ("shown \\ answer", *answers), rows


def _told(unit: str, told: Told) -> list[str]:
    head, rows = table_of(told)
    short = [tuple(cell.partition(" [")[0] if n > 1 else cell for n, cell in enumerate(row)) for row in rows]
    across, matrix = confusion_rows(told)
    return [
        f"By {unit}: {told.cases}; right {bounds_text(told.accuracy)}; macro F1 {bounds_text(told.macro_f1)}; "
        f"calibration error {bounds_text(told.calibration_error)}",
        *aligned(head, short, right=head[1:]),
        *aligned(across, matrix, right=across[1:]),
    ]


def proof_to_json(proof: Proof) -> dict[str, Any]:
    """Return the object that `screen --evaluate --json` prints. Figures are [value, low, high]; unknown ones null."""
    return plain(
        {
            "schema": SCHEMA,
            "catalog": {"path": str(proof.catalog)},
            "snowmatch": __version__,
            "labels": proof.labels,
            "groups": dict(sorted(proof.groups.items())),
            "labelled": proof.labelled,
            "held_out": {"by": proof.by or None, "folds": proof.folds},
            "classifier": proof.classifier,
            "trials": [_trial(trial) for trial in proof.trials],
            "failed": [{"path": path, "reason": reason} for path, reason in proof.failed],
            "notes": notes_to_json(proof.notes),
        }
    )


def _trial(trial: Trial) -> dict[str, Any]:
    kept = trial.kept
    heads = [head.network for head in trial.heads.values()]
    return {
        "name": trial.name,
        "network": heads[0] if heads else None,
        "photo": _figures(trial.photo),
        "passage": _figures(trial.passage),
        "kept": None
        if kept is None
        else {
            "species": kept.species,
            "keep": kept.keep,
            "folds": kept.folds,
            "promised": kept.promised,
            "thresholds": [six_digits(value) for value in kept.thresholds],
            **{name: _numbers(bounds) for name, bounds in kept.figures.items()},
        },
        "photos": [
            {
                "path": case.path,
                "encounter": case.encounter,
                "fold": case.fold,
                "shown": case.shown,
                "answer": case.told,
                "scores": {name: six_digits(score) for name, score in case.scores.items()},
            }
            for case in trial.cases
        ],
    }


def _figures(told: Told) -> dict[str, Any]:
    return {
        "cases": told.cases,
        "accuracy": _numbers(told.accuracy),
        "macro_f1": _numbers(told.macro_f1),
        "calibration_error": _numbers(told.calibration_error),
        "confusion": told.confusion,
        "bins": [
            {name: six_digits(value) if isinstance(value, float) else value for name, value in vars(group).items()}
            for group in told.bins
        ],
        "kinds": {
            kind: {
                "cases": of.cases,
                **{name: _numbers(bounds) for name, bounds in of.figures.items()},
                "roc": [[six_digits(x), six_digits(y)] for x, y in of.roc],
                "pr": [[six_digits(x), six_digits(y)] for x, y in of.pr],
            }
            for kind, of in told.kinds.items()
        },
    }


def _numbers(bounds: Bounds) -> list[float | None] | None:
    if math.isnan(bounds[0]):
        return None
    return [None if math.isnan(value) else six_digits(value) for value in bounds]
