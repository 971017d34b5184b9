"""Every matcher passes the conformance checks; LNBNN's votes equal those computed by hand."""

import numpy as np
import pytest
from conftest import has_weights, skip_without_packages, the_pair

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Pair, make_plugin, plugin_names
from snowmatch.core.types import Subject
from snowmatch.matching.matchers.lnbnn import DIMENSION, PSEUDOCOUNT, Lnbnn, nearest_rivals, votes
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.matching.scores import keypoint_votes
from snowmatch.matching.search.block import Block, LazyIndex
from snowmatch.matching.search.blocks import Neighbors, search
from snowmatch.matching.search.encoding import build_faiss
from snowmatch.testing import MATCHER_CHECKS
from snowmatch.testing.matchers import gallery_features, small_gallery


def neighbors(distances, entries):
    distances, entries = np.array(distances, np.float32), np.array(entries)
    return Neighbors(distances, entries, entries * 10)  # keypoint number: ten times the entry


def as_dict(matches):
    rows = zip(matches.keypoint0, matches.annotation, matches.keypoint1, matches.weights, strict=True)
    return {(int(q), int(a), int(k)): round(float(w), 4) for q, a, k, w in rows}


def share_factor(nearest, keypoints, animals):
    """The correction of the distance of an accidental match, computed by hand."""
    share = (nearest + PSEUDOCOUNT) / (keypoints + PSEUDOCOUNT * (animals + 1))
    return ((1 - share) / share) ** (1 / DIMENSION)


def voted(found, individuals, rivals=None, animals=None):
    individuals = np.array(individuals)
    rivals = np.ones(len(individuals), bool) if rivals is None else np.array(rivals)
    animals = len(np.unique(individuals)) if animals is None else animals
    return votes(found, individuals, nearest_rivals(found, individuals, rivals), animals)


def test_votes_by_hand():
    # Two keypoints, three animals. The nearest neighbour of each is of another animal, so two shares are equal.
    found = neighbors([[0.1, 0.3, 0.5], [0.2, 0.2, 0.2]], [[1, 0, 2], [0, 1, 2]])
    one, none = share_factor(1, 2, 3), share_factor(0, 2, 3)
    expected = {
        (0, 1, 10): 0.3 * one - 0.1,  # its rival is entry 0
        (0, 0, 0): 0.1 * one - 0.3,  # its rival is entry 1, which is nearer
        (0, 2, 20): 0.1 * none - 0.5,
        (1, 0, 0): 0.2 * one - 0.2,
        (1, 1, 10): 0.2 * one - 0.2,
        (1, 2, 20): 0.2 * none - 0.2,
    }
    matches = voted(found, [0, 1, 2])
    assert as_dict(matches) == {key: round(worth, 4) for key, worth in expected.items() if worth > 0}
    assert len(matches)
    assert (np.diff(matches.annotation) >= 0).all()


def test_photos_of_one_animal_are_no_rivals_of_each_other():
    found = neighbors([[0.1, 0.2, 0.3, 0.4, 0.6]] * 3, [[0, 1, 2, 3, 4]] * 3)
    matches = voted(found, [7, 7, 7, 8, 9])  # the first three are one animal
    factor = share_factor(3, 3, 3)
    for entry, distance in ((0, 0.1), (1, 0.2), (2, 0.3)):
        assert as_dict(matches)[0, entry, entry * 10] == pytest.approx(0.4 * factor - distance, abs=1e-4)


def test_an_entry_that_may_be_the_same_animal_is_no_rival():
    found = neighbors([[0.1, 0.2, 0.4]], [[0, 1, 2]])
    alone = as_dict(voted(found, [7, 8, 9]))
    apart = as_dict(voted(found, [7, 8, 9], [True, False, True]))
    assert apart[0, 0, 0] > alone[0, 0, 0]
    assert apart[0, 0, 0] == pytest.approx(0.4 * share_factor(1, 1, 3) - 0.1, abs=1e-4)


def test_without_rivals_the_usual_nearest_neighbour_counts():
    found = neighbors([[0.1, 0.2, 0.5], [0.3, 0.4, 0.5], [0.4, 0.5, 0.6]], [[0, 1, 2]] * 3)
    matches = voted(found, [7, 7, 7])
    usual = 0.3 * share_factor(3, 3, 1)
    assert as_dict(matches)[0, 0, 0] == pytest.approx(usual - 0.1, abs=1e-4)
    assert as_dict(matches)[0, 1, 10] == pytest.approx(usual - 0.2, abs=1e-4)
    assert not any(key[0] == 2 for key in as_dict(matches))


