"""The identity graph: clusterings and questions, quarrels, draws, counts."""

import functools
import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.unions import Unions
from snowmatch.review.clusterings import best_alternative, cluster, greedy, score
from snowmatch.review.counts import ahead, count, individuals, left
from snowmatch.review.draws import FAINT, draw
from snowmatch.review.evidence import BOTH, LEFT, RIGHT, Weights, graph_of, log_odds, pair_weights
from snowmatch.review.quarrels import Answer, answer_weight, find_quarrels, minimum_cut
from snowmatch.review.questions import Questions
from snowmatch.review.sizes import Sizes

SURE = 3.5


def weights(n, pairs, absent=-0.3, alone=1.0, **more):
    """Return weights from {(i, j): machine}."""
    i, j = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    machine = np.array([pairs[k] for k in sorted(pairs)], float)
    return Weights(n, i, j, machine, np.zeros(len(machine)), absent, alone, **more)


@st.composite
def surveys(draw, most=10):
    """Return the truth and weights that follow it loosely."""
    n = draw(st.integers(2, most))
    truth = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    every = list(itertools.combinations(range(n), 2))
    chosen = draw(st.lists(st.sampled_from(every), unique=True))
    noise = draw(st.lists(st.floats(-4, 4), min_size=len(chosen), max_size=len(chosen)))
    pairs = {(a, b): x + (2.0 if truth[a] == truth[b] else -2.0) for (a, b), x in zip(chosen, noise, strict=True)}
    return truth, weights(n, pairs)


def partition(labels):
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in np.unique(labels)}


@functools.cache
def partitions(n):
    """Return all clusterings of n things as labels."""
    every = itertools.product(range(n), repeat=n)
    return [np.array(k) for k in every if all(k[at] <= max(k[:at], default=-1) + 1 for at in range(n))]


def full(held, n):
    """Return all weights (n, n)."""
    matrix = np.full((n, n), held.absent)
    np.fill_diagonal(matrix, 0)
    for a, b, w in zip(held.i, held.j, held.machine + held.human, strict=True):
        matrix[a, b] = matrix[b, a] = w
    return matrix


class TestWeights:
    def test_single_pair_keeps_its_odds(self):
        p = np.full(30, 0.5)
        p[0] = 0.9
        machine, alone = pair_weights(100, p)
        assert machine[0] - alone == pytest.approx(math.log(9))
        assert log_odds(1.0, 4.0) == pytest.approx(4.0)

    @pytest.mark.parametrize(
        ("pairs", "more"),
        [
            ({(1, 0): 1.0}, {}),
            ({(0, 9): 1.0}, {}),
            ({(0, 1): np.nan}, {}),
            ({(0, 1): 1.0}, {"views": np.array([1, 2, 3])}),
        ],
    )
    def test_wrong_values_are_refused(self, pairs, more):
        with pytest.raises(ValueError, match=r"pair|expected"):
            weights(3, pairs, **more)

    def test_facts_that_contradict_each_other_are_refused(self):
        with pytest.raises(ValueError, match="surely together and surely apart"):
            graph_of(weights(3, {}, together=((0, 1), (1, 2)), apart=((0, 2),)))


class TestClusterings:
    @given(surveys(5))
    def test_the_greedy_clustering_is_near_the_best_and_alternatives_are_scored_right(self, survey):
        _, held = survey
        matrix = full(held, held.n)
        best = max(score(matrix, labels, held.alone) for labels in partitions(held.n))
        found = score(matrix, greedy(matrix, held.alone), held.alone)
        assert found <= best + 1e-9
        graph = graph_of(held)
        label, _ = cluster(graph)
        for k in np.unique(label):
            nodes = np.flatnonzero(label == k).tolist()
            other = best_alternative(graph, [nodes])
            if other is None:
                assert len(nodes) == 1
                continue
            after = label.copy()
            for number, part in enumerate(other.parts):
                after[list(part)] = held.n + number
            gained = score(matrix, after, held.alone) - score(matrix, label, held.alone)
            assert other.gain == pytest.approx(gained)
            assert partition(after) != partition(label)


