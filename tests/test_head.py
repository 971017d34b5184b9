"""A classifier for species of one's own: the model on features, its file, and how the catalog teaches it."""

import csv
import os
import subprocess
import sys
from dataclasses import replace

import drawn_classifier
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snowmatch.api import open_catalog
from snowmatch.catalog.species import NOTHING
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.models.cache import weights_sum
from snowmatch.review import teach as teaching
from snowmatch.review.screen_looks import learned_from
from snowmatch.screening import head as heads
from snowmatch.screening.classifiers import efficientnet_lite0
from snowmatch.screening.classifiers._imagenet import Backbone
from snowmatch.screening.classifiers._layers import FEATURES
from snowmatch.screening.classifiers.learned import Learned
from snowmatch.screening.head import (
    FEWEST,
    Head,
    held_out_share,
    is_head,
    known_species,
    learn_head,
    load_head,
    save_head,
)

# The model


def drawn(names=("fox", "hare", NOTHING), count=20, width=8, seed=0, apart=4.0):
    """Return features (N, width) around one point for each species, and the species of each photo."""
    rng = np.random.default_rng(seed)
    middles = apart * np.eye(len(names), width)
    labels = [name for name in names for _ in range(count)]
    return np.repeat(middles, count, axis=0) + rng.normal(0, 0.5, (len(labels), width)), labels


def told_by(head, features):
    return [head.names[k] for k in head.scores(features.T).argmax(axis=0)]


@given(st.integers(0, 9), st.integers(1, 4), st.sampled_from([1e-3, 1.0, 1e3]))
def test_species_that_are_apart_are_learned_at_any_scale(seed, species, scale):
    names = (*"abcd"[:species], NOTHING)
    features, labels = drawn(names, seed=seed)
    head = learn_head(features * scale + 7, labels)
    assert head.names == names
    assert told_by(head, features * scale + 7) == labels
    new, same = drawn(names, seed=seed + 100)
    assert told_by(head, new * scale + 7) == same


def test_more_steps_change_nothing_that_counts(monkeypatch):
    features, labels = drawn(apart=1.0)
    before = learn_head(features, labels).scores(features.T)
    monkeypatch.setattr(heads, "STEPS", 3 * heads.STEPS)
    after = learn_head(features, labels).scores(features.T)
    shares = [np.exp(s - s.max(axis=0)) / np.exp(s - s.max(axis=0)).sum(axis=0) for s in (before, after)]
    assert np.abs(shares[0] - shares[1]).max() < 0.01


def test_a_species_with_many_photos_counts_the_same():
    rng = np.random.default_rng(0)
    few, many = rng.normal(-1, 1, (10, 1)), rng.normal(1, 1, (1000, 1))
    head = learn_head(np.vstack([few, many]), ["fox"] * 10 + [NOTHING] * 1000)
    assert told_by(head, np.array([[-0.3], [0.5]])) == ["fox", NOTHING]


def test_the_order_of_the_photos_does_not_matter():
    features, labels = drawn()
    order = np.random.default_rng(1).permutation(len(labels))
    one, other = learn_head(features, labels), learn_head(features[order], [labels[n] for n in order])
    assert one.names == other.names
    assert one.weights == pytest.approx(other.weights, abs=1e-9)


def test_a_feature_that_never_changes_has_no_part():
    features, labels = drawn()
    features[:, 5] = 3.0
    head = learn_head(features, labels)
    assert np.isfinite(head.weights).all()
    assert told_by(head, features) == labels


TEACH = """
import hashlib
import numpy as np
from snowmatch.screening.head import learn_head
rng = np.random.default_rng(0)
head = learn_head(rng.normal(size=(90, 3, 1280)), ["fox", "nothing"] * 45)
scores = head.scores(rng.normal(size=(1280, 21, 16)).astype(np.float32))
print(hashlib.sha256(head.weights.tobytes() + head.bias.tobytes() + scores.tobytes()).hexdigest())
"""


