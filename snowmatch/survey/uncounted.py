"""Notes on sightings that do not count, and on those that count although no camera of their station worked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.stations import DAY, Span
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.survey.captures import Capture, LeftOut, Unnamed


def outside_work(
    captures: Sequence[Capture], unnamed: Sequence[Unnamed], spans: Mapping[str, Sequence[tuple[Span, str]]]
) -> list[Note]:
    """Return notes if captures or unidentified sightings are of a time without a camera, on an occasion on which one
    worked.
    """
    once = {c.rows: c for c in captures}.values()  # of left and right as two sessions, one of both sides is in both
    outside = [c.encounters[0] for c in once if not any(_may_be_in(c, span) for span, _ in spans[c.place])]
    each = {u.rows: u for u in unnamed}.values()
    nameless = [u for u in each if not any(_may_be_in(u, span) for span, _ in spans[u.place])]
    why = (
        "of a time when no camera of the station worked, on an occasion on which one did: counted, but the table of "
        "stations or a camera's clock is wrong"
    )
    notes = []
    if outside:
        text = f"{counted(len(outside), 'capture')} {why}: {some(outside)}"
        notes.append(Note("captures-without-camera", text, {"encounters": outside}))
    if nameless:
        text = f"{counted(len(nameless), 'unidentified sighting')} {why}"
        text += f": {some([f'{u.place} {u.start.date()}' for u in nameless])}"
        notes.append(Note("unidentified-without-camera", text, {"count": len(nameless)}))
    return notes


def _may_be_in(c: Capture | Unnamed, span: Span) -> bool:
    """Return whether a sighting began in a time; of a day without a time of day, whether any of it is in there."""
    return span.start < c.start + DAY and c.start < span.end if c.dated else c.start in span


def sides_unknown(captures: Sequence[Capture], data: CatalogData, flanks: str) -> list[Note]:
    """Return notes on sightings that show no side.

    Of those with photos of an unknown body part alone, the flanks may be two individuals. captures: before the choice
    of flanks, of which all but `both` leave these out, and those of other body parts, such as the head.
    """
    unknown = [c for c in captures if all(data.annotations[row].body_part == "unknown" for row in c.rows)]
    told = {c.rows for c in unknown}
    others = [c for c in captures if not c.flank and c.rows not in told and flanks != "both"]
    notes, out = [], f"left out, as flanks {flanks} needs a side"
    if unknown:
        why = "an animal that was seen from both sides may count as two" if flanks == "both" else out
        text = (
            f"{len(unknown)} of {counted(len(captures), 'sighting')} without a body part: {why}; say which side the "
            "photos show"
        )
        notes.append(Note("sides-unknown", text, {"count": len(unknown)}))
    if others:
        text = f"{len(others)} of {counted(len(captures), 'sighting')} with other body parts than flanks: {out}"
        notes.append(Note("no-side", text, {"count": len(others)}))
    return notes


def sides_apart(captures: Sequence[Capture], flanks: str) -> list[Note]:
    """Return a note if animals that are known from different sides only may be the same. captures: before the choice
    of flanks.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for c in captures:
        sides[c.individual] |= {c.flank} - {""}
    left, right = (sum(shown == {side} for shown in sides.values()) for side in "LR")
    if flanks not in ("both", "hybrid") or not (left and right):
        return []
    twice = counted(min(left, right), "animal")
    text = (
        f"{counted(left, 'individual')} known from the left side only and {right} from the right side only: up to "
        f"{twice} may count twice, once a side, except in models of two sides; join the sides, or count one side"
    )
    return [Note("sides-apart", text, {"left": left, "right": right, "count": min(left, right)})]


def left_out_notes(left_out: Sequence[LeftOut]) -> list[Note]:
    reasons: dict[str, list[str]] = defaultdict(list)
    unnamed: dict[str, list[LeftOut]] = defaultdict(list)
    for each in left_out:
        if each.individual:
            reasons[each.reason].append(each.encounter)
        else:
            unnamed[each.reason].append(each)
    notes = [
        Note(
            "captures-left-out",
            f"{counted(len(which), 'identified sighting')} left out, {reason}: {some(which)}",
            {"encounters": which, "reason": reason},
        )
        for reason, which in sorted(reasons.items())
    ]
    for reason, own in sorted(unnamed.items()):
        text = f"{counted(len(own), 'unidentified sighting')} left out, {reason}: {some(_stations_and_days(own))}"
        notes.append(Note("unidentified-left-out", text, {"count": len(own), "reason": reason}))
    return notes


def _stations_and_days(sightings: Sequence[LeftOut]) -> list[str]:
    """Return each station with the days of its first and last sighting; what is not known is not told."""
    days: dict[str, list[str]] = defaultdict(list)
    for each in sightings:
        days[each.station].append(f"{each.start.date()}" if each.start is not None else "")
    told = []
    for station, own in sorted(days.items()):
        first, last = min(own), max(own)
        told.append(" ".join(filter(None, (station or "no station", first, f"to {last}" if first != last else ""))))
    return told
