"""The desk of a person who reviews: questions are handed out ahead, and answers are stored at once.

An answer is acknowledged when it is on the disk. The queue takes it afterwards, before it hands out the next questions.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accuracy import truth_tag
from snowmatch.review.history import WAYS, last_answer
from snowmatch.review.identities import Decision, Identities, draft, undo
from snowmatch.review.likely import Evidence
from snowmatch.review.queue import Item, Queue, answered_sides, shown_of, tags_of
from snowmatch.review.training import TrainingPair, answered_pairs, training_pairs, trusted_names
from snowmatch.review.turns import skip, take
from snowmatch.web.background import accuracy_in, evidence_now
from snowmatch.web.state import State

HIDDEN = ("blind", "training")  # ways in which an observer sees neither names nor probabilities
PATIENCE = 4.0  # a queue that took t seconds to make is made again for others' decisions after PATIENCE * t at the earliest
TRAINING = 40  # pairs of one training
MARKS = 50  # pairs of points of one answer, at most
LONGEST = 2000  # characters of a note
ANSWERS = ("same", "different", "cannot_tell")
Keys = tuple[str, str]  # of the left and the right sighting


@dataclass(frozen=True)
class Asked:
    """A question that was handed out, with the identifiers of the annotations of both sides."""

    item: Item
    sides: tuple[tuple[str, ...], tuple[str, ...]]
    tags: tuple[str, ...]


class Desk:
    """The questions of one observer in one way: `open`, `blind`, `adjudicate` or `training`. Threads may share it."""

    def __init__(self, state: State, observer: str, way: str) -> None:
        self.state, self.observer, self.way = state, observer, way
        self._lock = threading.RLock()  # of the queue
        self._queue: Queue | None = None
        self._upto, self._rows = "", 0  # the last decision that the queue knows, and how many
        self._built, self._took = 0.0, 0.0
        self._stale = False
        self._skipped: set[Keys] = set()
        self._pending: deque[tuple[Keys, Item, Decision]] = deque()
        self._asked: dict[Keys, Asked] = {}
        self._stored: dict[tuple[Keys, str], str] = {}  # answers by pair and moment of opening: a request may come twice
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
                items = [i for i in queue.next(count + len(skipped)) if queue.keys_of(i) not in skipped]
                left = max(queue.left() - len(skipped), len(items))
            items = items[:count]
            if about is not None and (chosen := self._chosen(queue, about)) is not None:
                items = [chosen, *(i for i in items if {i.a, i.b} != {chosen.a, chosen.b})]
            for item in items:
                self._hand_out(queue, item)
            return queue.identities, items, left, len(self._skipped)

    def _ready(self) -> Queue | None:
        """Return the queue with all decisions so far; None while the evidence is gathered."""
        evidence = evidence_now(self.state)
        identities = self.state.identities()
        if evidence is None:
            return None
        queue = self._queue
        if queue is None or self._stale or queue.evidence is not evidence:
            return self._make(evidence)
        if queue.identities.who.sightings != identities.who.sightings:
            return self._make(evidence)
        self._take_pending(queue)
        others = len(self.state.identities().rows) != self._rows
        if others and time.monotonic() - self._built > PATIENCE * self._took:
            return self._make(evidence)
        return queue

    def _make(self, evidence: Evidence) -> Queue:
        start = time.monotonic()
        self._stale = False
        self._pending.clear()  # what was stored before is in the identities
        identities = self.state.identities()
        calibration = self.state.session(names=False).calibration
        levels = calibration.levels if calibration is not None else None
        mode = "open" if self.way == "training" else self.way
        if self._queue is not None and self._queue.identities.who.sightings != identities.who.sightings:
            self._asked.clear()
            self._training = None
        self._queue = Queue(identities, evidence, self.observer, levels, accuracy_in(identities), mode)
        self._rows = len(identities.rows)
        self._upto = max((row.id for row in identities.rows), default="")
        self._built = time.monotonic()
        self._took = self._built - start
        return self._queue

    def _take_pending(self, queue: Queue) -> None:
        while self._pending:
            _, item, decision = self._pending.popleft()
            if decision.id <= self._upto:
                continue
            identities = self.state.identities()
            if self.way == "training":
                queue.identities = identities
            else:
                queue.take(identities, item, decision)
            self._rows += 1

    def take_answers(self) -> None:
        """Bring the queue up to date with the answers that were stored, so that the next question waits for nothing."""
        with self._lock:
            if self._queue is not None and not self._stale:
                self._take_pending(self._queue)

    def _lessons(self, queue: Queue) -> tuple[list[Item], int]:
        identities = queue.identities
        if self._training is None:
            answered = answered_pairs(identities.rows, identities.who, self.observer)
            self._training = training_pairs(
                identities.who.sightings,
                trusted_names(identities.who),
                queue.evidence.pairs,
                TRAINING,
                0,
                self.observer,
                answered=answered,
            )
        found = []
        for pair in self._training:
            item = Item(pair.one, pair.other, "training", "", None, None, 0, _first(identities, pair))
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
            return Item(item.a, item.b, "disagreement", "", item.probability, item.level, item.spots, item.photos)
        return item

    def _hand_out(self, queue: Queue, item: Item) -> None:
        sightings = queue.identities.who.sightings
        tags = tags_of(item)
        if self.way == "training":
            assert self._training is not None
            pair = next(p for p in self._training if (p.one, p.other) == (item.a, item.b))
            tags = (truth_tag(pair.truth),)
        keys = sightings[item.a].key, sightings[item.b].key
        self._asked[keys] = Asked(item, answered_sides(queue.identities, item), tags)

    def groups(self, item: Item) -> list[int]:
        """Return what tells which prefetched questions an answer may make superfluous; [] where it would tell too much."""
        if self.way != "open" or self._queue is None:
            return []
        return [self._queue.known.individual(n) for n in (item.a, item.b)]

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(self, values: Mapping[str, Any]) -> str:
        """Store an answer, and return the id of its decision. The same answer sent twice is stored once.

        Raises SnowmatchError if the question was not handed out, or if a value is wrong.
        """
        keys = read_pair(values.get("pair"))
        asked, said = self._asked.get(keys), values.get("answer")
        if asked is None:
            raise SnowmatchError("this pair is no longer a question here: load the page again")
        if said not in ANSWERS:
            raise SnowmatchError(f"{said!r} is not an answer: expected one of {', '.join(ANSWERS)}")
        opened = _moment(values.get("opened_at"))
        certainty = values.get("certainty")
        if certainty is not None and (isinstance(certainty, bool) or certainty not in (1, 2, 3, 4)):
            raise SnowmatchError(f"the certainty is {certainty!r}, expected 1 (guessed) to 4 (certain)")
        note = values.get("note") or ""
        if not isinstance(note, str) or len(note) > LONGEST:
            raise SnowmatchError(f"the note is not a text of at most {LONGEST} characters: shorten it")
        sides, marks = _marked(asked.sides, values.get("frames"), values.get("marks"))
        mode, role = WAYS[self.way]
        hidden = self.way in HIDDEN
        shown: dict[str, object] = {"hidden": True} if self.way == "training" else dict(shown_of(asked.item, hidden=hidden))
        shown["lines"] = not hidden and values.get("lines") is True

        def make(identities: Identities) -> Sequence[Decision]:
            if opened and (keys, opened) in self._stored:
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
                    note=note.strip(),
                    shown=shown,
                ),
            )

        rows = self.state.append(make)
        if not rows:
            return self._stored[keys, opened]
        self._stored[keys, opened] = rows[0].id
        self._trained.add((min(keys), max(keys)))
        self._skipped.discard((min(keys), max(keys)))
        self._pending.append((keys, asked.item, rows[0]))
        return rows[0].id

    def undo(self) -> Decision | None:
        """Take back the observer's last answer of this way, and return it; None if there is none."""
        found: list[Decision] = []

        def make(identities: Identities) -> Sequence[Decision]:
            ids = last_answer(identities, self.observer, self.way)
            found[:] = [row for row in identities.rows if row.id in ids]
            return undo(identities, ids, self.observer)

        self.state.append(make)
        if not found:
            return None
        self._stale = True
        keys = [min(side) for side in (found[0].side_a, found[0].side_b)]
        self._trained.discard((min(keys), max(keys)))
        return found[0]

    # --- turns -------------------------------------------------------------------------------------------------------

    def open(self, keys: Keys) -> bool:
        """Reserve a pair that is on the screen, and return whether it is free."""
        return take(self.state.folder, self.observer, (min(keys), max(keys)))

    def skip(self, keys: Keys) -> None:
        """Put a pair last."""
        if keys not in self._asked:
            raise SnowmatchError("this pair is no longer a question here: load the page again")
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
    found: Desk = state.kept.setdefault(f"desk {way} {observer}", Desk(state, observer, way))
    return found


