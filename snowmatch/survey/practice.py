"""What reviewers ask of a survey with individuals, as a table, and as a paragraph for the methods section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from snowmatch.core.version import __version__
from snowmatch.decisions.effect import counts, in_effect
from snowmatch.review.alpha import identification_rate
from snowmatch.review.identities import Identities, unused_annotations
from snowmatch.review.methods_text import methods_paragraph
from snowmatch.review.observers import agreement
from snowmatch.review.shares import Share
from snowmatch.survey.identification import PERSONS, identify_captures
from snowmatch.survey.run import Survey
from snowmatch.survey.summaries import individuals
from snowmatch.survey.tables import Table

NOT_RECORDED = "not recorded"


def practice_table(survey: Survey, identities: Identities) -> Table:
    """Return what reviewers ask for: a row for each figure, with its 95 % interval where it is a share.

    Source: the fields follow Choo et al. 2020, Global Ecology and Conservation e01294.
    """
    who, rows = identities.who, in_effect(identities.rows)
    pairs = [r for r in rows if r.kind == "pair" and counts(r)]
    found, alpha = agreement(identities.rows, who), identification_rate(identities.rows, who)
    status = Counter(each.status for each in identify_captures(survey.seen, identities))
    sides = Counter(i.flanks or "other" for i in individuals(survey.captures))
    unidentified = len(survey.all_unnamed)
    criteria = sum(len(r.marks) > 0 for r in pairs if r.role in PERSONS)
    told: list[Sequence[object]] = [
        ("photos", len({a.path for a in survey.data.annotations})),
        ("events", len({a.encounter for a in survey.data.annotations})),
        ("usable sightings", len(survey.all_captures) + unidentified),
        ("identified sightings", len(survey.all_captures)),
        ("unidentified sightings", unidentified),
        ("identified sightings left out", sum(bool(e.individual) for e in survey.left_out)),
        ("unidentified sightings left out", sum(not e.individual for e in survey.left_out)),
        ("sightings that count", len(survey.seen)),
        ("captures", len({c.cell for c in survey.captures})),
        ("individuals", len({c.individual for c in survey.captures})),
        ("individuals known from both flanks", sides["B"] + sides["LR"]),
        ("individuals known from the left flank only", sides["L"]),
        ("individuals known from the right flank only", sides["R"]),
        ("choice of flanks", survey.settings["flanks"]),
        ("observers", len({r.observer for r in pairs if r.role in PERSONS})),
        ("answers of persons", sum(r.role in PERSONS for r in pairs)),
        ("answers of the machine", sum(r.role == "machine" for r in pairs)),
        *((f"sightings that count by status {name}", n) for name, n in sorted(status.items())),
        ("pairs that two observers answered", found.overall.pairs),
        ("pairs about which observers disagree", len(found.disagreements)),
        ("of these, pairs that no adjudicator has decided", found.waiting),
        ("contradictions that are left", sum(len(i.quarrels) for i in who.individuals)),
        _shared("agreement of observers", found.overall.agreed),
        _shared("agreement of observers, blind", found.independent.agreed),
        ("Cohen's kappa", found.overall.kappa, *(found.overall.interval or (None, None))),
        _shared("alpha, machine", alpha.machine),
        _shared("alpha, first answers of persons", alpha.persons),
        ("answers with marked features", criteria),
        ("criteria", NOT_RECORDED if not criteria else f"marked features in {criteria} answers"),
        ("versions", ", ".join(sorted({__version__, *(r.program for r in rows if r.program)}))),
    ]
    return ("what", "value", "low", "high", "of"), [(*row, *[None] * (5 - len(row))) for row in told]


def practice_text(survey: Survey, identities: Identities) -> str:
    """Return the paragraph for the methods section, without a line break. Its date is that of the last decision."""
    moments = [row.decided_at[:10] for row in identities.rows if row.decided_at]
    date = max(moments, default=f"{max(s.span.end for s in survey.sessions):%Y-%m-%d}")
    photos = len({a.path for a in identities.annotations})
    unused = unused_annotations(identities)
    return methods_paragraph(identities.rows, identities.who, date=date, photos=photos, unused=unused)


def _shared(what: str, share: Share) -> Sequence[object]:
    """Return the row of a share; without cases it is empty."""
    if share.value is None:
        return what, None, None, None, 0
    return what, round(share.value, 4), round(share.low, 4), round(share.high, 4), share.of
