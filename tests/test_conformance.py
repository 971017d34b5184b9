"""Each conformance check of snowmatch.testing finds its mistake and names it in the error."""

import itertools
from dataclasses import dataclass, field, make_dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from fake_extractor import Fake

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.plugins import Pair
from snowmatch.core.types import Matches
from snowmatch.features.extractors._descriptors import circles
from snowmatch.features.extractors.hesaff import Hesaff
from snowmatch.features.extractors.sift import Sift
from snowmatch.interchange.exporters.kml import Kml
from snowmatch.interchange.importers.folders import Folders
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.testing import EXPORTER_CHECKS, EXTRACTOR_CHECKS, IMPORTER_CHECKS, MATCHER_CHECKS


def changed(cls, **members):
    """Return a plugin like `cls` with some members replaced."""
    made = dataclass(frozen=True)(type("Made", (cls,), {"__doc__": "For a test.", **members}))
    return made()


def having(cls, **values):
    """Return a plugin of `cls` with values that the class refuses."""
    plugin = cls()
    for name, value in values.items():
        object.__setattr__(plugin, name, value)
    return plugin


def bare(gone, cls=Sift):
    """Return an object of a dataclass that has all members of `cls` except those in `gone`, and no base class."""
    kept = {n: v for n, v in vars(cls).items() if not n.startswith("__") and n not in gone}
    settings = {n: (f.type, f.default) for n, f in cls.__dataclass_fields__.items() if n in kept and n in vars(cls)}
    fields = [(n, t, field(default=d)) for n, (t, d) in settings.items() if "ClassVar" not in str(t)]
    names = {n for n, *_ in fields}
    made = make_dataclass("Bare", fields, namespace={n: v for n, v in kept.items() if n not in names}, frozen=True)
    made.__module__ = cls.__module__
    return made()


def extracting(change, cls=Sift, **members):
    """Return an extractor whose features are changed by `change`."""
    return changed(cls, extract=lambda self, chip: change(cls.extract(self, chip)), **members)


def matching(change):
    """Return an LNBNN whose matches are changed by `change`."""

    def match(self, query, blocks, allowed, individuals, rivals):
        return change(Lnbnn.match(self, query, blocks, allowed, individuals, rivals))

    return changed(Lnbnn, match=match)


def pairing(change):
    """Return a mutual-nearest-neighbours matcher whose pairs are changed by `change`."""

    def pairs(self, one, others, extractor):
        for pair in Mutual.pairs(self, one, others, extractor):
            yield change(pair)

    return changed(Mutual, pairs=pairs)


def part(features, **columns):
    return replace(features, **columns)


def float_descriptors(length):
    def change(f):
        rows = f.descriptors.astype(np.float32)
        norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
        return part(f, descriptors=length * rows / norms)

    return change


def sized(scales):
    """Return a function that gives features the scales `scales(features)` and frames of the same diameter."""

    def change(f):
        made = np.asarray(scales(f), np.float32)
        return part(f, scales=made, shapes=circles(made))

    return change


def far_out(f):
    if not len(f):
        return f
    places = f.keypoints.copy()
    places[0] = 1000, 5
    return part(f, keypoints=places)


def infinite(f):
    scores = f.scores.copy()
    scores[:1] = np.inf
    return part(f, scores=scores)


def turning(angle):
    """Return a SIFT whose orientations are changed by `angle`."""
    return replace(extracting(lambda f: part(f, oris=np.asarray(angle(f.oris), np.float32))), upright=False)


class Counter:
    """A change that adds one to the first descriptor value at each call, so that no two answers are the same."""

    def __init__(self):
        self.calls = 0

    def __call__(self, f):
        self.calls += 1
        rows = f.descriptors.copy()
        rows[:1, 0] = self.calls % 200
        return part(f, descriptors=rows)


def several(change):
    """Return a SIFT with an `extract_many` whose results are changed by `change`."""
    return changed(Sift, extract_many=lambda self, chips: change([self.extract(chip) for chip in chips]))


@dataclass(frozen=True)
class Open(Sift):
    """A setting without a plain default."""

    names: tuple = ()


@dataclass(frozen=True)
class Loud(Sift):
    """A class variable that became a setting."""

    COLOUR: int = 3


@dataclass
class Soft:
    """Settings that can be changed."""

    REVISION: ClassVar[int] = 1
    CHANNELS: ClassVar[str] = "grey"
    DIMENSION: ClassVar[int] = 128
    DTYPE: ClassVar[type] = np.uint8
    FRAMES: ClassVar[bool] = True
    chip_size: int = 700

    extract = Sift.extract


