"""How many individuals there are, as text."""

from __future__ import annotations

from snowmatch.core.text import aligned, counted, printable
from snowmatch.review.counting import ENOUGH, Counts


def format_counts(counts: Counts) -> str:
    """Return the numbers of individuals as a table, and a sentence about what more comparisons would change."""
    rows = [
        (printable(p.what), str(p.sightings), str(p.decided), f"{p.mean:.1f}", f"{p.low} to {p.high}")
        for p in counts.counts
    ]
    head = ("", "sightings", "by decisions", "likely", "95 % interval")
    lines = [line.rstrip() for line in aligned(head, rows, right=("sightings", "by decisions", "likely"))]
    more = counted(counts.questions, "more comparison")
    if counts.would_change < ENOUGH:
        told = "More comparisons would change the number of individuals by less than one."
    elif counts.questions:
        change = f"The number of individuals may still change by {counts.would_change:.0f}"
        told = f"{change}; about {more} would narrow this."
    else:
        told = (
            "Nothing that matters is left to ask: what these photos show leaves the number of individuals uncertain by "
            f"{counts.would_change:.0f}."
        )
    return "\n".join([*lines, "", told])
