"""What waits for a person, in the order that gets a survey done: index, join, review, settle, name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.review.auto import machine_rows
from snowmatch.review.identities import Identities
from snowmatch.review.learnable import learnable_pairs
from snowmatch.review.likely import Evidence
from snowmatch.review.observers import agreement
from snowmatch.review.queue import doubtful_answers
from snowmatch.views.explorer import count_unread
from snowmatch.views.question import first_photos
from snowmatch.web.ahead import ahead_of
from snowmatch.web.background import evidence_now
from snowmatch.web.desk import desk_of
from snowmatch.web.jobs import Job, list_jobs
from snowmatch.web.machine import machine_drafts
from snowmatch.web.rereading import rereading_of
from snowmatch.web.state import State

AHEAD = 3  # questions whose pictures are made before somebody opens the page; that page asks for more
AT_ONCE = 3000  # sightings that are compared when the first page is opened; more are compared as work that was started


@dataclass(frozen=True)
class Waiting:
    """Numbers of what waits. None: not known yet.

    unindexed: annotations that an index run would read; 0 while work runs. working: kind of the work that runs, or "".
    compare: whether all sightings have to be compared by work that a person starts. comparing: sightings compared so
    far, and all, or None. joins: pairs that the machine would join. machine: its decisions in effect. questions: for
    this observer. quarrels: individuals with contradictions. disputed: pairs about which observers disagree. doubtful:
    answers that the photos contradict. groups: individuals of several sightings without a name. learnable: pairs of
    encounters that a calibration would learn from. decisions: all so far. notes: on the comparison of the sightings.
    """

    unindexed: int
    indexed: int
    working: str
    compare: bool
    comparing: tuple[int, int] | None
    joins: int | None
    machine: int
    questions: int | None
    quarrels: int
    disputed: int
    doubtful: int
    groups: int
    learnable: int
    decisions: int
    notes: tuple[Note, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing waits, as far as is known."""
        waits = (self.unindexed, self.joins, self.questions, self.quarrels)
        return not any((*waits, self.disputed, self.doubtful, self.groups, self.learnable))


def waiting_now(state: State) -> tuple[Waiting, bool]:
    """Return what waits, and whether all of it is known; if not, it is being computed.

    Raises SnowmatchError if the catalog or its decisions cannot be read.
    """
    identities = state.identities()
    who = identities.who
    jobs = list_jobs(state.folder)
    working = next((job.kind for job in jobs if job.state == "running"), "")
    states = () if working else state.states()
    # Without any features there is nothing to compare
    to_compare = bool(who.sightings) and (bool(working) or any(each == "indexed" for each, _ in states))
    evidence, compare = None, False
    if to_compare and not working:
        large = len(who.sightings) > AT_ONCE and "evidence" not in state.kept
        compare = large and not any(job.kind == "compare" and job.state == "done" for job in jobs)
        evidence = None if compare else evidence_now(state)
    joins, questions = _asked(state, identities, evidence)
    disputed = sum(each.adjudicated is None for each in agreement(identities.rows, who).disagreements)
    found = Waiting(
        unindexed=_unindexed(state, identities, states),
        indexed=sum(bool(a.annotation) for a in identities.annotations),
        working=working,
        compare=compare,
        comparing=state.comparing or (0, len(who.sightings)) if to_compare and evidence is None else None,
        joins=joins,
        machine=len(machine_rows(identities.rows)),
        questions=questions,
        quarrels=sum(bool(each.quarrels) for each in who.individuals),
        disputed=disputed,
        doubtful=len(doubtful_answers(identities, evidence)) if evidence is not None else 0,
        groups=sum(each.name is None and len(each.sightings) > 1 for each in who.individuals),
        learnable=_learnable(state, identities, jobs) if evidence is not None else 0,
        decisions=len(identities.rows),
        notes=_notes(evidence),
    )
    return found, bool(evidence is not None or compare or not to_compare)


def _unindexed(state: State, identities: Identities, states: Sequence[tuple[str, str]]) -> int:
    boxes = identities.who.boxes if rereading_of(state).running else {}  # of animals that are read at this moment
    pairs = zip(identities.annotations, states, strict=False)  # rows may have come since
    return count_unread(state.folder, [(a, each) for a, (each, _) in pairs if a.annotation not in boxes])


def _notes(evidence: Evidence | None) -> tuple[Note, ...]:
    made = "index-made"  # nobody waits for a search index here, and Check-up tells of a damaged one
    return () if evidence is None else tuple(note for note in evidence.notes if note.code != made)


def _learnable(state: State, identities: Identities, jobs: Sequence[Job]) -> int:
    if next((job.state for job in jobs if job.kind == "calibrate"), "") == "failed":  # it tells why
        return 0
    return learnable_pairs(state.session(names=False), identities.checked)


def _asked(state: State, identities: Identities, evidence: Evidence | None) -> tuple[int | None, int | None]:
    if evidence is None:
        return None, None
    try:
        joins: int | None = len(machine_drafts(state, identities))
    except SnowmatchError:  # without a calibration, no pair has a level
        joins = None
    if not state.observer:
        return joins, None
    found = desk_of(state, state.observer, "open").questions(AHEAD)
    if found is None:
        return joins, None
    known, items, left, _ = found
    ahead_of(state).ask([photo for item in items for photo in first_photos(known, item)])
    return joins, left