class TestQuestions:
    @given(surveys(), st.data())
    def test_the_state_after_answers_is_that_of_a_fresh_start_with_the_same_clustering(self, survey, data):
        _, held = survey
        questions = Questions(held, margin=SURE)
        human = {}
        pairs = list(itertools.combinations(range(held.n), 2))
        for _ in range(data.draw(st.integers(1, 8))):
            pair = data.draw(st.sampled_from(pairs))
            weight = data.draw(st.sampled_from([-SURE, 0.0, SURE]))
            human[pair] = human.get(pair, 0.0) + weight
            questions.answer(*pair, weight)
        listed = {
            k: w
            for *k_, w in zip(held.i.tolist(), held.j.tolist(), held.machine.tolist(), strict=True)
            if (k := tuple(k_))
        }
        every = {k: listed.get(k, held.absent) + human.get(k, 0.0) for k in {*listed, *human}}
        fresh = Questions(weights(held.n, every), margin=SURE, labels=questions.labels)
        assert partition(fresh.labels) == partition(questions.labels)
        one, two = questions.alternatives(), fresh.alternatives()
        assert [gain for gain, _ in one] == pytest.approx([gain for gain, _ in two], abs=1e-6)
        assert all(gain <= 1e-6 for gain, _ in one)

    @given(surveys(), st.data())
    def test_faint_questions_are_those_about_clusters_for_which_no_pair_speaks_also_after_answers(self, survey, data):
        _, held = survey
        questions = Questions(held, margin=SURE, quiet=-1.0)
        human = {}
        pairs = list(itertools.combinations(range(held.n), 2))
        for _ in range(data.draw(st.integers(0, 6))):
            pair = data.draw(st.sampled_from(pairs))
            weight = data.draw(st.sampled_from([-SURE, 0.0, SURE]))
            if pair in human and data.draw(st.booleans()):
                questions.change(*pair, -human.pop(pair), asked=-1)  # taken back
            else:
                human[pair] = human.get(pair, 0.0) + weight
                questions.answer(*pair, weight)
        listed = dict(zip(zip(held.i.tolist(), held.j.tolist(), strict=True), held.machine.tolist(), strict=True))
        speaking = {pair for pair, said in human.items() if said > 0} | {p for p, said in listed.items() if said > -1.0}
        labels = questions.labels
        linked = {frozenset((labels[i], labels[j])) for i, j in speaking}
        faint = questions.pairs(lambda i, j: False, margin=1e6, faint=True)
        asked = {(q.i, q.j) for q in questions.ask(10_000, margin=1e6, faint=True)}
        assert asked == set(faint)
        assert {frozenset((labels[i], labels[j])) for i, j in asked}.isdisjoint(linked)
        loud = {(q.i, q.j) for q in questions.ask(10_000, margin=1e6)}
        assert loud.isdisjoint(asked)
        assert asked | loud <= listed.keys() | human.keys()  # never a pair that is not listed
        open_pairs = {pair for pair in listed if questions._asked[pair] < 1}
        apart = {frozenset((labels[i], labels[j])) for i, j in open_pairs if labels[i] != labels[j]} - linked
        assert {frozenset((labels[i], labels[j])) for i, j in asked} == apart

    def test_quiet_is_never_above_zero(self):
        with pytest.raises(ValueError, match="expected zero or less"):
            Questions(weights(2, {(0, 1): 1.0}), margin=SURE, quiet=0.5)

    @given(surveys())
    def test_a_perfect_observer_ends_in_what_can_be_known(self, survey):
        truth, held = survey
        questions = Questions(held, margin=30.0)  # nothing is settled before all linked clusters were compared
        asked = []
        while found := questions.ask():
            pair = found[0].i, found[0].j
            assert pair not in asked
            assert found[0].asked == 0
            asked.append(pair)
            questions.answer(*pair, 20.0 if truth[pair[0]] == truth[pair[1]] else -20.0)
            assert len(asked) <= held.n * held.n
        labels = questions.labels
        for cluster_ in partition(labels):
            assert len({truth[k] for k in cluster_}) == 1  # nothing is lumped
        for a, b in zip(held.i, held.j, strict=True):  # and what is linked and the same is together
            assert truth[a] != truth[b] or labels[a] == labels[b]

    @given(surveys())
    def test_the_same_questions_every_time(self, survey):
        truth, held = survey
        logs = []
        for _ in range(2):
            questions, log = Questions(held, margin=SURE), []
            while found := questions.ask():
                log.append(found[0])
                questions.answer(found[0].i, found[0].j, SURE if truth[found[0].i] == truth[found[0].j] else -SURE)
            logs.append(log)
        assert logs[0] == logs[1]

    def test_a_pair_comes_again_only_as_a_double_check(self):
        held = weights(2, {(0, 1): 1.5})
        once, twice = Questions(held, margin=SURE), Questions(held, margin=SURE, most=2)
        for questions in (once, twice):
            assert questions.ask()[0].asked == 0
            questions.answer(0, 1, 0.0)
        assert once.ask() == []
        assert twice.ask()[0].asked == 1

    def test_closed_pairs_and_what_cannot_be_asked(self):
        held = weights(4, {(0, 1): 1.5, (2, 3): 1.2}, apart=((0, 2),), views=np.array([LEFT, BOTH, BOTH, RIGHT]))
        questions = Questions(held, margin=SURE)
        assert [(q.i, q.j) for q in questions.ask(5)] == [(2, 3), (0, 1)]
        assert [(q.i, q.j) for q in questions.ask(5, closed=lambda i, j: (i, j) == (0, 1))] == [(2, 3)]
        assert [(q.i, q.j) for q in questions.ask(5)] == [(2, 3)]  # what is closed stays so
        questions.answer(2, 3, -SURE)
        questions.change(2, 3, SURE, asked=-1)  # until an answer is taken back
        assert [(q.i, q.j) for q in questions.ask(5)] == [(2, 3), (0, 1)]
        with pytest.raises(ValueError, match="cannot be compared"):
            questions.answer(0, 3, SURE)

    def test_a_question_says_what_it_would_do(self):
        chain = {(0, 1): 9.0, (1, 2): 2.0, (0, 2): -0.5}
        question = Questions(weights(3, chain), margin=SURE).ask()[0]
        assert not question.merges
        assert question.alternative == ((0, 1), (2,))
        assert question.gain == pytest.approx(-0.5)  # 1.5 of pairs, less 1 for one more individual

    def test_an_undone_answer_leaves_no_trace(self):
        held = weights(4, {(0, 1): 3.0, (1, 2): 0.5, (2, 3): 3.0})
        questions = Questions(held, margin=SURE)
        before = questions.alternatives()
        questions.answer(1, 2, SURE)
        assert len(np.unique(questions.labels)) == 1
        questions.change(1, 2, -SURE, asked=-1)
        assert questions.alternatives() == before
        assert questions.ask()[0].asked == 0