def test_a_short_list_is_enough():
    found = neighbors([[0.1, 0.4, np.inf], [0.1, np.inf, np.inf], [np.inf] * 3], [[0, 1, -1], [0, -1, -1], [-1] * 3])
    matches = voted(found, [3, 4])
    assert {0, 1} == set(matches.keypoint0)
    assert np.isfinite(matches.weights).all()


def test_without_neighbours_there_are_no_votes():
    assert len(voted(neighbors(np.zeros((0, 5)), np.zeros((0, 5), int)), [0])) == 0
    assert len(voted(neighbors([[np.inf] * 2] * 3, [[-1] * 2] * 3), [0])) == 0


@pytest.mark.parametrize("bad", [{"k": 1}, {"k": 101}, {"backend": "annoy"}, {"foreground": "no"}], ids=str)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Lnbnn(**bad)


def block_of(photos):
    """Return one search block of photos' descriptors."""
    index = LazyIndex("made up", lambda: (build_faiss(list(photos)), "read"))
    return Block(np.arange(len(photos)), np.cumsum([0] + [len(d) for d in photos]), index)


def individual_votes(query, photos, individuals):
    """Return the votes for each individual, one a keypoint, before any geometric check."""
    individuals = np.array(individuals)
    allowed = np.ones(len(photos), bool)
    found = Lnbnn().match(gallery_features(query), [block_of(photos)], allowed, individuals, allowed)
    return keypoint_votes(found, individuals, individuals.max() + 1)


def noisy(rng, rows, sigma):
    return np.clip(rows + rng.normal(0, sigma, rows.shape), 0, 255).astype(np.uint8)


