"""A query, from the question to the answer. Only this module knows the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note, unique
from snowmatch.identify.allow import Allowed, allow, passage_notes
from snowmatch.identify.answer import Answer, Decision, QueryPhoto
from snowmatch.identify.candidates import find_candidates, rank_individuals
from snowmatch.identify.foreground import Foreground, tell_foreground
from snowmatch.identify.judge import Judged, judge
from snowmatch.identify.match import Matched, match_all
from snowmatch.identify.question import Question
from snowmatch.identify.resolve import Resolved, resolve
from snowmatch.identify.session import Session

Prepared = tuple[Question, Resolved, Allowed, Foreground]


def ask(session: Session, question: Question) -> Answer:
    """Return the answer to the question: which individual its photos show.

    Raises SnowmatchError if a value of the question is wrong.
    """
    found = ask_many(session, [question])[0]
    if isinstance(found, SnowmatchError):
        raise found
    return found


def ask_many(session: Session, questions: Sequence[Question]) -> list[Answer | SnowmatchError]:
    """Return the answer to each question, or the error that `ask` raises for it.

    Each search block is read once for all of them, which counts where the index does not fit into memory.
    """
    found: dict[int, Answer | SnowmatchError] = {}
    prepared: dict[int, Prepared] = {}
    for n, question in enumerate(questions):
        try:
            resolved = resolve(session, question)
            allowed = allow(session, question, resolved)
            prepared[n] = question, resolved, allowed, tell_foreground(session, question, resolved, allowed)
        except SnowmatchError as error:
            found[n] = error
    found |= _answers(session, prepared)
    return [found[n] for n in range(len(questions))]


def _answers(session: Session, prepared: Mapping[int, Prepared]) -> dict[int, Answer | SnowmatchError]:
    """Return the answer to each question, or its error: if there is one, each question is asked alone."""
    try:
        matched = match_all(session, [(r.body_part, allowed, seen) for _, r, allowed, seen in prepared.values()])
        return {
            n: _answer(session, *given, matches, judge(session, *given, matches))
            for (n, given), matches in zip(prepared.items(), matched, strict=True)
        }
    except SnowmatchError as error:
        if len(prepared) == 1:
            return dict.fromkeys(prepared, error)
        return {n: _answers(session, {n: given})[n] for n, given in prepared.items()}


def _answer(
    session: Session,
    question: Question,
    resolved: Resolved,
    allowed: Allowed,
    foreground: Foreground,
    matched: Matched,
    judged: Judged,
) -> Answer:
    """Return the answer, made from the results of all steps."""
    ranked = rank_individuals(matched.scores, session.gallery.individual_numbers, allowed.entries)
    decided, runner_up = _likeliest(matched, judged, ranked)
    shown = ranked[: question.top].tolist()
    extra = [number for number in (decided, runner_up) if number is not None and number not in shown]
    found = find_candidates(session, allowed.entries, [*shown, *extra], matched, judged)
    by_number = dict(zip([*shown, *extra], found, strict=True))
    found = found[: len(shown)]
    notes = [*resolved.notes, *allowed.notes, *session.notes, *foreground.notes, *judged.notes, *matched.notes]
    notes += session.map_notes()
    if decided is not None:
        notes += passage_notes(session, question, resolved.photos, by_number[decided].best)
    if not all(c.accepted for c in found):
        text = (
            "candidates without consistent geometry have the score before the geometric check, in brackets in a table: "
            "it cannot be compared with the other scores"
        )
        notes.append(Note("unverified-candidates", text))
    return Answer(
        photos=_photos(foreground),
        body_part=resolved.body_part,
        locations=question.locations,
        excluded_encounters=tuple(sorted(allowed.excluded)),
        catalog_path=str(session.folder),
        annotations=len(session.data.annotations),
        compared=int(allowed.entries.sum()),
        individuals=len(np.unique(session.gallery.individual_numbers[allowed.entries])),
        extractor=session.method.extractor,
        matcher=session.method.matching,
        candidates=found,
        notes=unique(notes),
        calibration=session.calibration.described() if session.calibration is not None else None,
        new_probability=judged.probabilities.new if judged.probabilities is not None else None,
        expected_new=judged.probabilities.expected_new if judged.probabilities is not None else None,
        decision=_decision(session, judged, decided),
        decided=by_number.get(decided),
        runner_up=by_number.get(runner_up),
    )


def _photos(foreground: Foreground) -> tuple[QueryPhoto, ...]:
    """Return the query photos with features, followed by the query photos without features."""
    photos = []
    for seen in (*foreground.seen, *foreground.bare):
        a = seen.photo
        photos.append(
            QueryPhoto(
                a.path, a.bbox, a.mask, a.image_size, a.feature_count, a.image, seen.evidence, seen.map, a.box_by
            )
        )
    return tuple(photos)


def _likeliest(matched: Matched, judged: Judged, ranked: np.ndarray) -> tuple[int | None, int | None]:
    """Return the number of the decision's individual, and the number of the most probable other individual.

    The first is None if the decision is a new animal or if there are no probabilities. The second is None if there is
    no other individual. Of individuals with equal probabilities, the individual with the better rank comes first.
    """
    found = judged.probabilities
    if found is None:
        return None, None
    decided = found.decision(matched.scores.individual_ranking)
    order = ranked[np.argsort(-found.individuals[ranked], kind="stable")].tolist()
    others = [number for number in order if number != decided]
    return decided if decided >= 0 else None, others[0] if others else None


def _decision(session: Session, judged: Judged, number: int | None) -> Decision | None:
    """Return the decision for individual `number` (None: a new animal). Return None if there are no probabilities."""
    found, levels = judged.probabilities, judged.levels
    if found is None or levels is None:
        return None
    if number is None:
        return Decision(None, True, found.new, levels.of(found.careful_new), found.careful_new)
    animal, (probability, careful) = session.gallery.individuals[number], found.of(number)
    return Decision(animal.individual, False, probability, levels.of(careful), careful, animal.encounter)