class TestQuarrels:
    @given(
        st.integers(3, 6).flatmap(
            lambda n: st.tuples(
                st.just(n),
                st.dictionaries(
                    st.sampled_from(list(itertools.combinations(range(n), 2))), st.integers(1, 9), min_size=1
                ),
            )
        )
    )
    def test_the_cut_is_the_lightest(self, case):
        n, edges = case
        source, sink = 0, n - 1
        found = minimum_cut([(a, b, float(w)) for (a, b), w in edges.items()], source, sink)

        def weight(side):
            return sum(w for (a, b), w in edges.items() if (a in side) != (b in side))

        sides = [
            {source, *some}
            for size in range(n - 1)
            for some in itertools.combinations([k for k in range(n) if k not in (source, sink)], size)
        ]
        assert source in found
        assert sink not in found
        assert weight(found) == min(weight(side) for side in sides)

    def test_two_answers_quarrel_with_the_weakest_of_those_that_join(self):
        answers = [Answer(0, 1, True, 4), Answer(1, 2, True, 1), Answer(0, 2, False, 2), Answer(2, 0, False, 1)]
        (quarrel,) = find_quarrels(4, [*answers, Answer(2, 3, True, 9), Answer(1, 3, False, 1)][:4])
        assert quarrel.different == (2, 3)
        assert quarrel.same == (1,)
        assert quarrel.suspects == "same"
        assert quarrel.weights == (3, 1)

    def test_hard_facts_are_stronger_and_consistent_answers_do_not_quarrel(self):
        (quarrel,) = find_quarrels(3, [Answer(0, 1, False, 5)], together=[(0, 1)])
        assert (quarrel.same, quarrel.suspects, quarrel.weights[1]) == ((), "different", math.inf)
        assert find_quarrels(3, [Answer(0, 1, True, 5), Answer(1, 2, False, 5)]) == []

    def test_weights_of_answers(self):
        assert answer_weight(0.9, None, 0.8, True) == pytest.approx(math.log(9) + 0.8)
        assert answer_weight(0.9, 4, 0.8, False) > answer_weight(0.9, 2, 0.8, False)
        assert answer_weight(0.5, 1, 0.0, True) == 0.05
        with pytest.raises(ValueError, match="accuracy"):
            answer_weight(1.0, None, None, True)


