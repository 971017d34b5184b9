"""The photo that represents an animal: it shows most of it, and the animal is not cut off."""

import numpy as np
import pytest

from snowmatch.catalog.records import Fingerprint, Records
from snowmatch.core.types import Annotation
from snowmatch.review.identities import open_identities
from snowmatch.review.portraits import Shown, best_photo, shown_in
from snowmatch.review.traits import Traits

SIZE = (1000, 800)
NOTHING = Traits({}, {}, {}, {})


def photo(row, bbox, part="left_flank"):
    return Annotation(row=row, path=f"{row}.jpg", bbox=bbox, body_part=part, annotation=f"a{row}")


def shown_with(counts):
    """Return what photos with so many features show. counts: by annotation."""
    records = Records({a.path: Fingerprint(1, 1, 1, 1, f"{a.row:064x}") for a in counts})
    number = {records.key(a): n for n, a in enumerate(counts)}
    return Shown(records, number, np.array(list(counts.values())), np.array([SIZE] * len(counts)))


def test_most_features_represent_and_not_the_largest_box():
    near, clear = photo(0, (50, 50, 900, 700)), photo(1, (300, 200, 400, 300))
    assert best_photo(NOTHING, shown_with({near: 300, clear: 900}), [near, clear]) is clear
    assert best_photo(NOTHING, Shown(), [near, clear]) is near  # not indexed: the largest box
    assert best_photo(NOTHING, Shown(), [], "") is None
    assert best_photo(NOTHING, Shown(), [near], "right_flank") is None


@pytest.mark.parametrize(
    ("bbox", "borders"),
    [
        ((100, 100, 500, 500), 0),
        ((0, 100, 500, 500), 1),
        ((10, 100, 500, 500), 1),
        ((500, 100, 495, 500), 1),
        ((400, 300, 600, 500), 2),
        ((0, 0, 1000, 800), 4),
        (None, 4),
    ],
)
def test_each_border_that_cuts_the_animal_off_halves_the_worth(bbox, borders):
    a = photo(0, bbox)
    assert shown_with({a: 800}).worth(a) == 800 / 2**borders


def test_what_persons_said_comes_first():
    best, other, poor = (photo(n, (100, 100, 300 + n, 300)) for n in range(3))
    shown = shown_with({best: 900, other: 100, poor: 2000})
    traits = Traits({poor.annotation: "poor"}, {}, {}, {})
    assert best_photo(traits, shown, [best, other, poor]) is best
    assert best_photo(Traits({other.annotation: "good"}, {}, {}, {}), shown, [best, other]) is other
    assert best_photo(Traits({poor.annotation: "poor"}, {}, {poor.annotation: 3}, {}), shown, [best, poor]) is poor


def test_the_features_of_an_indexed_catalog_count_with_the_box_as_it_is(survey):
    identities = open_identities(survey / "catalog")
    shown = shown_in(identities)
    worth = [shown.worth(a) for a in identities.annotations]
    assert max(worth) > 100
    assert len(set(worth)) > len(worth) / 2
    a = identities.annotations[int(np.argmax(worth))]
    other = Annotation(row=a.row, path=a.path, bbox=(1, 2, 30, 40), annotation=a.annotation)
    assert shown.worth(other) == 0
