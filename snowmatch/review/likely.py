"""How likely two sightings show one animal: the evidence of all sightings, which the catalog keeps."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note, unique
from snowmatch.core.plugins import settings
from snowmatch.decisions.sightings import Sighting, comparable
from snowmatch.identify.pairs import compare_sightings
from snowmatch.identify.session import Session
from snowmatch.review.identities import Identities
from snowmatch.review.kept import Record, keep, read_kept

FORMAT = 8  # increased if the records or the scores change: older ones are then not read
TOP = 20  # other sightings whose evidence is kept for each; chosen: an animal is rarely met more often in one survey
AT_ONCE = 50  # sightings asked between two savings
SHORT = 16  # digits of a key that tell sightings apart
UNLISTED = -2.0  # evidence of a pair that is not among the TOP of either, or has no verified match
# The least that the photos of a listed pair say; chosen. Where the models say less, real photos say -0.3 to 1.2, drawn
# cats -1.7 to -2.0 (docs/benchmarks-history.md, "What pairs of sightings say")
LEAST = -1.5
MOST = 6.0  # the surest evidence of photos: odds of 400 to 1. Only persons can be surer
OTHERS = 1.0  # other sightings of one animal that a survey has on average, at least: else nobody would compare; chosen
ROUNDS = 50  # of the estimate of how many pairs show one animal


@dataclass(frozen=True)
class Likely:
    """A pair of sightings and the evidence of their photos.

    one, other: numbers of the sightings, the smaller one first. odds: natural logarithm of the likelihood ratio, of
    both directions together, at least LEAST. probability: that both show one animal, for a pair of sightings chosen at
    random. careful: the same by the least favourable models. spots: verified matches of the best two photos; photos:
    the identifiers of these annotations, of `one` and of `other`.
    """

    one: int
    other: int
    odds: float
    probability: float
    careful: float
    spots: int
    photos: tuple[str, str]

    @property
    def speaks(self) -> bool:
        """Whether the photos say more than LEAST, so that a probability may be told."""
        return self.odds > LEAST


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence about all pairs of sightings that photos say something about.

    pairs: by (one, other). expected: the share of all comparable pairs that show one animal. unlisted: the logarithm of
    the odds of a comparable pair that is not in `pairs`. asked: number of sightings that were asked in this run. notes:
    search indexes that had to be built, and whether the answers could be kept.
    """

    pairs: Mapping[tuple[int, int], Likely]
    expected: float
    unlisted: float
    asked: int
    notes: tuple[Note, ...] = ()

    def best(self, number: int, count: int) -> list[Likely]:
        """Return the `count` most likely pairs of a sighting, best first."""
        own = [pair for key, pair in self.pairs.items() if number in key]
        return sorted(own, key=lambda pair: (-pair.odds, pair.one, pair.other))[:count]


def check_one_reading(identities: Identities, session: Session) -> None:
    """Check that the rows of the sightings mean the same photos and body parts in a session.

    Raises SnowmatchError if the catalog was changed, or a body part corrected, between the two readings.
    """
    corrected = map(identities.corrected, range(len(identities.annotations)))
    one, other = ([(a.path, a.encounter, a.body_part) for a in each] for each in (corrected, session.data.annotations))
    if one != other:
        raise SnowmatchError("the catalog was changed at this very moment: run the command again", "catalog-changed")


