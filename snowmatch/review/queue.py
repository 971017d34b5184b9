"""What to ask an observer next, and why."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snowmatch.confidence.levels import Levels
from snowmatch.core.text import counted, percent
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import CANNOT_TELL, DIFFERENT, REPEAT, SAME, SAMPLE, Decision
from snowmatch.decisions.sightings import Sighting, comparable, find_sightings
from snowmatch.decisions.who import DISPUTED, PairState, Who
from snowmatch.review.accuracy import ACCURACY
from snowmatch.review.counting import draw_groupings, open_pairs
from snowmatch.review.counts import left
from snowmatch.review.graph import (
    SURE,
    Known,
    answer_weight,
    differently_named,
    sighting_pair,
    weighing,
    weights_of,
)
from snowmatch.review.identities import Identities, draft, sides_of
from snowmatch.review.likely import LEAST, TOP, Evidence
from snowmatch.review.questions import Questions
from snowmatch.review.turns import held_by_others, skipped_by

REPEATS = 0.03  # share of the questions that repeat an earlier one of the same observer
AGAIN = (REPEAT, "contradiction", "check", "chosen")  # why a pair is asked about that may have been answered before
REPEAT_AFTER = 20  # questions between a question and its repetition, at least
CONFIRM = 0.5  # pairs from this probability are asked until somebody has said that they are one animal
DOUBT = 0.98  # answers that the photos contradict with this probability go to an adjudicator
MARGIN = 2 * SURE  # a clustering is settled if two answers of persons could not change it
# Then what three answers could change, likely pairs first, until of the last so many such pairs that were answered no
# more than so few are one animal. Answers count if so large a share of the sightings was there then. All chosen
UNLIKELY_MARGIN, UNLIKELY_ANSWERS, UNLIKELY_SAME, UNLIKELY_THEN = 3 * SURE, 30, 1, 0.8
UNLIKELY = "unlikely"
DRAWS, COUNT_AGAIN = 200, 20  # groupings that are drawn, and answers until they are drawn again
AHEAD, MOST_AHEAD = 20, 2000  # questions that are looked at together: at first, and at most
# Answers `cannot tell` of an observer after which questions about the same two individuals come last, or those about a
# sighting of which this observer could tell nothing else; chosen
SAME_TWO, SAME_ONE = 2, 3


@dataclass(frozen=True)
class Item:
    """One question: do the sightings a and b show one animal?

    why: `contradiction`, `decides`, `confirm`, `unlikely`, `counts`, `check` (a sample of the machine's decisions),
    `repeat`, `second` (an independent second answer), `disagreement` or `doubtful` (for an adjudicator: observers
    disagree, or the photos contradict an answer or say nothing for it) or `chosen` (by a person). reason: in words.
    probability: that both show one animal; careful: its lower bound, and the level of that; None if the photos say next
    to nothing. spots: matched spots of the best two photos. photos: these annotations' identifiers, of a and of b; the
    first ones of the sightings if there are no spots.
    """

    a: int
    b: int
    why: str
    reason: str
    probability: float | None
    careful: float | None
    level: str | None
    spots: int
    photos: tuple[str, str]


@dataclass
class Queue:
    """The questions for one observer, kept up to date with the observer's answers.

    mode: `open`; `blind`: the pairs that others have answered, without what they said; `adjudicate`: pairs about which
    observers disagree. accuracy: of an observer by name. repeats: share of hidden repetitions. mixed: whether blind
    questions come in an order of the observer's own, which tells nothing of when others were asked.
    """

    identities: Identities
    evidence: Evidence
    observer: str
    levels: Levels | None = None
    accuracy: Callable[[str], float] = lambda _: ACCURACY
    mode: str = "open"
    repeats: float = REPEATS
    mixed: bool = False

    def __post_init__(self) -> None:
        self._start()

    def start_again(self, identities: Identities) -> None:
        """Compute the queue afresh, after decisions of others, or after an undo."""
        self.identities = identities
        self._start()

    def keys_of(self, item: Item) -> tuple[str, str]:
        """Return the keys of the two sightings of a question, sorted."""
        return sighting_pair(self.identities.who.sightings, item.a, item.b)

    def _start(self) -> None:
        who = self.identities.who
        self.known = Known(who)
        self._own: dict[tuple[int, int], Decision] = {}
        self._unclear: dict[tuple[int, int], Decision] = {}  # of these the answers `cannot tell`
        self._told: Counter[int] = Counter()  # sightings, by how many other answers of the observer are about them
        self._taken: dict[tuple[int, int], float] = {}  # the weights of first answers that were taken since the start
        for pair, state in who.pairs.items():
            for said in state.answers:
                if said.observer == self.observer:
                    self._keep(pair, said)
        asked = [pair for pair, said in self._own.items() if not self._reopened(pair, said)]
        self._closed = set(asked)
        self._order = self._answered()
        self._repeated = {
            tuple(sorted(numbers))
            for row in self.identities.rows
            if row.observer == self.observer and REPEAT in row.tags
            for numbers in [[who.number_of.get(side[0], -1) for side in (row.side_a, row.side_b)]]
        }
        self._questions: Questions | None = None
        if self.mode == "open":
            weights = weights_of(who, self.evidence, self.accuracy)
            self._questions = Questions(weights, margin=MARGIN, asked=asked, quiet=LEAST)
        self._unlikely = _unlikely_pairs(who)
        self._sampled = [
            pair
            for pair, state in who.pairs.items()
            if all(said.role == "machine" for said in state.answers)
            and any(SAMPLE in said.tags for said in state.answers)
        ]
        self._quarrels = [each for each in who.individuals if each.quarrels]
        self._counted_until = 0
        self._telling: tuple[tuple[int, int], ...] = ()
        self._confirm = sorted(
            (pair for pair, likely in self.evidence.pairs.items() if likely.probability >= CONFIRM),
            key=lambda pair: (-self.evidence.pairs[pair].odds, pair),
        )
        self._confirm_ends = np.array(self._confirm, np.int64).reshape(-1, 2)
        self._confirm_shares = np.array([self.evidence.pairs[pair].probability for pair in self._confirm])

    def _answered(self) -> list[tuple[int, int]]:
        """Return the pairs that the observer has answered, in the order of the answers; repetitions are among them."""
        rows = in_effect(self.identities.rows)
        own = [r for r in rows if r.kind == "pair" and r.observer == self.observer and r.mode != "training"]
        sides = [[row.side_a for row in own], [row.side_b for row in own]]
        one, other = (find_sightings(self.identities.who.number_of, side) for side in sides)
        pairs = zip(one, other, strict=True)
        return [(min(a, b), max(a, b)) for a, b in pairs if a is not None and b is not None and a != b]

    def _keep(self, pair: tuple[int, int], said: Decision) -> None:
        """Take note of the observer's answer about a pair, in place of an earlier one."""
        self._forget(pair)
        self._own[pair] = said
        if said.answer == CANNOT_TELL:
            self._unclear[pair] = said
        else:
            self._told.update(pair)

    def _forget(self, pair: tuple[int, int]) -> None:
        if self._own.pop(pair, None) is not None and self._unclear.pop(pair, None) is None:
            self._told.subtract(pair)

    def _reopened(self, pair: tuple[int, int], said: Decision) -> bool:
        """Return whether a pair that could not be told apart has a photo that was not there then."""
        if said.answer != CANNOT_TELL:
            return False
        seen = set(said.side_a) | set(said.side_b)
        return any(name not in seen for n in pair for name in self.identities.who.sightings[n].annotations)

    # --- the next question -------------------------------------------------------------------------------------------

    def next(self, count: int = 1) -> list[Item]:
        """Return up to `count` questions, the most important first. An empty list: nothing is left to ask.

        Those that were skipped, and those that this observer can hardly answer, come last.
        """
        folder, sightings = self.identities.data.folder, self.identities.who.sightings
        held = held_by_others(folder, self.observer)
        late = set(skipped_by(folder, self.observer))
        hard = self._hard()
        found: list[Item] = []
        last: list[Item] = []
        seen: set[tuple[int, int]] = set()
        for item in self._items():
            keys = sighting_pair(sightings, item.a, item.b)
            if keys in held or (item.a, item.b) in seen:
                continue
            seen.add((item.a, item.b))
            (last if keys in late or hard(item) else found).append(item)
            if len(found) >= count:
                break
        return (found + last)[:count]

    def held(self) -> int:
        """Return how many questions other observers have on their screens: `next` leaves them out."""
        held = held_by_others(self.identities.data.folder, self.observer)
        return len(held & {self.keys_of(item) for item in self._items()}) if held else 0

    def _hard(self) -> Callable[[Item], bool]:
        """Return what tells whether the observer could tell nothing about questions like this one."""
        two: Counter[frozenset[int]] = Counter()
        one: Counter[int] = Counter()
        for pair, said in self._unclear.items():
            if not self._reopened(pair, said):
                two[frozenset(map(self.known.individual, pair))] += 1
                one.update(pair)

        def hard(item: Item) -> bool:
            if item.why in AGAIN:
                return False
            both = frozenset(map(self.known.individual, (item.a, item.b)))
            return two[both] >= SAME_TWO or any(one[n] >= SAME_ONE and not self._told[n] for n in (item.a, item.b))

        return hard

    def about(self, a: int, b: int) -> Item:
        """Return the question about two sightings that a person chose. Raises ValueError if they are one sighting."""
        if a == b:
            raise ValueError(f"{a} and {b} are one sighting")
        return self._item(a, b, "chosen", "a person chose this pair")

    def _items(self) -> Iterator[Item]:
        if self.mode == "open":
            yield from self._repeats()
            yield from self._contradictions()
            yield from self._samples()
            yield from self._joining()
            yield from self._deciding()
            yield from self._confirming()
            yield from self._looking_on()
            yield from self._counting()
        elif self.mode == "blind":
            yield from self._second_answers()
        else:
            yield from self._disagreements()

    def _askable(self, a: int, b: int) -> bool:
        """Return whether the observer may be asked about a pair: it is comparable, new, and follows from nothing."""
        who, pair = self.identities.who, (min(a, b), max(a, b))
        return (
            pair not in self._closed
            and comparable(who.sightings[a], who.sightings[b])
            and not self.known.same(a, b)
            and not self.known.different(a, b)
        )

    def _shut(self, a: int, b: int) -> bool:
        return not self._askable(a, b)

    def _contradictions(self) -> Iterator[Item]:
        """Yield pairs that can settle a contradiction: across its two sides, the most telling first."""
        who = self.identities.who
        for individual in self._quarrels:
            for a, b in individual.quarrels:
                members = set(individual.sightings)
                near = [p for p in self.evidence.pairs if p[0] in members and p[1] in members and p not in self._closed]
                near = [p for p in near if p not in who.pairs and (a in p or b in p)]
                text = (
                    f"answers about {individual.handle} contradict each other: somebody said that "
                    f"{who.sightings[a].encounter} and {who.sightings[b].encounter} are different animals"
                )
                for pair in sorted(near, key=lambda p: (-abs(self.evidence.pairs[p].odds), p))[:3]:
                    yield self._item(*pair, "contradiction", text)
                if (a, b) not in self._closed and comparable(who.sightings[a], who.sightings[b]):
                    yield self._item(a, b, "contradiction", text)

    def _samples(self) -> Iterator[Item]:
        """Yield the machine's decisions that a person checks, as if they were open."""
        for pair in self._sampled:
            if pair not in self._closed:
                yield self._item(*pair, "check", self._joins(*pair))

    def _joining(self) -> Iterator[Item]:
        """Yield pairs that photos say are one animal and that would join two groups of several sightings each.

        What joins most pairs of sightings comes first: an answer to it changes the list of individuals most. Two names
        are an answer already, so such a pair waits.
        """
        who = self.identities.who
        of = np.array(who.of, np.int64)
        ends = self._confirm_ends
        one, other = of[ends].T
        size = np.bincount(of)
        (large,) = np.nonzero((one != other) & (np.minimum(size[one], size[other]) > 1))
        joined = self._confirm_shares[large] * size[one[large]] * size[other[large]]
        for at in large[np.lexsort((ends[large, 1], ends[large, 0], -joined))].tolist():
            pair = self._confirm[at]
            if self._askable(*pair) and not differently_named(who, *pair):
                yield self._confirmed(pair)

    def _deciding(self) -> Iterator[Item]:
        """Yield the pairs that decide between the best grouping of all sightings and its best alternatives."""
        for a, b in self._asked(self._shut):
            yield self._item(a, b, "decides", self._joins(a, b))

    def _confirming(self) -> Iterator[Item]:
        """Yield pairs that photos say are one animal, and that nobody has joined yet."""
        for pair in self._confirm:
            if self._askable(*pair):
                yield self._confirmed(pair)

    def _confirmed(self, pair: tuple[int, int]) -> Item:
        text = "the photos say one animal, and nobody has said so yet; " + self._joins(*pair)
        return self._item(*pair, "confirm", text)

    def _looking_on(self) -> Iterator[Item]:
        """Yield unlikely pairs, those for which the photos speak at all first, as long as such pairs join something."""
        if not _worthwhile(list(self._unlikely.values())):
            return

        def closed(a: int, b: int) -> bool:  # two names are an answer already
            return not self._askable(a, b) or differently_named(self.identities.who, a, b)

        for faint, beyond in ((False, MARGIN), (True, -math.inf)):
            for a, b in self._asked(closed, margin=UNLIKELY_MARGIN, beyond=beyond, faint=faint):
                text = "the photos say little for one animal; " + self._joins(a, b)
                yield self._item(a, b, UNLIKELY, text)

    def _asked(
        self,
        closed: Callable[[int, int], bool],
        *,
        margin: float = MARGIN,
        beyond: float = -math.inf,
        faint: bool = False,
    ) -> Iterator[tuple[int, int]]:
        """Yield the pairs that the questions ask about, best first. They are looked for as they are taken."""
        given: set[tuple[int, int]] = set()
        count = AHEAD
        while self._questions is not None and count <= MOST_AHEAD:
            asked = self._questions.ask(count, closed, margin=margin, beyond=beyond, faint=faint)
            for question in asked:
                pair = question.i, question.j
                if pair not in given and self._askable(*pair):
                    given.add(pair)
                    yield pair
            if len(asked) < count:
                return
            count *= 4  # some are held by others, or come last

    def _counting(self) -> Iterator[Item]:
        """Yield the pairs whose answers tell most about how many individuals there are, when all else is asked."""
        if len(self._order) >= self._counted_until:
            self._counted_until = len(self._order) + COUNT_AGAIN
            weights = weights_of(self.identities.who, self.evidence, self.accuracy)
            pairs = [p for p in open_pairs(self.identities.who, self.evidence) if self._askable(*p)]
            ends = np.array(pairs, np.int64).reshape(-1, 2)
            self._telling = left(draw_groupings(weights, DRAWS), ends[:, 0], ends[:, 1]).pairs if pairs else ()
        for pair in self._telling:
            if self._askable(*pair):
                yield self._item(*pair, "counts", "decides how many individuals there are; " + self._joins(*pair))

    def _repeats(self) -> Iterator[Item]:
        """Yield an earlier question again, now and then: it looks like a new one."""
        asked = len(self._order)
        if not self.repeats or asked <= REPEAT_AFTER or not _chosen(self.observer, asked, self.repeats):
            return
        earlier = [p for p in self._order[: asked - REPEAT_AFTER] if p not in self._repeated]
        earlier = [p for p in earlier if p in self._own and self._own[p].answer in (SAME, DIFFERENT)]
        if earlier:
            pair = earlier[_number(f"{self.observer} {asked}") % len(earlier)]
            yield self._item(*pair, REPEAT, self._joins(*pair))

    def _second_answers(self) -> Iterator[Item]:
        """Yield the pairs that others have answered openly, in their order, for an independent second answer."""
        who = self.identities.who
        waiting = []
        for pair, state in who.pairs.items():
            others = [d for d in state.answers if d.role != "machine" and d.observer != self.observer]
            if others and pair not in self._own:
                keys = " ".join((self.observer, *sighting_pair(who.sightings, *pair)))
                waiting.append((f"{_number(keys):08x}" if self.mixed else min(d.id for d in others), pair))
        for _, pair in sorted(waiting):
            yield self._item(*pair, "second", "a second, independent answer")

    def _disagreements(self) -> Iterator[Item]:
        """Yield the pairs about which observers disagree, for an adjudicator."""
        for pair, state in self.identities.who.pairs.items():
            said = {d.answer for d in state.answers if d.role != "machine"}
            settled = any(d.role == "adjudicator" for d in state.answers)
            if len(said) > 1 and not settled and (state.answer == DISPUTED or CANNOT_TELL in said):
                told = ", ".join(f"{d.observer}: {d.answer.replace('_', ' ')}" for d in state.answers)
                yield self._item(*pair, "disagreement", told)
        for pair in doubtful_answers(self.identities, self.evidence):
            state, likely = self.identities.who.pairs[pair], self.evidence.pairs.get(pair)
            first = _first_person(state) or state.answers[0]
            share = "say next to nothing for it"
            if likely is not None and likely.speaks:
                share = f"say one animal at {percent(likely.probability)}"
            yield self._item(*pair, "doubtful", f"{first.observer}: {first.answer}; the photos {share}")

    def _joins(self, a: int, b: int) -> str:
        """Return what `same` would join. Of a pair that is joined (a check, a repetition): as if nobody had."""
        who = self.identities.who
        joined = who.of[a] == who.of[b]
        one, other = (who.individuals[who.of[n]] for n in (a, b))
        sizes = []
        for each, n in ((one, a), (other, b)):
            photos = counted(1 if joined else len(each.sightings), "sighting")
            name = None if joined else each.name
            sizes.append(f"{name or who.sightings[n].encounter} ({photos})")
        return f"`same` joins {sizes[0]} and {sizes[1]}"

    def _item(self, a: int, b: int, why: str, reason: str) -> Item:
        sightings = self.identities.who.sightings
        likely = self.evidence.pairs.get((min(a, b), max(a, b)))
        if likely is None:
            photos = (sightings[a].annotations[0], sightings[b].annotations[0])
            return Item(a, b, why, reason, None, None, None, 0, photos)
        photos = likely.photos if a < b else (likely.photos[1], likely.photos[0])
        if not likely.speaks:
            return Item(a, b, why, reason, None, None, None, likely.spots, photos)
        level = self.levels.of(likely.careful) if self.levels is not None else None
        return Item(a, b, why, reason, likely.probability, likely.careful, level, likely.spots, photos)

    # --- answers -----------------------------------------------------------------------------------------------------

    def take(self, identities: Identities, item: Item, decision: Decision) -> None:
        """Bring the queue up to date with an answer of its observer. identities: with the answer."""
        pair = (min(item.a, item.b), max(item.a, item.b))
        simple = self.mode == "open" and len(identities.who.sightings) == len(self.identities.who.sightings)
        self.identities = identities
        if item.why == REPEAT:
            self._repeated.add(pair)
            self._order.append(pair)
            return
        # A person may choose two sightings that are never asked about
        usual = simple and comparable(*(identities.who.sightings[n] for n in pair))
        if not usual or self._questions is None or item.why == "contradiction":
            self._start()
            return
        state = identities.who.pairs.get(pair)
        weighs = state is not None and decision in weighing(state.answers)
        weight = answer_weight(decision, self.accuracy(self.observer)) if weighs else 0.0
        if pair not in self._own:
            self._taken[pair] = weight
        else:  # an earlier answer counts again if this one is taken back
            self._taken.pop(pair, None)
        self._keep(pair, decision)
        if item.why == UNLIKELY and decision.answer in (SAME, DIFFERENT):
            self._unlikely.pop(pair, None)
            self._unlikely[pair] = decision.answer == SAME
        self._closed.add(pair)
        self._order.append(pair)
        self._quarrels = [each for each in identities.who.individuals if each.quarrels]
        self._questions.answer(*pair, weight)
        if decision.answer == SAME:
            self.known.join(*pair)
        elif decision.answer == DIFFERENT:
            self.known.part(*pair)

    def take_back(self, identities: Identities, decision: Decision) -> bool:
        """Bring the queue up to date after an answer that it took was taken back, and return whether it could.

        identities: without the answer. False: the queue has to be started again.
        """
        pair = next((pair for pair, said in self._own.items() if said.id == decision.id), None)
        who = identities.who
        if pair is None or pair not in self._taken or self._questions is None:
            return False
        if len(who.sightings) != len(self.identities.who.sightings):
            return False
        self.identities = identities
        self._questions.change(*pair, -self._taken.pop(pair), asked=-1)
        self._forget(pair)
        self._unlikely = _unlikely_pairs(who)
        self._closed.discard(pair)
        self._order.remove(pair)
        self._quarrels = [each for each in who.individuals if each.quarrels]
        self.known = Known(who)
        return True

    def left(self) -> int:
        """Return about how many questions are left for this observer, without skipped ones and repetitions.

        Every pair that may be asked is taken to be answered as the photos say, and what follows is not asked again. New
        questions that surprising answers raise are not in it.
        """
        if self.mode != "open":
            return sum(1 for _ in self._items())
        known = Known(self.identities.who)
        samples = {pair for pair in self._sampled if pair not in self._closed}
        deciding = self._questions.pairs(self._shut) if self._questions is not None else []
        count = len(samples)
        for pair in dict.fromkeys([*deciding, *filter(lambda pair: self._askable(*pair), self._confirm)]):
            if pair in samples or known.same(*pair) or known.different(*pair):
                continue
            count += 1
            likely = self.evidence.pairs.get(pair)
            (known.join if likely is not None and likely.probability >= CONFIRM else known.part)(*pair)
        return count + self._unlikely_left(known)

    def _unlikely_left(self, known: Known) -> int:
        """Return how many unlikely pairs will be asked about, if all of them are different animals."""
        answers = list(self._unlikely.values())
        if self._questions is None or not _worthwhile(answers):
            return 0
        number = 0
        for faint in (False, True):
            for pair in self._questions.pairs(self._shut, margin=UNLIKELY_MARGIN, faint=faint):
                if not _worthwhile(answers):
                    return number
                two_names = differently_named(self.identities.who, *pair)
                if not two_names and not known.same(*pair) and not known.different(*pair):
                    answers.append(False)
                    number += 1
                    known.part(*pair)
        return number


def _unlikely_pairs(who: Who) -> dict[tuple[int, int], bool]:
    """Return the unlikely pairs that somebody answered, in the order of the answers, and whether they are one animal.

    An answer of when the catalog had far fewer sightings tells nothing of the new ones.
    """
    told = [
        (said.id, pair, said.answer == SAME)
        for pair, state in who.pairs.items()
        for said in state.answers
        if said.shown.get("why") == UNLIKELY
        and said.answer in (SAME, DIFFERENT)
        and _number_in(said.shown, "sightings") >= UNLIKELY_THEN * len(who.sightings)
    ]
    found: dict[tuple[int, int], bool] = {}
    for _, pair, same in sorted(told):
        found.pop(pair, None)
        found[pair] = same
    return found


def _number_in(shown: Mapping[str, object], name: str) -> float:
    value = shown.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _worthwhile(answers: list[bool]) -> bool:
    """Return whether unlikely pairs are still asked about. answers: whether each was `same`, the last one last."""
    return len(answers) < UNLIKELY_ANSWERS or sum(answers[-UNLIKELY_ANSWERS:]) > UNLIKELY_SAME


def doubtful_answers(identities: Identities, evidence: Evidence) -> list[tuple[int, int]]:
    """Return the pairs whose answers by persons the photos contradict strongly, and no adjudicator has decided.

    Then those of an answer `same` for which the photos say next to nothing: of an observer who is 97 % right, one in
    four is wrong. A pair that is not in the evidence is one of these, if photos could have said something about it and
    one side has room left among its best. Answers of imported files are not persons'. The most doubtful first. None
    give an empty list.
    """
    listed = Counter(n for pair in evidence.pairs for n in pair)
    sightings, unlisted = identities.who.sightings, 1 / (1 + math.exp(-evidence.unlisted))
    found = []
    for pair, state in identities.who.pairs.items():
        likely = evidence.pairs.get(pair)
        if state.answer not in (SAME, DIFFERENT):
            continue
        if any(said.role == "adjudicator" for said in state.answers) or _first_person(state) is None:
            continue
        if likely is None and (min(listed[n] for n in pair) >= TOP or not _could_tell(*(sightings[n] for n in pair))):
            continue
        probability = unlisted if likely is None else likely.probability
        wrong = probability if state.answer == DIFFERENT else 1 - probability
        if wrong >= DOUBT:
            found.append((state.answer == SAME and (likely is None or not likely.speaks), -wrong, pair))
    return [pair for _, _, pair in sorted(found)]


def _could_tell(one: Sighting, other: Sighting) -> bool:
    """Return whether photos may be evidence for a pair: it is of two passages, and shows comparable body parts."""
    return one.passage != other.passage and comparable(one, other)


def _first_person(state: PairState) -> Decision | None:
    """Return the first answer of a person that says what counts; None if only the machine or an import says it."""
    persons = (said for said in state.answers if said.role not in ("machine", "import"))
    return next((said for said in persons if said.answer == state.answer), None)


def answer_item(
    queue: Queue, item: Item, answer: str, opened_at: str, certainty: int | None = None, *, hidden: bool, **values: Any
) -> Decision:
    """Return the draft of an answer. hidden: the observer saw neither probability nor reason. values: of Decision."""
    sides = answered_sides(queue.identities, item)
    role = "adjudicator" if queue.mode == "adjudicate" else "observer"
    mode = "blind" if queue.mode == "blind" else "open"
    shown = shown_of(queue.identities.who, item, hidden=hidden)
    given = {"opened_at": opened_at, "certainty": certainty, "role": role, "mode": mode, "shown": shown, **values}
    return draft("pair", queue.observer, answer, side_a=sides[0], side_b=sides[1], tags=tags_of(item), **given)


def tags_of(item: Item) -> tuple[str, ...]:
    """Return the tags of the decision that answers a question."""
    return {REPEAT: (REPEAT,), "check": (SAMPLE,)}.get(item.why, ())


def shown_of(who: Who, item: Item, *, hidden: bool) -> Mapping[str, object]:
    """Return what an observer saw with a question. hidden: neither probability nor reason was shown.

    With an unlikely pair, the number of sightings is kept too.
    """
    said: dict[str, object] = {"why": item.why, "level": item.level, "spots": item.spots, "hidden": hidden}
    if item.why == UNLIKELY:
        said["sightings"] = len(who.sightings)
    if item.probability is not None:
        said["probability"] = round(item.probability, 6)
    return said


def answered_sides(identities: Identities, item: Item) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the identifiers of all annotations of both sightings."""
    return sides_of(identities, [item.a]), sides_of(identities, [item.b])


def _chosen(observer: str, number: int, share: float) -> bool:
    return _number(f"{observer} repeats {number}") % 10_000 < share * 10_000


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8], 16)


def sighting_words(sighting: Sighting) -> str:
    """Return where and when a sighting was, such as "naryn st07, 2023-08-28 23:58"."""
    where = " ".join(part for part in (sighting.location, sighting.station) if part)
    when = sighting.time.replace("T", " ")[:16]
    return ", ".join(part for part in (where, when) if part) or sighting.encounter
