"""Who may tell how near an accidental match is, how often animals were met, and what this does to the ranking."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snowmatch.core.types import Annotation
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.scores import PRIOR, Scores, prior

ROWS = [  # individual, encounter, passage, station
    ("aika", "e1", "", "S1"),
    ("aika", "e1", "", "S1"),
    ("aika", "e2", "", "S2"),
    ("bars", "e3", "", "S1"),
    (None, "e4", "", "S1"),
    (None, "e5", "e1", "S3"),  # a copy of a photo of e1 under another encounter
    (None, "e6", "e7", "S2"),  # passed together with two named animals
    ("aika", "e7", "e7", "S2"),
    ("bars", "e8", "e7", "S2"),
    (None, "e9", "", ""),
]


@pytest.fixture
def gallery():
    annotations = tuple(
        Annotation(n, f"{n}.jpg", individual, encounter=encounter, passage=passage, station=station, location="naryn")
        for n, (individual, encounter, passage, station) in enumerate(ROWS)
    )
    return Gallery(annotations, tuple(f"k{n}" for n in range(len(ROWS))), None, Path(), "")


def test_a_copy_without_a_name_is_no_rival_of_the_named_photo(gallery):
    numbers, kin = gallery.individual_numbers, gallery.kin
    assert kin[5] == numbers[0] != numbers[5]
    unchanged = [n for n in range(len(ROWS)) if n != 5]
    assert kin[unchanged].tolist() == numbers[unchanged].tolist()  # of two named animals, neither is chosen


def test_an_unidentified_animal_at_the_place_of_the_query_is_no_rival(gallery):
    assert np.flatnonzero(~gallery.rivals(("naryn", "S1"))).tolist() == [4]
    assert np.flatnonzero(~gallery.rivals(("naryn", "S2"))).tolist() == [6]
    assert gallery.rivals(("naryn", "")).all()  # the station is not known
    assert gallery.rivals(("osh", "S1")).all()
    assert gallery.rivals(None).all()


def test_two_animals_in_one_photo_without_boxes_are_no_rivals(gallery):
    keys = [*gallery.keys]
    keys[1] = keys[0]  # the same photo twice on record, with one name
    keys[3] = keys[2]  # aika and bars in one photo
    assert np.flatnonzero(~replace(gallery, keys=tuple(keys)).rivals(None)).tolist() == [2, 3]


def test_sightings_are_passages_that_may_answer(gallery):
    every = np.ones(len(ROWS), bool)
    names = [animal.individual for animal in gallery.individuals]
    met = gallery.sightings(every)
    assert met[names.index("aika")] == 3  # two photos of e1 are one encounter
    assert met[names.index("bars")] == 2
    assert met.sum() == 3 + 2 + 4
    few = every & (np.arange(len(ROWS)) < 2)
    assert gallery.sightings(few).tolist() == [1 if name == "aika" else 0 for name in names]
    assert not gallery.sightings(~every).any()


def scores(evidence, accepted, sightings):
    """Return the scores of individuals with one annotation each."""
    evidence, n = np.array(evidence, float), len(evidence)
    accepted = np.array(accepted)
    return Scores(
        evidence, evidence, accepted, accepted, evidence, evidence, accepted, (), (), 1.0, ~accepted & False,
        np.arange(n), prior(np.array(sightings)),
    )  # fmt: skip


def test_the_prior_decides_only_where_there_is_no_other_evidence():
    told = scores([1.0, 0.0, 0.0], [True, False, False], [1, 40, 2])
    assert told.individual_ranking.argsort()[::-1].tolist() == [0, 1, 2]
    assert told.evidence.tolist() == [1.0, 0.0, 0.0]
    assert scores([0.3, 0.3], [True, True], [1, 2]).individual_ranking.argmax() == 1
    assert prior(np.array([0, 1])).tolist() == [0, 0]
    assert prior(np.array([1000])) < 0.35  # less than a common accidental score
    assert PRIOR > 0


def test_a_photo_without_a_vote_is_not_ranked_by_its_prior():
    assert scores([1.0, 0.0], [True, False], [1, 40]).ranking[1] == 0
