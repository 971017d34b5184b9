"""The desk of a person who reviews: questions are handed out ahead, and answers are stored at once.

An answer is acknowledged when it is on the disk. The queue takes it afterwards, before it hands out the next questions.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accuracy import accuracy_by_name, truth_tag
from snowmatch.review.history import WAYS, last_answer
from snowmatch.review.identities import Decision, Identities, draft, need_unchanged, paths_of, undo
from snowmatch.review.likely import Evidence
from snowmatch.review.queue import AGAIN, Item, Queue, answered_sides, shown_of, tags_of
from snowmatch.review.training import TrainingPair, answered_pairs, training_pairs, trusted_names
from snowmatch.review.turns import skip, take
from snowmatch.views.previews import file_stamp
from snowmatch.web.background import evidence_now
from snowmatch.web.people import ADJUDICATOR, OBSERVER, READER, may, need
from snowmatch.web.said import Keys, read_answer, read_files, read_marks, read_moment, read_pair
from snowmatch.web.state import State

HIDDEN = ("blind", "training")  # ways in which an observer sees neither names nor probabilities
NEEDS = {"open": OBSERVER, "blind": READER, "adjudicate": ADJUDICATOR, "training": READER}  # the role of each way
PATIENCE = (
    4.0  # a queue that took t seconds to make is made again for others' decisions after PATIENCE * t at the earliest
)
# The number of questions left, which took t seconds to count, is counted again after so many t, or so many seconds
LEFT_PATIENCE, LEFT_LONGEST = 50.0, 30.0
TRAINING = 40  # pairs of one training


@dataclass(frozen=True)
class Asked:
    """A question that was handed out, with the identifiers of the annotations of both sides.

    answers: ids of what persons had answered by then.
    """

    item: Item
    sides: tuple[tuple[str, ...], tuple[str, ...]]
    tags: tuple[str, ...]
    answers: frozenset[str]


@dataclass(frozen=True)
class Event:
    """A decision of this desk that the queue does not know yet: an answer to `item`, or what took `undone` back."""

    row: Decision
    item: Item | None = None
    undone: Decision | None = None


class Desk:
    """The questions of one observer in one way: `open`, `blind`, `adjudicate` or `training`. Threads may share it.

    reader: whether this person may see nothing that tells others' answers: neither from the order of the questions, nor
    from results of practice before its end.
    """

    def __init__(self, state: State, observer: str, way: str, reader: bool = False) -> None:
        self.state, self.observer, self.way, self.reader = state, observer, way, reader
        self._lock = threading.RLock()  # of the queue
        self._answering = threading.Lock()  # one answer at a time
        self._queue: Queue | None = None
        self._known: set[str] = set()  # ids of the decisions that the queue knows
        self._built, self._took = 0.0, 0.0
        self._making = False  # a new queue is being made, while the old one still answers
        self._recent: list[Event] = []  # what the old one took meanwhile
        self._skipped: set[Keys] = set()
        self._pending: deque[Event] = deque()
        self._asked: dict[Keys, Asked] = {}
        self._stored: dict[
            tuple[Keys, str], str
        ] = {}  # answers by pair and moment of opening: a request may come twice
        self._left, self._left_due = 0, -math.inf  # the number of questions left; when to count again
        self._training: tuple[TrainingPair, ...] | None = None
        self._trained: set[Keys] = set()

    # --- questions ---------------------------------------------------------------------------------------------------

    def questions(self, count: int, about: Keys | None = None) -> tuple[Identities, list[Item], int, int] | None:
        """Return the identities, up to `count` questions, how many are left, and how many were skipped just now.

        None while the evidence is gathered. about: a pair that a person chose; it comes first.
        """
        with self._lock:
            queue = self._ready()
            if queue is None:
                return None
            if self.way == "training":
                items, left = self._lessons(queue)
            else:
                skipped = {tuple(sorted(keys)) for keys in self._skipped}
                overtaken = self._overtaken()
                most = count + len(skipped) + len(overtaken)
                found = queue.next(most)
                items = [i for i in found if queue.keys_of(i) not in skipped]
                items = [i for i in items if i.why in AGAIN or _pair(i) not in overtaken]
                more = len(found) == most  # there may be more: else these are all
                left = max(self._count_left(queue) - len(skipped), len(items)) if more else len(items)
            items = items[:count]
            if about is not None and (chosen := self._chosen(queue, about)) is not None:
                items = [chosen, *(i for i in items if {i.a, i.b} != {chosen.a, chosen.b})]
            for item in items:
                self._hand_out(queue, item)
            return queue.identities, items, left, len(self._skipped)

    def held(self) -> int:
        """Return how many questions other observers have on their screens; 0 in training, where nobody waits."""
        with self._lock:
            queue = self._ready() if self.way != "training" else None
            return queue.held() if queue is not None else 0

    def _overtaken(self) -> set[tuple[int, int]]:
        """Return the pairs that persons have answered, which the queue does not know yet."""
        identities = self.state.identities()
        if self.way != "open" or len(identities.rows) == len(self._known):
            return set()
        new = [row for row in identities.rows if row.kind == "pair" and row.id not in self._known]
        ends = [{identities.who.number_of.get(side[0], -1) for side in (row.side_a, row.side_b)} for row in new]
        pairs = {(min(both), max(both)) for both in ends}
        return {pair for pair in pairs if not _answers(identities, pair) <= self._known}

    def _count_left(self, queue: Queue) -> int:
        """Return about how many questions are left. Counting them in a large catalog would delay every answer."""
        start = time.monotonic()
        if start >= self._left_due:
            self._left = queue.left()
            end = time.monotonic()
            self._left_due = end + min(LEFT_PATIENCE * (end - start), LEFT_LONGEST)
        return self._left

    def _ready(self) -> Queue | None:
        """Return the queue with all decisions so far; None while the evidence is gathered."""
        evidence = evidence_now(self.state)
        if evidence is None:
            return None
        queue = self._queue
        identities = self.state.identities()
        if queue is None or queue.evidence is not evidence:
            return self._make(evidence)
        if queue.identities.who.sightings != identities.who.sightings or not self._take_pending(queue):
            return self._make(evidence)
        if len(self.state.identities().rows) != len(self._known):  # decisions of others, or made on other pages
            self._make_later(evidence)
        return queue

    def _make(self, evidence: Evidence) -> Queue:
        """Make the queue afresh, while everybody waits."""
        if self._queue is not None and self._queue.identities.who.sightings != self.state.identities().who.sightings:
            self._asked.clear()
            self._training = None
            self._trained.clear()  # those that are stored are left out of the next pairs
        start = time.monotonic()
        self._pending.clear()  # what was stored before is in the identities
        return self._put(self._fresh(self.state.identities(), evidence), time.monotonic() - start)

    def _fresh(self, identities: Identities, evidence: Evidence) -> Queue:
        calibration = self.state.session(names=False).calibration
        levels = calibration.levels if calibration is not None else None
        mode = "open" if self.way == "training" else self.way
        accuracy = accuracy_by_name(identities.rows, identities.who)
        return Queue(identities, evidence, self.observer, levels, accuracy, mode, mixed=self.reader)

    def _put(self, queue: Queue, took: float) -> Queue:
        self._queue, self._built, self._took = queue, time.monotonic(), took
        self._left_due = -math.inf
        self._known = {row.id for row in queue.identities.rows}
        return queue

    def _make_later(self, evidence: Evidence) -> None:
        """Make a queue that knows the decisions of others, in a thread; not again and again."""
        if self._making or time.monotonic() - self._built < PATIENCE * self._took:
            return
        self._making = True

        def make() -> None:
            try:
                while not self._made_anew(evidence):
                    pass
            finally:
                self._making = False

        threading.Thread(target=make, daemon=True, name="snowmatch-queue").start()

    def _made_anew(self, evidence: Evidence) -> bool:
        """Put a queue that knows the decisions so far in place of the old one; False: it has to be made once more.

        That is so if an answer was taken back meanwhile, which the new queue would not know.
        """
        start, before = time.monotonic(), self._queue
        queue = self._fresh(self.state.identities(), evidence)
        with self._lock:
            if self._queue is not before:  # one was made meanwhile that knows more
                return True
            known = {row.id for row in queue.identities.rows}
            if any(each.undone and each.row.id not in known for each in (*self._recent, *list(self._pending))):
                return False
            self._put(queue, time.monotonic() - start)
            self._pending.extendleft(reversed(self._recent))
            self._recent = []
            return self._take_pending(queue)

    def _take_pending(self, queue: Queue) -> bool:
        """Bring the queue up to date with this observer's answers; False if it has to be made afresh."""
        while self._pending:
            event = self._pending.popleft()
            if event.row.id in self._known:
                continue
            self._known.add(event.row.id)
            if self._making:
                self._recent.append(event)
            self._left = max(self._left - 1, 0) if event.undone is None else self._left + 1
            identities = self.state.identities()
            if self.way == "training":
                queue.identities = identities
            elif event.item is not None:
                queue.take(identities, event.item, event.row)
            elif event.undone is not None and not queue.take_back(identities, event.undone):
                return False
        return True

    def take_answers(self) -> None:
        """Bring the queue up to date with the answers that were stored, so that the next question waits for nothing."""
        with self._lock:
            if self._queue is not None:
                self._ready()

    def _lessons(self, queue: Queue) -> tuple[list[Item], int]:
        identities = queue.identities
        if self._training is None:
            answered = answered_pairs(identities.rows, identities.who, self.observer)
            if self.reader:  # what practice tells must not be about a pair that waits for a second answer
                answered |= identities.who.pairs.keys()
            self._training = training_pairs(
                identities.who.sightings,
                trusted_names(identities.who, self.observer),
                queue.evidence.pairs,
                TRAINING,
                0,
                self.observer,
                answered=answered,
            )
        found = []
        for pair in self._training:
            item = Item(pair.one, pair.other, "training", "", None, None, None, 0, _first(identities, pair))
            if queue.keys_of(item) not in self._trained:
                found.append(item)
        late = [i for i in found if queue.keys_of(i) in self._skipped]
        return [i for i in found if i not in late] + late, len(found)

    def _chosen(self, queue: Queue, about: Keys) -> Item | None:
        who = queue.identities.who
        a, b = (who.number_of.get(name) for name in about)
        if a is None or b is None or a == b or self.way in HIDDEN:
            return None
        item = queue.about(a, b)
        if self.way == "adjudicate":
            return replace(item, why="disagreement", reason="")
        return item

    def _hand_out(self, queue: Queue, item: Item) -> None:
        sightings = queue.identities.who.sightings
        tags = tags_of(item)
        if self.way == "training":
            assert self._training is not None
            pair = next(p for p in self._training if (p.one, p.other) == (item.a, item.b))
            tags = (truth_tag(pair.truth),)
        keys = sightings[item.a].key, sightings[item.b].key
        answers = _answers(self.state.identities(), _pair(item))
        self._asked[keys] = Asked(item, answered_sides(queue.identities, item), tags, answers)

    def groups(self, item: Item) -> list[int]:
        """Return what tells which prefetched questions an answer may settle; [] where it would tell too much."""
        if self.way != "open" or self._queue is None:
            return []
        return [self._queue.known.individual(n) for n in (item.a, item.b)]

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(self, values: Mapping[str, Any]) -> str:
        """Store an answer, and return the id of its decision. The same answer sent twice is stored once.

        Raises SnowmatchError if the question was not handed out, if a value is wrong, or if the file of a photo is not
        what the page showed, or not what was indexed: such a pair comes last.
        """
        keys = read_pair(values.get("pair"))
        asked = self._asked.get(keys)
        if asked is None:
            raise SnowmatchError("this pair is no longer a question here: load the page again", "load-again")
        said, certainty, note = read_answer(values)
        opened = read_moment(values.get("opened_at"))
        sent = keys, str(values.get("opened_at") or "")[:40]  # also by a computer whose clock is wrong
        sides, marks = read_marks(asked.sides, values.get("frames"), values.get("marks"))
        known = self.state.identities()
        files, photos = read_files(values.get("files")), tuple(chain(*asked.sides))
        if sent not in self._stored:
            try:
                need_unchanged(known, photos)
            except SnowmatchError:
                self._skipped.add((min(keys), max(keys)))
                raise
            if files is not None:
                _need_seen(known, photos, files)
        mode, role = WAYS[self.way]
        hidden = self.way in HIDDEN
        shown: dict[str, object] = (
            {"hidden": True} if self.way == "training" else dict(shown_of(known.who, asked.item, hidden=hidden))
        )
        shown["lines"] = not hidden and values.get("lines") is True

        def make(identities: Identities) -> Sequence[Decision]:
            if sent[1] and sent in self._stored:
                return ()
            return (
                draft(
                    "pair",
                    self.observer,
                    said,
                    side_a=sides[0],
                    side_b=sides[1],
                    role=role,
                    mode=mode,
                    opened_at=opened,
                    certainty=certainty,
                    marks=marks,
                    tags=asked.tags,
                    note=note,
                    shown=shown,
                ),
            )

        with self._answering:
            rows = self.state.append(make)
            if not rows:
                return self._stored[sent]
            self._stored[sent] = rows[0].id
        self._trained.add((min(keys), max(keys)))
        self._skipped.discard((min(keys), max(keys)))
        self._pending.append(Event(rows[0], item=asked.item))
        return rows[0].id

    def undo(self) -> Decision | None:
        """Take back the observer's last answer of this way, and return it; None if there is none."""
        found: list[Decision] = []
        if self.reader and self.way == "training" and (not self._trained or self.finished()):
            return None  # with the results known, another answer would tell whether the first was right

        def make(identities: Identities) -> Sequence[Decision]:
            ids = last_answer(identities, self.observer, self.way)
            found[:] = [row for row in identities.rows if row.id in ids]
            return undo(identities, ids, self.observer)

        rows = self.state.append(make)
        if not found or not rows:
            return None
        self._pending.append(Event(rows[0], undone=found[0]))
        keys = [min(side) for side in (found[0].side_a, found[0].side_b)]
        self._trained.discard((min(keys), max(keys)))
        return found[0]

    def finished(self) -> bool:
        """Return whether all pairs of this practice are answered.

        After a new start of the app, it is over if pairs were answered and none is left.
        """
        with self._lock:
            if self._training is not None:
                return len(self._trained) >= len(self._training)
            queue = self._ready()
            if queue is None or not any(
                row.mode == "training" and row.observer == self.observer for row in queue.identities.rows
            ):
                return False
            try:
                self._lessons(queue)
            except SnowmatchError as error:
                if error.code != "no-training":
                    raise
                return True
            return False

    # --- turns -------------------------------------------------------------------------------------------------------

    def open(self, keys: Keys) -> str:
        """Reserve a pair that is on the screen, and return "free"; "held" if another observer has it, "answered" if
        somebody has answered it since it was handed out.

        Raises SnowmatchError if the catalog has no such sightings (any more), or if a reader was not asked about them.
        """
        if self.reader and keys not in self._asked:
            raise SnowmatchError("this pair is no longer a question here: load the page again", "load-again")
        if not self.state.identities().who.number_of.keys() >= set(keys):
            raise SnowmatchError("this pair is no longer a question here: load the page again", "load-again")
        asked, identities = self._asked.get(keys), self.state.identities()
        if asked is not None and self.way == "open" and asked.item.why not in AGAIN:
            a, b = sorted(identities.who.number_of[name] for name in keys)
            if not _answers(identities, (a, b)) <= asked.answers:
                return "answered"
        return "free" if take(self.state.folder, self.observer, (min(keys), max(keys))) else "held"

    def skip(self, keys: Keys) -> None:
        """Put a pair last."""
        if keys not in self._asked:
            raise SnowmatchError("this pair is no longer a question here: load the page again", "load-again")
        skip(self.state.folder, self.observer, (min(keys), max(keys)))
        self._skipped.add((min(keys), max(keys)))

    def ask_skipped(self) -> None:
        """Ask the skipped pairs again."""
        self._skipped.clear()


