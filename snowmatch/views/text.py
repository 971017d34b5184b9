"""An answer as text for the terminal."""

from __future__ import annotations

from snowmatch.confidence.levels import MARKS
from snowmatch.core.text import aligned, counted, listed, percent, printable
from snowmatch.identify.answer import Answer, Candidate


def format_answer(answer: Answer) -> str:
    """The answer as aligned text, without a final line break: what was asked and compared, candidates (not the notes).

    Scores in brackets were made without the geometric check and cannot be compared with the others. Nothing compared
    gives a line that says so in place of the table.
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
        lines.append("Nothing to compare: the filters leave no annotation of the catalog.")
    if answer.decision is not None:
        lines += ["", f"Answer: {format_decision(answer)}"]
    return "\n".join(line.rstrip() for line in lines)


def _asked(answer: Answer) -> list[str]:
    photos = listed([photo.path or "an image in memory" for photo in answer.photos], 3)
    if len(answer.photos) > 1:
        photos += f" ({len(answer.photos)} photos of one encounter)"
    part = "every body part" if answer.body_part == "unknown" else f"body part {answer.body_part} or unknown"
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
    """The decision with its level, and how likely a new individual is; "" where nothing is calibrated."""
    decision = answer.decision
    if decision is None:
        return ""
    new = f"a new individual {percent(answer.new_probability)}"
    known = "" if decision.new else f"{printable(decision.name)} {percent(decision.probability)}, "
    return f"{_level(decision.level)}: {known}{new}"


def why_rejected(candidate: Candidate) -> str:
    """Why a candidate has only a score from before the geometric check: compared and different, or not compared."""
    if not candidate.score:
        return "no matches"
    return "no consistent geometry" if candidate.checked else "not checked"


def individual_name(candidate: Candidate) -> str:
    """The individual, printable; for an unidentified animal the encounter it was seen in."""
    if candidate.individual is not None:
        return printable(candidate.individual)
    return f"unidentified ({printable(candidate.best.encounter) or printable(candidate.best.path)})"