class Plain:
    """No dataclass."""


def by_check(*rows):
    return [pytest.param(*row, id=f"{row[0]}-{number}") for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("check", "plugin", "text"),
    by_check(
        ("extractor_is_complete", Plain(), "Plain is not a dataclass: write @dataclass(frozen=True) above the class"),
        ("extractor_is_complete", Sift, "Sift is a class, expected a plugin: call the check with Sift()"),
        (
            "extractor_is_complete",
            bare({"REVISION", "CHANNELS", "DTYPE", "FRAMES", "chip_size", "extract", "DIMENSION"}),
            "Bare lacks the class variable REVISION, the class variable CHANNELS, the class variable DTYPE, the class "
            "variable FRAMES, the class variable DIMENSION, the setting chip_size, the method extract",
        ),
        ("extractor_is_complete", changed(Sift, batch=4), "Made lacks the method extract_many"),
        ("extractor_is_complete", changed(Sift, extract=3), "Made.extract is 3, expected a method"),
        (
            "extractor_is_complete",
            changed(Sift, extract=lambda self, chip, photo: None),
            "Made.extract has (chip, photo), expected (chip)",
        ),
        ("settings_are_frozen_fields", changed(Sift, REVISION=0), "REVISION is 0, expected 1 or more"),
        ("settings_are_frozen_fields", changed(Sift, REVISION="a"), "REVISION is 'a', expected a whole number"),
        ("settings_are_frozen_fields", changed(Sift, __doc__=""), "the class has no docstring"),
        ("settings_are_frozen_fields", Open(), "the setting names has no default that is a text, a number or a bool"),
        ("settings_are_frozen_fields", Loud(), "COLOUR is a setting, expected a class variable: annotate it"),
        ("settings_are_frozen_fields", Soft(), "the setting chip_size can be changed: the dataclass is not frozen"),
        ("extractor_declares_itself", changed(Sift, CHANNELS="gray"), "CHANNELS is 'gray', expected 'grey' or 'rgb'"),
        ("extractor_declares_itself", changed(Sift, DIMENSION=0), "DIMENSION is 0, expected a whole number of 1"),
        ("extractor_declares_itself", changed(Sift, DTYPE=np.float64), "DTYPE is <class 'numpy.float64'>, expected"),
        ("extractor_declares_itself", changed(Sift, FRAMES=None), "FRAMES is None, expected True or False"),
        ("extractor_declares_itself", Soft(chip_size="700"), "chip_size is '700', expected a whole number"),
        (
            "extractor_declares_itself",
            changed(Sift, batch=0, extract_many=lambda self, chips: []),
            "batch is 0, expected a whole number of 1 or more",
        ),
        ("nothing_to_see_gives_no_features", Fake(), "features on a chip without texture (grey), expected 0"),
        (
            "nothing_to_see_gives_no_features",
            changed(Sift, extract=lambda self, chip: None),
            "extract returns NoneType, expected snowmatch.core.types.Features",
        ),
        (
            "small_chips_never_fail",
            extracting(lambda f: part(f, scores=f.scores[:0])),
            "scores is float32 (0,), expected",
        ),
        (
            "small_chips_never_fail",
            extracting(lambda f: f if len(f) else part(f, descriptors=f.descriptors.astype(np.float32))),
            "descriptors are float32, expected uint8, the DTYPE",
        ),
        ("features_are_as_declared", extracting(lambda f: f.take(np.arange(20))), "20 features on a coat of 320 x 240"),
        ("features_are_as_declared", changed(Sift, DIMENSION=64), "128), expected (2213, 64): DIMENSION is 64"),
        (
            "features_are_as_declared",
            extracting(float_descriptors(1)),
            "descriptors are float32, expected uint8, the DTYPE",
        ),
        ("features_are_as_declared", changed(Sift, FRAMES=False), "FRAMES is False, but shapes is an array"),
        ("features_are_as_declared", extracting(lambda f: part(f, shapes=None)), "FRAMES is True, but shapes is None"),
        ("features_are_as_declared", extracting(infinite), "some scores are not finite numbers"),
        (
            "features_are_as_declared",
            extracting(lambda f: f.take(np.arange(len(f))[::-1])),
            "features are not sorted by descending score",
        ),
        (
            "features_are_as_declared",
            extracting(lambda f: part(f, scores=np.ones_like(f.scores))),
            "all scores are equal, or scores are below 0",
        ),
        ("features_are_as_declared", extracting(far_out), "keypoints lie outside the chip"),
        ("features_are_as_declared", extracting(sized(lambda f: 0 * f.scales)), "some scales are not above 0"),
        (
            "features_are_as_declared",
            extracting(lambda f: part(f, image_size=f.image_size[::-1])),
            "image_size is (240, 320), expected (320, 240): width, height of the chip",
        ),
        (
            "features_are_as_declared",
            extracting(lambda f: f.take(np.arange(len(f)) // 4)),
            "positions: positions are repeated",
        ),
        (
            "frames_have_the_area_of_their_scale",
            extracting(lambda f: part(f, scales=f.scales / 2)),
            "a * d is not the squared radius, (scale / 2) ** 2",
        ),
        (
            "frames_have_the_area_of_their_scale",
            extracting(lambda f: part(f, shapes=-f.shapes)),
            "the value a of a frame is not above 0",
        ),
        (
            "frames_have_the_area_of_their_scale",
            extracting(lambda f: part(f, shapes=f.shapes * np.float32([1, np.nan, 1]))),
            "the value c of a frame is not finite",
        ),
        ("frames_have_the_area_of_their_scale", changed(Sift, FRAMES=False), "FRAMES is False, but shapes is an array"),
        (
            "descriptors_have_the_norm_of_their_type",
            extracting(lambda f: part(f, descriptors=f.descriptors // 2)),
            "descriptors of uint8 have norms of 2",
        ),
        (
            "descriptors_have_the_norm_of_their_type",
            extracting(float_descriptors(512), DTYPE=np.float32),
            "descriptors of float32 have norms of 512 to 512, expected 1",
        ),
        (
            "scales_are_diameters",
            extracting(sized(lambda f: f.scales**2)),
            "times as large on a chip of twice the size, expected 2: a scale is a diameter in chip pixels",
        ),
        ("scales_are_diameters", extracting(sized(lambda f: 1 + f.scales / 1000)), "scales are 1.00 times as large"),
        (
            "scales_are_diameters",
            extracting(sized(lambda f: f.scales / 2)),
            "the scale on a spot is 0.89 times its standard deviation, expected 2 or more: a scale is the diameter",
        ),
        ("scales_are_diameters", extracting(sized(lambda f: f.scales / 2), Hesaff), "the scale on a spot is 1.0"),
        ("angles_are_clockwise_radians", turning(np.rad2deg), "orientations go up to 360, expected radians, at most"),
        (
            "angles_are_clockwise_radians",
            turning(lambda a: -np.rad2deg(a)),
            "orientations go down to -360, expected radians, -pi or more: use numpy.deg2rad",
        ),
        ("angles_are_clockwise_radians", turning(lambda a: 2 * np.pi - a), "orientations turn by -90 degrees if the"),
        ("several_chips_give_the_same_features", several(lambda found: found[1:]), "gives 3 results for 4 chips"),
        ("several_chips_give_the_same_features", several(lambda found: found[::-1]), "gives chip 0 other keypoints"),
        (
            "several_chips_give_the_same_features",
            several(lambda found: [part(f, descriptors=f.descriptors[::-1].copy()) for f in found]),
            "extract_many gives chip 0 other descriptors than extract",
        ),
        ("same_chip_same_bytes", extracting(Counter()), "the second extraction gives other bytes"),
    ),
)
def test_a_mistake_of_an_extractor_is_named(check, plugin, text):
    with pytest.raises((AssertionError, ValueError)) as caught:
        EXTRACTOR_CHECKS[check](plugin)
    assert text in str(caught.value)


def darkens(self, chip):
    found = Sift.extract(self, chip)
    chip.pixels[:] = 0
    return found


def unmasks(self, chip):
    found = Sift.extract(self, chip)
    if chip.mask is not None:
        chip.mask[:] = False
    return found


def sees_no_mask(self, chip):
    return Sift.extract(self, replace(chip, mask=None))


def sees_masked_chips_as_grey(self, chip):
    return Sift.extract(self, chip if chip.mask is None else replace(chip, pixels=chip.pixels // 255))


@pytest.mark.parametrize(
    ("check", "extract", "text"),
    [
        ("same_chip_same_bytes", darkens, "the chip's pixels were changed"),
        ("same_chip_same_bytes", unmasks, "the chip's mask was changed"),
        ("keypoints_stay_inside_the_mask", sees_no_mask, "keypoints lie outside the mask"),
        ("keypoints_stay_inside_the_mask", sees_masked_chips_as_grey, "no features inside the mask"),
    ],
)
def test_a_mistake_with_the_pixels_or_the_mask_is_named(check, extract, text):
    with pytest.raises(AssertionError, match=text):
        EXTRACTOR_CHECKS[check](changed(Sift, extract=extract))


def test_a_plugin_that_lacks_members_gets_the_same_text_from_every_check():
    for checks, plugin, text in (
        (
            EXTRACTOR_CHECKS,
            bare({"FRAMES", "chip_size"}),
            "Bare lacks the class variable FRAMES, the setting chip_size",
        ),
        (MATCHER_CHECKS, bare({"backend"}, Lnbnn), "Bare lacks the setting backend"),
    ):
        assert len(checks) > 6
        for check in checks.values():
            with pytest.raises(AssertionError) as caught:
                check(plugin)
            assert str(caught.value) == text


def test_equal_scales_and_orientations_are_allowed():
    plain = extracting(lambda f: part(f, scales=np.full_like(f.scales, 8), shapes=None), FRAMES=False)
    for check in ("scales_are_diameters", "angles_are_clockwise_radians"):
        EXTRACTOR_CHECKS[check](plain)


def test_the_foreground_of_a_gallery_matcher_is_a_setting():
    made = bare({"foreground", "__post_init__"}, Lnbnn)
    type(made).foreground = "auto"
    with pytest.raises(AssertionError, match="foreground is not a setting, but a PairMatcher sets it"):
        MATCHER_CHECKS["matcher_declares_itself"](made)


def changed_pair(change):
    return pairing(lambda pair: Pair(pair.number, *change(pair.keypoint0, pair.keypoint1, pair.weights)))


def changed_matches(change):
    return matching(lambda m: Matches(*change(m.keypoint0, m.annotation, m.keypoint1, m.weights)))


def last(numbers, value):
    numbers = numbers.copy()
    numbers[-1:] = value
    return numbers


def ignores_allowed(self, query, blocks, allowed, individuals, rivals):
    return Lnbnn.match(self, query, blocks, np.ones_like(allowed), individuals, rivals)


def one_sure_match(allowed):
    entry = np.flatnonzero(allowed)[:1]
    return Matches(0 * entry, entry, 0 * entry, np.ones(len(entry), np.float32))


def sure_pairs(one, others):
    for number, other in others:
        rows = np.arange(min(len(one), len(other)))
        yield Pair(number, rows, rows, np.ones(len(rows), np.float32))


def pairs_with_nothing(others):
    for number, _ in others:
        yield Pair(number, np.zeros(1, int), np.zeros(1, int), np.ones(1, np.float32) / 2)


def pairs_of_filled(one, others):
    for number, _ in others:
        rows = np.zeros(min(len(one), 1), int)
        yield Pair(number, rows, rows, np.ones(len(rows), np.float32) / 2)


class Wandering:
    """A change that gives other keypoints at each call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, found):
        self.calls += 1
        return replace(found, keypoint1=np.zeros_like(found.keypoint1) + (self.calls % 2 if len(found) else 0))


class Shrinking:
    """A change that gives smaller weights at each call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, found):
        self.calls += 1
        return replace(found, weights=(found.weights / self.calls).astype(np.float32))


@pytest.mark.parametrize(
    ("check", "plugin", "text"),
    by_check(
        ("matcher_is_complete", Plain(), "Plain is not a dataclass"),
        ("matcher_is_complete", Lnbnn, "Lnbnn is a class, expected a plugin: call the check with Lnbnn()"),
        (
            "matcher_is_complete",
            bare({"REVISION", "PAIRWISE", "foreground", "backend", "match"}, Lnbnn),
            "Bare lacks the class variable REVISION, the class variable PAIRWISE, the setting foreground, the setting "
            "backend, the method match",
        ),
        (
            "matcher_is_complete",
            bare({"PAIRWISE", "foreground", "voter", "candidates", "keypoints", "check"}, Mutual),
            "Bare lacks the class variable PAIRWISE, the setting foreground, the setting voter, the setting "
            "candidates, the setting keypoints, the method check",
        ),
        (
            "matcher_is_complete",
            changed(Lnbnn, match=lambda self, query, blocks: None),
            "Made.match has (query, blocks), expected (query, blocks, allowed, individuals, rivals)",
        ),
        ("matcher_is_complete", changed(Mutual, check=lambda self: ""), "Made.check has (), expected (extractor)"),
        ("settings_are_frozen_fields", changed(Lnbnn, REVISION=0), "REVISION is 0, expected 1 or more"),
        ("matcher_declares_itself", changed(Lnbnn, PAIRWISE=None), "PAIRWISE is None, expected True or False"),
        (
            "matcher_declares_itself",
            having(Lnbnn, backend="annoy"),
            "backend is 'annoy', expected faiss or flann",
        ),
        (
            "matcher_declares_itself",
            having(Lnbnn, foreground="all"),
            "foreground is 'all', expected auto or given",
        ),
        (
            "matcher_declares_itself",
            having(Mutual, voter=None),
            "voter is None, expected the name of a GalleryMatcher",
        ),
        (
            "matcher_declares_itself",
            having(Mutual, candidates=-1),
            "candidates is -1, expected a whole number of 0 or more",
        ),
        (
            "matcher_declares_itself",
            having(Mutual, keypoints=0),
            "keypoints is 0, expected a whole number of 1 or more",
        ),
        (
            "matcher_declares_itself",
            changed(Mutual, check=lambda self, extractor: None),
            "check returns None, expected the name of the weights, or an empty text",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, a, k, -w)),
            "the weights of match go down to -",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, a, k, w.astype(np.float64))),
            "the weights of match are float64, expected float32",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, a, k, w * np.float32(np.nan))),
            "some weights of match are not finite numbers",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: tuple(c[::-1] for c in (q, a, k, w))),
            "matches are not sorted by annotation, then by keypoint0",
        ),
        (
            "a_photo_matches_itself",
            matching(lambda m: m.take(np.lexsort((-m.keypoint0, m.annotation)))),
            "matches are not sorted by annotation, then by keypoint0",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (last(q, 99), a, k, w)),
            "keypoint0 has the number 99, which does not exist",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, last(a, 5), k, w)),
            "annotation has the number 5, which does not exist",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, a, last(k, -1), w)),
            "keypoint1 has the number -1, which does not exist",
        ),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q.astype(float), a, k, w)),
            "keypoint0 is float64, expected whole numbers",
        ),
        (
            "a_photo_matches_itself",
            matching(lambda m: [m]),
            "match returns list, expected snowmatch.core.types.Matches",
        ),
        ("a_photo_matches_itself", matching(lambda m: m.take(m.keypoint0 != 3)), "49 of 50 keypoints match their own"),
        (
            "a_photo_matches_itself",
            changed_matches(lambda q, a, k, w: (q, a, np.where(a == 2, (k + 1) % 50, k), w)),
            "some keypoints match another keypoint better than themselves",
        ),
        (
            "a_photo_matches_itself",
            pairing(lambda pair: [pair]),
            "pairs yields list, expected snowmatch.core.plugins.Pair",
        ),
        (
            "a_photo_matches_itself",
            pairing(lambda pair: replace(pair, number=min(pair.number, 3))),
            "the matcher returned pairs [0, 1, 2, 3, 3] for photos [0, 1, 2, 3, 4]",
        ),
        (
            "a_photo_matches_itself",
            changed_pair(lambda q, k, w: (q[1:], k, w)),
            "has arrays of lengths",
        ),
        (
            "a_photo_matches_itself",
            changed_pair(lambda q, k, w: (q[::-1], k[::-1], w[::-1])),
            "is not sorted by keypoint0, each keypoint at most once",
        ),
        ("a_photo_matches_itself", changed_pair(lambda q, k, w: (q, k, -w)), "the weights of pair 0 go down to -"),
        (
            "a_photo_matches_itself",
            changed_pair(lambda q, k, w: (q, k, w.astype(np.float64))),
            "the weights of pair 0 are float64, expected float32",
        ),
        (
            "a_photo_matches_itself",
            changed_pair(lambda q, k, w: (q, last(k, 50), w)),
            "keypoint1 has the number 50, which does not exist",
        ),
        (
            "hardly_any_keypoints_never_fail",
            changed(Lnbnn, match=lambda self, q, b, allowed, i, r: one_sure_match(allowed)),
            "keypoint0 has the number 0, which does not exist",
        ),
        (
            "hardly_any_keypoints_never_fail",
            changed(Mutual, pairs=lambda self, one, others, extractor: sure_pairs(one, others)),
            "a strong match with the only keypoint of a photo, expected a weak match or none",
        ),
        (
            "hardly_any_keypoints_never_fail",
            changed(Mutual, pairs=lambda self, one, others, extractor: pairs_with_nothing(others)),
            "keypoint0 has the number 0, which does not exist",
        ),
        (
            "hardly_any_keypoints_never_fail",
            changed(Mutual, pairs=lambda self, one, others, extractor: pairs_of_filled(one, others)),
            "keypoint1 has the number 0, which does not exist",
        ),
        (
            "forbidden_entries_get_no_match",
            changed(Lnbnn, match=ignores_allowed),
            "with entries [2], which are not allowed",
        ),
        ("same_question_same_answer", matching(Wandering()), "the second query gives other matches"),
        ("same_question_same_answer", matching(Shrinking()), "the second query gives other weights"),
    ),
)
def test_a_mistake_of_a_matcher_is_named(check, plugin, text):
    with pytest.raises(AssertionError) as caught:
        MATCHER_CHECKS[check](plugin)
    assert text in str(caught.value)


