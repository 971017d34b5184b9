"""How many individuals there are, how sure that is, and what more comparisons would change."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.review.counting import ENOUGH, Counts
from snowmatch.web.background import counts_now
from snowmatch.web.page import render, state_of

BARS = 40  # of the drawing, at most


def count(request: Request) -> Response:
    """The page. The numbers are fetched after it."""
    return render(request, "count.html")


def numbers(request: Request) -> Response:
    """The numbers of individuals; with status 202 until they are of all decisions."""
    state = state_of(request)
    counts, fresh = counts_now(state)
    if counts is None:
        return render(request, "wait.html", status=202, word="count.wait")
    return render(
        request,
        "count_numbers.html",
        status=200 if fresh else 202,
        fresh=fresh,
        rows=[_row(each.what) | {"of": each} for each in counts.counts],
        questions=counts.questions,
        change=round(counts.would_change),
        enough=counts.would_change < ENOUGH,
        bars=_bars(counts),
    )


def _row(what: str) -> dict[str, str]:
    """Return the key of the words for a row, and the place that it is about."""
    if what.startswith("location "):
        return {"word": "count.location", "place": printable(what.removeprefix("location "))}
    return {"word": "count." + what.replace(" ", "_"), "place": ""}


def _bars(counts: Counts) -> list[dict[str, Any]]:
    """Return how many of the drawn groupings have each number of individuals, as bars of at most 100 units."""
    if not counts.draws.size:
        return []
    found = np.array([len(np.unique(row)) for row in counts.draws])
    step = max(1, -(-(int(found.max()) - int(found.min()) + 1) // BARS))
    starts = range(int(found.min()), int(found.max()) + 1, step)
    heights = [int(((found >= start) & (found < start + step)).sum()) for start in starts]
    whole = counts.counts[0]
    return [
        {
            "from": start,
            "to": start + step - 1,
            "height": round(100 * height / max(heights)),
            "inside": whole.low <= start + step - 1 and start <= whole.high,
            "count": height,
        }
        for start, height in zip(starts, heights, strict=True)
    ]


ROUTES = [Route("/count", count), Route("/count/numbers", numbers)]
