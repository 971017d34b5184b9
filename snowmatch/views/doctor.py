"""The findings of an examination as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snowmatch.core.plain import plain
from snowmatch.core.text import counted, printable
from snowmatch.review.doctor.examine import Examination
from snowmatch.review.doctor.finding import SEVERITIES, Finding

SCHEMA = "snowmatch.doctor/1"
SHOWN = 5  # cases of one finding
HEADS = {"serious": "Serious", "check": "To check", "hint": "Hints"}

Advice = Callable[[str, Mapping[str, Any]], str]


def format_examination(found: Examination, advice: Advice, *, every: bool = False) -> str:
    """Return the findings as text, without a final line break. advice: what to do about a code and its data.

    every: list all cases of a finding, not only the first ones.
    """
    lines = [
        f"{found.folder}: {counted(found.annotations, 'annotation')} of {counted(found.photos, 'photo')}, "
        f"{counted(found.individuals, 'individual')}, {counted(found.encounters, 'encounter')}",
        ", ".join(_total(severity, found.count(severity)) for severity in SEVERITIES),
    ]
    for severity in SEVERITIES:
        findings = [finding for finding in found.findings if finding.severity == severity]
        lines += ["", f"{HEADS[severity]}:"] if findings else []
        for finding in findings:
            lines += _finding(finding, advice(finding.code, _data(found, finding.data)), every)
    if found.unseen:
        lines += ["", "Not looked at:"]
        for note in found.unseen:
            lines += [f"- {_one_line(note.text)}", *_what_to_do(advice(note.code, _data(found, note.data)))]
    return "\n".join(lines)


def _total(severity: str, number: int) -> str:
    return counted(number, "hint") if severity == "hint" else f"{number} {HEADS[severity].lower()}"


def _finding(finding: Finding, advice: str, every: bool) -> list[str]:
    shown = finding.cases if every else finding.cases[:SHOWN]
    more = len(finding.cases) - len(shown)
    return [
        f"- {_one_line(finding.text)}",
        *(f"    {_one_line(case)}" for case in shown),
        *([f"    and {more} more (--all)"] if more else []),
        *_what_to_do(advice),
    ]


def _what_to_do(advice: str) -> list[str]:
    return [f"  > {advice}"] if advice else []


def _one_line(text: str) -> str:
    return printable(" ".join(text.splitlines()))


def _data(found: Examination, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"catalog": str(found.folder), **data}


def examination_to_json(found: Examination, advice: Advice) -> dict[str, Any]:
    """Return the findings as plain values, with all cases. Its schema is SCHEMA."""
    return {
        "schema": SCHEMA,
        "catalog": {
            "path": plain(str(found.folder)),
            "annotations": found.annotations,
            "photos": found.photos,
            "individuals": found.individuals,
            "encounters": found.encounters,
        },
        "deep": found.deep,
        "counts": {severity: found.count(severity) for severity in SEVERITIES},
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "text": plain(finding.text),
                "advice": plain(advice(finding.code, _data(found, finding.data))),
                "cases": plain(finding.cases),
                "photos": plain(finding.photos),
                "annotations": plain(finding.annotations),
                "encounters": plain(finding.encounters),
                "data": plain(finding.data),
            }
            for finding in found.findings
        ],
        "not_looked_at": [
            {"code": n.code, "text": plain(n.text), "advice": plain(advice(n.code, _data(found, n.data)))}
            for n in found.unseen
        ],
    }
