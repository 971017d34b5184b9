"""Sightings that decisions join without a name are one animal, but nobody knows whether it is a named one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from batch_answers import AIKA, BARS, says

from snowmatch.confidence.model import Model
from snowmatch.identify.judge import judge_scores
from snowmatch.identify.question import make_question
from snowmatch.matching.gallery import Animal
from snowmatch.review.batch import run_batch
from snowmatch.views.json import answer_to_json

__all__ = ["says"]  # fixtures

JOINED = [{"path": f"{n}.jpg", "individual": "unnamed a2", "encounter": f"e{n}"} for n in (1, 2)]


def test_a_joined_animal_without_a_name_speaks_against_named_ones_as_an_unidentified_one_does():
    model = Model((0.0,), 1.0, (2.0, 3.0), 5.0, 0.0, 1000.0, 10.0, 0.0)

    def judged(other):
        gallery = SimpleNamespace(
            individual_numbers=np.array([0, 1]),
            individuals=(Animal("aika", "", 0), other),
            sightings=lambda allowed: np.array([2, 2]),
        )
        scores = SimpleNamespace(evidence=np.array([9.0, 8.5]))
        return judge_scores(scores, gallery, np.ones(2, bool), (model,), 1000.0).individuals

    assert judged(Animal("unnamed a2", "", 0)) == pytest.approx(judged(Animal(None, "e1", 0)))
    assert judged(Animal("unnamed a2", "", 0))[0] > judged(Animal("bars", "", 0))[0]


def test_a_batch_asks_about_a_joined_animal_without_a_name(says):
    said = says(AIKA, BARS, *JOINED)
    said.answers[("1.jpg", "unknown")] = ({"unnamed a2": 0.9, "aika": 0.05}, 0.05)
    said.answers[("2.jpg", "unknown")] = ({"aika": 0.9, "unnamed a2": 0.05}, 0.05)
    first, second = run_batch(said.catalog).rows
    assert (first.photos, first.decision, first.individual, first.same_as) == (("1.jpg",), "unidentified", "", "e1")
    assert (second.decision, second.individual, second.runner_up) == ("individual", "aika", "unidentified e1")
    assert not any("named unnamed" in reason for reason in (*first.reasons, *second.reasons))
    only_named = replace(said.catalog.data, annotations=said.catalog.data.annotations[:2])
    (note,) = run_batch(replace(said.catalog, data=only_named)).notes
    assert note.code == "nothing-to-ask"


def test_a_flank_like_a_joined_animal_does_not_contradict_a_flank_like_a_named_one(says):
    query = [{"path": f"{part}.jpg", "body_part": f"{part}_flank", "encounter": "q"} for part in ("left", "right")]
    said = says(AIKA, *JOINED, *query)
    said.answers[("left.jpg", "left_flank")] = ({"aika": 0.99}, 0.01)
    said.answers[("right.jpg", "right_flank")] = ({"unnamed a2": 0.98}, 0.02)
    row = next(row for row in run_batch(said.catalog).rows if row.encounter == "q")
    assert (row.individual, row.level) == ("aika", "excellent")


def test_in_json_a_joined_animal_has_no_name_but_an_encounter(says):
    said = says(AIKA, *JOINED, {"path": "q.jpg"})
    said.answers[("q.jpg", "unknown")] = ({"unnamed a2": 0.9, "aika": 0.05}, 0.05)
    question = make_question(str(said.catalog.folder / "q.jpg"), body_part="unknown")
    answer = said.ask(said.session(said.catalog), question)
    told = answer_to_json(answer)
    assert [c["individual"] for c in told["candidates"]] == [None, "aika"]
    assert (told["decision"]["individual"], told["decision"]["encounter"]) == (None, "e1")
