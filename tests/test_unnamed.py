"""Sightings that decisions join without a name are one animal, but nobody knows whether it is a named one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from batch_answers import AIKA, BARS, says
from click.testing import CliRunner

import snowmatch
from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.cli import main
from snowmatch.confidence.model import Model
from snowmatch.core.errors import SnowmatchError
from snowmatch.decisions.named import with_checked_names
from snowmatch.identify.judge import judge_scores
from snowmatch.identify.question import make_question
from snowmatch.matching.gallery import Animal
from snowmatch.review.batch import run_batch
from snowmatch.review.doctor.examine import examine
from snowmatch.review.identities import answer_pair, decide, name_sightings, open_identities
from snowmatch.review.observer_name import MACHINE
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


def test_what_only_the_machine_joined_is_not_taken_for_right(tmp_path):
    names = ("aika", "aika", "", "", "", "", "", "", "bars")
    lines = [f"{n}.jpg,{name},e{n},a{n}\n" for n, name in enumerate(names)]
    (tmp_path / "catalog.csv").write_text("path,individual,encounter,annotation\n" + "".join(lines))

    def say(one, other, observer, **values):
        decide(who, [answer_pair(who, one, other, "same", observer, **values)])

    who = open_identities(tmp_path)
    say(0, 2, MACHINE, role="machine")
    say(2, 3, "Anna")
    say(4, 5, MACHINE, role="machine")
    say(6, 7, "Anna")
    data = snowmatch.open_catalog(tmp_path).data
    nameless = [*["unnamed a4"] * 2, *["unnamed a6"] * 2]
    assert [a.individual for a in data.annotations] == [*["aika"] * 4, *nameless, "bars"]
    checked = with_checked_names(data)
    assert [a.individual for a in checked.annotations] == ["aika", "aika", *[None] * 6, "bars"]
    assert [note.data for note in checked.notes if note.code == "names-of-machine"] == [{"count": 2}]
    assert with_checked_names(checked) == checked
    who = open_identities(tmp_path)
    assert who.checked == tuple(replace(a, annotation=f"a{a.row}") for a in checked.annotations)
    say(0, 2, "Anna")
    say(5, 8, MACHINE, role="machine")
    data = snowmatch.open_catalog(tmp_path).data
    assert [a.individual for a in with_checked_names(data).annotations] == [*["aika"] * 4, *[None] * 4, "bars"]


def test_names_that_the_machine_lends_are_neither_asked_nor_counted(own_survey):
    folder = own_survey / "catalog"
    opened = snowmatch.open_catalog(folder)
    assert opened.session().encounter_pairs == count_encounter_pairs(opened.data.annotations) > 0
    who = open_identities(folder)
    known, (one, *_) = who.who.individuals[0], [n for n, s in enumerate(who.who.sightings) if s.named is None]
    drafts = [name_sightings(who, each.sightings[1:], "", "Anna") for each in who.who.individuals if each.name]
    who, _ = decide(who, drafts)
    many = [answer_pair(who, known.sightings[0], n, "same", MACHINE, role="machine") for n in known.sightings[1:]]
    decide(who, [*many, answer_pair(who, known.sightings[0], one, "same", MACHINE, role="machine")])
    opened = snowmatch.open_catalog(folder)
    assert count_encounter_pairs(opened.data.annotations) > 0
    assert opened.session().encounter_pairs == 0
    found = opened.evaluate()
    names = [a.individual for a in with_checked_names(opened.data).annotations]
    assert found.table.queries.tolist() == [row for row, name in enumerate(names) if name is not None]
    assert "names-of-machine" in [note.code for note in found.notes]
    with pytest.raises(SnowmatchError, match="has 0 pairs of encounters of one animal"):
        opened.calibrate()
    ran = CliRunner().invoke(main, ["evaluate", str(folder), "--failures", str(own_survey / "wrong")])
    assert (ran.exit_code, (own_survey / "wrong" / "index.html").exists()) == (0, True), ran.output
    told = examine(folder, deep=True)
    assert "names-of-machine" in [note.code for note in told.unseen]
