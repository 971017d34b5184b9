"""A query with photos of both flanks: each is compared with its own side, and each side votes once."""

import numpy as np
import pytest

import snowmatch
from snowmatch.views.text import format_answer


@pytest.fixture(scope="module")
def catalog(survey):
    return snowmatch.open_catalog(survey / "catalog")


@pytest.fixture(scope="module")
def both(catalog):
    """Return photos of one animal: two of its left flank and one of its right flank."""
    found = {}
    for a in catalog.data.annotations:
        if a.individual is not None and a.body_part in ("left_flank", "right_flank"):
            found.setdefault(a.individual, {}).setdefault(a.body_part, []).append(a)
    sides = next(s for s in found.values() if len(s) == 2 and len(s["left_flank"]) > 1)
    return [*sides["left_flank"][:2], sides["right_flank"][0]]


def test_each_flank_is_compared_with_its_own_side(catalog, both):
    answer = catalog.query([both[0], both[2], both[1]], top=50)
    shown = ("left_flank", "right_flank", "left_flank")
    parts = {c.best.body_part for c in answer.candidates}
    assert {"left_flank", "right_flank"} <= parts
    for candidate in answer.candidates:
        assert candidate.best.body_part in (shown[candidate.best_query], "unknown") or not candidate.accepted
    assert "several-body-parts" in {note.code for note in answer.notes}
    assert "body parts left_flank and right_flank" in format_answer(answer)


def test_a_flank_votes_once_however_many_photos_show_it(catalog, both):
    excluded = sorted({a.encounter for a in both})
    asked = {"exclude_encounters": excluded, "top": 50}
    answer = catalog.query(both, **asked)
    left, right = catalog.query(both[:2], **asked), catalog.query(both[2:], **asked)
    apart = [{c.individual: c.score for c in a.candidates if c.accepted and c.individual} for a in (left, right)]
    seen = 0
    for candidate in answer.candidates:
        if candidate.accepted and candidate.individual:
            scores = [side.get(candidate.individual, 0.0) for side in apart]
            assert candidate.score == pytest.approx(np.mean(scores), rel=1e-5)
            seen += all(scores)
    assert seen


def test_the_order_of_the_photos_does_not_matter(catalog, both):
    there, back = catalog.query(both, top=50), catalog.query(both[::-1], top=50)
    assert [(c.individual, c.best.path) for c in there.candidates] == [
        (c.individual, c.best.path) for c in back.candidates
    ]
    assert [c.score for c in there.candidates] == pytest.approx([c.score for c in back.candidates], rel=1e-5)


def test_a_given_body_part_holds_for_all_photos(catalog, both):
    answer = catalog.query(both[::2], body_part="left_flank", top=50)
    assert answer.body_part == "left_flank"
    assert {c.best.body_part for c in answer.candidates} <= {"left_flank", "unknown"}
