"""Calibration from labelled encounters: cases, models, cross-validation over individuals, quality, and the file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from snowmatch.confidence import fit as confidence_fit
from snowmatch.confidence.cases import Case, check_labels, count_pairs, make_cases
from snowmatch.confidence.file import (
    CalibrationFile,
    MethodCalibration,
    calibration_path,
    choose,
    load_calibrations,
    save_calibrations,
    update_calibrations,
)
from snowmatch.confidence.fit import fit
from snowmatch.confidence.learn import ask, choose_groups, cross_validate, learn
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Probabilities
from snowmatch.confidence.quality import binomial_interval, measure_quality
from snowmatch.confidence.score_table import make_table
from snowmatch.confidence.shipped import Shipped, load_shipped, shipped_from_json, shipped_to_json
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin
from snowmatch.core.types import Annotation
from snowmatch.identify.method import as_method
from snowmatch.matching.geometry.frames import Geometry

EXTRACTOR, MATCHER = {"name": "hesaff", "revision": 1}, {"name": "lnbnn", "geometry": {"shortlist": 300}}


def case(scores, right, *, individual="aika", group="outlined left_flank", encounter="e0", again=(), features=1000):
    scores = np.array(scores, float)
    return Case(scores, right, np.full(len(scores), 3), features, group, True, individual, encounter, again, True, 1.0)


def random_cases(count=400, individuals=12, seed=0, group="outlined left_flank"):
    """Return cases with lognormal scores. The score of the right animal is e^2 times as high as those of others."""
    rng = np.random.default_rng(seed)
    cases = []
    names = [f"cat{n % individuals}" for n in range(count)]
    for n, name in enumerate(names):
        again = tuple(f"e{m}" for m in range(count) if names[m] == name and m != n)
        for known in (True, False):
            scores = np.exp(rng.normal(0, 0.7, individuals))
            own = n % individuals
            if known:
                scores[own] *= math.exp(2)
            else:
                scores = np.delete(scores, own)
            cases.append(
                case(scores, own if known else -1, individual=name, group=group, encounter=f"e{n}", again=again)
            )
    return cases


def annotation(row, individual, encounter, part="left_flank", bbox=None, path=None):
    return Annotation(row, path or f"{row}.jpg", individual, part, encounter=encounter, bbox=bbox)


# --------------------------------------------------------------------------------------------------------------- cases


def test_cases_of_a_small_table_have_the_expected_values():
    annotations = (
        annotation(0, "aika", "e0"),
        annotation(1, "aika", "e0"),
        annotation(2, "aika", "e1"),
        annotation(3, "bars", "e2"),
        annotation(4, "bars", "e3", "right_flank"),
    )
    trial = make_trial(annotations, "cross-encounter")
    scores = np.arange(25, dtype=float).reshape(5, 5)
    cases = make_cases(
        make_table(trial, scores), np.array([100, 300, 50, 50, 50]), np.array([True, True, False, True, True])
    )
    found = [(c.group, c.individual, c.right, c.scores.tolist(), c.features, c.together, c.weight) for c in cases]
    assert found == [
        ("outlined left_flank", "aika", 0, [2 + 7, 3 + 8], 200, True, 0.5),  # both photos of e0 together
        ("outlined left_flank", "aika", -1, [3 + 8], 200, True, 0.5),
        ("outlined left_flank", "aika", 0, [2, 3], 100, False, 0.25),
        ("outlined left_flank", "aika", -1, [3], 100, False, 0.25),
        ("outlined left_flank", "aika", 0, [7, 8], 300, False, 0.25),
        ("outlined left_flank", "aika", -1, [8], 300, False, 0.25),
        ("whole left_flank", "aika", 0, [11, 13], 50, True, 1.0),
        ("whole left_flank", "aika", -1, [13], 50, True, 1.0),
        ("outlined left_flank", "bars", -1, [17], 50, True, 1.0),  # its left flank is not in another encounter: new
    ]
    assert cases[0].encounters.tolist() == [1, 1]
    assert count_pairs(cases) == {"outlined left_flank": 1, "outlined": 1, "any": 1, "whole left_flank": 1, "whole": 1}


def test_encounters_that_share_a_picture_are_one_passage_in_the_pairs():
    rows = [(0, "aika", "e0"), (1, "aika", "e1"), (2, "aika", "e2"), (3, "bars", "e3")]
    annotations = [annotation(*row) for row in rows]
    annotations[1] = replace(annotations[1], passage="e0")
    cases = make_cases(make_table(make_trial(annotations, "cross-encounter"), np.ones((4, 4))))
    assert count_pairs(cases)["any"] == 1


def test_a_query_without_features_is_no_case():
    annotations = (annotation(0, "aika", "e0"), annotation(1, "aika", "e1"), annotation(2, "bars", "e2"))
    scores = np.ones((3, 3))
    scores[0] = -np.inf
    cases = make_cases(make_table(make_trial(annotations, "cross-encounter"), scores))
    assert {c.individual for c in cases} == {"aika", "bars"}
    assert len(cases) == 3


# ------------------------------------------------------------------------------------------------------------ learning


def test_a_model_is_calibrated_on_cases_that_it_was_not_fitted_to():
    model = fit(random_cases(seed=0))
    unseen = random_cases(seed=1)
    found = [ask((model,), each) for each in unseen]
    quality = measure_quality(unseen, found, Levels())
    right = [p.individuals[c.right] for c, p in zip(unseen, found, strict=True) if c.right >= 0]
    assert np.mean(right) > 0.5
    # the stated probability may be too low, but not too high
    assert all(b.right / b.answers > b.stated - 0.1 for b in quality.bins if b.answers > 20)
    assert fit(random_cases(seed=0)) == model


def test_a_fit_works_on_one_thread(monkeypatch):
    def watched(*args, **more):
        seen.extend(each["num_threads"] for each in ThreadpoolController().select(user_api="blas").info())
        return minimize(*args, **more)

    seen = []
    minimize = confidence_fit.minimize
    monkeypatch.setattr(confidence_fit, "minimize", watched)
    with threadpool_limits(2):
        fit(random_cases(seed=0))
    assert set(seen) <= {1}  # none where the system's own library is used, as on macOS


def test_a_model_does_not_depend_on_how_many_cases_are_read_at_once(monkeypatch):
    cases = [replace(c, scores=c.scores[:size], encounters=c.encounters[:size], right=min(c.right, size - 1))
             for n, c in enumerate(random_cases(seed=4)) if (size := 2 + n % 4)]  # fmt: skip
    model = fit(cases, random_cases(20, seed=5))
    for count in (1, 7, 10_000):
        monkeypatch.setattr(confidence_fit, "AT_ONCE", count)
        assert fit(cases, random_cases(20, seed=5)) == model


def test_two_hundred_own_cases_outweigh_the_shipped_cases():
    own, other = random_cases(200, seed=2), [replace(c, scores=c.scores * 20) for c in random_cases(200, seed=3)]
    alone, mixed, theirs = (fit(*given) for given in ((own,), (own, other), (other,)))
    stated = [np.mean([ask((m,), c).individuals[c.right] for c in own if c.right >= 0]) for m in (alone, mixed, theirs)]
    assert abs(stated[1] - stated[0]) < 0.1  # shipped cases weigh as 30 encounters, beside 200
    assert abs(stated[2] - stated[0]) > abs(stated[1] - stated[0])


def test_scores_without_information_give_low_probabilities():
    rng = np.random.default_rng(0)
    blind = [replace(c, scores=np.exp(rng.normal(0, 1, len(c.scores)))) for c in random_cases(200)]
    model = fit(blind)
    assert max(ask((model,), c).individuals.max() for c in blind) < 0.5


def test_the_probability_of_new_stays_below_1_by_one_imagined_animal():
    """Six animals are always found. The model imagines a seventh that never matches, so new is at most about 6/7."""
    clear = [
        case(
            [50.0 if known and i == n % 6 else 1e-3 * (i + 1) for i in range(6)],
            n % 6 if known else -1,
            individual=str(n % 6),
        )
        for n in range(60)
        for known in (True, False)
    ]
    # with these encounters, half of the animals are expected to be new
    found = ask((fit(clear),), replace(clear[1], encounters=np.array([1, 1, 1, 3, 0, 0])))
    assert 0.75 < found.new < 6 / 7 + 0.02


def test_any_number_of_shipped_cases_weighs_as_thirty_encounters():
    own = random_cases(40, seed=2)
    other = [replace(c, scores=np.full(len(c.scores), 1e-3)) for c in random_cases(40, seed=3)]
    once, ten_times = fit(own, other), fit(own, other * 10)
    assert ten_times.slopes == pytest.approx(once.slopes, rel=0.02)
    assert fit(own).slopes != pytest.approx(once.slopes, rel=0.02)


def test_cases_without_a_new_animal_raise_a_value_error():
    with pytest.raises(ValueError, match="no case of a new animal"):
        fit([case([1.0], 0)])


def test_a_group_needs_thirty_pairs_and_a_body_part_needs_a_better_model_of_its_own():
    cases = random_cases(30, 10)  # three encounters of each animal
    assert count_pairs(cases)["any"] == 30
    assert choose_groups(cases) == ("outlined",)
    fewer = random_cases(29, 10)
    assert count_pairs(fewer)["any"] == 28
    assert choose_groups(fewer) == ()
    rescaled = [replace(c, scores=c.scores * 50, group="outlined right_flank") for c in random_cases(60, 10, seed=1)]
    assert set(choose_groups(random_cases(60, 10) + rescaled)) == {
        "outlined",
        "outlined left_flank",
        "outlined right_flank",
    }
    alike = [replace(c, group="outlined right_flank") for c in random_cases(60, 10, seed=1)]
    assert choose_groups(random_cases(60, 10) + alike) == ("outlined",)
    whole = [replace(c, group="whole left_flank") for c in random_cases(60, 10, seed=1)]
    assert choose_groups(random_cases(60, 10) + whole) == ("outlined", "whole")


def test_both_kinds_of_photos_have_one_model_only_if_neither_has_its_own():
    boxed = random_cases(60, 10)
    one_whole = [replace(c, group="whole left_flank", passage="alone") for c in boxed[:2]]
    assert count_pairs(boxed + one_whole)["any"] > count_pairs(boxed)["any"] >= 30
    assert choose_groups(boxed + one_whole) == ("outlined",)
    half = [replace(c, group="whole left_flank") if c.individual < "cat4" else c for c in random_cases(32, 8)]
    pairs = count_pairs(half)
    assert (pairs["outlined"], pairs["whole"], pairs["any"]) == (24, 24, 48)
    assert choose_groups(half) == ("any",)
    assert all(cross_validate(half, ("any",), None))


def test_a_pair_of_encounters_with_two_body_parts_counts_once():
    both = [replace(c, group=f"outlined {side}_flank") for side in ("left", "right") for c in random_cases(20, 10)]
    assert count_pairs(both) == {"outlined left_flank": 10, "outlined right_flank": 10, "outlined": 10, "any": 10}


def test_a_group_of_one_animal_gets_no_model_and_the_others_do():
    """No other animal is in the group, so the scores of wrong matches are unknown there."""
    one = [
        case(
            [9.0],
            0,
            individual="cat0",
            group="whole head",
            encounter=f"h{n}",
            again=tuple(f"h{m}" for m in range(9) if m != n),
        )
        for n in range(9)
    ]
    cases = random_cases(60, 10) + one
    groups = choose_groups(cases)
    assert groups == ("outlined",)
    assert len(cross_validate(cases, groups, None)) == len(cases)
    assert choose_groups(one) == ()


def test_an_individual_is_never_judged_by_a_model_learned_from_it():
    cases = random_cases(60, 6)
    changed = [replace(c, scores=c.scores * 1000) if c.individual == "cat0" and c.right >= 0 else c for c in cases]
    asked = [n for n, c in enumerate(cases) if c.individual == "cat0" and c.right < 0]
    before, after = (cross_validate(each, ("outlined",), None, [each[n] for n in asked]) for each in (cases, changed))
    for one, other in zip(before, after, strict=True):
        assert one.new == other.new
        assert (one.individuals == other.individuals).all()


def test_queries_without_a_model_use_the_shipped_model_if_there_is_one():
    cases = random_cases(20, 10)
    assert cross_validate(cases, (), None) == [None] * len(cases)
    shipped = Shipped({"outlined": (fit(random_cases(seed=5)),)}, {"outlined": ()})
    assert all(p is not None and p.shipped for p in cross_validate(cases, (), shipped))
    assert measure_quality(cases, cross_validate(cases, (), shipped), Levels()).shipped == len(cases)
    assert measure_quality(cases, cross_validate(cases, ("outlined",), shipped), Levels()).shipped == 0
    quality = measure_quality(cases, cross_validate(cases, (), None), Levels())
    assert quality.decisions == 0
    assert math.isnan(quality.brier)


def test_a_model_learns_that_animals_met_often_are_met_again():
    """Scores say nothing, but the right animal is always the one that was met nine times."""
    known = [replace(case([1.0, 1.0], n % 2), encounters=np.array([9, 1] if n % 2 == 0 else [1, 9])) for n in range(40)]
    new = [replace(case([0.0, 0.0], -1), encounters=np.array([9, 1])) for _ in range(40)]
    assert fit([*known, *new]).sightings > 0.3
    even = [replace(one, encounters=np.array([4, 4])) for one in (*known, *new)]
    assert fit(even).sightings == pytest.approx(0, abs=1e-6)


# ------------------------------------------------------------------------------------------------------------- figures


def stated(individuals, new):
    """Return probabilities whose careful values are lower by 0.01."""
    found = np.array(individuals, float)
    return Probabilities(found, new, found - 0.01, new - 0.01, 0.5)


def test_the_quality_of_four_answers_is_as_computed_by_hand():
    cases = [case([1, 1], 0), case([1, 1], 1), case([1, 1], -1), case([1, 1], 0)]
    found = [stated([0.995, 0], 0.005), stated([0.96, 0.04], 0), stated([0.1, 0.1], 0.8), stated([0.3, 0.2], 0.4)]
    quality = measure_quality(cases, found, Levels())
    assert [(c.level, c.answers, c.wrong, c.new, c.new_wrong) for c in quality.levels] == [
        ("excellent", 0, 0, 0, 0), ("good", 2, 1, 0, 0), ("fair", 1, 0, 1, 0), ("uncertain", 1, 1, 1, 1),
    ]  # fmt: skip
    assert quality.brier == pytest.approx((0.005**2 + 0.96**2 + 0.2**2 + 0.4**2) / 4)
    assert quality.log_loss == pytest.approx(-(math.log(0.995) + math.log(0.04) + math.log(0.8) + math.log(0.6)) / 4)
    # bins: 0.995 and 0.96 (one of two right), 0.8 (right), 0.4 (wrong)
    assert quality.calibration_error == pytest.approx((2 * abs(0.9775 - 0.5) + 0.2 + 0.4) / 4)


def test_many_answers_about_few_animals_tell_no_more_than_these_animals():
    cases = [replace(case([1, 1], 0), individual=f"cat {n % 3}") for n in range(60)]
    found = [stated([1.0, 0.0], 0.0)] * 45 + [stated([0.0, 0.97], 0.0)] * 15
    excellent, good = measure_quality(cases, found, Levels()).levels[:2]
    assert (excellent.answers, excellent.wrong, good.answers, good.wrong) == (45, 0, 15, 15)
    assert (excellent.low, excellent.high) == binomial_interval(0, 3)
    assert (good.low, good.high) == binomial_interval(3, 3)
    some = measure_quality(cases, [stated([0.97, 0], 0.0)] * 40 + [stated([0.0, 0.97], 0.0)] * 20, Levels())
    assert (some.levels[1].low, some.levels[1].high) == binomial_interval(1, 3)
    assert (some.bins[0].low, some.bins[0].high) == binomial_interval(2, 3)
    each = [replace(one, individual=f"cat {n}") for n, one in enumerate(cases)]
    alone = measure_quality(each, found, Levels()).levels[0]
    assert (alone.low, alone.high) == binomial_interval(0, 45)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 30, 0.0, 0.1157), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (1, 100, 0.000253, 0.0545), (0, 0, 0, 1)],
)
def test_binomial_intervals_equal_published_values(successes, trials, low, high):
    assert binomial_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


# -------------------------------------------------------------------------------------------------------------- labels


def test_two_names_for_one_box_are_refused_with_both():
    rows = [
        annotation(0, "aika", "e0", bbox=(1, 2, 30, 40), path="a.jpg"),
        annotation(1, "bars", "e0", bbox=(1, 2, 30, 40), path="a.jpg"),
    ]
    with pytest.raises(SnowmatchError, match=r"a\.jpg \(box 1,2,30,40, encounter e0\) is named aika and bars"):
        check_labels(rows)
    check_labels([rows[0], replace(rows[1], bbox=(50, 2, 30, 40))])  # two animals in one photo
    check_labels([*rows[:1], replace(rows[1], individual=None), annotation(2, "bars", "e1")])


def test_labels_with_one_individual_or_none_are_refused():
    with pytest.raises(SnowmatchError, match="all annotations are of one individual, aika"):
        check_labels([annotation(0, "aika", "e0"), annotation(1, "aika", "e1"), annotation(2, None, "e2")])
    with pytest.raises(SnowmatchError, match="no annotation has an individual"):
        check_labels([annotation(0, None, "e0")])


# ---------------------------------------------------------------------------------------------------------------- file


def method_calibration(**changes):
    groups = {"outlined": (fit(random_cases(40)),)}
    return replace(MethodCalibration(EXTRACTOR, MATCHER, "0.1.0", 47, groups), **changes)


def test_a_catalog_keeps_one_calibration_of_each_method_and_its_levels(tmp_path):
    assert load_calibrations(tmp_path) == CalibrationFile()
    stored = CalibrationFile(
        Levels(0.98, 0.9, 0.7), (method_calibration(), method_calibration(extractor={"name": "sift"}))
    )
    save_calibrations(tmp_path, stored)
    content = calibration_path(tmp_path).read_bytes()
    back = load_calibrations(tmp_path)
    assert back.levels == stored.levels
    assert [m.extractor["name"] for m in back.methods] == ["hesaff", "sift"]
    save_calibrations(tmp_path, back)
    assert calibration_path(tmp_path).read_bytes() == content


DAMAGED = '{"schema": "snowmatch.calibration/4", "methods": [], "levels": {"excellent": 0.1, "good": 0.5, "fair": 0.4}}'


@pytest.mark.parametrize("version", [2, 9])
def test_a_file_of_another_version_is_not_used_and_raises_no_error(tmp_path, version):
    calibration_path(tmp_path).parent.mkdir()
    calibration_path(tmp_path).write_text(f'{{"schema": "snowmatch.calibration/{version}"}}')
    stored = load_calibrations(tmp_path)
    assert stored.methods == ()
    assert choose(stored, {"name": "nobody's"}, MATCHER, "0.1.0")[1].startswith("it was made with another version")


def test_a_file_of_another_version_with_levels_alone_is_used_and_nothing_is_told(tmp_path):
    save_calibrations(tmp_path, CalibrationFile(Levels(0.98, 0.9, 0.7)))
    held = json.loads(calibration_path(tmp_path).read_text()) | {"schema": "snowmatch.calibration/3"}
    calibration_path(tmp_path).write_text(json.dumps(held))
    stored = load_calibrations(tmp_path)
    assert (stored.levels, choose(stored, {"name": "nobody's"}, MATCHER, "0.1.0")[1]) == (Levels(0.98, 0.9, 0.7), "")


def test_levels_of_a_file_of_another_version_are_kept_also_by_the_next_calibration(tmp_path):
    save_calibrations(tmp_path, CalibrationFile(Levels(0.98, 0.9, 0.7), (method_calibration(),)))
    held = json.loads(calibration_path(tmp_path).read_text())
    for levels, kept in ((held["levels"], Levels(0.98, 0.9, 0.7)), ({"good": "x"}, Levels()), (None, Levels())):
        other = held | {"schema": "snowmatch.calibration/5", "levels": levels}
        calibration_path(tmp_path).write_text(json.dumps(other))
        assert load_calibrations(tmp_path).levels == kept
        update_calibrations(tmp_path, lambda stored: stored.put(method_calibration()))
        assert load_calibrations(tmp_path) == CalibrationFile(kept, load_calibrations(tmp_path).methods)
        assert load_calibrations(tmp_path).methods


@pytest.mark.parametrize("content", ["", "{}", "[]", DAMAGED])
def test_a_damaged_file_raises_an_error_with_the_next_step(tmp_path, content):
    calibration_path(tmp_path).parent.mkdir()
    calibration_path(tmp_path).write_text(content)
    with pytest.raises(SnowmatchError, match="calibrate again, which puts this file aside") as error:
        load_calibrations(tmp_path)
    assert str(calibration_path(tmp_path)) in str(error.value)


def test_a_calibration_of_another_version_or_other_settings_is_not_used(monkeypatch):
    monkeypatch.setattr("snowmatch.confidence.shipped._shipped_entries", list)
    stored = CalibrationFile(methods=(method_calibration(),))
    used, refused = choose(stored, EXTRACTOR, MATCHER, "0.1.0")
    assert (used.source, used.encounters, refused) == ("catalog", 47, "")
    assert choose(stored, EXTRACTOR, MATCHER, "0.2.0") == (None, "it was made with snowmatch 0.1.0, this is 0.2.0")
    other = {"name": "lnbnn", "geometry": {"shortlist": 100}}
    assert choose(stored, EXTRACTOR, other, "0.1.0") == (None, "it was made with other settings or weights")
    assert choose(stored, EXTRACTOR, {"name": "mutual"}, "0.1.0") == (None, "")
    both = stored.put(method_calibration(matcher=other))
    assert {m.matcher["geometry"]["shortlist"] for m in both.methods} == {100, 300}  # the file keeps both
    assert len(both.put(method_calibration(encounters=9)).methods) == 2


def test_a_calibration_holds_for_a_network_however_its_file_is_named(monkeypatch):
    monkeypatch.setattr("snowmatch.confidence.shipped._shipped_entries", list)
    matcher = {"name": "lightglue", "weights": "ours.safetensors", "networks": ["ours.safetensors 0123456789ab"]}
    held = CalibrationFile().put(method_calibration(matcher=matcher))
    from_elsewhere = {**matcher, "weights": "/data/ours.safetensors"}
    assert choose(held, EXTRACTOR, from_elsewhere, "0.1.0")[1] == ""
    assert len(held.put(method_calibration(matcher=from_elsewhere)).methods) == 1
    changed = {**matcher, "networks": ["ours.safetensors ba9876543210"]}
    assert choose(held, EXTRACTOR, changed, "0.1.0") == (None, "it was made with other settings or weights")


def test_kinds_of_photos_that_the_catalog_lacks_use_the_shipped_model(monkeypatch):
    models = (fit(random_cases(40)),)
    entry = json.loads(
        json.dumps(shipped_to_json(EXTRACTOR, MATCHER, Shipped({"outlined": models, "whole": models}, {}, 6)))
    )
    monkeypatch.setattr("snowmatch.confidence.shipped._shipped_entries", lambda: [entry])
    used, _ = choose(CalibrationFile(methods=(method_calibration(),)), EXTRACTOR, MATCHER, "0.1.0")
    assert used.source == "catalog"
    assert set(used.groups) == {"outlined", "whole"}
    assert used.shipped == ("whole",)
    assert used.groups["outlined"] == method_calibration().groups["outlined"]
    of_all, _ = choose(
        CalibrationFile(methods=(method_calibration(groups={"any": models}),)), EXTRACTOR, MATCHER, "0.1.0"
    )
    assert (set(of_all.groups), of_all.shipped) == ({"any"}, ())
    earlier = method_calibration(groups={"any": models, "outlined": models})  # `any` of boxed photos alone
    used, _ = choose(CalibrationFile(methods=(earlier,)), EXTRACTOR, MATCHER, "0.1.0")
    assert (set(used.groups), used.shipped) == ({"outlined", "whole"}, ("whole",))


def test_a_shipped_calibration_is_read_back_and_used_only_for_its_settings(monkeypatch):
    cases = tuple(random_cases(6))
    entry = json.loads(
        json.dumps(shipped_to_json(EXTRACTOR, MATCHER, Shipped({"outlined": (fit(cases),)}, {"outlined": cases}, 6)))
    )
    monkeypatch.setattr("snowmatch.confidence.shipped._shipped_entries", lambda: [entry])
    back = load_shipped(EXTRACTOR, MATCHER)
    assert load_shipped(EXTRACTOR, {"name": "mutual"}) is None
    assert [c.right for c in back.cases["outlined"]] == [c.right for c in cases]
    assert back.cases["outlined"][0].scores == pytest.approx(cases[0].scores, rel=1e-3)
    assert back.encounters == 6
    used, refused = choose(CalibrationFile(), EXTRACTOR, MATCHER, "0.1.0")
    assert (used.source, refused) == ("shipped", "")
    refit = fit(random_cases(40), back.cases["outlined"])  # the stored cases are precise enough to fit with
    assert refit.slopes == pytest.approx(fit(random_cases(40), cases).slopes, rel=0.05)
    assert shipped_from_json(entry).models == back.models


def test_the_package_ships_calibrations_for_the_default_method():
    method = as_method([make_plugin("extractors", "hesaff")], make_plugin("matchers", "lnbnn"), Geometry())
    shipped = load_shipped(method.extractor, method.matching)
    assert shipped is not None, "settings changed: run benchmarks/ship_calibration.py again"
    assert set(shipped.models) == {"outlined", "boxed", "whole"}
    assert set(shipped.cases) == {"outlined", "whole"}


def test_learning_twice_gives_the_same_model():
    cases = random_cases(60, 10)
    assert learn(cases, ("outlined",)) == learn(cases, ("outlined",))