def test_the_number_of_cores_changes_neither_the_model_nor_its_scores():
    told = [
        subprocess.run(
            [sys.executable, "-c", TEACH],
            env={**os.environ, "OPENBLAS_NUM_THREADS": count, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for count in ("1", "2")
    ]
    assert told[0] == told[1]


def test_scores_of_maps_are_those_of_their_cells():
    features, labels = drawn()
    head = learn_head(features, labels)
    maps = features.T.reshape(8, 6, 10)
    assert head.scores(maps).reshape(3, 60) == pytest.approx(head.scores(features.T))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([], "the photos show nothing (0)"),
        ([NOTHING] * 9, "the photos show nothing (9)"),
        (["fox"] * 9, "the photos show fox (9), nothing (0)"),
        (["fox"] * (FEWEST - 1) + [NOTHING] * 9, f"fox ({FEWEST - 1}), nothing (9)"),
        (["fox"] * 9 + [NOTHING] * (FEWEST - 1), f"fox (9), nothing ({FEWEST - 1})"),
    ],
)
def test_too_few_photos_are_one_clear_line(labels, told):
    for ask in (known_species, lambda names: learn_head(np.zeros((len(names), 3)), names)):
        with pytest.raises(SnowmatchError, match="fill in the column species") as caught:
            ask(labels)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)


def test_just_enough_photos():
    assert known_species([NOTHING] * FEWEST + ["fox"] * FEWEST) == ("fox", NOTHING)


# Groups that are held out


def test_what_a_group_alone_shows_is_never_told_right():
    """Each station has a mark of its own that tells the species there; without that station it tells nothing."""
    count = 10
    labels = [name for n in range(10) for name in [("fox", NOTHING)[n % 2]] * count]
    groups = [f"S{n}" for n in range(10) for _ in range(count)]
    features = np.repeat(np.eye(10), count, axis=0)
    assert told_by(learn_head(features, labels), features) == labels
    assert held_out_share(features, labels, groups) <= 0.5


def test_a_model_never_learns_from_the_group_that_it_is_asked_about(monkeypatch):
    features, labels = drawn(count=30)
    groups = [f"S{n % 7}" for n in range(len(labels))]
    features[:, 7] = [n % 7 for n in range(len(labels))]  # the group
    learned = []

    def learn(some, names):
        learned.append(set(some[:, 7].tolist()))
        return learn_head(some, names)

    monkeypatch.setattr(heads, "learn_head", learn)
    assert held_out_share(features, labels, groups) == 1.0
    held = [set(range(7)) - {int(group) for group in each} for each in learned]
    assert sorted(group for each in held for group in each) == list(range(7))


def test_the_share_is_that_of_photos_that_are_told_right():
    _, labels = drawn(count=40)
    features = np.repeat(np.eye(3), 40, axis=0)  # all photos of a species are the same
    wrong = [NOTHING if n % 10 == 0 and name == "fox" else name for n, name in enumerate(labels)]
    groups = [f"S{n % 5}" for n in range(len(labels))]
    assert held_out_share(features, wrong, groups) == pytest.approx(1 - 4 / 120)


def test_too_few_groups_are_nan():
    features, labels = drawn()
    assert np.isnan(held_out_share(features, labels, ["S1"] * len(labels)))
    assert np.isnan(held_out_share(features, labels, labels))  # each species at a station of its own


# The file


def test_a_model_is_the_same_after_saving_and_the_bytes_are_always_the_same(tmp_path):
    head = learn_head(*drawn())
    for name in ("a.npz", "b.npz"):
        save_head(tmp_path / name, learn_head(*drawn()))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = load_head(tmp_path / "a.npz")
    assert found.names == head.names
    assert (found.weights == head.weights).all()
    assert (found.bias == head.bias).all()
    assert is_head(tmp_path / "a.npz")


def test_a_model_tells_the_photos_that_it_learned_from_and_older_files_do_not(tmp_path):
    head = learn_head(*drawn())
    for photos in (frozenset({"ab" * 32, "0c" * 32}), None):
        save_head(tmp_path / "a.npz", replace(head, photos=photos))
        assert load_head(tmp_path / "a.npz").photos == photos
    assert learned_from(None) == frozenset()
    np.savez(tmp_path / "a.npz", names=head.names, weights=head.weights, bias=head.bias, photos=np.zeros((2, 3)))
    assert "teach it again" in refused(tmp_path / "a.npz")


