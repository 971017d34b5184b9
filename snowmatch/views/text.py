"""An answer as text for the terminal."""

from __future__ import annotations

from snowmatch.confidence.levels import MARKS as MARKS
from snowmatch.core.text import aligned, counted, listed, percent, printable, share_text
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Answer as Answer
from snowmatch.identify.answer import Candidate as Candidate


def format_answer(answer: Answer) -> str:
    """Return the answer as aligned text, without a final line break.

    The text has the query, the filters, the number of compared annotations, the candidates and the decision. The notes
    are not in it. A score in brackets is from before the geometric check: do not compare it with other scores. If
    nothing was compared, a sentence replaces the table.
    """
    lines = [*_asked(answer), ""]
    if answer.candidates:
        lines += aligned(
            ("rank", "individual", "score", "inliers", "level", "best photo", "encounter", "station"),
            [_row(c) for c in answer.candidates],
            right=("rank", "score", "inliers"),
        )
    elif answer.compared:
        lines.append("No candidates to show.")
    else:
        lines.append("Nothing to compare: no annotation of the catalog passes the filters.")
    if answer.decision is not None:
        lines += ["", f"Answer: {format_decision(answer)}"]
        if answer.decided is not None:
            lines.append(f"        {format_evidence(answer.decided)}")
    elif not any(photo.features for photo in answer.photos):
        lines += ["", "Answer: none, because nothing was found in the photo that could be compared"]
    return "\n".join(line.rstrip() for line in lines)


def _asked(answer: Answer) -> list[str]:
    photos = listed([photo.path or "an image in memory" for photo in answer.photos], 3)
    if len(answer.photos) > 1:
        photos += f" ({len(answer.photos)} photos of one encounter)"
    part = "every body part" if answer.body_part == "unknown" else f"body part {answer.body_part} or unknown"
    for note in answer.notes:
        if note.code == "several-body-parts":
            part = f"body parts {' and '.join(note.data['body_parts'])}, each with its own or unknown"
    where = f"location {listed(answer.locations, 5)}" if answer.locations else "every location"
    without = f"without encounter {listed(answer.excluded_encounters, 5)}" if answer.excluded_encounters else ""
    method = [str(settings.get("name", "?")) for settings in (answer.extractor, answer.matcher)]
    features = counted(sum(photo.features for photo in answer.photos), "feature")
    compared = f"{answer.compared} of {counted(answer.annotations, 'annotation')}"
    return [
        f"Query:    {photos}, {features} ({printable(' + '.join(method))})",
        f"Filters:  {'; '.join(filter(None, (printable(part), where, without)))}",
        f"Compared: {compared}, {counted(answer.individuals, 'individual')}, in {printable(answer.catalog_path)}",
    ]


def _row(candidate: Candidate) -> tuple[str, ...]:
    score = f"{candidate.score:.2f}"
    best = candidate.best
    return (
        str(candidate.rank),
        individual_name(candidate),
        score if candidate.accepted else f"({score})",
        str(candidate.inliers) if candidate.accepted else why_rejected(candidate),
        " ".join(filter(None, (_level(candidate.level), percent(candidate.probability)))),
        printable(best.path),
        printable(best.encounter) or "-",
        printable(best.station) or "-",
    )


def _level(level: str | None) -> str:
    return "" if level is None else f"{MARKS.get(level, '')} {printable(level)}".strip()


def format_decision(answer: Answer) -> str:
    """Return the decision with its level, and the probability of a new individual with what was expected before.

    "" without a calibration.
    """
    decision = answer.decision
    if decision is None:
        return ""
    least, before = f"at least {percent(decision.careful, answer.bounds)}", percent(answer.expected_new)
    if decision.new:
        new, known = f"{percent(answer.new_probability)} ({least}; before looking: {before})", ""
    else:
        new = f"{percent(answer.new_probability)} (before looking: {before})"
        known = f"{printable(decision.name)} {percent(decision.probability)} ({least}), "
    return f"{_level(decision.level)}: {known}a new individual {new}"


def format_evidence(candidate: Candidate) -> str:
    """Return what speaks for a candidate in words, such as "31 spots agree, on 60 % of what both photos show"."""
    if not candidate.accepted:
        return f"no verified match: {why_rejected(candidate)}"
    where = "" if candidate.covered is None else f", on {share_text(candidate.covered)} of what both photos show"
    agree = "agrees" if candidate.inliers == 1 else "agree"
    return f"{counted(candidate.inliers, 'spot')} {agree}{where}"


def why_rejected(candidate: Candidate) -> str:
    """Return why a candidate has no score from the geometric check: it was rejected, not checked, or has no matches."""
    if not candidate.score:
        return "no matches"
    return "no consistent geometry" if candidate.checked else "not checked"


def place_texts(annotation: Annotation) -> list[str]:
    """Return "encounter ..." and "station ..." of an annotation, as far as they are known.

    An encounter that is named after its only photo is left out, because the photo's path is shown anyway.
    """
    encounter = "" if annotation.encounter == f"photo {annotation.path}" else annotation.encounter
    names = (("encounter", encounter), ("station", annotation.station))
    return [f"{word} {name}" for word, name in names if name]


def individual_name(candidate: Candidate) -> str:
    """Return the individual's name, printable; for an unidentified animal, a text with its encounter or photo."""
    if candidate.individual is not None:
        return printable(candidate.individual)
    return f"unidentified ({printable(candidate.best.encounter) or printable(candidate.best.path)})"
