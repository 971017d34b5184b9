"""How often the machine's decisions are wrong, from a random sample that persons check."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from snowmatch.decisions.effect import counts, in_effect
from snowmatch.decisions.row import CANNOT_TELL, DIFFERENT, SAME, SAMPLE, Decision
from snowmatch.decisions.who import DISPUTED, Who
from snowmatch.review.readings import Key, by_sighting
from snowmatch.review.shares import Share, make_share

WAITING = "waiting"  # no person has answered yet


@dataclass(frozen=True)
class MachineError:
    """The machine's decisions about pairs, and what persons said about a sample of them.

    decisions: in effect. sample: those of them that were drawn to be checked. wrong: of those that persons have
    answered with same or different; lumped: of those where the machine said same; split: where it said different.
    cannot_tell: persons could not tell. disputed: persons disagree. waiting: not answered yet. gone: photos not in the
    catalog, or of one sighting by now, about which nobody is asked. again: the pair was decided and drawn again later,
    which counts instead. taken_back: drawn decisions that are no longer in effect, and do not count.
    """

    decisions: int
    sample: int
    wrong: Share
    lumped: Share
    split: Share
    cannot_tell: int
    disputed: int
    waiting: int
    gone: int
    again: int
    taken_back: int

    @property
    def checked(self) -> int:
        """The number of drawn decisions that persons have answered with same or different."""
        return self.wrong.of


def machine_error(rows: Sequence[Decision], who: Who) -> MachineError:
    """Return how often the machine was wrong, in the decisions with the tag "sample" that persons have checked.

    An adjudicator outranks observers. A person's answer counts if it is later than the machine's; hidden repetitions
    and training do not count. Who splits the two sightings apart has answered with different. rows: all decisions, in
    the order of their identifiers. No decisions of the machine give zeros.
    """
    place = by_sighting(who)
    effective = in_effect(rows)
    pairs = [row for row in effective if row.kind == "pair" and row.mode != "training"]
    machine = [row for row in pairs if row.role == "machine" and row.answer != CANNOT_TELL]
    sample = [row for row in machine if SAMPLE in row.tags]
    placed = [(key, row) for row in sample if (key := place(row)) is not None]
    drawn = dict(placed)  # of two for one pair, the last
    drawn_of = _by_sighting(drawn, who)
    persons: dict[Key, dict[tuple[str, str], Decision]] = {key: {} for key in drawn}
    for row in effective if drawn else ():
        if row.role not in ("observer", "adjudicator") or not counts(row):
            continue
        said = row._replace(answer=DIFFERENT) if row.kind == "split" else row
        about = [place(row)] if row.kind == "pair" else _parted(drawn_of, row, who) if row.kind == "split" else []
        for key in about:
            if key is not None and key in drawn and row.id > drawn[key].id:
                persons[key][row.role, row.observer] = said
    # Of one sighting by now: nobody is asked, but who was before has answered
    joined = {key for number, near in drawn_of.items() for key, other in near if number == other and not persons[key]}
    settled = {key: _settled(list(persons[key].values())) for key in drawn if key not in joined}
    checked = [(drawn[key].answer, answer) for key, answer in settled.items() if answer in (SAME, DIFFERENT)]
    left = Counter(settled.values())
    ever = sum(r.kind == "pair" and r.role == "machine" and SAMPLE in r.tags and r.answer != CANNOT_TELL for r in rows)
    return MachineError(
        decisions=len(machine),
        sample=len(sample),
        wrong=_wrong(checked),
        lumped=_wrong([each for each in checked if each[0] == SAME]),
        split=_wrong([each for each in checked if each[0] == DIFFERENT]),
        cannot_tell=left[CANNOT_TELL],
        disputed=left[DISPUTED],
        waiting=left[WAITING],
        gone=len(sample) - len(placed) + len(joined),
        again=len(placed) - len(drawn),
        taken_back=ever - len(sample),
    )


def _by_sighting(drawn: Iterable[Key], who: Who) -> dict[int, list[tuple[Key, int]]]:
    """Return the drawn pairs of each sighting, each with the other sighting."""
    found: dict[int, list[tuple[Key, int]]] = defaultdict(list)
    for key in drawn:
        a, b = (who.number_of[name] for name in key)
        found[a].append((key, b))
        found[b].append((key, a))
    return found


def _parted(drawn: Mapping[int, Sequence[tuple[Key, int]]], split: Decision, who: Who) -> list[Key]:
    """Return the drawn pairs of which a split has one sighting on either side. drawn: as of `_by_sighting`."""
    chosen, rest = (
        {who.number_of[name] for name in side if name in who.number_of} for side in (split.side_a, split.side_b)
    )
    rest -= chosen
    return [key for number in chosen for key, other in drawn.get(number, ()) if other in rest]


def _wrong(checked: Sequence[tuple[str, str]]) -> Share:
    return make_share(sum(machine != person for machine, person in checked), len(checked))


def _settled(answers: Sequence[Decision]) -> str:
    """Return what persons said in the end: an answer, DISPUTED, or WAITING without answers."""
    judges = [row for row in answers if row.role == "adjudicator"]
    if judges:
        return max(judges, key=lambda row: row.id).answer
    said = {row.answer for row in answers} - {CANNOT_TELL}
    if len(said) > 1:
        return DISPUTED
    return said.pop() if said else CANNOT_TELL if answers else WAITING