def _raising(error):
    def fails(self, source):
        raise error

    return fails


def _touching(self, source):
    if source.is_dir():
        (source / "left.txt").touch()
    raise SnowmatchError("no")


IMPORTERS = [
    ("importer_is_complete", changed(Folders, FORMAT=" "), "FORMAT is empty"),
    ("importer_is_complete", changed(Folders, read=3), "expected a method"),
    ("looking_never_fails", changed(Folders, looks_like=_raising(OSError("no"))), "looks_like raises OSError"),
    ("looking_never_fails", changed(Folders, looks_like=lambda self, source: 2), "expected 0 to 1"),
    ("looking_never_fails", changed(Folders, looks_like=lambda self, source: 1), "a file that does not exist"),
    ("odd_sources_are_refused_in_words", changed(Folders, read=_raising(KeyError("x"))), "read raises KeyError"),
    ("odd_sources_are_refused_in_words", changed(Folders, read=lambda self, source: []), "expected Imported"),
    (
        "odd_sources_are_refused_in_words",
        changed(Folders, read=lambda self, source: Imported((ImportedRow("a", "1"), ImportedRow("b", "1")), ())),
        "one identifier",
    ),
    ("reading_changes_nothing", changed(Folders, read=_touching), "files were changed"),
]


@pytest.mark.parametrize(("check", "importer", "found"), IMPORTERS, ids=[found for *_, found in IMPORTERS])
def test_a_mistake_of_an_importer_is_found(check, importer, found):
    with pytest.raises(AssertionError, match=found):
        IMPORTER_CHECKS[check](importer)


