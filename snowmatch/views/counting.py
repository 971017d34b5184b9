"""How many individuals there are, as text."""

from __future__ import annotations

from snowmatch.core.text import aligned, counted, printable
from snowmatch.review.counting import ENOUGH, Counts


def format_counts(counts: Counts) -> str:
    """Return the numbers of individuals as a table, and a sentence about what more comparisons would change."""
    rows = [
        (printable(c.what), str(c.sightings), str(c.decided), f"{c.mean:.1f}", f"{c.low:.0f} to {c.high:.0f}")
        for c in counts.counts
    ]
    head = ("", "sightings", "by decisions", "likely", "95 % interval")
    lines = [line.rstrip() for line in aligned(head, rows, right=("sightings", "by decisions", "likely"))]
    if counts.would_change < ENOUGH:
        lines += ["", "More comparisons would change the number of individuals by less than one."]
    else:
        more = counted(counts.questions, "more comparison")
        lines += ["", f"About {more} would narrow this: the number may still change by {counts.would_change:.0f}."]
    return "\n".join(lines)
