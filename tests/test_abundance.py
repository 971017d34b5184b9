"""Estimates of abundance: published values, values computed by hand, intervals, and properties of any history."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snowmatch.survey.abundance import Estimate, capture_history, chao, m0


def history(*frequencies):
    """Return a capture history with as many occasions as numbers.

    The first number counts the animals caught on all occasions, the last number those caught on one.
    """
    occasions = len(frequencies)
    return np.array(
        [
            [o < times for o in range(occasions)]
            for times, animals in zip(range(occasions, 0, -1), frequencies, strict=True)
            for _ in range(animals)
        ],
        bool,
    ).reshape(-1, occasions)


COTTONTAILS = history(*[0] * 11, 1, 2, 0, 6, 8, 16, 43)  # Edwards and Eberhardt, 1967: 76 rabbits, 18 nights
HARES = history(2, 1, 5, 13, 22, 25)  # Cormack, 1989: 68 snowshoe hares, 6 days
histories = st.tuples(st.integers(0, 25), st.integers(1, 7)).flatmap(lambda shape: arrays(bool, shape))


def close(estimate, value, low, high, tolerance=0.006):
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, low, high), abs=tolerance)


class TestHistory:
    def test_a_row_for_each_name_and_a_column_for_each_occasion(self):
        made = capture_history(["b", "a", "b", "b"], [0, 2, 2, 2], 3)
        assert made.tolist() == [[False, False, True], [True, False, True]]

    def test_no_encounters_give_no_rows(self):
        assert capture_history([], [], 3).shape == (0, 3)

    def test_an_occasion_after_the_last_is_refused(self):
        with pytest.raises(IndexError):
            capture_history(["a"], [3], 3)


class TestM0:
    @pytest.mark.parametrize(
        ("frequencies", "estimate"),
        [((1, 2, 5, 4, 4), 16.6), ((0, 2, 3, 6, 7), 20.3), ((0, 2, 2, 9, 7), 22.8), ((0, 3, 2, 6, 9), 22.8)],
    )
    def test_the_published_estimates_of_captive_snow_leopards(self, frequencies, estimate):
        """Johansson et al., 2020, Table 3: the true history and those of the observers for whom this model was used."""
        assert m0(history(*frequencies)).value == pytest.approx(estimate, abs=0.06)

    def test_the_published_estimate_of_snowshoe_hares(self):
        """Baillargeon and Rivest, 2007 (Journal of Statistical Software 19(5)): N = 75.4, standard error 3.5."""
        estimate = m0(HARES)
        assert estimate.value == pytest.approx(75.4, abs=0.05)
        assert 75.4 - 2 * 3.5 < estimate.low < 75.4 - 3.5  # the interval is not symmetric: longer to the right
        assert 75.4 + 2 * 3.5 < estimate.high < 75.4 + 3 * 3.5

    def test_the_published_estimate_of_cottontails(self):
        """The R package wiqid gives 96.26 [86.42, 115.40], by the likelihood with factorials and another interval."""
        close(m0(COTTONTAILS), 96.26, 86.42, 115.40, tolerance=1.6)

    @pytest.mark.parametrize("frequencies", [(1, 2, 5, 4, 4), (0, 0, 0, 1, 9), (3, 1), (0, 1, 0)])
    def test_the_capture_probability_maximises_the_likelihood(self, frequencies):
        made = history(*frequencies)
        seen, captures, occasions = len(made), made.sum(), made.shape[1]
        chance = np.linspace(1e-4, 1 - 1e-4, 200_001)
        likelihood = (
            captures * np.log(chance)
            + (seen * occasions - captures) * np.log1p(-chance)
            - seen * np.log1p(-((1 - chance) ** occasions))
        )
        best = chance[np.argmax(likelihood)]
        assert m0(made).value == pytest.approx(seen / (1 - (1 - best) ** occasions), rel=1e-4)

    def test_an_estimate_computed_by_hand(self):
        """2 animals on both of two occasions, 4 on one: 8/6 = 2p / (2p - p^2), so p = 1/2, and 6 / (3/4) animals."""
        assert m0(history(2, 4)).value == pytest.approx(8)

    @pytest.mark.parametrize("made", [HARES, COTTONTAILS, history(1, 2, 5, 4, 4), history(2, 4)])
    def test_the_interval_is_that_of_the_profile_likelihood(self, made):
        """The profile likelihood on a grid; 3.84 is the 95 % quantile of chi squared."""
        seen, captures, occasions = len(made), made.sum(), made.shape[1]
        number = np.linspace(seen + 1e-9, 20 * seen, 2_000_001)
        unseen, chances = number - seen, number * occasions
        profile = number * np.log(number) - unseen * np.log(unseen) + captures * np.log(captures / chances)
        profile += (chances - captures) * np.log1p(-captures / chances)
        inside = number[2 * (profile.max() - profile) <= 3.841459]
        estimate = m0(made)
        assert (estimate.low, estimate.high) == pytest.approx((inside[0], inside[-1]), rel=1e-4)

    def test_intervals_hold_the_truth_as_often_as_they_say(self):
        random = np.random.default_rng(0)
        for number, chance in ((16, 0.5), (50, 0.3)):
            estimates = [m0(random.random((number, 5)) < chance) for _ in range(300)]
            assert np.mean([e.low <= number <= e.high for e in estimates]) > 0.92

    def test_no_recapture_gives_an_infinite_estimate(self):
        estimate = m0(history(0, 0, 3))
        assert (estimate.value, estimate.high, estimate.seen) == (math.inf, math.inf, 3)
        assert 3 < estimate.low < 4
        assert m0(history(3)) == Estimate(math.inf, 3.0, math.inf, 3)  # one occasion allows no recapture

    def test_animals_always_caught_are_all_animals(self):
        estimate = m0(history(3, 0, 0))
        close(estimate, 3, 3, 3.28)


class TestChao:
    def test_an_estimate_computed_by_hand(self):
        """4 once and 4 twice on five occasions: 16 + 4/5 * 4 * 3 / (2 * 5)."""
        assert chao(history(1, 2, 5, 4, 4)).value == pytest.approx(16.96)
        assert chao(history(0, 3, 0, 0, 3)).value == pytest.approx(6 + 4 / 5 * 3)  # nobody twice
        assert chao(history(0, 0, 3)).value == pytest.approx(3 + 2 / 3 * 3)

    def test_an_interval_computed_by_hand(self):
        """Unseen 0.96; variance 0.96 + 0.64 * 4 * 49 / 100 + 0.64 * 16 * 4 * 9 / 2500 = 2.361856."""
        factor = math.exp(1.959964 * math.sqrt(math.log(1 + 2.361856 / 0.96**2)))
        close(chao(history(1, 2, 5, 4, 4)), 16.96, 16 + 0.96 / factor, 16 + 0.96 * factor, tolerance=1e-6)

    def test_an_interval_without_animals_caught_twice(self):
        """3 once of 6: unseen 2.4; variance 2.4 + 0.64 * 3 * 25 / 4 - 0.64 * 81 / (4 * 8.4) = 12.857143."""
        factor = math.exp(1.959964 * math.sqrt(math.log(1 + 12.857143 / 2.4**2)))
        close(chao(history(0, 3, 0, 0, 3)), 8.4, 6 + 2.4 / factor, 6 + 2.4 * factor, tolerance=1e-6)

    def test_the_interval_of_cottontails(self):
        """43 once and 16 twice of 76, on 18 nights: 50.17 unseen."""
        close(chao(COTTONTAILS), 126.17, 99.05, 185.19)

    def test_with_at_most_one_animal_caught_once_the_estimate_is_the_number_seen(self):
        """4 animals, 13 captures: missed with probability exp(-3.25) = 0.0388; 4 / (1 - 0.0388) = 4.1614, +- 0.8032."""
        close(chao(history(0, 3, 0, 0, 1)), 4, 4, 4.1614 + 0.8032, tolerance=1e-3)
        assert chao(history(3, 0, 0)).value == 3

    def test_one_occasion_gives_an_infinite_upper_end(self):
        assert chao(history(3)) == Estimate(3.0, 3.0, math.inf, 3)

    def test_intervals_hold_the_truth_as_often_as_they_say(self):
        random = np.random.default_rng(0)
        estimates = [chao(random.random((50, 5)) < 0.3) for _ in range(300)]
        assert np.mean([e.low <= 50 <= e.high for e in estimates]) > 0.92


@pytest.mark.parametrize("estimate", [m0, chao])
class TestBoth:
    @given(made=histories)
    def test_the_interval_holds_the_estimate_and_starts_at_the_number_seen_or_above(self, estimate, made):
        found = estimate(made)
        seen = int(made.any(axis=1).sum())
        assert found.seen == seen
        if not seen:
            assert all(math.isnan(v) for v in (found.value, found.low, found.high))
            return
        assert seen <= found.low + 1e-9
        assert found.low <= found.value * (1 + 1e-9)
        assert found.value <= found.high * (1 + 1e-9)

    @given(made=histories, random=st.randoms(use_true_random=False))
    def test_order_of_rows_and_animals_never_caught_change_nothing(self, estimate, made, random):
        order = random.sample(range(len(made)), len(made))
        more = np.vstack([made[order], np.zeros((3, made.shape[1]), bool)])
        assert repr(estimate(more)) == repr(estimate(made))  # nan is not equal to itself

    def test_an_empty_history_gives_nan(self, estimate):
        found = estimate(np.zeros((0, 3), bool))
        assert found.seen == 0
        assert math.isnan(found.value)