def _adding(self, given):
    (given.survey.data.folder / "left.txt").touch()
    return {"a.csv": b"1"}


COUNT = itertools.count()
EXPORTERS = [
    ("exporter_is_complete", changed(Kml, COORDINATES="always"), "COORDINATES is 'always', expected one of needed"),
    ("exporter_is_complete", changed(Kml, COUNTS=1), "COUNTS is 1"),
    ("exporter_is_complete", changed(Kml, files=lambda self: {}), r"files has \(\), expected \(given\)"),
    ("files_have_names_and_bytes", changed(Kml, files=lambda self, given: {"../a": b""}), "expected a relative name"),
    ("files_have_names_and_bytes", changed(Kml, files=lambda self, given: {"a": "text"}), "a is str, expected bytes"),
    ("files_have_names_and_bytes", changed(Kml, files=lambda self, given: [b""]), "expected the contents by name"),
    ("files_have_names_and_bytes", changed(Kml, files=_raising(KeyError("x"))), "files raises KeyError"),
    (
        "the_same_survey_gives_the_same_files",
        changed(Kml, files=lambda self, given: {"a.csv": str(next(COUNT)).encode()}),
        "other bytes in a.csv",
    ),
    ("the_same_survey_gives_the_same_files", changed(Kml, files=_adding), "files were changed"),
]


@pytest.mark.parametrize(("check", "exporter", "found"), EXPORTERS, ids=[found for *_, found in EXPORTERS])
def test_a_mistake_of_an_exporter_is_found(check, exporter, found):
    with pytest.raises(AssertionError, match=found):
        EXPORTER_CHECKS[check](exporter)