def read_pair(value: object) -> Keys:
    """Return the keys of a pair of sightings. Raises SnowmatchError if it is none."""
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, str) and v for v in value):
        raise SnowmatchError("the request names no pair of sightings: load the page again")
    return value[0], value[1]


def _first(identities: Identities, pair: TrainingPair) -> tuple[str, str]:
    sightings = identities.who.sightings
    return sightings[pair.one].annotations[0], sightings[pair.other].annotations[0]


def _moment(value: object) -> str:
    """Return the moment in which a question was shown; "" if it is none, or not of the last day."""
    try:
        moment = datetime.fromisoformat(str(value))
        if not timedelta(days=-1) < moment - datetime.now(UTC) < timedelta(minutes=1):
            return ""
    except (ValueError, TypeError, OverflowError):
        return ""
    return str(value)


def _marked(
    sides: tuple[tuple[str, ...], tuple[str, ...]], frames: object, marks: object
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], tuple[tuple[float, float, float, float], ...]]:
    """Return both sides, the marked photos first, and the marks."""
    if not marks:
        return sides, ()
    wrong = SnowmatchError(f"the marks are wrong: expected at most {MARKS} pairs of points on a photo of either side")
    if not isinstance(marks, list) or len(marks) > MARKS or not isinstance(frames, list) or len(frames) != 2:
        raise wrong
    if any(frame not in side for frame, side in zip(frames, sides, strict=True)):
        raise wrong
    found = []
    for mark in marks:
        if not isinstance(mark, list) or len(mark) != 4:
            raise wrong
        if any(isinstance(x, bool) or not isinstance(x, int | float) or not -1e5 < x < 1e5 for x in mark):
            raise wrong
        a, b, c, d = (round(float(x), 1) for x in mark)
        found.append((a, b, c, d))
    one, other = ((frame, *(x for x in side if x != frame)) for frame, side in zip(frames, sides, strict=True))
    return (one, other), tuple(found)