def refused(path):
    """Return the reason why a file is not a model."""
    with pytest.raises(SnowmatchError) as caught:
        load_head(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not is_head(path)
    return str(caught.value)


@pytest.mark.parametrize("cut", [0, 1, 30, 200, -40, -1])
def test_half_a_file_is_one_clear_line(tmp_path, cut):
    save_head(tmp_path / "a.npz", learn_head(*drawn()))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:cut])
    assert "teach it again" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("names", "weights", "bias"),
    [
        (("fox", NOTHING), np.full((2, 3), "a"), np.zeros(2)),
        (("fox", NOTHING), np.zeros((2, 3), complex), np.zeros(2)),
        (("fox", NOTHING), np.zeros((2, 3)), np.zeros(2, bool)),
        (("fox", NOTHING), np.full((2, 3), np.nan), np.zeros(2)),
        (("fox", NOTHING), np.zeros((2, 3)), np.array([0, np.inf])),
        (("fox", NOTHING), np.zeros((3, 3)), np.zeros(2)),
        (("fox", NOTHING), np.zeros(2), np.zeros(2)),
        (("fox", NOTHING), np.zeros((2, 3)), np.zeros((2, 1))),
        ((NOTHING,), np.zeros((1, 3)), np.zeros(1)),
        ((1, 2), np.zeros((2, 3)), np.zeros(2)),
    ],
)
def test_arrays_of_another_kind_are_one_clear_line(tmp_path, names, weights, bias):
    save_head(tmp_path / "a.npz", Head(names, weights, bias))
    assert "teach it again" in refused(tmp_path / "a.npz")


def test_another_file_is_not_a_model(tmp_path):
    np.savez(tmp_path / "other.npz", photos=np.zeros(3))
    assert "teach it again" in refused(tmp_path / "other.npz")
    assert not is_head(tmp_path / "missing.npz")
    assert not is_head(tmp_path)


# The plugin


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return drawn_classifier.write(tmp_path_factory.mktemp("network") / "made.onnx")


@pytest.fixture
def drawn_network(network, monkeypatch, seen={}):  # noqa: B006, all tests share what was seen
    """Put a network of random values in the place of the weights. It looks at equal photos once."""
    monkeypatch.setattr(efficientnet_lite0, "find_weights", lambda name: network)
    look = Backbone.see

    def once(self, path, photo, size):
        key = photo.tobytes(), photo.shape, size
        if key not in seen:
            seen[key] = look(self, path, photo, size)
        return seen[key]

    monkeypatch.setattr(Backbone, "see", once)


def saved(path, names=("fox", NOTHING), width=FEATURES):
    """Write a model of random weights, and return its path."""
    rng = np.random.default_rng(0)
    save_head(path, Head(names, rng.normal(0, 0.01, (len(names), width)), np.zeros(len(names))))
    return path


@pytest.mark.usefixtures("drawn_network")
def test_the_plugin_tells_the_species_of_its_file(tmp_path):
    made = Learned(str(saved(tmp_path / "ours.npz")), size=224)
    made.check()
    photo = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    found = made.classify(photo)
    assert found.names == ("fox", NOTHING)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)  # one tile: the photo is smaller
    assert found.activations.shape == (2, 4, 7)
    assert found.features.shape == (FEATURES,)
    again = made.classify(photo)
    assert (again.activations == found.activations).all()


@pytest.mark.usefixtures("drawn_network")
def test_a_wrong_file_of_the_plugin_is_one_clear_line(tmp_path):
    path = saved(tmp_path / "ours.npz")
    (tmp_path / "half.npz").write_bytes(path.read_bytes()[:99])
    cases = [
        (Learned(), "needs a file"),
        (Learned(str(tmp_path / "none.npz")), "cannot be read"),
        (Learned(str(path), "0" * 64), "has changed since it was chosen"),
        (Learned(str(tmp_path / "half.npz")), "teach it again"),
        (Learned(str(saved(tmp_path / "bare.npz", ("fox", "hare")))), "has no class 'nothing'"),
        (Learned(str(saved(tmp_path / "small.npz", width=7))), f"for 7 features, expected {FEATURES}"),
    ]
    for made, told in cases:
        with pytest.raises(SnowmatchError, match=told) as caught:
            made.check()
        assert "\n" not in str(caught.value)
    Learned(str(path), weights_sum(path)).check()