def gather_evidence(
    session: Session,
    sightings: Sequence[Sighting],
    *,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Ask about every sighting, and return the evidence. Answers of earlier runs that the catalog keeps are used.

    A sighting is asked again only if its photos, their boxes, masks or maps, its passage, the method or the models of
    the calibration have changed, or if it was away, as one whose photo could not be read, when others were asked. A new
    sighting is compared with all others. again: ask about all. progress: called with (done, total) sightings. A catalog
    that cannot be written, or with damaged maps, keeps nothing, and a note says so. No sightings give no pairs. Raises
    SnowmatchError for a method of several extractors.
    """
    if len(names := [str(settings(each)["name"]) for each in session.method.extractors]) > 1:
        text = f"sightings are compared by the features of one extractor, not of {' and '.join(names)}: name one"
        raise SnowmatchError(text)
    keys, passages = _keys(session, sightings), _passages(sightings)
    book = _digest((_common(session), "who was there"))
    kept = read_kept(session.folder, [*keys, book])
    held = kept.pop(book, None)
    earlier = [record["generation"] for record in (*kept.values(), *([] if held is None else [held]))]
    generation = max(earlier, default=0)
    # The last generation in which each sighting was there, whether it was asked or not
    there: dict[str, int] = {} if held is None else held["there"]
    last = {key: max(there.get(key[:SHORT], 0), record["generation"]) for key, record in kept.items()}
    away = {key for key in last if last[key] < generation and held is not None}
    missing = [n for n, key in enumerate(keys) if key not in kept or key in away or kept[key]["passage"] != passages[n]]
    notes: list[Note] = []
    among = _digest(sorted(keys))
    # A run that was stopped goes on: what it kept was asked among the same sightings
    if all(record["among"] != among or record["generation"] < generation for record in kept.values()):
        generation += 1
    there |= {key[:SHORT]: generation for key in last.keys() - away}
    if again:
        kept, missing = {}, list(range(len(keys)))
    # When each sighting came on record: earlier than it was asked, if only its passage has changed since
    since = [kept[key]["since"] if key in kept and key not in away else generation for key in keys]
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        found = _ask(session, sightings, some, start, len(missing), progress, notes)
        records: dict[str, Record] = {
            keys[n]: {
                "generation": generation,
                "since": since[n],
                "among": among,
                "passage": passages[n],
                "evidence": found[n],
            }
            for n in some
        }
        kept |= records
        if not start:
            records[book] = {"generation": generation, "there": there}
        why = "foreground maps are damaged" if session.map_notes() else ""
        try:
            if not why:
                keep(session.folder, records)
        except SnowmatchError as error:
            why = str(error)
        if why:
            text = f"the comparisons are not kept, so the next run compares again: {why}"
            notes.append(Note("evidence-not-kept", text, {"why": why}))
    if progress is not None and missing:
        progress(len(missing), len(missing))
    return _gathered([kept[key] for key in keys], sightings, len(missing), unique(notes))


def _ask(
    session: Session,
    sightings: Sequence[Sighting],
    some: Sequence[int],
    before: int,
    total: int,
    progress: Callable[[int, int], None] | None,
    notes: list[Note],
) -> dict[int, list[list[object]]]:
    """Return the evidence of some sightings, as it is kept. Notes on search indexes are added to `notes`."""
    names = {row: name for s in sightings for row, name in zip(sorted(s.rows), s.annotations, strict=True)}
    told = None if progress is None else (lambda done, _: progress(before + done, total))
    found: dict[int, list[list[object]]] = {n: [] for n in some}
    for e in compare_sightings(session, [s.rows for s in sightings], some, top=TOP, progress=told, notes=notes):
        own, other = (names[row] for row in e.rows)
        found[e.asked].append([own, other, round(e.odds, 4), round(e.careful, 4), e.spots])
    return found


def _keys(session: Session, sightings: Sequence[Sighting]) -> list[str]:
    """Return a key for each sighting: 64 hex digits that change with its photos, their boxes, masks and maps, with the
    method and with the models of the calibration.
    """
    gallery, states, common = session.gallery, session.states, _common(session)
    maps = gallery.maps.checksums_of([state.key or "" for state in states]).tolist()
    photos = [
        [(states[row].key, maps[row], a) for row, a in zip(s.rows, s.annotations, strict=True)] for s in sightings
    ]
    return [_digest((common, its, s.body_parts)) for its, s in zip(photos, sightings, strict=True)]


def _common(session: Session) -> str:
    """Return a text that changes with the method and with the models of the calibration."""
    models = session.calibration.groups if session.calibration is not None else None
    return repr((FORMAT, session.method.extractor, session.method.matching, models))


def _passages(sightings: Sequence[Sighting]) -> list[str]:
    """Return a digest of the sightings in the passage of each one: they are never compared with it."""
    members: dict[str, list[str]] = defaultdict(list)
    for s in sightings:
        members[s.passage].append(s.key)
    told = {name: _digest(sorted(keys)) for name, keys in members.items()}
    return [told[s.passage] for s in sightings]


def _digest(values: object) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "backslashreplace")).hexdigest()


def _gathered(
    records: Sequence[Record], sightings: Sequence[Sighting], asked: int, notes: tuple[Note, ...]
) -> Evidence:
    number_of = {name: n for n, s in enumerate(sightings) for name in s.annotations}
    odds: dict[tuple[int, int], dict[int, tuple[float, float]]] = {}
    best: dict[tuple[int, int], tuple[int, tuple[str, str]]] = {}
    for n, record in enumerate(records):
        for own, other, value, careful, spots in record["evidence"]:
            m = number_of.get(other)
            if m is None or m == n or sightings[m].passage == sightings[n].passage:
                continue
            pair = (n, m) if n < m else (m, n)
            odds.setdefault(pair, {})[n] = float(value), float(careful)
            photos = (own, other) if n < m else (other, own)
            if spots > best.get(pair, (-1, photos))[0]:
                best[pair] = spots, photos
    together: dict[tuple[int, int], tuple[float, float]] = {}
    for (n, m), said in odds.items():
        # A sighting that was asked before the other one was on record could not name it
        could = [k for k, late in ((n, m), (m, n)) if records[k]["generation"] >= records[late]["since"]]
        values = [said.get(k, (UNLISTED / 2, UNLISTED / 2)) for k in could or said]
        mean, careful = (max(sum(each) * 2 / len(values), LEAST) for each in zip(*values, strict=True))
        together[n, m] = mean, min(mean, careful)
    total = _comparable_pairs(sightings)
    expected = expected_share(np.array([mean for mean, _ in together.values()]), total)
    expected = max(expected, min(OTHERS / max(len(sightings), 2), 0.5))
    prior = float(np.log(expected / (1 - expected)))
    pairs = {
        pair: Likely(*pair, mean, _probability(mean + prior), _probability(careful + prior), *best[pair])
        for pair, (mean, careful) in sorted(together.items())
    }
    return Evidence(pairs, expected, float(np.clip(UNLISTED + prior, -MOST, MOST)), asked, notes)


def _probability(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(log_odds, -MOST, MOST))))


def _comparable_pairs(sightings: Sequence[Sighting]) -> int:
    """Return the number of pairs of sightings that show comparable parts."""
    kinds: dict[tuple[str, ...], int] = {}
    example: dict[tuple[str, ...], Sighting] = {}
    for sighting in sightings:
        kinds[sighting.body_parts] = kinds.get(sighting.body_parts, 0) + 1
        example[sighting.body_parts] = sighting
    names = sorted(kinds)
    total = 0
    for n, one in enumerate(names):
        if comparable(example[one], example[one]):
            total += kinds[one] * (kinds[one] - 1) // 2
        total += sum(kinds[one] * kinds[other] for other in names[n + 1 :] if comparable(example[one], example[other]))
    return total


def expected_share(odds: np.ndarray, total: int) -> float:
    """Return the share of `total` pairs that show one animal, from the log likelihood ratios (E,) of those listed.

    All other pairs have the evidence UNLISTED. Fewer than one pair is never expected. Source: expectation maximisation
    for the proportion of a mixture, Saerens et al. 2002 (Neural Computation 14).
    """
    total = max(total, len(odds), 2)
    ratios, rest = np.exp(np.clip(odds, -30, 30)), np.exp(UNLISTED)
    share = min(0.5, max(len(odds) / 4, 1.0) / total)
    for _ in range(ROUNDS):
        listed = share * ratios / (1 - share + share * ratios)
        left = share * rest / (1 - share + share * rest)
        share = float(np.clip((listed.sum() + (total - len(odds)) * left) / total, 1 / total, 0.5))
    return share