def drawn_animals(seed, animals=6, spots=60):
    """Return the descriptors of one photo of each animal, and those of a new photo of animal 0."""
    rng = np.random.default_rng(seed)
    photos = [rng.integers(0, 90, (spots, 128)).astype(np.uint8) for _ in range(animals)]
    seen = np.concatenate([noisy(rng, photos[0][: spots // 3], 14), rng.integers(0, 90, (spots, 128)).astype(np.uint8)])
    return rng, photos, seen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sigma", [0, 2, 8], ids=["copies", "noisy copies", "frames"])
def test_more_photos_of_the_right_animal_never_silence_it(seed, sigma):
    rng, photos, query = drawn_animals(seed)
    names = list(range(len(photos)))
    before = individual_votes(query, photos, names)
    assert before.argmax() == 0
    for more in (1, 4, 12, 40):
        copies = [noisy(rng, photos[0], sigma) for _ in range(more)]
        after = individual_votes(query, photos + copies, names + [0] * more)
        assert after.argmax() == 0
        assert after[0] > 0.7 * before[0]
        assert after[0] / np.delete(after, 0).max() > 0.7 * before[0] / np.delete(before, 0).max()


def test_a_rival_is_found_behind_any_number_of_photos():
    """The nearest spot of another animal is looked for behind more photos than any search for neighbours returns."""
    rng, photos, query = drawn_animals(1, animals=2)
    several = [photos[0], *(noisy(rng, photos[0], 1) for _ in range(60)), photos[1]]
    individuals = np.array([0] * 61 + [1])
    allowed = np.ones(62, bool)
    matcher = Lnbnn()
    found = matcher.match(gallery_features(query), [block_of(several)], allowed, individuals, allowed)
    apart = search([block_of([photos[1]])], query, np.ones(1, bool), 1).distances[:, 0]
    own = search([block_of(several[:61])], query, np.ones(61, bool), 1)
    best = {}
    for keypoint, weight in zip(found.keypoint0, found.weights, strict=True):
        best[keypoint] = max(best.get(keypoint, 0), weight)
    nearest = np.minimum(own.distances[:, 0], apart)
    counts = np.bincount((apart < own.distances[:, 0]).astype(int), minlength=2)
    for keypoint in range(20):  # the spots of animal 0
        assert nearest[keypoint] == own.distances[keypoint, 0]
        expected = apart[keypoint] * share_factor(counts[0], len(query), 2) - own.distances[keypoint, 0]
        assert best[keypoint] == pytest.approx(expected, rel=0.03)  # the search is approximate


@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_animal_does_not_win_by_its_number_of_photos(seed):
    rng, photos, query = drawn_animals(seed)
    names = list(range(len(photos)))
    for more in (5, 20, 60):
        others = [rng.integers(0, 90, (60, 128)).astype(np.uint8) for _ in range(more)]
        after = individual_votes(query, photos + others, names + [1] * more)
        assert after.argmax() == 0


@pytest.fixture(params=plugin_names("matchers"))
def matcher(request):
    """Every matcher with its defaults; LightGlue with a network that compares descriptors.

    A matcher is skipped without the packages in its NEEDS or without its weights.
    """
    skip_without_packages("matchers", request.param)
    if request.param == "lightglue":
        network = request.getfixturevalue("plain_lightglue")
        return make_plugin("matchers", "lightglue", {"weights": str(network)})
    made = make_plugin("matchers", request.param)
    if has_weights("matchers", request.param):
        request.getfixturevalue("weights")
        try:
            made.check({"name": "hesaff"})
        except SnowmatchError as error:
            pytest.skip(str(error))
    return made


@pytest.mark.parametrize("check", MATCHER_CHECKS.values(), ids=list(MATCHER_CHECKS))
def test_conformance(matcher, check):
    check(matcher)


def test_mutual_by_hand():
    """Unit vectors in the plane, given by angles. The distance is sqrt(1 - cos)."""

    def at(*degrees):
        angles = np.deg2rad(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    one, other = subject(at(0, 40, 90)), subject(at(2, 60, 95, 97))
    pair = the_pair(Mutual(ratio=0.8), one, other)
    # 90 is 5 degrees from 95 and 7 degrees from 97, a ratio of 0.71; the ratios of the others are smaller
    distance = np.sqrt(1 - np.cos(np.deg2rad([[2, 60], [5, 7]])))
    assert pair.keypoint0.tolist() == [0, 1, 2]
    assert pair.keypoint1.tolist() == [0, 1, 2]
    assert pair.weights[[0, 2]] == pytest.approx(distance[:, 1] - distance[:, 0], abs=1e-3)
    strict = the_pair(Mutual(ratio=0.6), one, other)
    assert strict.keypoint0.tolist() == [0, 1]


def test_mutual_drops_matches_that_are_not_mutual():
    descriptors = small_gallery()[0][:10]
    near = descriptors[:1].copy()
    near[0, 0] ^= 1  # a second keypoint that is nearly equal to the first
    pair = the_pair(Mutual(), subject(np.concatenate([descriptors, near])), subject(descriptors))
    assert 10 not in pair.keypoint0


@pytest.mark.parametrize(
    ("cls", "bad"), [(Mutual, {"ratio": 0}), (Mutual, {"candidates": -1}), (Mutual, {"keypoints": 0})], ids=str
)
def test_settings_of_pair_matchers_out_of_range_are_refused(cls, bad):
    with pytest.raises(ValueError, match="expected"):
        cls(**bad)


def test_checks_notice_matchers_that_do_not_conform():
    """Matchers that forget a pair, return unsorted matches, or match entries that are not allowed."""

    class Forgets(Mutual):
        def pairs(self, one, others, extractor):
            return list(super().pairs(one, others, extractor))[1:]

    class Unsorted(Mutual):
        def pairs(self, one, others, extractor):
            for pair in super().pairs(one, others, extractor):
                yield Pair(pair.number, pair.keypoint0[::-1], pair.keypoint1[::-1], pair.weights[::-1])

    class Eager(Lnbnn):
        def match(self, query, blocks, allowed, individuals, rivals):
            return super().match(query, blocks, np.ones_like(allowed), individuals, rivals)

    for broken, check in (
        (Forgets(), "a_photo_matches_itself"),
        (Unsorted(), "a_photo_matches_itself"),
        (Eager(), "forbidden_entries_get_no_match"),
    ):
        with pytest.raises(AssertionError):
            MATCHER_CHECKS[check](broken)


def subject(descriptors):
    made = gallery_features(descriptors)
    return Subject(made, (0, 0, *made.image_size))