def test_the_plugin_refuses_a_wrong_size():
    with pytest.raises(ValueError, match="size is 5"):
        Learned(size=5)


# The lesson


def make_catalog(folder, rows):
    """Make a catalog of stripes (fox) and plain photos. rows: (path, what, station, species)."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, what, *_ in rows:
        photo = np.full((48, 64, 3), 90.0)
        if what == "stripes":
            photo[:, ::8] = photo[:, 1::8] = 240
        Image.fromarray((photo + rng.integers(-9, 10, photo.shape)).astype(np.uint8)).save(folder / name)
    with open(folder / "catalog.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "station", "species", "encounter"])
        writer.writerows([name, station, species, name[:-4]] for name, _, station, species in rows)
    return folder


def lesson(count=6, stations=3):
    kinds = (("stripes", "fox"), ("plain", NOTHING))
    return [(f"{s}-{n}.png", what, f"S{n % stations}", s) for what, s in kinds for n in range(count)]


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.slow
@pytest.mark.usefixtures("drawn_network")
def test_a_catalog_teaches_a_classifier_that_screens_it(tmp_path):
    rows = [*lesson(8, stations=4), ("new.png", "stripes", "S0", "")]
    folder = make_catalog(tmp_path / "catalog", rows)
    before = sorted(path.name for path in folder.iterdir())
    out = tmp_path / "ours.npz"
    result = run("screen", folder, "--learn", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "learned from fox 8, nothing 8 photos; told right at stations that were not learned from" in result.output
    assert load_head(out).names == ("fox", NOTHING)
    first = out.read_bytes()
    assert run("screen", folder, "--learn", out, "--workers", 1).exit_code == 0  # its own file is replaced
    assert out.read_bytes() == first
    assert sorted(path.name for path in folder.iterdir() if path.name != ".snowmatch") == before
    words = ("--classifier", out, "--species", "fox", "--threshold", 0.5, "--workers", 1)
    result = run("screen", folder, *words, "--out", tmp_path / "table")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "table.csv", newline="") as file:
        found = {row["path"]: row for row in csv.DictReader(file)}
    fox = [float(row["score"]) for path, row in found.items() if path.startswith(("fox", "new"))]
    others = [float(row["score"]) for path, row in found.items() if path.startswith(NOTHING)]
    assert min(fox) > max(others)
    for row in found.values():
        assert row["species"] == "fox"
        assert row["answer"] == ("kept" if float(row["score"]) >= 0.5 else NOTHING)
    result = run("screen", folder, "--species", "snow leopard", "--workers", 1)  # the settings keep the classifier
    assert result.exit_code == 1
    assert "the classifier does not know 'snow leopard'" in result.output


@pytest.mark.usefixtures("drawn_network")
@pytest.mark.slow
def test_an_unreadable_photo_is_listed_and_the_others_are_learned(tmp_path):
    folder = make_catalog(tmp_path / "catalog", lesson())
    (folder / "fox-0.png").write_bytes(b"no photo")
    result = run("screen", folder, "--learn", tmp_path / "ours.npz", "--workers", 1)
    assert result.exit_code == 1
    assert "failed: fox-0.png" in result.output
    assert "fox 5, nothing 6" in result.output
    (folder / "fox-1.png").unlink()
    out = tmp_path / "other.npz"
    result = run("screen", folder, "--learn", out, "--workers", 1)
    assert result.exit_code == 1
    assert "fox (4), nothing (6)" in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(name, what, station, "") for name, what, station, _ in lesson()], "the photos show nothing (0)"),
        (lesson(FEWEST - 1), f"fox ({FEWEST - 1}), nothing ({FEWEST - 1})"),
        (lesson()[:6], "fox (6), nothing (0)"),
    ],
)
@pytest.mark.usefixtures("drawn_network")
def test_too_few_labels_are_told_before_a_photo_is_looked_at(tmp_path, monkeypatch, rows, told):
    folder = make_catalog(tmp_path / "catalog", rows)
    monkeypatch.setattr(teaching.Describe, "run", lambda *_: pytest.fail("a photo was looked at"))
    result = run("screen", folder, "--learn", tmp_path / "ours.npz", "--workers", 1)
    assert result.exit_code == 1
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "ours.npz").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("drawn_network")
def test_where_a_classifier_may_be_written(tmp_path):
    folder = make_catalog(tmp_path / "catalog", lesson())
    (tmp_path / "mine.npz").write_bytes(b"mine")
    cases = [
        (tmp_path / "ours.txt", "does not end with .npz"),
        (folder / "ours.npz", "lies in the catalog"),
        (tmp_path / "none" / "ours.npz", "is not a folder"),
        (tmp_path / "mine.npz", "snowmatch did not write it"),
    ]
    for out, told in cases:
        result = run("screen", folder, "--learn", out, "--workers", 1)
        assert result.exit_code == 1
        assert told in result.output
    assert (tmp_path / "mine.npz").read_bytes() == b"mine"
    assert run("screen", folder, "--learn", tmp_path / "mine.npz", "--workers", 1, "--force").exit_code == 0
    assert is_head(tmp_path / "mine.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stations", "words"),
    [
        (("S0", "S1", "S2"), "told right at stations that were not learned from: "),
        (("", "", ""), "told right in encounters that were not learned from: "),
        (("S0", "S1", ""), "told right in stations and encounters that were not learned from: "),
    ],
)
@pytest.mark.usefixtures("drawn_network")
def test_what_was_held_out_is_told(tmp_path, stations, words):
    rows = [(path, what, stations[int(place[1:])], species) for path, what, place, species in lesson(9)]
    taught = teaching.teach(open_catalog(make_catalog(tmp_path / "catalog", rows)).data, tmp_path / "ours.npz", 1)
    assert words in taught.summary()
    photos = {file_sha256(tmp_path / "catalog" / path) for path, *_ in rows}
    assert load_head(tmp_path / "ours.npz").photos == photos
    assert learned_from(Learned(str(tmp_path / "ours.npz"))) == photos


@pytest.mark.slow
@pytest.mark.usefixtures("drawn_network")
def test_a_photo_of_two_species_teaches_nothing(tmp_path):
    folder = make_catalog(tmp_path / "catalog", [*lesson(), ("both.png", "stripes", "S0", "fox")])
    with open(folder / "catalog.csv", "a", newline="") as file:
        csv.writer(file).writerow(["both.png", "S0", "hare", "both"])
    taught = teaching.teach(open_catalog(folder).data, tmp_path / "ours.npz", 1)
    assert taught.species == (("fox", 6), (NOTHING, 6))
    assert taught.failed == ()
    assert [note.text for note in taught.notes][:1] == ["1 photo with several species left out: both.png"]


@pytest.mark.usefixtures("drawn_network")
def test_photos_of_an_unknown_species_teach_nothing(tmp_path):
    """The answer `unknown` of a screening says that no network has seen a photo."""
    rows = [(f"more-{n}.png", "stripes", f"S{n % 3}", "Unknown") for n in range(6)]
    taught = teaching.teach(
        open_catalog(make_catalog(tmp_path / "catalog", [*lesson(), *rows])).data, tmp_path / "o.npz", 1
    )
    assert taught.species == (("fox", 6), (NOTHING, 6))
    assert taught.notes[0].text.startswith("6 photos of an unknown species left out: more-0.png, more-1.png")


@pytest.mark.usefixtures("drawn_network")
def test_copies_at_two_stations_are_held_out_together(tmp_path, monkeypatch):
    folder = make_catalog(tmp_path / "catalog", [*lesson(), ("copy.png", "stripes", "S9", "fox")])
    (folder / "copy.png").write_bytes((folder / "fox-1.png").read_bytes())
    told = []
    monkeypatch.setattr(teaching, "held_out_share", lambda *given: told.append(given[2]) or 0.5)
    teaching.teach(open_catalog(folder).data, tmp_path / "ours.npz", 1)
    assert len(set(told[0])) == 3
    assert told[0][0] == told[0][2]  # of copy.png and fox-1.png


@pytest.mark.usefixtures("drawn_network")
def test_the_notes_of_the_catalog_are_told(tmp_path):
    folder = make_catalog(tmp_path / "catalog", lesson())
    (folder / "catalog.xlsx").write_bytes(b"")
    result = run("screen", folder, "--learn", tmp_path / "ours.npz", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "note: catalog.xlsx was not read, since there is a catalog.csv" in result.output