class TestDraws:
    @settings(max_examples=20, deadline=None)
    @given(surveys(8), st.data())
    def test_hard_facts_and_sides_hold_in_every_draw(self, survey, data):
        truth, held = survey
        order = np.argsort(truth, kind="stable").tolist()
        together = [(a, b) for a, b in itertools.pairwise(order) if truth[a] == truth[b]][:2]
        apart = [(a, b) for a, b in itertools.pairwise(order) if truth[a] != truth[b]][:2]
        views = np.array(data.draw(st.lists(st.sampled_from([LEFT, RIGHT, BOTH]), min_size=held.n, max_size=held.n)))
        keep = (views[held.i] & views[held.j]) != 0
        facts = Weights(
            held.n, held.i[keep], held.j[keep], held.machine[keep], held.human[keep], -0.3, 1.0,
            tuple(together), tuple(apart), views,
        )  # fmt: skip
        drawn = draw(facts, draws=30, chains=10, warm=5, thin=1, seed=1)
        assert drawn.shape == (30, held.n)
        assert all((drawn[:, a] == drawn[:, b]).all() for a, b in together)
        assert all((drawn[:, a] != drawn[:, b]).all() for a, b in apart)
        joined = {k for pair in together for k in pair}
        for row in drawn:
            for k in np.unique(row):
                members = np.flatnonzero(row == k)
                assert k == members[0]
                if not joined & set(members.tolist()):
                    shown = set(views[members].tolist())
                    assert shown != {LEFT, RIGHT}
        assert draw(facts, draws=30, chains=10, warm=5, thin=1, seed=1).tobytes() == drawn.tobytes()

    def test_shares_are_the_probabilities(self, monkeypatch):
        """Of four sightings, with a fixed worth of sizes: as the formula has it, summed over which of them are poor."""
        worth = np.array([0.0, 1.2, 1.0, 1.5, 2.5])
        monkeypatch.setattr(Sizes, "draw", lambda self, counts, random: worth)
        missed, poor, poor_missed = 0.3, 0.3, 0.8
        pairs = {(0, 1): 3.0, (1, 2): 1.0, (2, 3): -1.0}
        held = weights(4, pairs)
        drawn = draw(held, draws=12000, chains=60, warm=20, thin=1, missed=missed, poor=poor, poor_missed=poor_missed)
        mass = {}
        for labels in partitions(4):
            total = 0.0
            for good in itertools.product([True, False], repeat=4):
                value = sum(worth[(labels == k).sum()] for k in set(labels.tolist()))
                value += sum(math.log(1 - poor if g else poor) for g in good)
                for a, b in itertools.combinations(range(4), 2):
                    if labels[a] == labels[b]:
                        both = good[a] and good[b]
                        plain = math.log(missed if both else poor_missed)
                        w = pairs.get((a, b))
                        value += plain if w is None else w if both else min(max(w, 0), FAINT)
                total += math.exp(value)
            mass[frozenset(partition(labels))] = total
        share = dict.fromkeys(mass, 0.0)
        for row in drawn:
            share[frozenset(partition(row))] += 1 / len(drawn)
        for k, m in mass.items():
            assert share[k] == pytest.approx(m / sum(mass.values()), abs=0.02)

    def test_answers_of_persons_decide_and_nothing_gives_nothing(self):
        pairs = dict.fromkeys(itertools.combinations(range(4), 2), 0.0)
        held = weights(4, pairs, alone=0.0)
        human = np.array([20.0 if k in ((0, 1), (2, 3)) else -20.0 for k in sorted(pairs)])
        sure = Weights(4, held.i, held.j, held.machine, human)
        assert (individuals(draw(sure, draws=20)) == 2).all()
        assert draw(weights(0, {}), draws=5).shape == (5, 0)