def desk_of(state: State, observer: str, way: str) -> Desk:
    """Return the desk of an observer. Raises SnowmatchError for an unknown way, or if nobody's name is known."""
    if way not in WAYS:
        raise SnowmatchError(f"{way!r} is not a way to review: expected one of {', '.join(WAYS)}")
    if not observer:
        raise SnowmatchError("nobody's name is known here: say once who decides", "choose-observer")
    need(NEEDS[way])
    reader = not may(OBSERVER)
    found: Desk = state.kept.setdefault(f"desk {way} {observer} {reader}", Desk(state, observer, way, reader))
    return found


def _need_seen(identities: Identities, annotations: Iterable[str], files: Collection[str]) -> None:
    """Raise SnowmatchError if the file of one of these annotations is not among those that a page showed."""
    for path in paths_of(identities, annotations):
        stamp = file_stamp(identities.data.folder / path)
        if stamp and stamp not in files:
            raise SnowmatchError(
                f"{path} has changed since it was shown: look at it again", "photo-replaced", photo=path
            )


def _pair(item: Item) -> tuple[int, int]:
    return min(item.a, item.b), max(item.a, item.b)


def _answers(identities: Identities, pair: tuple[int, int]) -> frozenset[str]:
    """Return the ids of what persons have answered about a pair."""
    state = identities.who.pairs.get(pair)
    return frozenset() if state is None else frozenset(row.id for row in state.answers if row.role != "machine")


def _first(identities: Identities, pair: TrainingPair) -> tuple[str, str]:
    sightings = identities.who.sightings
    return sightings[pair.one].annotations[0], sightings[pair.other].annotations[0]
