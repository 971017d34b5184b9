"""How many individuals there are, as text."""

from __future__ import annotations

from snowmatch.core.text import aligned, counted, printable
from snowmatch.review.counting import Counts


def format_counts(counts: Counts) -> str:
    """Return the numbers of individuals as a table, and a sentence about what more comparisons would change."""
    rows = [
        (printable(p.what), str(p.sightings), str(p.decided), f"{p.mean:.1f}", f"{p.low} to {p.high}")
        for p in counts.parts
    ]
    head = ("", "sightings", "by decisions", "likely", "95 % interval")
    lines = [line.rstrip() for line in aligned(head, rows, right=("sightings", "by decisions", "likely"))]
    if counts.questions == 0:
        told = "More comparisons would change the number of individuals by less than one."
    elif counts.questions is not None:
        more = counted(counts.questions, "more comparison")
        told = f"About {more}; after them the number of individuals would change by less than one."
    else:
        told = (
            "No number of comparisons of these photos settles the number of individuals: it would stay uncertain by "
            f"about {counts.after:.0f}."
        )
    return "\n".join([*lines, "", told])