class TestCounts:
    def test_numbers_masks_and_intervals(self):
        drawn = np.array([[0, 0, 2, 2], [0, 0, 2, 3]])
        assert individuals(drawn).tolist() == [2, 3]
        assert individuals(drawn, np.array([True, True, False, False])).tolist() == [1, 1]
        assert individuals(drawn, np.zeros(4, bool)).tolist() == [0, 0]
        told = count(individuals(drawn))
        assert (told.mean, told.low, told.high) == (2.5, 2, 3)

    @given(st.integers(0, 12))
    def test_each_open_pair_needs_one_comparison(self, open_pairs):
        """Pairs that are open with even odds, independently of each other: each needs a comparison, up to the last."""
        random = np.random.default_rng(open_pairs)
        same = random.random((2000, open_pairs)) < 0.5
        drawn = np.tile(np.arange(2 * open_pairs), (2000, 1))
        drawn[:, 1::2] -= same
        i = np.arange(0, 2 * open_pairs, 2)
        told = left(drawn, i, i + 1)
        assert told.questions == max(open_pairs - 1, 0)
        assert told.after < 1

    @given(surveys())
    def test_what_is_ahead_is_what_is_asked(self, survey):
        truth, held = survey
        first = ahead(held, truth[None], margin=SURE, answer=SURE, times=1)
        none = (lambda i, j: True, lambda i, j, same: None)
        assert ahead(held, truth[None], margin=SURE, answer=SURE, times=1, closed=lambda: none) == 0
        questions, number = Questions(held, margin=SURE), 0
        while found := questions.ask():
            questions.answer(found[0].i, found[0].j, SURE if truth[found[0].i] == truth[found[0].j] else -SURE)
            number += 1
        assert first == number

    def test_what_follows_from_an_answer_is_not_ahead(self):
        held = weights(3, {(0, 1): 0.5, (0, 2): 0.4, (1, 2): 0.3}, absent=0.0, alone=0.0)
        together = np.zeros((1, 3), int)
        assert ahead(held, together, margin=2 * SURE, answer=SURE, times=1) == 3

        def closed():
            joined = Unions(3)
            return lambda i, j: joined.group_of(i) == joined.group_of(j), lambda i, j, same: same and joined.join(i, j)

        assert ahead(held, together, margin=2 * SURE, answer=SURE, times=1, closed=closed) == 2

    def test_what_no_pair_can_settle_is_told(self):
        drawn = np.where(np.random.default_rng(0).random((500, 1)) < 0.5, [[0, 1, 2, 3]], [[0, 0, 2, 2]])
        assert left(drawn, np.array([0]), np.array([1])).questions == 1
        assert left(drawn, np.array([1]), np.array([2])).questions is None


def test_a_thousand_sightings_are_asked_about_at_once():
    random = np.random.default_rng(0)
    n = 1000
    truth = random.integers(0, 80, n)
    pairs = {}
    for a in range(n):
        for b in [*random.choice(np.flatnonzero(truth == truth[a]), 4), *random.integers(0, n, 6)]:
            if a != b:
                pairs[min(a, int(b)), max(a, int(b))] = random.normal(3.5 if truth[a] == truth[b] else 0, 2)
    questions = Questions(weights(n, pairs, alone=4.0), margin=SURE)
    seconds = []
    for _ in range(50):
        start = time.process_time()  # of this process alone: others use the machine as well
        (question,) = questions.ask()
        seconds.append(time.process_time() - start)
        questions.answer(question.i, question.j, SURE if truth[question.i] == truth[question.j] else -SURE)
    assert np.median(seconds) < 0.5
