"""Probabilities from scores: their sum, the expected share of new animals, levels, and the choice of a model."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmatch.confidence.background import MOST, OTHERS, USUAL, USUAL_WEIGHT, beside_others
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import (
    Calibration,
    Model,
    evidence,
    expected_new,
    group_names,
    model_from_json,
    model_to_json,
    probabilities,
    richness,
    says_nothing,
)
from snowmatch.core.errors import SnowmatchError
from snowmatch.matching.scores import VERIFIED

PLAIN = Model(
    knots=(0.0,),
    accepted=1.0,
    slopes=(2.0, 3.0),
    new=5.0,
    features=0.0,
    usual_features=1000.0,
    individuals=10.0,
    sightings=0.0,
)


def ask(scores, *, models=(PLAIN,), named=None, features=1000.0, new_share=0.5, encounters=None):
    scores = np.array(scores, float)
    named = np.ones(len(scores), bool) if named is None else np.array(named)
    encounters = None if encounters is None else np.array(encounters)
    return probabilities(models, scores, named, features, new_share, encounters)


# -------------------------------------------------------------------------------------------------------------- levels


def test_levels_have_the_documented_limits():
    levels = Levels()
    assert [levels.of(p) for p in (1, 0.99, 0.9899, 0.95, 0.9499, 0.75, 0.7499, 0)] == [
        "excellent", "excellent", "good", "good", "fair", "fair", "uncertain", "uncertain",
    ]  # fmt: skip


@pytest.mark.parametrize("bands", [(0.9, 0.95, 0.75), (0.99, 0.99, 0.75), (1.0, 0.9, 0.8), (0.9, 0.8, 0.0), (9, 5, 1)])
def test_invalid_limits_of_levels_are_refused(bands):
    with pytest.raises(SnowmatchError, match=r"expected three probabilities .* such as 0\.99,0\.95,0\.75") as error:
        Levels(*bands)
    assert f"{bands[0]:g}, {bands[1]:g}, {bands[2]:g}" in str(error.value)


# ------------------------------------------------------------------------------------------------------- probabilities


def test_the_probabilities_of_two_candidates_are_as_computed_by_hand():
    """The first candidate scores e: 1 for verified, 2 x 1.5 below the knot, 3 x 1 above it. The second has no vote, so
    the first has the other one's 0 and five of 0.2 beside it: its score counts as divided by the root of 5/6.
    """
    found = ask([math.e, 0.0], new_share=0.2)
    above = 1 + math.log(6 / 5) / 2
    first, against = math.exp(1 + 2 * 1.5 + 3 * above), math.exp(5) / 10  # the model learned from ten individuals
    weights = np.array([0.4 * first, 0.4, 0.2 * against])
    assert [*found.individuals, found.new] == pytest.approx(weights / weights.sum())
    assert found.expected_new == 0.2
    frequent = math.exp(5)  # careful: as frequent as in learning, and as among ten candidates
    plain = math.exp(1 + 2 * 1.5 + 3 * 1)  # that the other one matches nothing does not count
    assert found.careful[0] == pytest.approx(plain / (plain + 1 + frequent))
    assert found.careful[1] == found.individuals[1] < 1 / (plain + 1 + frequent)
    rare = frequent * 2 / 10 * 0.25
    assert found.careful_new == pytest.approx(rare / (first + 1 + rare))
    assert found.decision() == 0
    assert found.of(0) == (found.individuals[0], found.careful[0])
    assert found.of(-1) == (found.new, found.careful_new)


def test_an_animal_that_was_met_often_is_expected_again():
    model = replace(PLAIN, sightings=1.0)
    found = ask([0.3, 0.3], models=(model,), encounters=[9, 1])
    assert found.individuals[0] == pytest.approx(9 * found.individuals[1])
    assert ask([0.3, 0.3], encounters=[9, 1]).individuals == pytest.approx([found.individuals.sum() / 2] * 2)


@pytest.mark.parametrize("new_share", [0.05, 0.5, 0.9])
def test_where_nothing_speaks_the_answer_is_what_was_expected(new_share):
    """A photo with three features and no match: the probabilities are those before looking, and nothing is sure."""
    for named in ([True] * 4, [False] * 4, [True, True, False, True]):
        found = ask([0.0, 0.0, 0.0, 1e-9], named=named, features=3.0, new_share=new_share)
        assert [found.new, found.expected_new] == pytest.approx([new_share] * 2)
    assert found.individuals == pytest.approx([(1 - new_share) / 4] * 4)
    assert says_nothing(np.array([0.0, 1e-9]), 3)
    assert not says_nothing(np.array([0.0, 0.2]), 3)
    assert not says_nothing(np.array([0.0]), 1000)
    assert not says_nothing(np.array([0.0]), 0)  # not known
    assert says_nothing(np.array([0.0]), 1000, 3)
    assert not says_nothing(np.array([0.2]), 1000, 0)


def test_an_unidentified_animal_wins_where_its_evidence_is_far_stronger():
    assert ask([1.0, 0.2, 20.0], named=[True, True, False], new_share=0.1).decision() == 2
    equal = ask([20.0, 0.2, 20.0], named=[True, True, False], new_share=0.1)
    assert equal.decision() == 0
    assert equal.individuals[0] > 0.9  # it may well be the named one


def test_the_catalogs_own_numbers_decide_only_if_animals_were_met_again():
    assert expected_new(np.ones(16, int)) == pytest.approx(0.2)  # one photo of each animal: a list, not a survey
    assert expected_new(np.zeros(0, int)) == pytest.approx(0.2)
    shares = [expected_new(np.concatenate([np.ones(20, int), np.full(again, 2)])) for again in (0, 5, 20, 60)]
    assert shares[0] == pytest.approx(0.2)
    assert min(shares[1:3]) > 0.2  # animals are met again, and many were met once
    assert expected_new(np.full(20, 9)) == 0.1  # hardly any animal was met once


def test_evidence_is_piecewise_linear_and_flat_at_both_ends():
    at = np.exp([-9.0, -1.5, -0.5, 0.0, 0.5, 1.5, 7.0])
    assert evidence(at, (0.0,)) == pytest.approx(
        np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1.5, 0], [1, 1.5, 0.5], [1, 1.5, 1.5], [1, 1.5, 1.5]])
    )
    assert evidence(np.array([0.0, -np.inf, 1e-7]), (0.0,)).tolist() == [[0, 0, 0]] * 3


models = st.builds(
    Model,
    knots=st.tuples(st.floats(-5, 0), st.floats(0, 5)),
    accepted=st.floats(-5, 5),
    slopes=st.tuples(*[st.floats(0, 8)] * 3),
    new=st.floats(-5, 12),
    features=st.floats(0, 3),
    usual_features=st.floats(1, 5000),
    individuals=st.floats(1, 500),
    sightings=st.floats(0, 1),
)
a_score = st.one_of(st.just(0.0), st.just(float("nan")), st.just(float("-inf")), st.floats(1e-12, 1e3))
queries = st.lists(st.tuples(a_score, st.booleans()), min_size=1, max_size=12)


@given(st.lists(models, min_size=1, max_size=3), queries, st.floats(0, 5000), st.floats(0.1, 0.9))
def test_probabilities_add_up_to_1_and_careful_ones_are_never_higher(several, query, features, new_share):
    scores = np.array([score for score, _ in query])
    found = ask(scores, models=several, named=[n for _, n in query], features=features, new_share=new_share)
    assert (np.isnan(found.individuals) == np.isnan(scores)).all()
    each = found.individuals[~np.isnan(scores)]
    assert (each >= 0).all()
    assert found.new >= 0
    assert each.sum() + found.new == pytest.approx(1)
    assert (found.careful[~np.isnan(scores)] <= each + 1e-12).all()
    assert 0 <= found.careful_new <= found.new + 1e-12
    assert found.of(found.decision())[0] <= 1


@given(models, st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8), st.floats(1, 100))
def test_a_higher_score_never_lowers_the_probability(model, scores, factor):
    before = ask(scores, models=(model,))
    after = ask([scores[0] * factor, *scores[1:]], models=(model,))
    assert after.individuals[0] >= before.individuals[0] - 1e-12
    assert after.careful[0] >= before.careful[0] - 1e-12


@given(models, st.floats(1e-3, 1e3), st.integers(1, 300), st.floats(MOST, 9.0))
def test_probability_falls_as_the_gallery_grows_by_animals_that_match_too(model, score, strangers, other):
    few = ask([score], models=(model,))
    many = ask([score, *[other] * strangers], models=(model,))
    assert many.careful[0] <= few.careful[0] + 1e-12
    quiet = ask([score, *[0.0] * strangers], models=(model,))
    assert quiet.careful[0] <= few.careful[0] + 1e-12  # that nothing else matches may be the photo's fault


@given(st.lists(st.tuples(st.one_of(st.just(0.0), st.floats(1e-7, 20)), st.booleans()), max_size=30))
def test_scores_beside_the_others_are_as_computed_one_by_one_and_keep_their_order(query):
    scores, named = np.array([s for s, _ in query], float), np.array([n for _, n in query], bool)
    found = beside_others(scores, named)
    for n, score in enumerate(scores):
        others = sorted((min(s, MOST) for m, (s, known) in enumerate(query) if m != n and known), reverse=True)[:OTHERS]
        background = (sum(others) + USUAL * USUAL_WEIGHT) / (len(others) + USUAL_WEIGHT)
        expected = score / math.sqrt(background / USUAL) if score > VERIFIED else score
        assert found[n] == pytest.approx(max(expected, score if score <= VERIFIED else VERIFIED), abs=1e-12)
    assert ((found > VERIFIED) == (scores > VERIFIED)).all()
    if named.all():
        order = np.argsort(scores, kind="stable")
        assert (np.diff(found[order]) >= -1e-12).all()


def test_a_score_means_more_where_nothing_else_matches():
    """Equal scores, beside ten others that match nothing, as usual by accident, much, and very much."""
    among = [ask([2.0, *[others] * 10]).individuals[0] for others in (0.0, 0.2, 0.5)]
    assert among == sorted(among, reverse=True)
    assert beside_others(np.array([2.0, *[0.2] * 10]))[0] == pytest.approx(2.0)
    assert beside_others(np.array([2.0, *[MOST] * 10]))[0] == beside_others(np.array([2.0, *[9.0] * 10]))[0]
    unnamed = np.array([True, *[False] * 10])
    assert beside_others(np.array([2.0, *[9.0] * 10]), unnamed)[0] == 2.0  # they may be the same animal
    weak = np.full(40, 0.05)
    assert beside_others(np.array([2.0, *weak[:10]]))[0] == beside_others(np.array([2.0, *weak]))[0]
    assert beside_others(np.array([2.0]))[0] == 2.0


def test_a_score_means_less_in_a_gallery_of_hundreds_than_of_ten():
    among = [ask([3.0, *[0.3] * (n - 1)]).careful[0] for n in (1, 10, 30, 100, 300)]
    assert among == sorted(among, reverse=True)
    assert among[1] > 0.8 > among[2] > 2 * among[4]


def test_a_filter_that_leaves_one_candidate_does_not_make_a_wrong_one_probable():
    """A wrong candidate alone gains the probability of the other nine, but none of the probability of a new animal."""
    among_ten = ask([2.0, *[0.3] * 9])
    alone = ask([2.0])
    assert among_ten.careful[0] < 0.75
    assert alone.careful[0] < 0.75
    weight = math.exp(1 + 3 + 3 * math.log(2))
    assert alone.careful[0] == pytest.approx(weight / (weight + math.exp(5)))


def test_a_filter_that_leaves_few_candidates_does_not_make_new_more_probable():
    assert ask([0.0]).careful_new == pytest.approx(ask([0.0] * 10).careful_new)
    assert ask([0.5]).careful_new < ask([0.5, *[0.0] * 9]).careful_new


def test_new_is_less_probable_if_few_new_animals_are_expected():
    often, rarely = ask([0.3] * 10, new_share=0.5), ask([0.3] * 10, new_share=0.1)
    assert rarely.new < often.new
    assert (rarely.individuals > often.individuals).all()
    assert rarely.careful == pytest.approx(often.careful)  # a careful value does not gain
    mostly = ask([0.3] * 10, new_share=0.9)
    assert mostly.new > often.new
    assert (mostly.individuals < often.individuals).all()


def test_more_features_than_usual_make_new_more_probable_and_an_unknown_number_changes_nothing():
    model = Model((0.0,), 1.0, (2.0, 3.0), 5.0, 1.0, 1000.0, 10.0, 0.0)
    poor, usual, rich = (ask([0.3] * 10, models=(model,), features=f).new for f in (100, 1000, 5000))
    assert poor < usual < rich
    assert ask([0.3] * 10, models=(model,), features=0).new == usual
    assert richness(np.array([0, 1000, 1000 * math.e, 1e9]), 1000.0) == pytest.approx([0, 0, 1, 3])


def test_unidentified_encounters_do_not_lower_the_probability_of_named_individuals():
    """The animal of an unidentified encounter may be the named individual: the two do not exclude each other."""
    alone = ask([3.0, 0.0])
    beside = ask([3.0, 0.0, 3.0], named=[True, True, False])
    assert beside.careful[0] == pytest.approx(alone.careful[0])
    assert beside.careful[2] < beside.careful[0]
    crowded = ask([3.0, 0.0, *[0.3] * 400], named=[True, True, *[False] * 400])  # many more than the model learned from
    assert crowded.careful[0] == pytest.approx(alone.careful[0])
    assert crowded.careful_new <= alone.careful_new + 1e-12
    assert ask([0.0, 9.0], named=[True, False]).careful_new < ask([0.0, 0.0], named=[True, False]).careful_new


def test_of_several_models_the_mean_is_told_and_the_lowest_is_careful():
    timid = Model((0.0,), 0.0, (0.5, 0.5), 6.0, 0.0, 1000.0, 10.0, 0.0)
    separate = [ask([4.0, 0.2], models=(m,)) for m in (PLAIN, timid)]
    both = ask([4.0, 0.2], models=(PLAIN, timid))
    assert both.careful == pytest.approx(np.minimum(separate[0].careful, separate[1].careful))
    assert both.careful_new == pytest.approx(min(a.careful_new for a in separate))
    assert both.individuals == pytest.approx((separate[0].individuals + separate[1].individuals) / 2)
    assert both.new == pytest.approx((separate[0].new + separate[1].new) / 2)


def test_a_query_without_comparisons_gets_no_decision():
    found = ask([np.nan, np.nan])
    assert np.isnan(found.individuals).all()
    assert (found.decision(), found.new, found.careful_new) == (-1, 1.0, 0.0)


def test_the_expected_share_of_new_animals_is_as_computed_by_hand():
    assert expected_new(np.array([1, 1, 3, 5])) == pytest.approx((6 * 3 / 12 + 10 * 0.2) / 16)
    assert expected_new(np.full(90, 9)) == 0.1  # the minimum
    assert expected_new(np.array([1, 1, 1])) == pytest.approx(0.2)


# ------------------------------------------------------------------------------------------------- models and groups


def test_the_most_specific_group_with_a_model_is_used():
    groups = {"any": (PLAIN,), "outlined": (PLAIN, PLAIN), "outlined head": (PLAIN,) * 3}
    calibration = Calibration("catalog", groups, Levels(), 40)
    assert calibration.group(True, True, "head") == "outlined head"
    assert calibration.group(True, False, "tail") == "outlined"
    assert calibration.group(False, False, "head") == "any"
    assert Calibration("shipped", {"outlined": (PLAIN,)}, Levels(), 40).group(False, False, "head") is None
    boxed = Calibration("shipped", {"outlined": (PLAIN,), "boxed": (PLAIN,)}, Levels(), 40)
    assert (boxed.group(True, False, "head"), boxed.group(True, True, "head")) == ("boxed", "outlined")
    assert group_names(True, "head") == ("outlined head", "outlined", "any")


@given(models)
def test_a_model_is_read_back_from_json(model):
    back = model_from_json(model_to_json(model))
    assert back.slopes == pytest.approx(model.slopes, rel=1e-5)
    assert back == model_from_json(model_to_json(back))


@pytest.mark.parametrize(
    "wrong", [{"slopes": (1.0,)}, {"slopes": (1.0, -1.0)}, {"knots": ()}, {"usual_features": 0.0}, {"individuals": 0.0}]
)
def test_a_model_with_impossible_values_is_refused(wrong):
    with pytest.raises(ValueError, match=r"knots|slope"):
        Model(**{**PLAIN.__dict__, **wrong})
