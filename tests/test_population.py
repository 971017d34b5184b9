"""The replay of a survey: estimates by hand, and right counts of mistakes and work for any answers of the engine."""

import math
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import measure
import numpy as np
import population
import pytest
import survey_replay
from population import figures, kept, summary
from store import read_runs
from survey_replay import Encounter, decide, draw, engine, passages, replay

from snowmatch.demo.survey import make_survey


def said(individual, probability, new_probability, level="excellent"):
    """Return an answer with the parts that a decision uses."""
    candidates = (SimpleNamespace(individual=individual, probability=probability),)
    return SimpleNamespace(candidates=candidates, new_probability=new_probability, level=level)


def survey(animals, occasions=1):
    """Return encounters of the animals (one letter each) in this order."""
    return [Encounter(f"e{i}", animal, i * occasions // len(animals)) for i, animal in enumerate(animals)]


def perfect(encounter, record):
    names = [name for before, name in record if before.animal == encounter.animal]
    return said(names[0], 1.0, 0.0) if names else said(record[0][1], 0.0, 1.0)


def always_new(encounter, record):
    return said(record[0][1], 0.01, 0.99)


def always_first(encounter, record):
    return said(record[0][1], 0.99, 0.01)


def never_sure(encounter, record):
    return said(record[0][1], 0.6, 0.4, "fair")


class TestDecision:
    @pytest.mark.parametrize(
        ("answer", "by"),
        [
            (said("a", 0.9, 0.1, "good"), "same"),
            (said("a", 0.9, 0.1, "excellent"), "same"),
            (said("a", 0.6, 0.4, "fair"), "person"),
            (said(None, 0.9, 0.1, "good"), "person"),  # an encounter without a name
            (said("a", 0.05, 0.95), "new"),
            (said("a", 0.06, 0.94), "person"),
            (said("a", None, None, None), "person"),  # not calibrated
            (SimpleNamespace(candidates=(), new_probability=1.0, level="excellent"), "new"),
        ],
    )
    def test_who_decides(self, answer, by):
        assert decide(answer, 0.95) == by


class TestReplay:
    def test_the_first_encounter_is_new_without_a_query(self):
        (only,) = replay(survey("A"), None, 0.95)
        assert (only.given, only.by, only.error, only.names, only.top) == ("animal-001", "new", "", 0, None)

    def test_an_engine_that_is_always_right(self):
        named = replay(survey("ABACBACB", 4), perfect, 0.95)
        assert [n.given[-1] for n in named] == list("12132132")
        assert [n.by for n in named] == ["new", "new", "same", "new", "same", "same", "same", "same"]
        assert not any(n.error for n in named)
        made = figures(named, 4)
        assert (made["splitting"], made["lumping"], made["person"], made["names"], made["seen"]) == (0, 0, 0, 3, 3)
        assert made["m0"]["given"] == made["m0"]["true"]
        assert made["chao"]["given"] == made["chao"]["true"]

    def test_an_engine_that_always_says_new_splits_and_counts_too_many(self):
        named = replay(survey("ABABAB", 3), always_new, 0.95)
        assert [n.error for n in named] == ["", ""] + ["splitting"] * 4
        made = figures(named, 3)
        assert (made["splitting"], made["names"], made["seen"]) == (4, 6, 2)
        assert (made["m0"]["given"], made["m0"]["true"]) == (None, 2.0)  # no animal is ever recaptured
        assert made["chao"]["given"] > made["chao"]["true"]

    def test_an_engine_that_always_says_the_first_name_lumps(self):
        named = replay(survey("ABBAC"), always_first, 0.95)
        assert {n.given for n in named} == {"animal-001"}
        assert [n.error for n in named] == ["", "lumping", "lumping", "", "lumping"]
        assert [n.top_right for n in named] == [False, False, False, True, False]

    def test_an_engine_that_is_never_sure_makes_work_and_no_mistakes(self):
        named = replay(survey("ABBAC"), never_sure, 0.95)
        assert [n.by for n in named] == ["new"] + ["person"] * 4
        assert [n.given[-1] for n in named] == list("12213")
        assert not any(n.error for n in named)

    def test_a_person_after_a_lump_gives_a_new_name(self):
        """B's first encounter got A's name. The name still stands for A, so B has no name."""
        answers = {"e1": said("animal-001", 0.9, 0.1), "e2": never_sure, "e3": said("animal-002", 0.9, 0.1)}
        named = replay(survey("ABBB"), lambda e, r: a(e, r) if callable(a := answers[e.name]) else a, 0.95)
        assert [(n.given[-1], n.error, n.known) for n in named] == [
            ("1", "", False),
            ("1", "lumping", False),
            ("2", "", False),
            ("2", "", True),
        ]

    def test_a_person_after_a_split_gives_the_name_used_most(self):
        answers = [said("animal-001", 0.0, 1.0), said("animal-002", 0.9, 0.1), said("animal-001", 0.5, 0.5, "fair")]
        named = replay(survey("AAAA"), lambda e, r: answers[len(r) - 1], 0.95)
        assert [(n.given[-1], n.by, n.error) for n in named] == [
            ("1", "new", ""),
            ("2", "new", "splitting"),
            ("2", "same", ""),
            ("2", "person", ""),
        ]

    def test_the_result_keeps_what_a_choice_of_thresholds_needs(self):
        second = replay(survey("AB"), lambda e, r: said("animal-001", 0.3, 0.7, "fair"), 0.6)[1]
        assert (second.top, second.probability, second.new_probability, second.level) == (
            "animal-001",
            0.3,
            0.7,
            "fair",
        )
        assert (second.names, second.known, second.by, second.given) == (1, False, "new", "animal-002")


class TestSummary:
    def test_shares_and_bias(self):
        right = figures(replay(survey("ABABAB", 3), perfect, 0.95), 3)
        lumped = figures(replay(survey("ABABAB", 3), always_first, 0.95), 3)
        made = summary([right, lumped], individuals=4)
        assert (made["encounters"], made["lumping_percent"], made["wrong_percent"]) == (12, 25.0, 25.0)
        assert made["m0"]["bias"] == {"mean": -25.0, "sd": pytest.approx(50 / math.sqrt(2), abs=0.01)}
        assert made["m0"]["bias_of_all"]["mean"] == -62.5
        assert made["m0"]["bias_of_all_by_true_names"]["mean"] == -50.0
        assert made["m0"]["held_percent"] == 0.0
        assert summary([right], individuals=2)["m0"]["held_percent"] == 100.0

    def test_infinite_estimates_are_counted_not_averaged(self):
        split = figures(replay(survey("ABABAB", 3), always_new, 0.95), 3)
        made = summary([split], individuals=2)
        assert made["m0"] == {
            "bias": {"mean": None, "sd": None},
            "bias_of_all": {"mean": None, "sd": None},
            "bias_of_all_by_true_names": {"mean": None, "sd": None},
            "left_out": 1,
            "held_percent": 0.0,  # the interval starts above the true number, 2
        }


class TestSurvey:
    def test_the_plan_of_passages(self):
        plan = passages(0, 16, 40, 5)
        assert len(plan) == 40
        assert {side for _, side in plan} == {"left"}
        for occasion in range(5):
            assert len({animal for animal, _ in plan[8 * occasion : 8 * occasion + 8]}) == 8
        assert plan == passages(0, 16, 40, 5) != passages(1, 16, 40, 5)

    def test_all_animals_pass_equally_often(self):
        animals = [animal for seed in range(200) for animal, _ in passages(seed, 16, 40, 5)]
        assert np.bincount(animals, minlength=16) == pytest.approx(500, abs=60)

    def test_the_survey_is_drawn_as_planned(self, tmp_path, monkeypatch):
        small = partial(make_survey, size=(480, 320), stations=2)
        monkeypatch.setattr(survey_replay, "make_survey", small)
        made = draw(tmp_path, 0, 3, 5, 2)
        assert [e.occasion for e in made] == [0, 0, 0, 1, 1]
        assert [e.animal for e in made] == [("aika", "bars", "cholpon")[i] for i, _ in passages(0, 3, 5, 2)]
        assert {row["body_part"] for e in made for row in e.rows} == {"left_flank"}
        assert all(2 <= len(e.rows) <= 4 for e in made)
        assert all(a.rows[-1]["timestamp"] < b.rows[0]["timestamp"] for a, b in pairwise(made))
        before = (tmp_path / "survey" / "catalog.csv").stat().st_mtime_ns
        assert draw(tmp_path, 0, 3, 5, 2) == made
        assert (tmp_path / "survey" / "catalog.csv").stat().st_mtime_ns == before

    def test_a_finished_seed_is_kept_and_not_used_for_other_settings(self, tmp_path, monkeypatch):
        monkeypatch.setattr(population, "draw", lambda folder, *_: folder.mkdir(exist_ok=True) or survey("ABAB", 2))
        monkeypatch.setattr(population, "engine", lambda *_: asked)
        calls = []

        def asked(encounter, record):
            calls.append(encounter.name)
            return perfect(encounter, record)

        settled = {
            "individuals": 2,
            "encounters": 4,
            "occasions": 2,
            "new": 0.95,
            "evidence": "box",
            "extractor": {"name": "sift"},
            "commit": "abc1234",
        }
        monkeypatch.setattr(measure, "engine_commit", lambda: settled["commit"])
        once = kept(tmp_path, 3, settled)
        assert kept(tmp_path, 3, settled) == once
        assert calls == ["e1", "e2", "e3"]
        kept(tmp_path, 3, settled | {"new": 0.9})
        assert kept(tmp_path, 3, settled) == once
        assert len(calls) == 6
        kept(tmp_path, 3, settled | {"extractor": {"name": "hesaff"}})
        assert len(calls) == 9
        settled["commit"] = "abc1234+"  # the changes of then are not those of now
        kept(tmp_path, 3, settled)
        kept(tmp_path, 3, settled)
        assert len(calls) == 15

    def test_a_replay_is_kept_as_one_run(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(population, "draw", lambda folder, *_: folder.mkdir(exist_ok=True) or survey("ABAB", 2))
        monkeypatch.setattr(population, "engine", lambda *_: perfect)
        words = f"--work {tmp_path} --out {tmp_path / 'population.json'} --seeds 2 --individuals 2 --encounters 4"
        for new in ("0.6", "0.95"):
            population.main(f"{words} --occasions 2 --new {new}".split())
        runs = read_runs(tmp_path / "population.json")
        assert [run["run"] for run in runs] == ["mask", "mask, new from 0.95"]
        assert runs[0]["summary"]["seeds"] == 2
        assert runs[0]["seconds"]["total"] >= 0
        assert "encounters" not in runs[0]


@pytest.mark.slow
def test_the_engine_answers_from_encounters_on_record_only(tmp_path):
    made = draw(tmp_path, 0, 3, 6, 3)
    ask = engine(tmp_path, "sift", "mask", made)
    answer = ask(made[2], [(made[0], "animal-001"), (made[1], "animal-002")])
    assert {c.individual for c in answer.candidates} <= {"animal-001", "animal-002"}
    assert {photo.evidence for photo in answer.photos} == {"mask"}
    assert answer.compared == len(made[0].rows) + len(made[1].rows)
    assert len(replay(made, ask, 0.95)) == 6
