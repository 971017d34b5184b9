"""The result of an evaluation as text for the terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from snowmatch.confidence.measures import Figure, Measured
from snowmatch.core.plain import plain
from snowmatch.core.text import aligned, counted, printable, share_text
from snowmatch.core.version import __version__
from snowmatch.identify.evaluate import Evaluation
from snowmatch.views.calibration import format_quality, quality_to_json
from snowmatch.views.json import notes_to_json

ROWS = (
    ("top-1", "top1", "percent"),
    ("top-1 of the surest photo", "best_photo", "percent"),
    ("top-5", "top5", "percent"),
    ("top-10", "top10", "percent"),
    ("top-1, macro", "macro_top1", "percent"),
    ("mAP", "map", "number"),
    ("DT5AP", "dt5ap", "number"),
    ("AUROC known/new", "auroc", "number"),
    ("found at 1 % false alarms", "detection_rate", "percent"),
)
COLUMNS = (("by photo", "annotation"), ("by individual", "individual"), ("by encounter", "encounter"))


def format_evaluation(evaluation: Evaluation) -> str:
    """Return the evaluation as aligned text, without a final line break.

    The text has the catalog and the protocol, the number of queries, the figures with their intervals, the quality of
    the probabilities, and one line for each individual and body part. If no query has a right answer that the protocol
    allows, the text says that there is nothing to measure.
    """
    measured = evaluation.measured
    method = printable(f"{evaluation.extractor['name']} + {evaluation.matcher['name']}")
    lines = [
        f"Catalog:  {printable(evaluation.catalog_path)}, protocol {evaluation.protocol} ({method})",
        f"Queries:  {measured.queries}; {measured.answerable} of them have a right answer in the catalog,",
        f"          in {counted(measured.groups, 'encounter')} (each body part of an encounter counts once)",
    ]
    if not measured.answerable:
        return "\n".join([*lines, "", "Nothing to measure: no query has a right answer that the protocol allows."])
    lines += ["", *aligned(("", *(title for title, _ in COLUMNS)), [_row(measured, *row) for row in ROWS])]
    lines += [
        "",
        "Top-5: the right answer is among the first 5. Brackets contain 95 % intervals (bootstrap over encounters).",
        "By encounter: all photos of an encounter are one query. Surest photo: of the photos of an encounter, only the",
        "photo with the highest score counts.",
        "",
        *format_quality(evaluation.quality, evaluation.levels),
    ]
    animals = [
        (
            printable(a.individual),
            a.body_part,
            str(a.queries),
            str(a.annotation_right),
            str(a.individual_right),
        )
        for a in measured.by_animal
    ]
    head = ("individual", "body part", "queries", "right photo is first", "right individual is first")
    return "\n".join(line.rstrip() for line in [*lines, "", *aligned(head, animals, right=head[2:])])


def _row(measured: Measured, title: str, name: str, kind: str) -> tuple[str, ...]:
    return (title, *(_cell(measured.figures.get(f"{column}_{name}"), kind) for _, column in COLUMNS))


def _cell(figure: Figure | None, kind: str) -> str:
    if figure is None or figure.value != figure.value:  # NaN: the figure is not defined
        return "-"
    show = (lambda v: f"{100 * v:.1f}") if kind == "percent" else (lambda v: f"{v:.3f}")
    value = share_text(figure.value, 1) if kind == "percent" else show(figure.value)
    between = f" [{show(figure.low)}, {show(figure.high)}]" if figure.low == figure.low else ""
    return f"{value}{between}"


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the object that `evaluate --json` prints, schema "snowmatch.evaluate/1". Undefined figures are null."""
    return plain(
        {
            "schema": "snowmatch.evaluate/1",
            "catalog": {"path": evaluation.catalog_path, "annotations": len(evaluation.table.paths)},
            "protocol": evaluation.protocol,
            "method": {
                "extractor": evaluation.extractor,
                "matcher": evaluation.matcher,
                "snowmatch": __version__,
            },
            **measured_to_json(evaluation.measured),
            "calibration": {
                "groups": evaluation.groups,
                "levels": asdict(evaluation.levels),
                "quality": quality_to_json(evaluation.quality),
            },
            "notes": notes_to_json(evaluation.notes),
        }
    )


def measured_to_json(measured: Measured) -> dict[str, Any]:
    """Return the figures as JSON values, rounded to six decimal places. Undefined figures are null."""
    return plain(
        {
            "queries": measured.queries,
            "answerable": measured.answerable,
            "encounters_asked": measured.groups,
            "figures": {name: _rounded(asdict(figure)) for name, figure in measured.figures.items()},
            "cmc": {name: [round(v, 6) for v in curve] for name, curve in measured.cmc.items()},
            "by_animal": [asdict(animal) for animal in measured.by_animal],
        }
    )


def _rounded(figure: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figure.items()}
